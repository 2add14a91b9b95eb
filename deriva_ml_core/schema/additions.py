"""Tables and terms that plugins need in a catalog. Safe to repeat: what is there stays as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from deriva_ml_core.errors import DerivaMLConfigurationError, nearest
from deriva_ml_core.hookvalues import NewColumn, NewTable, NewTerm
from deriva_ml_core.schema.definition import DEFAULT_CURIE_PREFIX
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.ports import CatalogPort
from deriva_ml_core.schema.tables import (
    create_asset_table,
    create_domain_schema,
    create_tables,
    create_vocabulary,
    references_to,
)


@dataclass(frozen=True, slots=True)
class Added:
    """What was not there: names of tables as "schema:table", and how many terms."""

    tables: tuple[str, ...] = ()
    terms: int = 0


def install_additions(
    session: CatalogPort,
    tables: Iterable[NewTable],
    terms: Iterable[NewTerm],
    *,
    curie_prefix: str = DEFAULT_CURIE_PREFIX,
) -> Added:
    """
    Make the tables that are not there, then add the terms that are not.

    Raises:
        DerivaMLConfigurationError: a name can't be used, a reference or a vocabulary is not there.
    """
    made = tuple(name for table in tables if (name := _make(session, table, curie_prefix)))
    return Added(made, sum(_add_term(session, term) for term in terms))


def _make(session: CatalogPort, table: NewTable, curie_prefix: str) -> str | None:
    """The name of a new table; None where there is one of that name."""
    create_domain_schema(session, table.schema)
    if table.name in session.get_json("/schema")["schemas"][table.schema]["tables"]:
        return None
    columns = tuple(_column(column) for column in table.columns)
    if table.kind == "asset":
        create_asset_table(
            session, table.schema, table.name, columns=columns, references=table.references, comment=table.comment
        )
    elif table.kind == "vocabulary":
        create_vocabulary(session, table.schema, table.name, comment=table.comment, curie_prefix=curie_prefix)
    else:
        links = references_to(session, table.name, table.references)
        own = (*columns, *(column for column, _ in links))
        keys = tuple(key for _, key in links)
        create_tables(session, table.schema, [TableDef(table.name, own, comment=table.comment, foreign_keys=keys)])
    return f"{table.schema}:{table.name}"


def _column(column: NewColumn) -> ColumnDef:
    return ColumnDef(column.name, column.type, not column.required, comment=column.comment)


def _add_term(session: CatalogPort, term: NewTerm) -> int:
    tables = session.get_json("/schema")["schemas"].get(term.schema, {}).get("tables", {})
    if term.vocabulary not in tables:
        raise DerivaMLConfigurationError(
            f"the term {term.name!r} is for a vocabulary {term.schema}:{term.vocabulary}, which the catalog does not "
            f"have{nearest(term.vocabulary, tables)}"
        )
    path = f"/entity/{quote(term.schema, safe='')}:{quote(term.vocabulary, safe='')}?defaults=ID,URI&onconflict=skip"
    row = {"Name": term.name, "Description": term.description, "Synonyms": list(term.synonyms)}
    return len(session.post_json(path, [row]) or [])
