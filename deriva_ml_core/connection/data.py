"""The part of DerivaML that knows datasets and assets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.base import HasSession
from deriva_ml_core.errors import DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.datasets.bag import DatasetBag
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.datasets.estimates import BagInfo
    from deriva_ml_core.executions.adding_files import FileLike
    from deriva_ml_core.executions.asset import Asset
    from deriva_ml_core.executions.record import ExecutionRecord


class DataMethods(HasSession):
    """Mixin of DerivaML."""

    working_dir: Path
    use_minid: bool

    # --- datasets -----------------------------------------------------------------------------------------------

    def create_dataset(
        self,
        execution_rid: str | None = None,
        dataset_types: str | Iterable[str] | None = None,
        description: str = "",
        version: Any = None,
    ) -> Dataset:
        """
        A new dataset without members.

        Raises:
            DerivaMLInvalidTerm: a type is no term of Dataset_Type; nothing was made.

        Example:
            >>> even = ml.create_dataset(dataset_types="Training", description="Even digits")
            >>> even.add_dataset_members([image.asset_rid for image in ml.list_assets("Image")][::2])
            >>> even.current_version
            <DatasetVersion('0.2.0')>
        """
        from deriva_ml_core.datasets.dataset import create_dataset

        return create_dataset(
            self,
            dataset_types=dataset_types,
            description=description,
            execution_rid=execution_rid,
            version=version,
        )

    def find_datasets(self, deleted: bool = False) -> Iterator[Dataset]:
        """All datasets; the deleted ones too where that is asked."""
        from deriva_ml_core.datasets.dataset import find_datasets

        return find_datasets(self, deleted=deleted)

    def lookup_dataset(self, dataset: Any, deleted: bool = False) -> Dataset:
        """
        The dataset of a RID or spec.

        Raises:
            DerivaMLDatasetNotFound: there is none. DerivaMLValidationError: the argument names none.

        Example:
            >>> ml.lookup_dataset(dataset_rid).dataset_types
            ['Complete']
        """
        from deriva_ml_core.datasets.dataset import lookup_dataset

        rid = dataset if isinstance(dataset, str) else getattr(dataset, "dataset_rid", getattr(dataset, "rid", None))
        if not rid:
            raise DerivaMLValidationError(f"lookup_dataset({dataset!r}): give the RID of a dataset")
        return lookup_dataset(self, rid, deleted=deleted)

    def delete_dataset(self, dataset: Dataset | str, recurse: bool = False) -> None:
        """Mark a dataset as deleted; with `recurse`, those nested in it too."""
        from deriva_ml_core.datasets.dataset import delete_dataset

        delete_dataset(self.session, dataset if isinstance(dataset, str) else dataset.dataset_rid, recurse=recurse)

    def list_dataset_element_types(self) -> list[Table]:
        """The tables whose rows can be members of datasets."""
        from deriva_ml_core.datasets.dataset import list_element_types

        return list_element_types(self.session)

    def add_dataset_element_type(self, element: str | Table) -> Table:
        """Let rows of a table be members of datasets."""
        from deriva_ml_core.datasets.dataset import add_element_type

        return add_element_type(self.session, element if isinstance(element, str) else str(element))

    def download_dataset_bag(self, dataset: Any) -> DatasetBag:
        """
        The bag of a dataset (spec, "RID" or "RID@version"); from the cache where it is there. No execution is told.

        The newest development label gives the catalog as it is now, which no execution can have as an input.

        Raises:
            DerivaMLDatasetNotFound: no such dataset or version.

        Example:
            >>> bag = ml.download_dataset_bag(f"{dataset_rid}@1.0.0")
            >>> len(list(bag.get_table_as_dict("Image")))
            10
        """
        from deriva_ml_core.datasets.cache import fetch_bag
        from deriva_ml_core.datasets.specs import as_dataset_spec

        spec = as_dataset_spec(dataset)
        if self.use_minid or (spec.version is not None and not spec.version.is_released):
            return self.lookup_dataset(spec, deleted=True).fetch_bag(spec, use_minid=self.use_minid)
        return fetch_bag(self.session, spec, self.cache_dir)

    def bag_info(self, dataset: Any) -> BagInfo:
        """
        What the bag of a dataset (spec, "RID" or "RID@version") brings: rows, files, bytes, and what is cached.

        Raises:
            DerivaMLDatasetNotFound: no such dataset or version.
        """
        from deriva_ml_core.datasets.estimates import bag_info
        from deriva_ml_core.datasets.specs import as_dataset_spec

        return bag_info(self.session, as_dataset_spec(dataset), self.cache_dir)

    # --- assets -------------------------------------------------------------------------------------------------

    def lookup_asset(self, asset_rid: str) -> Asset:
        """
        The asset of a RID.

        Raises:
            DerivaMLNotFoundError: there is none.
        """
        from deriva_ml_core.executions.asset import lookup_asset

        return lookup_asset(self, asset_rid)

    def list_assets(self, asset_table: str | Table) -> list[Asset]:
        """
        All assets of a table.

        Raises:
            DerivaMLTableTypeError: it is no asset table.
        """
        from deriva_ml_core.executions.asset import list_assets

        return list_assets(self, str(asset_table))

    def find_assets(self, asset_table: str | Table | None = None, asset_type: str | None = None) -> Iterator[Asset]:
        """
        Assets of one table or of all.

        Args:
            asset_type: only those of this term of Asset_Type.
        """
        from deriva_ml_core.executions.asset import find_assets

        return find_assets(self, None if asset_table is None else str(asset_table), asset_type)

    def list_asset_executions(self, asset_rid: str, asset_role: str | None = None) -> list[ExecutionRecord]:
        """The executions that used ("Input") or made ("Output") an asset; all without a role."""
        from deriva_ml_core.executions.assets_of import executions_of_asset
        from deriva_ml_core.executions.record import ExecutionRecord

        return [ExecutionRecord.from_row(self, row) for row in executions_of_asset(self.session, asset_rid, asset_role)]

    def add_files(
        self,
        files: Iterable[FileLike] | FileLike,
        execution_rid: str,
        dataset_types: str | Iterable[str] | None = None,
        description: str = "",
    ) -> Dataset:
        """
        Record files that stay where they are, as outputs of an execution and as a dataset.

        Args:
            files: FileSpecs, or paths of files and folders of this machine.

        Raises:
            DerivaMLValidationError: a path is not there, or there is no file; nothing was recorded.
        """
        from deriva_ml_core.executions.adding_files import add_files

        return add_files(
            self,
            files,
            execution_rid=execution_rid,
            dataset_types=dataset_types,
            description=description,
        )

    def list_files(self, file_types: Iterable[str] | str | None = None) -> list[dict[str, Any]]:
        """
        The rows of File, each with its `File_Types`; only those that have one of these types, where given.

        Raises:
            DerivaMLInvalidTerm: a type is no term of Asset_Type.
        """
        from deriva_ml_core.executions.asset import list_files

        return list_files(self.session, [file_types] if isinstance(file_types, str) else file_types)

    def download_dir(self, cached: bool = False) -> Path:
        """Where downloads go: the cache, or the working folder's own."""
        folder = self.cache_dir if cached else self.working_dir / "downloads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
