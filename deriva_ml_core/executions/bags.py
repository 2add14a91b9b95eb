"""The datasets that an execution was given, as bags on this disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLDatasetNotFound, nearest
from deriva_ml_core.executions.validation import DatasetInput

if TYPE_CHECKING:
    from deriva_ml_core.catalog.handle import Handle
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.executions.reporting import Reporter

log = logging.getLogger(__name__)

ONE_VERSION = "execution %s has dataset %s as an input at another version already: the catalog links one, not %s too"


class DatasetBags(Sequence["DatasetBag"]):
    """The bags of an execution's datasets, in their order; by number, or by RID."""

    def __init__(self, bags: Iterable[DatasetBag] = ()) -> None:
        self._bags = tuple(bags)

    def __len__(self) -> int:
        return len(self._bags)

    def __iter__(self) -> Iterator[DatasetBag]:
        return iter(self._bags)

    @overload
    def __getitem__(self, key: int | str) -> DatasetBag: ...

    @overload
    def __getitem__(self, key: slice) -> Sequence[DatasetBag]: ...

    def __getitem__(self, key: int | str | slice) -> DatasetBag | Sequence[DatasetBag]:
        """
        One bag, by its place or by its dataset's RID.

        Raises:
            IndexError: no such place; DerivaMLDatasetNotFound: no such dataset among the inputs.
        """
        if not isinstance(key, str):
            return self._bags[key]
        for bag in self._bags:
            if bag.dataset_rid == key:
                return bag
        raise DerivaMLDatasetNotFound(f"dataset {key} is no input of this execution{nearest(key, self.rids)}")

    def __contains__(self, item: object) -> bool:
        return item in self.rids if isinstance(item, str) else item in self._bags

    @property
    def rids(self) -> list[str]:
        """RIDs of the datasets."""
        return [bag.dataset_rid for bag in self._bags]

    def keys(self) -> list[str]:
        """RIDs of the datasets."""
        return self.rids

    def __repr__(self) -> str:
        return f"DatasetBags({self.rids})"


def fetch_bags(
    ml: Handle, datasets: Sequence[DatasetInput], *, execution_rid: str | None, reporter: Reporter
) -> DatasetBags:
    """
    Bring the bags, from the cache where it has them, and link the datasets to the execution.

    Args:
        execution_rid: None of a dry run, which also tells what each bag brings before it comes.

    Raises:
        DerivaMLException: one could not be had.
    """
    if not datasets:
        return DatasetBags()
    from deriva_ml_core.datasets.cache import fetch_bag  # loads what bags are made of

    bags = []
    for dataset in datasets:
        reporter.say(f"Input dataset {_described(ml, dataset) if execution_rid is None else dataset.spec}")
        with reporter.transfer(f"dataset {dataset.spec}") as progress:
            bags.append(fetch_bag(ml.session, dataset.spec, ml.cache_dir, progress=progress, entry=dataset.version))
    if execution_rid is not None:
        link_datasets(ml.session, datasets, execution_rid)
    return DatasetBags(bags)


def _described(ml: Handle, dataset: DatasetInput) -> str:
    """Rows, files and bytes, and what of them is here; a few requests, which a run that is recorded does without."""
    from deriva_ml_core.datasets.estimates import bag_info

    return str(bag_info(ml.session, dataset.spec, ml.cache_dir, entry=dataset.version)).removeprefix("dataset ")


def link_datasets(session: CatalogSession, datasets: Iterable[DatasetInput], execution_rid: str) -> None:
    """
    Say that an execution used these datasets, and which version where the catalog can hold that; one request.

    It holds one version of each: of several the first, and a warning says so.
    """
    versioned = session.model.generation.links_dataset_version
    linked: dict[str, dict[str, Any]] = {}
    for dataset in datasets:
        row = {"Dataset": dataset.spec.rid, "Execution": execution_rid}
        if dataset.spec.rid in linked:
            log.warning(ONE_VERSION, execution_rid, dataset.spec.rid, dataset.spec.version)
            continue
        linked[dataset.spec.rid] = row | ({"Dataset_Version": dataset.version.version_rid} if versioned else {})
    rows.insert(session, session.model.ml_table("Dataset_Execution"), linked.values(), skip_existing=True)
