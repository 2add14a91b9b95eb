"""What an execution uses: its datasets and assets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.datasets.specs import DatasetSpec, as_dataset_spec
from deriva_ml_core.executions.bags import DatasetBags
from deriva_ml_core.executions.execution_life import ExecutionLife

if TYPE_CHECKING:
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.executions.asset import Asset


class ExecutionInputs(ExecutionLife):
    """The datasets and assets that an execution uses."""

    @property
    def datasets(self) -> DatasetBags:
        """Its input datasets as bags: iterate, or take one by its RID."""
        return self._opened.bags

    @property
    def dataset_rids(self) -> list[str]:
        """RIDs of its input datasets."""
        return [spec.rid for spec in self.configuration.datasets]

    @property
    def asset_paths(self) -> dict[str, list[AssetFilePath]]:
        """Its input assets: table name to files."""
        return self._opened.asset_paths

    @property
    def database_catalog(self) -> DatasetBags:
        """The bags, under the name of the older generation."""
        return self.datasets

    def download_dataset_bag(self, dataset: DatasetSpec | DatasetBag | str | Mapping[str, Any]) -> DatasetBag:
        """
        The bag of a dataset: one of the inputs at once; any other is downloaded and linked as an input.

        Args:
            dataset: a spec, "RID", "RID@version", or a bag (which is returned).
        """
        if hasattr(dataset, "dataset_rid") and hasattr(dataset, "list_tables"):
            return dataset  # type: ignore[return-value]  # a bag, whose class is not imported to find out
        from deriva_ml_core.executions.inputs import add_dataset

        return add_dataset(self._ml, self._opened, as_dataset_spec(dataset))

    def add_input_dataset(self, rid: str, version: str | None = None) -> None:
        """
        Say that it uses a dataset, without bringing it: by queries of its own, say. The current version where None.

        Raises:
            DerivaMLValidationError: no such dataset or version.
        """
        from deriva_ml_core.executions.inputs import declare_dataset

        declare_dataset(self._ml, self._opened, as_dataset_spec(f"{rid}@{version}" if version else rid))

    def download_asset(
        self, asset_rid: str, dest_dir: Path | str | None = None, update_catalog: bool = True, use_cache: bool = False
    ) -> AssetFilePath:
        """
        Bring an asset and link it as an input.

        Args:
            dest_dir: where to; the execution's folder of downloads by default.
            update_catalog: False does not link it.
            use_cache: keep its bytes for later executions.
        """
        from deriva_ml_core.executions.inputs import add_asset

        folder = Path(dest_dir) if dest_dir is not None else None
        return add_asset(self._ml, self._opened, asset_rid, folder, link=update_catalog, keep=use_cache)

    def list_input_datasets(self) -> list[Dataset]:
        """The datasets that the catalog has as its inputs."""
        return self.execution_record.list_input_datasets()

    def list_assets(self, asset_role: str | None = None) -> list[Asset]:
        """The assets that the catalog has as its "Input" or "Output"."""
        return self.execution_record.list_assets(asset_role)
