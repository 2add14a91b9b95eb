"""What the domains share: the released dataset, its split, and what to say about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.splitting import split_dataset
from deriva_ml_core.errors import DerivaMLConfigurationError

if TYPE_CHECKING:
    from deriva_ml_core.connection.handle import DerivaML
    from deriva_ml_core.datasets.selection import SelectionFunction
    from deriva_ml_core.executions.execution import Execution


@dataclass(frozen=True, slots=True)
class Made:
    """What a domain's catalog has: the dataset of all, and the one that holds its parts."""

    dataset_rid: str
    version: str
    split_rid: str
    members: int


def release(
    ml: DerivaML,
    dataset_rid: str,
    *,
    stratify: str | None = None,
    tables: Sequence[str] = (),
    selection_fn: SelectionFunction | None = None,
) -> Made:
    """Release a dataset as 1.0.0, and divide it for training and testing, by classes or by a function."""
    dataset = ml.lookup_dataset(dataset_rid)
    version = dataset.increment_dataset_version("major", "First release")
    parts = split_dataset(
        ml,
        dataset_rid,
        stratify_by_column=stratify,
        stratify_missing="include",
        include_tables=tables,
        selection_fn=selection_fn,
        training_types=["Labeled"],
        testing_types=["Labeled"],
    )
    return Made(dataset_rid, str(version), parts["split"], sum(parts.counts.values()))


def loading(ml: DerivaML, what: str) -> Execution:
    """The execution that brings a domain's rows into the catalog."""
    from deriva_ml_core.executions.configuration import ExecutionConfiguration

    workflow = ml.create_workflow("Load a demo", "Ingest", f"Loads {what}")
    return ml.create_execution(ExecutionConfiguration(workflow=workflow, description=f"Load {what}"))


def shipped(loader: str) -> Any:
    """
    A data set of scikit-learn, such as "load_wine".

    Raises:
        DerivaMLConfigurationError: scikit-learn is not installed.
    """
    return getattr(library("sklearn.datasets", "scikit-learn"), loader)()


def library(module: str, package: str) -> Any:
    """
    A module of the package that ships a domain's data.

    Raises:
        DerivaMLConfigurationError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as err:
        raise DerivaMLConfigurationError(
            f"the data of this domain come with {package}: type `uv add {package}` (licences needs nothing)"
        ) from err
