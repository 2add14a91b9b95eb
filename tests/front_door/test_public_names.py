"""The front door: one table of names, lazily loaded, the same for Python, for type checkers and for COMPAT.md."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from deriva_ml import _names

# Source: COMPAT.md section 19. Names of rooms that are not built yet (notebooks) come with them.
DOCUMENTED = {
    "deriva_ml": """DerivaML DerivaMLConfig MLVocab MLAsset ExecAssetType ExecMetadataType RID BuiltinTypes
        ColumnDefinition DerivaSystemColumns DatasetSpec DatasetBag VersionPart ExecutionConfiguration Workflow
        AssetFilePath AssetSpec AssetSpecConfig DerivaMLException""",
    "deriva_ml.execution": """with_description notebook_config BaseConfig DerivaBaseConfig base_defaults
        ExecutionConfiguration Execution Workflow multirun_config AssetRIDConfig AssetSpecConfig load_configs
        create_model_config DerivaMLModel run_model AssetSpec LocalFile LocalFileConfig get_notebook_configuration
        DescribedList MultirunSpec get_multirun_config list_multirun_configs get_all_multirun_configs""",
    "deriva_ml.execution.runner": "run_model",
    "deriva_ml.dataset": "DatasetSpecConfig DatasetSpec DatasetBag VersionPart",
    "deriva_ml.dataset.aux_classes": "DatasetSpec VersionPart",
    "deriva_ml.dataset.dataset_bag": "FeatureValueRecord",
    "deriva_ml.dataset.split": "split_dataset random_split stratified_split main",
    "deriva_ml.feature": "FeatureRecord",
    "deriva_ml.asset.aux_classes": "AssetSpecConfig",
    "deriva_ml.core.definitions": "Status",
    "deriva_ml.core.enums": "BuiltinTypes MLAsset ExecAssetType",
    "deriva_ml.core.config": "DerivaMLConfig",
    "deriva_ml.core.ermrest": "ColumnDefinition UploadProgress",
}


@pytest.mark.parametrize("module", _names.modules())
def test_public_names(module):
    """What a module offers, what it lists and what dir() says are the same, and every name can be had."""
    loaded = importlib.import_module(module)

    assert set(loaded.__all__) == set(dir(loaded)) == set(_names.public_names(module))
    assert [name for name in loaded.__all__ if getattr(loaded, name) is None] == []


@pytest.mark.parametrize("module", DOCUMENTED)
def test_documented_imports_work(module):
    """`from MODULE import NAME` works for every name that projects and documentation use."""
    loaded = importlib.import_module(module)

    assert [name for name in DOCUMENTED[module].split() if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("module", _names.modules())
def test_stub_is_that_of_the_table(module):
    """Type checkers and editors see the table's names; `python -m deriva_ml._names` writes the stubs."""
    assert _names.stub_path(module).read_text(encoding="utf-8") == _names.stub_text(module)


def test_every_exception_is_public():
    """A project can catch every error that we raise, by its own name."""
    errors = importlib.import_module("deriva_ml_core.errors")
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}

    assert raised <= set(_names.public_names("deriva_ml"))


def test_unknown_name_suggests_the_nearest():
    """A misspelt import is answered with the name that was meant."""
    with pytest.raises(AttributeError, match="did you mean 'DerivaML'"):
        _ = importlib.import_module("deriva_ml").DerivaMl


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        (
            "import deriva_ml",
            ["deriva_ml_core", "hydra", "pydantic", "requests", "deriva", "numpy", "importlib.metadata"],
        ),
        ("from deriva_ml import DerivaML", ["hydra", "deriva", "requests", "pandas", "rich", "apsw", "cheroot"]),
        ("from deriva_ml import DerivaMLConfig", ["hydra", "deriva", "requests", "rich"]),
        ("from deriva_ml.execution import create_model_config", ["deriva", "requests", "pandas", "rich", "apsw"]),
    ],
)
def test_import_loads_nothing_heavy(statement, forbidden):
    """Start-up time is a figure: what a name does not need is not loaded with it."""
    code = f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    assert [name for name in forbidden if name in loaded] == []


def test_version_is_that_of_the_distribution():
    """`deriva_ml.__version__` is what pip would say."""
    from importlib.metadata import version

    assert importlib.import_module("deriva_ml").__version__ == version("deriva-ml")
