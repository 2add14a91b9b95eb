"""
Compare a catalog's deriva-ml schema with what its generation should have, fact by fact.

Missing things and wrong types are errors: a run would fail on them. What a catalog has besides is a note: projects may
add tables, columns and terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.schema import terms
from deriva_ml_core.schema.definition import ml_schema
from deriva_ml_core.schema.elements import SYSTEM_COLUMNS, ForeignKeyDef, TableDef
from deriva_ml_core.schema.former import former_schema_tables, former_terms
from deriva_ml_core.schema.generations import ML_SCHEMA, Generation, detect_generation
from deriva_ml_core.schema.ports import CatalogPort


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `where` is a table, table.column, or vocabulary; `serious` ones would make runs fail."""

    where: str
    what: str
    serious: bool = True

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class SchemaReport:
    """What `check_schema` found; `generation` is None where there is no deriva-ml schema."""

    generation: Generation | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The differences that would make runs fail."""
        return tuple(finding for finding in self.findings if finding.serious)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What the catalog has besides."""
        return tuple(finding for finding in self.findings if not finding.serious)

    @property
    def is_valid(self) -> bool:
        """The schema is there, and runs can be recorded in it."""
        return self.generation is not None and not self.errors


def check_schema(session: CatalogPort) -> SchemaReport:
    """Compare a catalog with the definition of its generation; one request for the model, one per vocabulary."""
    document = session.get_json("/schema")
    schema = document["schemas"].get(ML_SCHEMA)
    if schema is None:
        return SchemaReport(None, (Finding(ML_SCHEMA, "the catalog has no such schema"),))
    tables: Mapping[str, Any] = schema["tables"]
    generation = detect_generation(
        {name: [column["name"] for column in table["column_definitions"]] for name, table in tables.items()}
    )
    if generation is None:
        return SchemaReport(None, (Finding(f"{ML_SCHEMA}.Execution", "is not that of any generation we know"),))
    expected = expected_tables(generation)
    findings = (
        *compare_tables(expected, tables),
        *_compare_terms(session, expected_terms(generation), tables),
    )
    return SchemaReport(generation, findings)


def expected_tables(generation: Generation) -> tuple[TableDef, ...]:
    """The tables that a catalog of this generation has."""
    return ml_schema().tables if generation.name == "1.54" else former_schema_tables()


def expected_terms(generation: Generation) -> Mapping[str, tuple[str, ...]]:
    """The terms that a catalog of this generation starts with."""
    if generation.name != "1.54":
        return former_terms()
    return {name: tuple(term.name for term in members) for name, members in terms.VOCABULARY_TERMS.items()}


def compare_tables(expected: Iterable[TableDef], actual: Mapping[str, Any]) -> Iterator[Finding]:
    """Differences between definitions and the tables of a /schema document."""
    wanted = {table.name: table for table in expected}
    for name, table in wanted.items():
        if name not in actual:
            yield Finding(name, "the table is missing")
            continue
        yield from _compare_columns(table, actual[name])
        yield from _compare_keys(table, actual[name])
        yield from _compare_foreign_keys(table, actual[name])
    for name in sorted(actual.keys() - wanted.keys()):
        yield Finding(name, "a table that the definition does not have", serious=False)


def _compare_columns(table: TableDef, actual: Mapping[str, Any]) -> Iterator[Finding]:
    there = {column["name"]: column for column in actual["column_definitions"]}
    for name in SYSTEM_COLUMNS:
        if name not in there:
            yield Finding(f"{table.name}.{name}", "the system column is missing")
    for column in table.columns:
        where = f"{table.name}.{column.name}"
        found = there.get(column.name)
        if found is None:
            yield Finding(where, "the column is missing")
            continue
        if found["type"]["typename"] != column.type:
            yield Finding(where, f"has type {found['type']['typename']} instead of {column.type}")
        if found["nullok"] != column.nullok:
            wanted, got = ("may", "may not") if column.nullok else ("may not", "may")
            yield Finding(where, f"{got} be empty, but {wanted} by the definition")
        if not _same_default(column.default, found.get("default")):
            yield Finding(where, f"has default {found.get('default')!r} instead of {column.default!r}")
    for name in sorted(there.keys() - {column.name for column in table.columns} - set(SYSTEM_COLUMNS)):
        yield Finding(f"{table.name}.{name}", "a column that the definition does not have", serious=False)


def _same_default(wanted: Any, found: Any) -> bool:
    """Defaults agree; of a CURIE only the part after the colon, since each project has its own prefix."""
    if isinstance(wanted, str) and isinstance(found, str) and wanted.endswith(":{RID}"):
        return found.endswith(":{RID}")
    return bool(wanted == found)


def _compare_keys(table: TableDef, actual: Mapping[str, Any]) -> Iterator[Finding]:
    there = {frozenset(key["unique_columns"]) for key in actual["keys"]}
    wanted = {frozenset(key) for key in (("RID",), *table.keys)}
    for key in sorted(map(sorted, wanted - there)):
        yield Finding(table.name, f"no key on ({', '.join(key)})")
    for key in sorted(map(sorted, there - wanted)):
        yield Finding(table.name, f"a key on ({', '.join(key)}) that the definition does not have", serious=False)


def _compare_foreign_keys(table: TableDef, actual: Mapping[str, Any]) -> Iterator[Finding]:
    there = {_foreign_key_identity(key): key for key in actual["foreign_keys"]}
    wanted = {_definition_identity(key): key for key in table.foreign_keys}
    for identity, definition in wanted.items():
        found = there.get(identity)
        target = f"{definition.schema}:{definition.table}"
        what = f"({', '.join(definition.columns)}) -> {target} ({', '.join(definition.referenced_columns)})"
        if found is None:
            yield Finding(table.name, f"no foreign key {what}")
            continue
        yield from _compare_rules(table.name, what, definition, found)
    for identity in sorted(there.keys() - wanted.keys()):
        columns, schema, target, _ = identity
        if schema == "public" and target == "ERMrest_Client":
            continue
        what = f"a foreign key ({', '.join(columns)}) -> {schema}:{target} that the definition does not have"
        yield Finding(table.name, what, serious=False)


def _compare_rules(table: str, what: str, definition: ForeignKeyDef, found: Mapping[str, Any]) -> Iterator[Finding]:
    name = found["names"][0][1]
    if name != definition.name:
        yield Finding(table, f"foreign key {what} is called {name} instead of {definition.name}", serious=False)
    for rule in ("on_delete", "on_update"):
        wanted = getattr(definition, rule)
        if (found.get(rule) or "NO ACTION") != wanted:
            yield Finding(table, f"foreign key {what} has {rule} {found.get(rule)} instead of {wanted}")


_Identity = tuple[tuple[str, ...], str, str, tuple[str, ...]]


def _definition_identity(key: ForeignKeyDef) -> _Identity:
    pairs = sorted(zip(key.columns, key.referenced_columns, strict=True))
    return tuple(near for near, _ in pairs), key.schema, key.table, tuple(far for _, far in pairs)


def _foreign_key_identity(key: Mapping[str, Any]) -> _Identity:
    near = [column["column_name"] for column in key["foreign_key_columns"]]
    far = [column["column_name"] for column in key["referenced_columns"]]
    pairs = sorted(zip(near, far, strict=True))
    target = key["referenced_columns"][0]
    return tuple(one for one, _ in pairs), target["schema_name"], target["table_name"], tuple(two for _, two in pairs)


def _compare_terms(
    session: CatalogPort, wanted: Mapping[str, tuple[str, ...]], tables: Mapping[str, Any]
) -> Iterator[Finding]:
    for vocabulary, names in wanted.items():
        if vocabulary not in tables:
            continue
        there = {row["Name"] for row in session.get_json(f"/attribute/{ML_SCHEMA}:{vocabulary}/Name")}
        for name in names:
            if name not in there:
                yield Finding(vocabulary, f"the term {name} is missing")
