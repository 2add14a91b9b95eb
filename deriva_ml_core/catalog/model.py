"""
A light, frozen view of a catalog's model: ERMrest's /schema document, read once.

deriva's own model is complete and editable, but costs its import and the building of thousands of objects; a run
only asks which tables, columns and associations there are. `CatalogSession.deriva_model()` gives deriva's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from deriva_ml_core.catalog.tables import Association, Column, ForeignKey, Table, TableName, read_tables
from deriva_ml_core.errors import DerivaMLSchemaError, DerivaMLTableNotFound, DerivaMLTableTypeError, nearest
from deriva_ml_core.schema.generations import ML_SCHEMA, Generation, detect_generation

__all__ = ["Association", "CatalogModel", "Column", "ForeignKey", "Table", "TableName"]

# Schemas that belong to the server or to Chaise, never to a project.
RESERVED_SCHEMAS = frozenset({"public", "www", "WWW", "_ermrest", "_ermrest_history", "pg_catalog"})


@dataclass(frozen=True)
class CatalogModel:
    """
    All tables of a catalog.

    Args:
        tables: by (schema, name).
        ml_schema: name of the schema that holds Execution, Workflow and Dataset.
        domain_schemas: the project's schemas, in the order of their names.
        chosen_schema: the default schema that the configuration names, or None.
        look_again: gives the model as it is now, where this one may be older: asked once, for what is not in it.
    """

    tables: Mapping[tuple[str, str], Table]
    annotations: Mapping[str, Any]
    rights: Mapping[str, bool | None]
    snaptime: str | None
    ml_schema: str
    domain_schemas: tuple[str, ...]
    chosen_schema: str | None = None
    look_again: Callable[[], CatalogModel] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_document(
        cls,
        document: Mapping[str, Any],
        *,
        ml_schema: str = ML_SCHEMA,
        domain_schemas: tuple[str, ...] | None = None,
        default_schema: str | None = None,
    ) -> CatalogModel:
        """
        Read the /schema document.

        Raises:
            DerivaMLSchemaError: the configuration names a schema that is not there.
        """
        schemas: Mapping[str, Any] = document["schemas"]
        own = sorted(name for name in schemas if name not in RESERVED_SCHEMAS and name != ml_schema)
        for named in (*(domain_schemas or ()), *([default_schema] if default_schema else [])):
            if named not in schemas:
                raise DerivaMLSchemaError(
                    f"the catalog has no schema '{named}'{nearest(named, own)} (it has: {', '.join(own) or 'none'})"
                )
        return cls(
            tables={(table.schema, table.name): table for table in read_tables(schemas)},
            annotations=document.get("annotations", {}),
            rights=document.get("rights", {}),
            snaptime=document.get("snaptime"),
            ml_schema=ml_schema,
            domain_schemas=tuple(domain_schemas) if domain_schemas else tuple(own),
            chosen_schema=default_schema,
        )

    # --- tables ---

    def table(self, name: TableName, schema: str | None = None) -> Table:
        """
        The table called "Table", "schema:Table" or (schema, table).

        A bare name is looked for in the default schema, the other domain schemas, the deriva-ml schema, the rest.

        Raises:
            DerivaMLTableNotFound: no such table; the message offers the nearest names.
        """
        if isinstance(name, Table):
            return name
        found = self._find(name, schema)
        if found is None:
            wanted = name if isinstance(name, str) else ":".join(name)
            bare = wanted.rpartition(":")[2]
            where = f" in schema '{schema}'" if schema else ""
            raise DerivaMLTableNotFound(
                f"the catalog has no table '{wanted}'{where}{nearest(bare, (t.name for t in self._project_tables()))}"
            )
        return found

    def has_table(self, name: TableName, schema: str | None = None) -> bool:
        """Whether `table` would find it."""
        return isinstance(name, Table) or self._find(name, schema) is not None

    def ml_table(self, name: str) -> Table:
        """
        A table of the deriva-ml schema.

        Raises:
            DerivaMLSchemaError: this catalog has no deriva-ml schema, or one without it.
        """
        table = self._find((self.ml_schema, name), None)
        if table is None:
            raise DerivaMLSchemaError(
                f"the catalog has no table {self.ml_schema}:{name}: is the schema installed? "
                "`deriva-ml-catalog schema check CATALOG` tells, `deriva-ml-catalog schema install CATALOG` installs it"
            )
        return table

    def is_asset_table(self, table: TableName) -> bool:
        """Whether rows of this table describe files."""
        return self.table(table).is_asset

    def is_vocabulary(self, table: TableName) -> bool:
        """Whether rows of this table are terms."""
        return self.table(table).is_vocabulary

    def asset_table(self, name: TableName) -> Table:
        """
        The asset table called `name`.

        Raises:
            DerivaMLTableNotFound: no such table.
            DerivaMLTableTypeError: it is not an asset table; the message lists those there are.
        """
        if isinstance(name, str) and not self.has_table(name):
            raise DerivaMLTableNotFound(f"the catalog has no asset table '{name}'{self._asset_hint(name)}")
        table = self.table(name)
        if not table.is_asset:
            raise DerivaMLTableTypeError(f"table {table} is not an asset table{self._asset_hint(table.name)}")
        return table

    def asset_tables(self) -> tuple[Table, ...]:
        """All asset tables, the project's first."""
        return self._asset_tables

    def vocabularies(self) -> tuple[Table, ...]:
        """All vocabularies, the project's first."""
        return tuple(table for table in self._project_tables() if table.is_vocabulary)

    # --- schemas ---

    @property
    def default_schema(self) -> str | None:
        """The schema for new tables of the project: the configured one, else the only one; None if undecided."""
        if self.chosen_schema:
            return self.chosen_schema
        return self.domain_schemas[0] if len(self.domain_schemas) == 1 else None

    @cached_property
    def generation(self) -> Generation:
        """
        Which generation of the deriva-ml schema this catalog has.

        Raises:
            DerivaMLSchemaError: it has none.
        """
        columns = {
            name: table.columns.keys() for (schema, name), table in self.tables.items() if schema == self.ml_schema
        }
        found = detect_generation(columns)
        if found is None:
            raise DerivaMLSchemaError(
                f"the catalog has no deriva-ml schema ('{self.ml_schema}'): "
                "`deriva-ml-catalog schema install` installs it"
            )
        return found

    # --- associations ---

    def associations(self, near: TableName, far: TableName | None = None) -> tuple[Association, ...]:
        """The tables that link rows of `near` with rows of another table (of `far`, where it is given)."""
        near = self.table(near)
        links = tuple(self._associations_of(near))
        if far is None:
            return links
        wanted = self.table(far)
        return tuple(link for link in links if (link.far.schema, link.far.name) == (wanted.schema, wanted.name))

    def association(self, near: TableName, far: TableName) -> Association:
        """
        The table that links rows of `near` and `far`; of several, the one called <near>_<far>.

        Raises:
            DerivaMLTableNotFound: no table links them.
        """
        near, far = self.table(near), self.table(far)
        links = self.associations(near, far)
        usual = (f"{near.name}_{far.name}", f"{far.name}_{near.name}")
        for link in sorted(links, key=lambda link: (link.table.name not in usual, link.table.schema, link.table.name)):
            return link
        if self._newer is not None:
            return self._newer.association(near, far)
        raise DerivaMLTableNotFound(f"no table of the catalog links {near} with {far} (expected {usual[0]})")

    def execution_link(self, asset_table: TableName) -> Association:
        """<Asset>_Execution: near is the asset, far is Execution, beside them Asset_Role."""
        return self.association(asset_table, self.ml_table("Execution"))

    def type_link(self, asset_table: TableName) -> Association:
        """<Asset>_Asset_Type: near is the asset, far is Asset_Type."""
        return self.association(asset_table, self.ml_table("Asset_Type"))

    # --- inside ---

    @cached_property
    def _newer(self) -> CatalogModel | None:
        return self.look_again() if self.look_again is not None else None

    def _find(self, name: str | tuple[str, str], schema: str | None) -> Table | None:
        found = self._known(name, schema)
        return self._newer._find(name, schema) if found is None and self._newer is not None else found  # noqa: SLF001  # another of us

    def _known(self, name: str | tuple[str, str], schema: str | None) -> Table | None:
        if isinstance(name, tuple):
            return self.tables.get(name)
        if schema is not None:
            return self.tables.get((schema, name))
        for place in self._search_order:
            if (place, name) in self.tables:
                return self.tables[place, name]
        prefix, _, rest = name.partition(":")
        return self.tables.get((prefix, rest)) if rest else None

    @cached_property
    def _search_order(self) -> tuple[str, ...]:
        first = [schema for schema in (self.default_schema,) if schema]
        rest = sorted({schema for schema, _ in self.tables})
        return tuple(dict.fromkeys((*first, *self.domain_schemas, self.ml_schema, *rest)))

    @cached_property
    def _asset_tables(self) -> tuple[Table, ...]:
        return tuple(table for table in self._project_tables() if table.is_asset)

    def _project_tables(self) -> Iterator[Table]:
        """Tables of the domain schemas, then of the deriva-ml schema, by name."""
        for place in (*self.domain_schemas, self.ml_schema):
            yield from (table for (schema, _), table in sorted(self.tables.items()) if schema == place)

    def _asset_hint(self, name: str) -> str:
        names = [table.name for table in self.asset_tables()]
        return f"{nearest(name, names)} (asset tables here: {', '.join(names) or 'none'})"

    def _associations_of(self, near: Table) -> Iterator[Association]:
        for table in self._referrers.get((near.schema, near.name), ()):
            yield from self._links(table, near)

    @cached_property
    def _referrers(self) -> Mapping[tuple[str, str], tuple[Table, ...]]:
        """The tables that refer to each table, each once."""
        found: dict[tuple[str, str], dict[tuple[str, str], Table]] = {}
        for identity, table in sorted(self.tables.items()):
            for reference in table.foreign_keys:
                found.setdefault((reference.schema, reference.table), {})[identity] = table
        return {target: tuple(tables.values()) for target, tables in found.items()}

    def _links(self, table: Table, near: Table) -> Iterator[Association]:
        """The ways in which `table` links `near`: by two references whose columns together are a key."""
        for one in (key for key in table.references(near) if len(key.columns) == 1):
            for two in (key for key in table.foreign_keys if len(key.columns) == 1 and key is not one):
                is_key = any(set(key) == {one.columns[0], two.columns[0]} for key in table.keys)
                far = self.tables.get((two.schema, two.table))
                if is_key and far is not None:
                    yield Association(table, near, one.columns[0], far, two.columns[0])
