"""Inputs that a running execution asks for beyond those of its configuration."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.download import download, link_inputs
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.resolving import resolve_assets
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.executions.bags import ONE_VERSION, DatasetBags, fetch_bags, link_datasets
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.reporting import SILENT
from deriva_ml_core.executions.validation import validate

if TYPE_CHECKING:
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.executions.opening import Connection, Opened

log = logging.getLogger(__name__)


def add_dataset(ml: Connection, opened: Opened, spec: DatasetSpec) -> DatasetBag:
    """
    The bag of an input, or of another dataset, which becomes an input.

    Raises:
        DerivaMLValidationError: no such dataset or version.
    """
    for bag, known in zip(opened.bags, opened.configuration.datasets, strict=False):
        if known.rid == spec.rid and spec.version in (None, known.version):
            return bag
    datasets = validate(ml.session, ExecutionConfiguration(datasets=[spec])).datasets
    rid = None if opened.dry_run else opened.recorder.journal.entry.rid
    if spec.rid in opened.bags.rids:
        log.warning(ONE_VERSION, rid, spec.rid, spec.version)
    found = fetch_bags(ml, datasets, execution_rid=rid, reporter=SILENT)
    opened.bags = DatasetBags([*opened.bags, *found])
    return found[0]


def declare_dataset(ml: Connection, opened: Opened, spec: DatasetSpec) -> None:
    """
    Link a dataset as an input, which is not brought; nothing of a dry run.

    Raises:
        DerivaMLValidationError: no such dataset or version.
    """
    datasets = validate(ml.session, ExecutionConfiguration(datasets=[spec])).datasets
    if not opened.dry_run:
        link_datasets(ml.session, datasets, opened.recorder.journal.entry.rid)


def add_asset(
    ml: Connection, opened: Opened, rid: str, folder: Path | None, *, link: bool, keep: bool
) -> AssetFilePath:
    """
    The file of an asset, which becomes an input unless `link` is false.

    Raises:
        DerivaMLValidationError: no such asset.
    """
    assets = resolve_assets(ml.session, [rid])
    dest = folder or opened.folder / "downloaded-assets"
    cached = {asset.rid for asset in assets} if keep else set()
    paths = download(ml.session, assets, dest, ObjectCache(ml.cache_dir), cached=cached)
    if link and not opened.dry_run:
        link_inputs(ml.session, assets, opened.recorder.journal.entry.rid)
    (path,) = paths[assets[0].table]
    opened.asset_paths.setdefault(path.asset_table, []).append(path)
    return path
