"""The examples in docstrings are run, as whoever reads them in an editor or by help() would run them.

They know what their module knows, and: `ml`, connected to the catalog "digits" of ten images; `dataset_rid`, its
dataset at version 1.0.0, with all of them; `bag`, that version on disk; `execution`, which is running.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deriva_ml_core.cli import catalog
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.workflows import Workflow

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("deriva_ml*/__init__.py"))
_FINDER = doctest.DocTestFinder(exclude_empty=True)


def modules() -> Iterator[str]:
    """All of ours; a project's template is the project's own."""
    for package in PACKAGES:
        yield package
        for found in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if ".template." not in found.name and ">>> " in _source(found.name):
                yield found.name


def _source(name: str) -> str:
    path = ROOT.joinpath(*name.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


EXAMPLES = [
    example for name in modules() for example in _FINDER.find(importlib.import_module(name), name) if example.examples
]


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Iterator[dict[str, object]]:
    """What examples may use without saying where it came from; one catalog for all of them."""
    folder = tmp_path_factory.mktemp("docstrings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERIVA_ML_LOCAL_ROOT", str(folder / "catalogs"))
        patch.setenv("HOME", str(folder))
        assert catalog.main(["create", "digits"]) == 0
        assert catalog.main(["schema", "install", "digits"]) == 0
        with DerivaML("local", "digits", working_dir=folder / "work") as ml:
            yield {"ml": ml, **_digits(ml, folder)}


def _digits(ml: DerivaML, folder: Path) -> dict[str, object]:
    from deriva_ml_core.schema.elements import ColumnDef

    ml.create_domain_schema("demo")
    ml.create_asset("Image", [ColumnDef("Label", "text", nullok=False)])
    ml.add_dataset_element_type("Image")
    for kind in ("Complete", "Training", "Testing"):
        ml.add_term("Dataset_Type", kind, f"{kind} data")
    workflow = Workflow(name="Load digits", workflow_type="Training")
    with ml.create_execution(workflow=workflow, description="Ten digits") as loading:
        for digit in range(10):
            loading.asset_file_path("Image", f"{digit}.txt", Label=str(digit)).write_text(str(digit))
    loading.upload_execution_outputs()
    dataset = ml.create_dataset(dataset_types="Complete", description="Ten digits")
    dataset.add_dataset_members([image.asset_rid for image in ml.list_assets("Image")])
    dataset.increment_dataset_version("major")
    running = ml.create_execution(workflow=workflow, description="Examples")
    running.execution_start()
    return {
        "dataset_rid": dataset.dataset_rid,
        "bag": dataset.download_dataset_bag("1.0.0"),
        "execution": running,
        "Path": Path,
    }


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch, known):
    """Environment and registries are those of the catalog above, whatever an example has stored in them."""
    from deriva_ml_core.config import multiruns

    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(known["ml"].working_dir.parent / "catalogs"))
    monkeypatch.setattr(multiruns, "_registry", {})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_does_what_it_shows(example: doctest.DocTest, known):
    """An example that is out of date teaches what is wrong."""
    module = sys.modules[next(name for name in _prefixes(example.name) if name in sys.modules)]
    example.globs = {**known, **vars(module)}
    told: list[str] = []

    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append)

    assert failed == 0, "".join(told)


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(len(parts), 0, -1))


@pytest.mark.parametrize(
    "thing",
    [
        "DerivaML",
        "DatasetSpec",
        "DatasetVersion",
        "AssetSpec",
        "Workflow",
        "Status",
        "ColumnDefinition",
        "create_model_config",
        "multirun_config",
        "notebook_config",
        "with_description",
    ],
)
def test_what_projects_write_most_has_an_example(thing: str):
    """A line of code tells more than a signature."""
    from deriva_ml import core, dataset, execution

    place = next(place for place in (core, dataset, execution) if thing in place.__all__)

    assert ">>> " in getattr(place, thing).__doc__
