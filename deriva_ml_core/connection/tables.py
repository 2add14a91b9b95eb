"""The part of DerivaML that knows tables, rows, RIDs and vocabularies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.base import HasSession
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLNotFoundError, DerivaMLSchemaError

if TYPE_CHECKING:
    import pandas as pd

    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.vocabulary import Term
    from deriva_ml_core.schema.check import SchemaReport
    from deriva_ml_core.schema.elements import ColumnDef


@dataclass(frozen=True, slots=True)
class ResolvedRid:
    """Where a RID is."""

    rid: str
    table: Table


class TableMethods(HasSession):
    """Mixin of DerivaML."""

    working_dir: Path

    # --- tables -------------------------------------------------------------------------------------------------

    @property
    def domain_schemas(self) -> tuple[str, ...]:
        """The project's own schemas."""
        return self.session.model.domain_schemas

    @property
    def default_schema(self) -> str | None:
        """The schema for new tables; None where there are several and none was chosen."""
        return self.session.model.default_schema

    def create_domain_schema(self, schema: str, comment: str = "") -> None:
        """
        Make a schema for the project's own tables, unless it is there.

        Raises:
            DerivaMLConfigurationError: the name can't be used.
        """
        from deriva_ml_core.schema.tables import create_domain_schema

        create_domain_schema(self.session, schema, comment=comment)

    def create_table(self, table: Mapping[str, Any], schema: str | None = None, update_navbar: bool = True) -> Table:
        """
        Make a table from ERMrest's description of one (deriva's Table.define gives it, too).

        Args:
            table: the system columns, and the key on RID, may be left out.

        Raises:
            DerivaMLConfigurationError: it is not clear in which schema.
        """
        from urllib.parse import quote

        from deriva_ml_core.schema.elements import with_system_columns

        del update_navbar  # Chaise finds new tables by itself
        place = self._schema_for_new(schema)
        document = {**with_system_columns(table), "schema_name": place}
        self.session.post_json(f"/schema/{quote(place, safe='')}/table", document)
        self.session.forget_model()
        return self.session.model.table((place, str(document["table_name"])))

    def create_vocabulary(
        self, vocab_name: str, comment: str = "", schema: str | None = None, update_navbar: bool = True
    ) -> Table:
        """Make a vocabulary without terms.

        Example:
            >>> ml.create_vocabulary("Colour", "What a digit was written with")
            Table(schema='demo', name='Colour')
            >>> ml.add_term("Colour", "Blue", "Blue ink", synonyms=["Navy"]).name
            'Blue'
            >>> ml.lookup_term("Colour", "Navy").name
            'Blue'
        """
        from deriva_ml_core.schema.tables import create_vocabulary

        del update_navbar
        place = self._schema_for_new(schema)
        create_vocabulary(self.session, place, vocab_name, comment=comment)
        return self.session.model.table((place, vocab_name))

    def create_asset(  # noqa: PLR0917  # the signature of the 1.2 generation
        self,
        asset_name: str,
        column_defs: Iterable[ColumnDef] | None = None,
        fkey_defs: Iterable[Any] | None = None,
        referenced_tables: Iterable[Table | str] | None = None,
        comment: str = "",
        schema: str | None = None,
        update_navbar: bool = True,
    ) -> Table:
        """
        Make an asset table with its associations and its term of Asset_Type.

        Args:
            column_defs: the project's own columns.
            referenced_tables: tables to which an asset may refer, each by a column called like the table: it holds
                a term's name, or a row's RID.

        Example:
            >>> from deriva_ml import ColumnDefinition
            >>> ml.create_asset("Scan", [ColumnDefinition("Pages", "int4", nullok=False)], comment="Scanned sheets")
            Table(schema='demo', name='Scan')
        """
        from deriva_ml_core.schema.tables import create_asset_table

        del update_navbar
        place = self._schema_for_new(schema)
        model = self.session.model
        targets = [model.table(table) for table in referenced_tables or ()]
        create_asset_table(
            self.session,
            place,
            asset_name,
            columns=tuple(column_defs or ()),
            foreign_keys=tuple(fkey_defs or ()),
            references=[(target.schema, target.name) for target in targets],
            comment=comment,
            ml_schema=model.ml_schema,
        )
        return self.session.model.table((place, asset_name))

    def list_asset_tables(self) -> list[Table]:
        """All asset tables, the project's first."""
        return list(self.session.model.asset_tables())

    def get_table_as_dict(self, table: str | Table) -> Iterator[dict[str, Any]]:
        """The rows of a table, streamed.

        Example:
            >>> sorted(row["Label"] for row in ml.get_table_as_dict("Image"))[:3]
            ['0', '1', '2']
        """
        from deriva_ml_core.catalog import rows

        return rows.select(self.session, table)

    def get_table_as_dataframe(self, table: str | Table) -> pd.DataFrame:
        """The rows of a table as a pandas DataFrame."""
        import pandas as pd

        names = list(self.session.model.table(table).columns)
        return pd.DataFrame(list(self.get_table_as_dict(table)), columns=names)

    def table_path(self, table: str | Table, schema: str | None = None) -> Path:
        """
        Where this project keeps rows for a table as a CSV file, below the working folder; the folder is made.

        Nothing reads the file by itself: what an execution is to store goes to the execution's own `table_path`.

        Raises:
            DerivaMLTableNotFound: there is no such table.
        """
        from deriva_ml_core.executions.table_rows import table_file

        return table_file(self.working_dir, self.session.model.table(table, schema))

    def validate_schema(self, strict: bool = False) -> SchemaReport:
        """
        Compare the catalog's deriva-ml schema with what it should be.

        Args:
            strict: raise where it differs.

        Raises:
            DerivaMLSchemaError: it differs, and `strict`; the message has every difference.
        """
        from deriva_ml_core.schema.check import check_schema

        report = check_schema(self.session)
        if strict and not report.is_valid:
            raise DerivaMLSchemaError("; ".join(str(finding) for finding in report.errors))
        return report

    def chaise_url(self, table: str | Table) -> str:
        """Where Chaise lists the rows of a table."""
        from urllib.parse import quote

        found, session = self.session.model.table(table), self.session
        return f"https://{session.hostname}/chaise/recordset/#{quote(session.catalog_id)}/{found.url_name}"

    def _schema_for_new(self, schema: str | None) -> str:
        place = schema or self.session.model.default_schema
        if place is None:
            there = ", ".join(self.session.model.domain_schemas) or "none of the project's own"
            raise DerivaMLConfigurationError(f"say in which schema: schema=… or default_schema=… (there: {there})")
        return place

    # --- RIDs ---------------------------------------------------------------------------------------------------

    def resolve_rid(self, rid: str) -> ResolvedRid:
        """
        The table of a RID.

        Raises:
            DerivaMLNotFoundError: the catalog has no such row.
        """
        from deriva_ml_core.catalog import rows

        place = rows.locate_rid(self.session, rid) if rows.is_rid(rid) else None
        if place is None:
            raise DerivaMLNotFoundError(f"catalog {self.session.catalog_id} has no row {rid}")
        return ResolvedRid(rows.normal_rid(rid), self.session.model.table(place))

    def resolve_rids(
        self, rids: Iterable[str], candidate_tables: Sequence[str | Table] | None = None
    ) -> dict[str, ResolvedRid]:
        """
        The tables of many RIDs; with candidate tables, one request for each of these.

        Raises:
            DerivaMLNotFoundError: some are not there; the message has them all.
        """
        from deriva_ml_core.catalog import rows

        wanted = [rows.normal_rid(rid) for rid in rids]
        found = rows.resolve_rids(self.session, wanted, candidates=candidate_tables or ())
        if missing := sorted({rid for rid in wanted if rid not in found}):
            raise DerivaMLNotFoundError(f"catalog {self.session.catalog_id} has no row {', '.join(missing)}")
        return {rid: ResolvedRid(rid, self.session.model.table(found[rid])) for rid in wanted}

    def retrieve_rid(self, rid: str) -> dict[str, Any]:
        """
        The row of a RID.

        Raises:
            DerivaMLNotFoundError: the catalog has no such row.
        """
        from deriva_ml_core.catalog import rows

        place = self.resolve_rid(rid)
        return rows.select_by_rids(self.session, place.table, [place.rid])[place.rid]

    # --- vocabularies -------------------------------------------------------------------------------------------

    def add_term(
        self,
        table: str | Table,
        term_name: str,
        description: str,
        synonyms: Iterable[str] | None = None,
        exists_ok: bool = True,
    ) -> Term:
        """Add a term; one that is there is returned, unless `exists_ok` is false."""
        terms = self.session.vocabularies
        return terms.add(table, str(term_name), description, synonyms=synonyms or (), exists_ok=exists_ok)

    def lookup_term(self, table: str | Table, term_name: str) -> Term:
        """
        The term with this name or synonym.

        Raises:
            DerivaMLInvalidTerm: there is none; the message offers the nearest.
        """
        return self.session.vocabularies.lookup(table, str(term_name))

    def list_vocabulary_terms(self, table: str | Table) -> list[Term]:
        """All terms of a vocabulary."""
        return list(self.session.vocabularies.terms(table).values())

    def delete_term(self, table: str | Table, term_name: str) -> None:
        """
        Delete a term that no row uses.

        Raises:
            DerivaMLValidationError: a row uses it.
        """
        from deriva_ml_core.catalog.vocabulary import delete_term

        delete_term(self.session, table, str(term_name))

    def clear_vocabulary_cache(self, table: str | Table | None = None) -> None:
        """Read the terms again at the next use."""
        self.session.vocabularies.forget(table)
