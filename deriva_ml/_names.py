"""Every public name of deriva-ml, once: import path -> name -> the module that defines it.

The modules of this package answer from this table, each by three lines; nothing is loaded before it is asked for.
Their `.pyi` files, which type checkers and editors read, are written from it: `python -m deriva_ml._names`.
Source of the import paths: COMPAT.md, sections 3 and 19.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # importing typing and pathlib would cost more than all the rest of `import deriva_ml`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    Getter = Callable[[str], Any]

_CORE = "deriva_ml_core."

_CONNECTION = {"DerivaML": "connection", "DerivaMLConfig": "config.connection_config"}
_NAMES = dict.fromkeys(
    ("BuiltinTypes", "DerivaSystemColumns", "ExecAssetType", "ExecMetadataType", "MLAsset", "MLVocab"), "schema.names"
)
_COLUMNS = {"ColumnDefinition": "schema.elements:ColumnDef"}
_ASSETS = {
    **dict.fromkeys(("AssetRIDConfig", "AssetSpec", "AssetSpecConfig", "LocalFile", "LocalFileConfig"), "assets.specs"),
    "AssetFilePath": "assets.paths",
    "FileSpec": "assets.file_specs",
}
_UPLOADS = dict.fromkeys(("UploadProgress", "UploadReport"), "assets.progress")
_DATASETS = {
    "DatasetSpec": "datasets.specs",
    "DatasetSpecConfig": "datasets.specs",
    "DatasetVersion": "datasets.versions",
    "VersionPart": "datasets.versions",
}
_FEATURES = {"Feature": "datasets.features", "FeatureRecord": "datasets.feature_records"}
_BAGS = {"BagInfo": "datasets.estimates", "Dataset": "datasets.dataset", "DatasetBag": "datasets.bag"}
_EXECUTIONS = {
    "Asset": "executions.asset",
    "Execution": "executions.execution",
    "ExecutionConfiguration": "executions.configuration",
    "ExecutionRecord": "executions.record",
}
_REVIEWS = {
    "ConfigurationReport": "executions.validation",
    "Experiment": "analysis.experiments",
    "Lineage": "analysis.lineage",
    "ProvenanceAudit": "analysis.audit",
}
_ERRORS = dict.fromkeys(
    (
        "CatalogError",
        "CatalogUnreachable",
        "ChecksumMismatch",
        "ConfigModuleError",
        "DerivaMLAuthenticationError",
        "DerivaMLConfigurationError",
        "DerivaMLDatasetNotFound",
        "DerivaMLDirtyWorkflowError",
        "DerivaMLException",
        "DerivaMLExecutionError",
        "DerivaMLExecutionNotFound",
        "DerivaMLInvalidTerm",
        "DerivaMLNotFoundError",
        "DerivaMLReadOnlyError",
        "DerivaMLSchemaError",
        "DerivaMLStateInconsistency",
        "DerivaMLTableNotFound",
        "DerivaMLTableTypeError",
        "DerivaMLUploadError",
        "DerivaMLValidationError",
        "DerivaMLWorkflowError",
        "InvalidTransitionError",
        "PluginError",
        "PluginHookError",
        "WorkingFolderError",
    ),
    "errors",
)
_CONFIGURING = {
    "create_model_config": "config.groups",
    "DescribedList": "config.descriptions",
    "with_description": "config.descriptions",
    "load_configs": "config.discovery",
    **dict.fromkeys(
        ("BaseConfig", "DerivaBaseConfig", "base_defaults", "get_notebook_configuration", "notebook_config"),
        "config.notebooks",
    ),
    **dict.fromkeys(
        (
            "MultirunSpec",
            "get_all_multirun_configs",
            "get_multirun_config",
            "list_multirun_configs",
            "multirun_config",
        ),
        "config.multiruns",
    ),
}
_RUNNING = {"DerivaMLModel": "runner", "run_model": "runner"}
_NOTEBOOK = {"run_notebook": "deriva_ml_notebook.session"}
_WORKFLOW = {"Workflow": "workflows.workflow"}
_PLUGINS = {
    **dict.fromkeys(("hookimpl", "hookspec"), "hookspecs"),
    **dict.fromkeys(("PluginChoice", "PluginInfo", "Plugins"), "plugins"),
    **dict.fromkeys(
        (
            "AssetRef",
            "Catalog",
            "ChildEnd",
            "Claim",
            "CommittedOutput",
            "ExecutionFacts",
            "Fetched",
            "FurtherOutput",
            "InputFile",
            "MetadataDocument",
            "NewColumn",
            "NewTable",
            "NewTerm",
            "OutputFile",
            "Prepared",
            "Progress",
            "RedactionRules",
            "Reporter",
            "StoredObject",
            "Subcommand",
            "SweepOutline",
            "Transfer",
        ),
        "hookvalues",
    ),
}
_TESTING = {
    **dict.fromkeys(("AssetHandlerSuite", "ObserverSuite", "OutputPreparerSuite"), "testing.suites"),
    **dict.fromkeys(("deriva_catalog", "deriva_execution", "deriva_home", "deriva_project"), "testing.fixtures"),
    "ProjectFolder": "testing.project",
}
_RID = {"RID": "assets.specs"}
_STATUS = {"Status": "executions.states"}

# import path below `deriva_ml` -> name -> "module below deriva_ml_core, or a full one[:its name there]"
_TABLE: Mapping[str, Mapping[str, str]] = {
    "": {
        **_CONNECTION,
        **_NAMES,
        **_COLUMNS,
        **_RID,
        **_ASSETS,
        **_UPLOADS,
        **_DATASETS,
        **_BAGS,
        **_FEATURES,
        **_EXECUTIONS,
        **_WORKFLOW,
        **_STATUS,
        **_ERRORS,
    },
    "execution": {
        **_EXECUTIONS,
        **_REVIEWS,
        **_WORKFLOW,
        **_ASSETS,
        **_UPLOADS,
        **_STATUS,
        **_CONFIGURING,
        **_RUNNING,
        **_NOTEBOOK,
    },
    "execution.runner": {**_RUNNING, "create_model_config": "config.groups"},
    "dataset": {**_DATASETS, **_BAGS, **dict.fromkeys(("LoadResult", "load_folder"), "connection.loading")},
    "dataset.aux_classes": _DATASETS,
    "dataset.dataset_bag": {
        "DatasetBag": "datasets.bag",
        "FeatureValueRecord": "datasets.feature_records:FeatureRecord",
    },
    "dataset.split": {
        **dict.fromkeys(("SelectionFunction", "random_split", "stratified_split"), "datasets.selection"),
        **dict.fromkeys(("SplitResult", "split_dataset"), "connection.splitting"),
        "main": "cli.split",
    },
    "feature": _FEATURES,
    "testing": _TESTING,
    "plugins": {**_PLUGINS, **dict.fromkeys(("PluginError", "PluginHookError"), "errors")},
    "asset": {**_ASSETS, "Asset": "executions.asset"},
    "asset.aux_classes": _ASSETS,
    "core": {**_CONNECTION, **_NAMES, **_COLUMNS, **_RID, **_STATUS, **_ERRORS},
    "core.config": {"DerivaMLConfig": "config.connection_config"},
    "core.definitions": {**_NAMES, **_COLUMNS, **_RID, **_STATUS, **_UPLOADS, **_ERRORS},
    "core.enums": _NAMES,
    "core.ermrest": {**_COLUMNS, **_UPLOADS},
    "core.exceptions": _ERRORS,
}


def public_names(module: str) -> dict[str, str]:
    """What a module of the front door offers: name -> "full module:name there"."""
    path = module.partition(".")[2]
    entries = {}
    for name, home in _TABLE[path].items():
        place, _, attribute = home.partition(":")
        module_name = place if place.startswith("deriva_ml_") else f"{_CORE}{place}"
        entries[name] = f"{module_name}:{attribute or name}"
    return dict(sorted(entries.items()))


def modules() -> list[str]:
    """Full names of all modules of the front door."""
    return [f"deriva_ml.{path}" if path else "deriva_ml" for path in _TABLE]


def front_door(module: str) -> tuple[list[str], Getter, Callable[[], list[str]]]:
    """The `__all__`, `__getattr__` and `__dir__` of a module of the front door."""
    entries = public_names(module)

    def get(name: str) -> Any:
        if name not in entries:
            raise AttributeError(_no_such_name(module, name, entries))
        home, _, attribute = entries[name].partition(":")
        value = getattr(importlib.import_module(home), attribute)
        setattr(sys.modules[module], name, value)
        return value

    return list(entries), get, lambda: list(entries)


def _no_such_name(module: str, name: str, entries: Mapping[str, str]) -> str:
    message = f"module {module!r} has no attribute {name!r}"
    if name.startswith("__"):  # Python asks for many that are not there; no suggestions, no imports
        return message
    from deriva_ml_core.errors import nearest

    return message + nearest(name, entries)


def stub_text(module: str) -> str:
    """The `.pyi` of a module: an explicit import for each name."""
    entries = public_names(module)
    lines = ["# Written by `python -m deriva_ml._names` from the table there; a test compares them.", ""]
    for name, home in sorted(entries.items(), key=lambda item: (item[1].partition(":")[0], item[0])):
        place, _, attribute = home.partition(":")
        lines.append(f"from {place} import {attribute} as {name}")
    if module == "deriva_ml":
        lines += ["", "__version__: str"]
    return "\n".join([*lines, "", f"__all__: list[str] = {sorted(entries)!r}", ""])


def stub_path(module: str) -> Path:
    """Where the `.pyi` of a module lies: beside its source."""
    from pathlib import Path

    folder = Path(__file__).parent.joinpath(*module.split(".")[1:])
    return folder / "__init__.pyi" if folder.is_dir() else folder.with_suffix(".pyi")


if __name__ == "__main__":
    for each in modules():
        stub_path(each).write_text(stub_text(each), encoding="utf-8")
