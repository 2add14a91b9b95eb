"""
Rows that a model writes as CSV files, one for each table: `Execution.table_path`. They are stored with its outputs.

    <execution folder>/tables/<schema>/<Table>.csv          the model writes here
    <execution folder>/tables/<schema>/<Table>.taken.csv    what a command has begun to store
    <execution folder>/tables/<schema>/<Table>.sending.json its rows, with the RIDs that they will have
    <execution folder>/tables/<schema>/<Table>.1.stored.csv what is in the catalog

The RIDs are on disk before anything is sent, so that a command that is killed and repeated stores each row once.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.values import value_fault
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLValidationError, nearest
from deriva_ml_core.executions.journal import write_beside
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.catalog.session import CatalogSession

_WORDS = {"true": True, "t": True, "false": False, "f": False}


def table_file(folder: Path, table: Table) -> Path:
    """Where the rows of a table are written below a folder; the file's own folder is made."""
    file = folder / "tables" / table.schema / f"{table.name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def waiting_tables(folder: Path) -> dict[str, Path]:
    """By "schema/table", the files of rows that are not in the catalog."""
    files = [file for file in sorted((folder / "tables").glob("*/*.csv")) if not file.name.endswith(".stored.csv")]
    return {f"{file.parent.name}/{file.stem.removesuffix('.taken')}": file for file in files}


def store_table_rows(session: CatalogSession, folder: Path) -> dict[str, int]:
    """
    Bring the rows of an execution's CSV files into the catalog; "schema/table" to how many.

    Raises:
        DerivaMLValidationError: columns or values that a table does not take; nothing of that file was stored.
        DerivaMLException: the catalog refused, or gave no answer; what was not stored waits.
    """
    stored: dict[str, int] = {}
    for name in waiting_tables(folder):
        schema, _, table_name = name.partition("/")
        table = session.model.table((schema, table_name))
        stored[name] = sum(_store(session, table, table_file(folder, table)))
    return stored


def _store(session: CatalogSession, table: Table, file: Path) -> Iterator[int]:
    """First what an earlier command has taken, then what the model has written."""
    taken = file.with_suffix(".taken.csv")
    if not taken.exists():  # of a command that was killed as its last step was due
        file.with_suffix(".sending.json").unlink(missing_ok=True)
    else:
        yield _send(session, table, file, taken)
    if file.exists():
        _read(table, file)  # what is wrong with it is said before it is taken: the user may mend it
        file.rename(taken)
        yield _send(session, table, file, taken)


def _send(session: CatalogSession, table: Table, file: Path, taken: Path) -> int:
    sending = file.with_suffix(".sending.json")
    if not sending.exists():
        found = _read(table, taken)
        leased = rows.lease_rids(session, len(found)) if found else []
        document = [{"RID": rid, **row} for rid, row in zip(leased, found, strict=True)]
        write_beside(sending, json.dumps(document).encode())
    document = json.loads(sending.read_bytes())
    rows.insert(session, table, document, leased=True)
    taken.rename(_free_name(file))
    sending.unlink()
    return len(document)


def _free_name(file: Path) -> Path:
    taken = len(list(file.parent.glob(f"{file.stem}.*.stored.csv")))
    return file.with_name(f"{file.stem}.{taken + 1}.stored.csv")


def _read(table: Table, file: Path) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        names = list(reader.fieldnames or ())
        problems = list(_column_problems(table, names))
        found = []
        for row in [] if problems else reader:
            values, faults = _row(table, row)
            found.append(values)
            problems += [f"line {reader.line_num}: {fault}" for fault in faults]
    if problems:
        raise DerivaMLValidationError(f"{file} can't be stored in {table}", problems)
    return found


def _column_problems(table: Table, names: list[str]) -> Iterator[str]:
    theirs = set(table.user_columns)
    for name in names:
        if name not in table.columns:
            yield f"it has no column {name!r}{nearest(name, theirs)}"
    for column in table.columns.values():
        if column.is_required and column.name not in names:
            yield f"the column {column.name!r} is required"


def _row(table: Table, row: dict[str | Any, Any]) -> tuple[dict[str, Any], list[str]]:
    values, faults = {}, []
    if None in row or None in row.values():
        return {}, ["it has not as many values as there are columns"]
    for name, text in row.items():
        column = table.columns[name]
        if text == "":  # no value; the catalog's default, where the column has one
            if column.is_required:
                faults.append(f"{name}: a value is required")
        elif name in SYSTEM_COLUMNS:
            faults.append(f"{name}: the catalog gives it, leave it out")
        else:
            values[name] = _value(text, column.type)
            if fault := value_fault(values[name], column.type):
                faults.append(f"{name}: {fault}")
    return values, faults


def _value(text: str, type_name: str) -> Any:
    """The text of a cell as JSON has it; what can't be read stays text, which its type then refuses."""
    if type_name == "boolean":
        return _WORDS.get(text.lower(), text)
    if not type_name.startswith(("int", "serial", "float", "numeric", "json")) and not type_name.endswith("[]"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
