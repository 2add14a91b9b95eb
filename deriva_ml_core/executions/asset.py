"""Asset: a user's handle on one asset of a catalog, and the ways to find assets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.cache import ObjectCache
from deriva_ml_core.assets.download import download, link_inputs
from deriva_ml_core.assets.paths import AssetFilePath
from deriva_ml_core.assets.resolving import CatalogAsset, asset_types_of, resolve_assets
from deriva_ml_core.assets.tables import ASSET_TYPE, AssetTables
from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.handle import Handle, session_of
from deriva_ml_core.errors import DerivaMLNotFoundError, DerivaMLValidationError
from deriva_ml_core.executions.assets_of import execution_rids, executions_of_asset
from deriva_ml_core.schema.terms import UNKNOWN_FILE_URL

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.feature_records import FeatureRecord
    from deriva_ml_core.datasets.features import Feature
    from deriva_ml_core.executions.record import ExecutionRecord


class Asset:
    """
    One asset, as its row was when it was read.

    Args:
        catalog: the user's handle, or a session.
        asset_rid, asset_table, filename, url, length, md5, description: of the row.
        asset_types, execution_rid: taken for calls that give them; the catalog is asked, which knows the newest.
    """

    def __init__(  # noqa: PLR0917  # the signature of the 1.2 generation
        self,
        catalog: CatalogSession | Handle,
        asset_rid: str,
        asset_table: str,
        filename: str = "",
        url: str = "",
        length: int = 0,
        md5: str = "",
        description: str = "",
        asset_types: Iterable[str] | None = None,  # noqa: ARG002  # see the docstring
        execution_rid: str | None = None,  # noqa: ARG002
    ) -> None:
        self._catalog, self.session = catalog, session_of(catalog)
        self.asset_rid, self.asset_table = asset_rid, str(asset_table)
        self.filename, self.url, self.length, self.md5 = filename, url, length, md5
        self.description = description
        self._known: CatalogAsset | None = None

    @classmethod
    def of(cls, catalog: CatalogSession | Handle, found: CatalogAsset) -> Asset:
        """The asset of a row that was read."""
        row = found.row
        names = (row.get("Filename") or "", row.get("URL") or "", found.size_bytes, row.get("MD5") or "")
        asset = cls(catalog, found.rid, found.table, *names, row.get("Description") or "")
        asset._known = found
        return asset

    @property
    def _found(self) -> CatalogAsset:
        if self._known is None:
            (self._known,) = resolve_assets(self.session, [self.asset_rid])
        return self._known

    def __repr__(self) -> str:
        return f"Asset({self.asset_rid!r}, table={self.asset_table!r}, filename={self.filename!r})"

    @property
    def asset_types(self) -> list[str]:
        """Its terms of Asset_Type, sorted, the role's tag among them."""
        return sorted(asset_types_of(self.session, self._table, [self.asset_rid]).get(self.asset_rid, ()))

    @property
    def execution_rid(self) -> str | None:
        """The execution that made it, None where none is recorded."""
        return next(iter(execution_rids(self.session, self._table, self.asset_rid, "Output")), None)

    def get_metadata(self) -> dict[str, Any]:
        """Values of the table's own columns."""
        return dict(self._found.at(Path()).asset_metadata)

    def add_asset_type(self, type_name: str) -> None:
        """
        Add a type; nothing happens where it has it.

        Raises:
            DerivaMLInvalidTerm: it is no term of Asset_Type.
        """
        link = self.session.model.type_link(self._table)
        row = {link.near_column: self.asset_rid, link.far_column: self._term(type_name)}
        rows.insert(self.session, link.table, [row], skip_existing=True)

    def remove_asset_type(self, type_name: str) -> None:
        """Take a type away; nothing happens where it has not got it."""
        link = self.session.model.type_link(self._table)
        filters = {link.near_column: self.asset_rid, link.far_column: self._term(type_name)}
        rows.delete_where(self.session, link.table, filters)

    def download(
        self,
        dest_dir: str | Path,
        update_catalog: bool = False,
        *,
        execution_rid: str | None = None,
        cache_dir: Path | None = None,
    ) -> AssetFilePath:
        """
        Its file, in `dest_dir` under its own name, verified.

        Args:
            update_catalog: link it as Input to an execution, which must be named; `execution.download_asset` does both.
            execution_rid: the execution to link it to.
            cache_dir: keep its bytes in this cache, or take them from there.

        Raises:
            DerivaMLValidationError: it shall be linked, and no execution is named; nothing was downloaded.
        """
        if update_catalog and execution_rid is None:
            raise DerivaMLValidationError(
                f"asset {self.asset_rid} can't be linked: say to which execution (execution_rid=…), "
                f"or call execution.download_asset({self.asset_rid!r})"
            )
        cached = [self.asset_rid] if cache_dir else []
        cache = ObjectCache(cache_dir or Path(dest_dir) / ".cache")
        path = download(self.session, [self._found], Path(dest_dir), cache, cached=cached, nested=False)
        if execution_rid is not None:
            link_inputs(self.session, [self._found], execution_rid)
        return path[self.asset_table][0]

    def list_executions(self, asset_role: str | None = None) -> list[ExecutionRecord]:
        """The executions that used ("Input") or made ("Output") it; all without a role."""
        from deriva_ml_core.executions.record import ExecutionRecord

        found = executions_of_asset(self.session, self.asset_rid, asset_role)
        return [ExecutionRecord.from_row(self._catalog, row) for row in found]

    def find_features(self) -> list[Feature]:
        """The features of its table."""
        from deriva_ml_core.datasets.features import find_features

        return find_features(self.session, self._table)

    def list_feature_values(self, feature_name: str) -> list[FeatureRecord]:
        """
        What a feature says of it.

        Raises:
            DerivaMLNotFoundError: its table has no such feature.
        """
        from deriva_ml_core.datasets.feature_values import list_feature_values

        values = list_feature_values(self.session, self._table, feature_name)
        return [value for value in values if getattr(value, self.asset_table) == self.asset_rid]

    def get_chaise_url(self) -> str:
        """Where to look at it."""
        return self.session.record_url(self.asset_rid)

    @property
    def _table(self) -> Table:
        return self.session.model.tables[self._found.schema, self._found.table]

    def _term(self, name: str) -> str:
        return self.session.vocabularies.lookup(self.session.model.ml_table(ASSET_TYPE), name).name


def lookup_asset(catalog: CatalogSession | Handle, rid: str) -> Asset:
    """
    The asset of this RID, of whatever table; two requests.

    Raises:
        DerivaMLNotFoundError: there is none, or it is a row of another kind.
    """
    try:
        (found,) = resolve_assets(session_of(catalog), [rid])
    except DerivaMLValidationError as err:
        raise DerivaMLNotFoundError("; ".join(err.problems)) from err
    return Asset.of(catalog, found)


def list_assets(catalog: CatalogSession | Handle, asset_table: str) -> list[Asset]:
    """
    All assets of a table, sorted by RID.

    Raises:
        DerivaMLTableNotFound, DerivaMLTableTypeError: it is no asset table.
    """
    return list(_assets_of(catalog, AssetTables(session_of(catalog)).find(asset_table), {}))


def find_assets(
    catalog: CatalogSession | Handle, asset_table: str | None = None, asset_type: str | None = None
) -> Iterator[Asset]:
    """
    Assets of one table, or of all; of one type, or of all.

    Raises:
        DerivaMLTableNotFound, DerivaMLTableTypeError: it is no asset table.
        DerivaMLInvalidTerm: it is no term of Asset_Type.
    """
    session = session_of(catalog)
    tables = [AssetTables(session).find(asset_table)] if asset_table else session.model.asset_tables()
    name = None
    if asset_type is not None:
        name = session.vocabularies.lookup(session.model.ml_table(ASSET_TYPE), asset_type).name
    for table in tables:
        if name is None:
            yield from _assets_of(catalog, table, {})
            continue
        link = session.model.type_link(table)
        tagged = [row[link.near_column] for row in rows.select(session, link.table, {link.far_column: name})]
        for rid, row in sorted(rows.select_by_rids(session, table, tagged).items()):
            yield Asset.of(catalog, CatalogAsset(rid, table.schema, table.name, row))


def _assets_of(catalog: CatalogSession | Handle, table: Table, filters: Mapping[str, Any]) -> Iterator[Asset]:
    for row in rows.select(session_of(catalog), table, filters, sort=["RID"]):
        yield Asset.of(catalog, CatalogAsset(row["RID"], table.schema, table.name, row))


def list_files(session: CatalogSession, file_types: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """
    The rows of File, sorted by RID, each with its `File_Types`; only those that have one of these, where given.

    Raises:
        DerivaMLInvalidTerm: a type is no term of Asset_Type.
    """
    table = session.model.ml_table("File")
    vocabulary = session.model.ml_table(ASSET_TYPE)
    wanted = {term.name for term in session.vocabularies.lookup_all(vocabulary, file_types or ())}
    # A row that stands for "unknown" comes with the schema; it is no file.
    found = [row for row in rows.select(session, table, sort=["RID"]) if row["URL"] != UNKNOWN_FILE_URL]
    types = asset_types_of(session, table, [row["RID"] for row in found])
    typed = ({**row, "File_Types": list(types.get(row["RID"], ()))} for row in found)
    return [row for row in typed if not wanted or wanted & set(row["File_Types"])]
