"""Staging: the outputs of one execution on disk, from the moment a model names one until it is in the catalog.

    <execution folder>/assets/<Table>/<file>    the files
    <execution folder>/assets.jsonl             what they are (see ledger.py)

Whatever can be wrong with an output is said here, when it is named, not hours later at upload.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.ledger import AssetLedger, StagedAsset
from deriva_ml_core.assets.names import check_file_name, check_relative_path, safe_file_name, shown
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.tables import AssetTables
from deriva_ml_core.catalog.objects import file_md5
from deriva_ml_core.errors import DerivaMLValidationError, WorkingFolderError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file to upload, with the registered output that it belongs to (a folder has many)."""

    asset: StagedAsset
    path: Path


class Staging:
    """
    The outputs of one execution.

    Args:
        folder: the execution's folder; made when the first output is registered.
        session: the catalog whose tables and terms outputs are checked against. Nothing is asked of it before the
            first registration; None reads what is staged and registers nothing.
    """

    def __init__(self, folder: Path, session: CatalogSession | None = None) -> None:
        self.folder = folder
        self.assets_folder = folder / "assets"
        """Below it, one folder for each asset table."""
        self._tables = None if session is None else AssetTables(session)
        self.ledger = AssetLedger(folder / "assets.jsonl")

    def register(  # noqa: PLR0917  # the signature of asset_file_path, which projects call by position
        self,
        asset_name: str,
        file_name: str | Path,
        asset_types: str | Iterable[str] | None = None,
        copy_file: bool = False,
        rename_file: str | None = None,
        metadata: Mapping[str, Any] | object | None = None,
        description: str | None = None,
        *,
        made_by: str | None = None,
        **columns: Any,
    ) -> AssetFilePath:
        """
        Name one output; the place that is returned is where its bytes are, or are to be written.

        Args:
            asset_name: the asset table ("Table" or "schema:Table").
            file_name: an existing file or folder, anywhere: it is linked (or copied) into the execution's folder; or
                the name of a new one, which may have sub-folders. A name that ends in "/" makes a new folder. All
                files of a folder are outputs, also those that appear later; a new file may become a folder, as where
                a library saves a model in one.
            asset_types: terms of Asset_Type; omitted, the table's name where it is a term; an empty list, none.
            copy_file: copy an existing file, so that later changes of the original are not seen.
            rename_file: the name in the catalog and on disk, where it is to differ.
            metadata: values of the table's own columns: a mapping, or an object with `model_dump`.
            description: text of the asset's Description.
            made_by: the plugin that made it from another output.
            columns: more values of the table's own columns.

        Raises:
            DerivaMLTableNotFound, DerivaMLTableTypeError: no such asset table.
            DerivaMLInvalidTerm: an asset type is not a term.
            DerivaMLValidationError: a column is unknown, missing or does not fit; the name is not possible or taken.
            WorkingFolderError: the folder can't be written.
        """
        tables = self._checking_tables()
        table = tables.find(asset_name)
        types = tables.check_types(table, asset_types)
        values = tables.check_columns(table, {**_as_mapping(metadata), **columns}, types)
        source, directory = _existing(file_name)
        relative = _relative_name(file_name, source, rename_file)
        asset = StagedAsset(
            key=f"{tables.folder(table)}/{relative}",
            schema=table.schema,
            table=table.name,
            file_name=relative.name,
            asset_types=types,
            columns=values,
            description=description,
            source=str(source) if source else None,
            directory=directory,
            made_by=made_by,
        )
        self._refuse_other(asset)
        with _folder_errors(self.folder):
            self._place(asset, copy=copy_file)
        self.ledger.put(self._keeping_store_facts(asset))
        return self._path_of(asset)

    def files(self) -> Iterator[StagedFile]:
        """Every registered file, folders opened; registered files that were never written are not among them."""
        return (file for file, _ in self._files())

    def missing(self) -> list[StagedAsset]:
        """Registered outputs that were never written (or a link whose original is gone)."""
        return [asset for asset in self.ledger if asset.status != "uploaded" and not _is_there(self._place_of(asset))]

    def unregistered(self) -> list[Path]:
        """Files in the assets folder that no one registered: they are not uploaded."""
        known = {self._place_of(asset) for asset in self.ledger}
        unknown = [path for path in _files_in(self.assets_folder) if path not in known]
        if unknown:
            known = {str(staged.path) for staged in self.files()}
        return sorted(Path(path) for path in unknown if path not in known)

    def pending(self) -> list[StagedFile]:
        """Files that are not in the catalog as they now are on disk."""
        return [file for file, _ in self.pending_with_state()]

    def pending_with_state(self) -> list[tuple[StagedFile, os.stat_result]]:
        """The same, each with what the disk says of it."""
        return [(file, stat) for file, stat in self._files() if not _is_uploaded(file.asset, stat)]

    def keep_facts(self, asset: StagedAsset, facts: Mapping[str, Any]) -> None:
        """Keep new facts of an output, which may be a file of a registered folder and not in the ledger yet."""
        if self.ledger.get(asset.key) is None:
            self.ledger.put(replace(asset, **facts))
        else:
            self.ledger.update(asset.key, **facts)

    def path(self, asset: StagedAsset) -> Path:
        """Where this output is."""
        return Path(self._place_of(asset))

    def _place_of(self, asset: StagedAsset) -> str:
        """The same as text: a look at thousands of outputs is several times as fast without a Path for each."""
        return f"{self.assets_folder}/{asset.key}"

    def _files(self) -> Iterator[tuple[StagedFile, os.stat_result]]:
        there = [(asset, stat) for asset in self.ledger if (stat := _stat_of(self._place_of(asset)))]
        folders = {asset.key for asset, stat in there if S_ISDIR(stat.st_mode)}
        for asset, stat in there:
            if asset.key in folders:
                yield from self._files_below(asset, self.path(asset))
            elif S_ISREG(stat.st_mode) and not _is_below(asset.key, folders):
                yield StagedFile(asset, self.path(asset)), stat

    # --- how a registration is made -----------------------------------------------------------------------------

    def _checking_tables(self) -> AssetTables:
        if self._tables is None:
            raise DerivaMLValidationError("these outputs were opened to be read: no catalog to check a new one against")
        return self._tables

    def assume_stored(self, urls: Mapping[tuple[str, str], str]) -> None:
        """
        Files whose bytes the store has already are not sent again; their rows and links are made as ever.

        Args:
            urls: by (MD5, file name), as `stored` gives them.
        """
        for file in self.pending() if urls else ():
            md5 = file_md5(file.path)
            if url := urls.get((md5, file.asset.file_name)):
                stat = file.path.stat()
                facts = {"md5": md5, "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
                self.ledger.update(file.asset.key, stored_url=url, **facts)

    def stored(self) -> dict[tuple[str, str], str]:
        """URLs of the files that the store has, by (MD5, file name)."""
        return {(a.md5, a.file_name): a.stored_url for a in self.ledger if a.md5 and a.stored_url}

    def _refuse_other(self, asset: StagedAsset) -> None:
        """The same name again is the same output again; another file under a name that is taken would be lost."""
        old = self.ledger.get(asset.key)
        if old is None or (old.source == asset.source and old.directory == asset.directory):
            return
        what = f"the file {old.source}" if old.source else "a new file"
        raise DerivaMLValidationError(
            f"output {asset.key} is already registered for {what}: give this one another name with rename_file="
        )

    def _place(self, asset: StagedAsset, *, copy: bool) -> None:
        target = self.path(asset)
        if asset.source is not None and not copy:
            with suppress(FileNotFoundError, FileExistsError):  # the first of its folder, or there already
                target.symlink_to(asset.source)
                return
        target.parent.mkdir(parents=True, exist_ok=True)
        if asset.source is None:
            if asset.directory:
                target.mkdir(exist_ok=True)
        elif copy:
            _copy(Path(asset.source), target)
        elif not (target.exists() and target.samefile(asset.source)):
            _link(Path(asset.source), target)

    def _keeping_store_facts(self, asset: StagedAsset) -> StagedAsset:
        old = self.ledger.get(asset.key)
        if old is None:
            return asset
        return replace(
            asset, stored_url=old.stored_url, md5=old.md5, size_bytes=old.size_bytes, mtime_ns=old.mtime_ns, rid=None
        )

    def _path_of(self, asset: StagedAsset) -> AssetFilePath:
        return AssetFilePath.of(
            self.path(asset),
            asset_table=asset.table,
            file_name=asset.file_name,
            asset_metadata=asset.columns,
            asset_types=asset.asset_types,
            asset_rid=asset.rid,
            on_change=lambda _path, values, types: self._change(asset.key, values, types),
        )

    def _change(self, key: str, values: Mapping[str, Any], types: tuple[str, ...]) -> None:
        tables, asset = self._checking_tables(), self.ledger.get(key)
        if asset is None:
            raise DerivaMLValidationError(f"output {key} is not registered")
        table = tables.find(f"{asset.schema}:{asset.table}")
        self.ledger.update(
            key, columns=tables.check_columns(table, values, types), asset_types=tables.check_types(table, types)
        )

    # --- folders ------------------------------------------------------------------------------------------------

    def _files_below(self, folder: StagedAsset, path: Path) -> Iterator[tuple[StagedFile, os.stat_result]]:
        for file in sorted(path.rglob("*")):
            stat = _stat_of(str(file))
            if stat is None or not S_ISREG(stat.st_mode):
                continue
            key = f"{folder.key}/{file.relative_to(path).as_posix()}"
            name = safe_file_name(file.name, "file")  # nobody could check it: the folder was registered, not the file
            own = self.ledger.get(key) or replace(
                folder, key=key, file_name=name, directory=False, source=None, status="pending", rid=None
            )
            yield StagedFile(own, file), stat


def _is_uploaded(asset: StagedAsset, stat: os.stat_result) -> bool:
    """Whether the catalog has a file as it is on disk now: changed since, it is an output again."""
    same = (asset.size_bytes, asset.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    return asset.status == "uploaded" and same


def _is_below(key: str, folders: Collection[str]) -> bool:
    """Whether a registered folder already has this file."""
    return bool(folders) and any(str(parent) in folders for parent in PurePosixPath(key).parents)


def _stat_of(place: str) -> os.stat_result | None:
    """What the disk says of a place; None where nothing is."""
    try:
        return os.stat(place)  # noqa: PTH116
    except OSError:
        return None


def _is_there(place: str) -> bool:
    return os.path.exists(place)  # noqa: PTH110


def _files_in(folder: Path) -> Iterator[str]:
    """The places of all files below a folder; links to folders are not followed."""
    for above, _, names in os.walk(folder):
        yield from (place for name in names if os.path.isfile(place := f"{above}/{name}"))  # noqa: PTH113


def _existing(file_name: str | Path) -> tuple[Path | None, bool]:
    """
    The user's own file or folder of this name, absolute (None for a new output), and whether it is or will be a folder.

    A bare name that happens to exist in the current folder is that file: projects write there and register then.
    """
    try:
        path = Path(file_name).expanduser()
        if path.name not in ("", ".."):  # the current folder as a whole, by mistake or not, is never an output
            is_folder = S_ISDIR(path.stat().st_mode)
            absolute = os.path.abspath(path)  # noqa: PTH100  # a link keeps its own name
            return path if str(path) == absolute else Path(absolute), is_folder
    except (OSError, ValueError, RuntimeError):  # not there, too long a name, a NUL, no such home
        pass
    return None, str(file_name).endswith("/")


def _relative_name(file_name: str | Path, source: Path | None, rename_file: str | None) -> PurePosixPath:
    if rename_file is not None:
        return check_relative_path(str(rename_file))
    if source is not None:
        return PurePosixPath(check_file_name(source.name))
    return check_relative_path(str(file_name))


def _as_mapping(metadata: Mapping[str, Any] | object | None) -> Mapping[str, Any]:
    if metadata is None or isinstance(metadata, Mapping):
        return metadata or {}
    dump = getattr(metadata, "model_dump", None)
    if not callable(dump):
        raise DerivaMLValidationError(f"metadata={shown(str(metadata))}: give a mapping of columns to values")
    values: Mapping[str, Any] = dump(exclude_none=True)
    return values


def _copy(source: Path, target: Path) -> None:
    """Beside, then renamed: a copy that is cut short is never taken for the file."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    beside = target.with_name(f".{target.name[:200]}.part")
    try:
        shutil.copyfile(source, beside)
        beside.replace(target)
    except OSError:  # a full disk: what there is of the copy would be taken for an output
        beside.unlink(missing_ok=True)
        raise


def _link(source: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()
    target.symlink_to(source, target_is_directory=source.is_dir())


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    """A folder that can't be written is the user's to know about, in one line."""
    try:
        yield
    except OSError as err:
        raise WorkingFolderError(f"can't stage an output in {folder}: {err.strerror or err} ({err.filename})") from err
