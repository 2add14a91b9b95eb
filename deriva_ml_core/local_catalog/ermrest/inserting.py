"""
POST of rows into a table.

Source: ERMrest API documentation, "Entity Creation", "Entity Creation with Defaults"; NOTES.md "Writing rows".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.bodies import Field, Row, Rows, body_format, read_rows
from deriva_ml_core.local_catalog.ermrest.constraints import check_references, constraint_refusals
from deriva_ml_core.local_catalog.ermrest.filling import choose_columns, use_leases
from deriva_ml_core.local_catalog.ermrest.formats import choose_format
from deriva_ml_core.local_catalog.ermrest.identifiers import canonical
from deriva_ml_core.local_catalog.ermrest.model import Column, Table
from deriva_ml_core.local_catalog.ermrest.paths import find_table
from deriva_ml_core.local_catalog.ermrest.rowrights import RowRights
from deriva_ml_core.local_catalog.ermrest.storage import Transaction
from deriva_ml_core.local_catalog.ermrest.syntax import DataName, TableLink
from deriva_ml_core.local_catalog.ermrest.types import Stored
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Parameters, parse_name, parse_query
from deriva_ml_core.local_catalog.ermrest.values import stored_default
from deriva_ml_core.local_catalog.ermrest.written import Input, answer_rows
from deriva_ml_core.local_catalog.errors import BadRequest, Refusal


def whole_table(txn: Transaction, name: DataName) -> Table:
    """
    The table of a URL that names a whole table.

    Raises:
        BadRequest: it names more. Conflict: there is no such table.
    """
    if len(name.elements) != 1 or not isinstance(name.elements[0], TableLink):
        raise BadRequest("Rows are written to a whole table: the URL must be a table's name alone.")
    if name.sort:
        raise BadRequest("What is written has no order.")
    return find_table(txn.model, name.elements[0].table.parts)


def insert(txn: Transaction, client: Client, request: Input) -> Answer:
    """
    Insert the rows of a body; answer with all columns of the new rows.

    Raises:
        BadRequest, Conflict, Forbidden, Unauthorized, UnsupportedType: see `writing.post`.
    """
    table = whole_table(txn, parse_name("entity", request.path))
    parameters = parse_query(request.query)
    kind = body_format(request.content_type)
    skip = _skips(parameters)
    fields, defaulted = choose_columns(txn, client, table, parameters)
    rows = read_rows(request.body, kind, fields, table.by_name)
    if skip:
        refuse_repeated(table, fields, rows)
    columns = [field.column for field in fields]
    try:
        use_leases(txn, client, table, fields, rows)
        first = insert_rows(txn, table, columns, rows, defaulted, skip=skip)
    except Refusal:  # rows that are repeated clash; but looking for them costs memory, and is told first (observed)
        refuse_repeated(table, fields, rows)
        raise
    RowRights(txn, client).require_references(table, "insert", columns, "r.rowid > ?", (first,))
    page = f"SELECT {{}} FROM {table.live} AS i0 WHERE rowid > ? ORDER BY rowid"
    return answer_rows(txn, [(page, (first,), keys_first(table))], choose_format(parameters, request.accept, kind))


def _skips(parameters: Parameters) -> bool:
    word = parameters.get("onconflict", (("abort",),))[-1][0]
    if word not in {"abort", "skip"}:
        raise BadRequest(f"onconflict={word[:80]} is unknown; there are abort and skip.")
    return word == "skip"


def refuse_repeated(table: Table, fields: Sequence[Field], rows: Iterable[Row]) -> None:
    """
    Refuse a body in which two rows have the same values in all key columns.

    Raises:
        BadRequest: they have.
    """
    keys = {oid for key in table.keys for oid in key.columns if not table.by_oid[oid].is_system}
    places = [place for place, field in enumerate(fields) if field.column.oid in keys]
    if not places:
        return
    seen: set[Row] = set()
    for row in rows:
        key = tuple([row[place] for place in places])
        if key in seen and None not in key:
            names = ", ".join(fields[place].name for place in places)
            raise BadRequest(f"Two rows of the body have the same key ({names}): {', '.join(map(str, key))[:200]}.")
        seen.add(key)


def insert_rows(
    txn: Transaction,
    table: Table,
    columns: Sequence[Column],
    rows: Rows,
    defaulted: Iterable[Column],
    *,
    skip: bool,
) -> int:
    """
    Insert rows in stored form.

    Args:
        columns: what the values of the rows are for.
        defaulted: the other columns.
        skip: leave out rows that have the key of a stored row.

    Returns:
        The row id after which the new rows are.

    Raises:
        Conflict: a constraint is broken.
    """
    first: int = txn.db.execute(f"SELECT ifnull(max(rowid), 0) FROM {table.live}").get
    if not rows:
        return first
    columns, filled = _with_rids(txn, table, list(columns), rows)
    made = [column for column in defaulted if _is_serial(column) or _names_its_row(column)]
    fixed = [(c, default_of(txn, c)) for c in defaulted if c.name != "RID" and c not in made]
    columns, filled = _with_serials(txn, columns, filled, len(rows), [column for column in made if _is_serial(column)])
    columns, filled = _with_row_names(table, columns, filled, [column for column in made if _names_its_row(column)])
    names = ", ".join(column.sql for column in [*columns, *(column for column, _ in fixed)])
    marks = ", ".join("?" * (len(columns) + len(fixed)))
    constants = tuple(value for _, value in fixed)
    sql = f"INSERT INTO {table.live} ({names}) VALUES ({marks}){' ON CONFLICT DO NOTHING' if skip else ''}"
    with constraint_refusals(txn.model, table):
        txn.db.execute("PRAGMA defer_foreign_keys = ON")  # rows of one body may refer to each other
        txn.db.executemany(sql, (row + constants for row in filled) if constants else filled)
    check_references(txn.db, txn.model, table, "r.rowid > ?", (first,))
    if txn.db.execute(f"SELECT 1 FROM {table.live} WHERE rowid > ? LIMIT 1", (first,)).fetchone():
        txn.changed()
    return first


def _with_rids(txn: Transaction, table: Table, columns: list[Column], rows: Rows) -> tuple[list[Column], Iterable[Row]]:
    """
    The rows with a RID each: a new one, or in its one spelling the one that the client chose.

    Here and below they are made one by one, when SQLite takes them.
    """
    place = next((i for i, column in enumerate(columns) if column.name == "RID"), None)
    if place is None:
        rids = txn.allocate_rids(len(rows))
        return [*columns, table.rid_column], ((*row, rid) for row, rid in zip(rows, rids, strict=True))
    return columns, ((*row[:place], _chosen(txn, row[place]), *row[place + 1 :]) for row in rows)


def _chosen(txn: Transaction, rid: Stored) -> Stored:
    if rid is None:
        return None
    spelled = canonical(str(rid)) or rid
    txn.skip_past(str(spelled))
    return spelled


def _is_serial(column: Column) -> bool:
    return column.type.scalar.startswith("serial") and column.default is None


def _with_serials(
    txn: Transaction, columns: list[Column], rows: Iterable[Row], count: int, serial: Sequence[Column]
) -> tuple[list[Column], Iterable[Row]]:
    for column in serial:
        numbers = txn.allocate_serials(column, count)
        rows = ((*row, number) for number, row in zip(numbers, rows, strict=True))
        columns = [*columns, column]
    return columns, rows


def _names_its_row(column: Column) -> bool:
    """Whether the default is a pattern such as `/id/{RID}`, which these two domains fill with the row's own RID."""
    has_pattern = isinstance(column.default, str) and "{RID}" in column.default
    return has_pattern and column.type.typename in ("ermrest_curie", "ermrest_uri")


def _with_row_names(
    table: Table, columns: list[Column], rows: Iterable[Row], named: Sequence[Column]
) -> tuple[list[Column], Iterable[Row]]:
    if not named:
        return columns, rows
    place = columns.index(table.rid_column)
    patterns = [str(column.default) for column in named]
    return [*columns, *named], (
        (*row, *(pattern.replace("{RID}", str(row[place])) for pattern in patterns)) for row in rows
    )


def default_of(txn: Transaction, column: Column) -> Stored:
    """The value of a column that a body does not fill."""
    match column.name:
        case "RCT" | "RMT":
            return txn.now
        case "RCB" | "RMB":
            return txn.client
    return stored_default(column.type, column.default)


def keys_first(table: Table) -> list[Column]:
    """The columns of a table as answers to POST order them."""
    keys = {oid for key in table.keys for oid in key.columns if not table.by_oid[oid].is_system}
    return sorted(table.columns, key=lambda column: column.oid not in keys)
