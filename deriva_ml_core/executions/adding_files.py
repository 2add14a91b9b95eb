"""Files that stay where they are, as datasets: one for each folder, nested as the folders are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from deriva_ml_core.assets.file_specs import FileSpec
from deriva_ml_core.assets.local_files import FILE_TABLE, record_where_they_are
from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.handle import Handle, session_of
from deriva_ml_core.datasets.dataset import Dataset, create_dataset
from deriva_ml_core.datasets.names import names_of
from deriva_ml_core.errors import DerivaMLSchemaError, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

FileLike = FileSpec | Path | str
DIRECTORY_TYPE, DIRECTORY_TABLE = "Directory", "Directory_Dataset"


def add_files(
    catalog: CatalogSession | Handle,
    files: Iterable[FileLike] | FileLike,
    *,
    execution_rid: str,
    dataset_types: str | Iterable[str] | None = None,
    description: str = "",
    chunk_size: int = 500,
    root_name: str | None = None,
) -> Dataset:
    """
    Record files that stay where they are, and the dataset that they make.

    Args:
        catalog: the user's handle, which the dataset keeps, or a session.
        files: specs, or paths of files and folders of this machine.
        dataset_types: terms of Dataset_Type, beside File and, where the catalog knows it, Directory.
        chunk_size: files whose rows travel together.
        root_name: what the topmost folder is called in the datasets' paths; its own name by default.

    Returns:
        The dataset of the topmost folder that holds them all.

    Raises:
        DerivaMLInvalidTerm: a type is no term. DerivaMLValidationError: a path is not there; there is no file.
            Nothing was recorded.
    """
    session = session_of(catalog)
    specs = list(_specs(files))
    if not specs:
        raise DerivaMLValidationError("add_files was given no file")
    types = _dataset_types(session, dataset_types)
    rids: list[str] = []
    for start in range(0, len(specs), chunk_size):
        rids += record_where_they_are(session, specs[start : start + chunk_size], execution_rid, role="Output")
    folders: dict[PurePosixPath, list[str]] = {}
    for spec, rid in zip(specs, rids, strict=True):
        folders.setdefault(spec.path.parent, []).append(rid)
    maker = _Maker(catalog, types, description, execution_rid)
    return maker.make(folders, root_name)


class _Maker:
    def __init__(
        self,
        catalog: CatalogSession | Handle,
        types: Sequence[str],
        description: str,
        execution_rid: str,
    ) -> None:
        self._catalog, self._types, self._description = catalog, types, description
        self._session, self._execution = session_of(catalog), execution_rid

    def make(self, folders: dict[PurePosixPath, list[str]], root_name: str | None) -> Dataset:
        """One dataset for each folder with files, all below the one of the folder that holds them all."""
        root = PurePosixPath(os.path.commonpath([str(folder) for folder in folders]))
        name = root_name or root.name or "/"
        members = {root: folders.get(root, []), **folders}
        made = {folder: self._dataset(folder, root, name, rids) for folder, rids in sorted(members.items())}
        children: dict[PurePosixPath, list[str]] = {}
        for folder in made.keys() - {root}:
            parent = next(above for above in folder.parents if above in made)
            children.setdefault(parent, []).append(made[folder].dataset_rid)
        # The innermost first: a dataset that gets a new version makes its parents get one too.
        for parent in sorted(children, key=lambda folder: len(folder.parts), reverse=True):
            made[parent].add_dataset_members({"Dataset": children[parent]}, execution_rid=self._execution)
        return made[root]

    def _dataset(self, folder: PurePosixPath, root: PurePosixPath, name: str, rids: list[str]) -> Dataset:
        path = str(PurePosixPath(name) / folder.relative_to(root))
        about = self._description if folder == root else f"{self._description} ({path})".strip()
        dataset = create_dataset(
            self._catalog,
            dataset_types=self._types,
            description=about or path,
            execution_rid=self._execution,
        )
        if rids:
            dataset.add_dataset_members({FILE_TABLE: rids}, execution_rid=self._execution, validate=False)
        self._remember(dataset, path)
        return dataset

    def _remember(self, dataset: Dataset, path: str) -> None:
        try:
            table = self._session.model.ml_table(DIRECTORY_TABLE)
        except DerivaMLSchemaError:  # a catalog of the former generation: the description says it
            return
        rows.insert_one(self._session, table, Dataset=dataset.dataset_rid, Path=path)


def _specs(files: Iterable[FileLike] | FileLike) -> Iterable[FileSpec]:
    for file in [files] if isinstance(files, FileSpec | Path | str) else files:
        if isinstance(file, FileSpec):
            yield file
        else:
            yield from FileSpec.create_filespecs(file)


def _dataset_types(session: CatalogSession, wanted: str | Iterable[str] | None) -> list[str]:
    """The caller's, checked, and those that say what such a dataset is."""
    vocabulary = session.model.ml_table("Dataset_Type")
    names = [term.name for term in session.vocabularies.lookup_all(vocabulary, names_of(wanted))]
    known = session.vocabularies.terms(vocabulary)
    return list(dict.fromkeys([*(name for name in (FILE_TABLE, DIRECTORY_TYPE) if name in known), *names]))
