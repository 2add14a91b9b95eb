"""Input datasets as a configuration names them, and their versions."""

import pytest
from hydra_zen import instantiate
from omegaconf import OmegaConf

from deriva_ml_core.datasets.specs import DatasetSpec, DatasetSpecConfig, as_dataset_spec
from deriva_ml_core.datasets.versions import DatasetVersion, VersionPart
from deriva_ml_core.errors import DerivaMLValidationError


@pytest.mark.parametrize("version", ["1.2.3", [1, 2, 3], (1, 2, 3), {"major": 1, "minor": 2, "patch": 3}])
def test_a_version_is_text_numbers_or_parts(version):
    """The three spellings of a version in configurations mean the same."""
    assert DatasetSpec(rid="1-ABCD", version=version).version == DatasetVersion(1, 2, 3)


def test_the_short_form():
    """`RID@version` is a dataset at a version, `RID` the dataset at its current one."""
    assert DatasetSpec.from_shorthand("1-ABCD@1.0.0") == DatasetSpec(rid="1-ABCD", version="1.0.0")
    assert as_dataset_spec("1-ABCD").version is None
    assert str(as_dataset_spec("1-ABCD@1.0.0")) == "1-ABCD@1.0.0"


@pytest.mark.parametrize("bad", ["1-abcd@1.0.0", "1-ABCD@1.0", "1-ABCD@", {"rid": "1-ABCD", "materialise": True}, 3])
def test_what_is_no_dataset_is_named(bad):
    """A wrong entry is refused in one line that shows it."""
    with pytest.raises(DerivaMLValidationError) as error:
        as_dataset_spec(bad)

    assert repr(bad) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (1e5, "write it in quotes"),  # 1E5, as YAML and Hydra read it
        ({"rid": 100}, "write it in quotes"),
        ({"rid": "1-ABCD", "exclude_table": ["Image"]}, "did you mean 'exclude_tables'?"),
        ({"rid": "1-ABCD", "timeout": 60}, r"as in \[6, 120\]"),
    ],
)
def test_what_to_write_instead_is_told(entry, told):
    """Where it is likely what was meant."""
    with pytest.raises(DerivaMLValidationError, match=told):
        as_dataset_spec(entry)


def test_the_configuration_is_instantiated_by_hydra():
    """All eight fields arrive in the spec."""
    config = DatasetSpecConfig(
        rid="1-ABCD",
        version="1.0.0",
        materialize=False,
        description="d",
        exclude_tables=["Subject"],
        timeout=[5, 60],
        fetch_concurrency=2,
        reachability_concurrency=3,
    )
    spec = DatasetSpec(
        rid="1-ABCD",
        version="1.0.0",
        materialize=False,
        description="d",
        exclude_tables={"Subject"},
        timeout=(5.0, 60.0),
        fetch_concurrency=2,
        reachability_concurrency=3,
    )

    assert instantiate(OmegaConf.structured(config)) == spec
    assert as_dataset_spec(config) == spec


def test_versions_are_ordered_and_incremented():
    """An increment raises one part and clears those after it; a development label comes after its release."""
    version = DatasetVersion("1.2.3")

    assert [str(version.increment(part)) for part in VersionPart] == ["2.0.0", "1.3.0", "1.2.4"]
    assert version < DatasetVersion("1.2.3.post1.dev2") < DatasetVersion("1.10.0")
    assert not DatasetVersion("1.2.3.post1.dev2").is_released


def test_a_spec_survives_json():
    """The recorded configuration reads back as the same specs."""
    spec = DatasetSpec(rid="1-ABCD", version="1.0.0", exclude_tables={"B", "A"})

    assert DatasetSpec.model_validate_json(spec.model_dump_json()) == spec
