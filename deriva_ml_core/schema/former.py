"""The former generation of the schema (1.24), as differences from the newer one: checked against, never installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deriva_ml_core.schema.definition import ml_schema
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.terms import VOCABULARY_TERMS

_LATER_TABLES = frozenset({"Execution_Status", "Directory_Dataset"})
_LATER_COLUMNS = {
    "Execution": frozenset({"Execution_Duration", "Download_Duration", "Upload_Duration"}),
    "Dataset_Execution": frozenset({"Dataset_Version"}),
}
_LATER_REFERENCES = frozenset({"Execution_Status_fkey", "Dataset_Execution_Dataset_Version_fkey"})
_LATER_TERMS = frozenset({"Metrics_File", "Complete", "Directory"})
_FORMER_TERMS = {"Workflow_Type": ("Embedding", "VGG19", "RETFound", "Multimodal"), "Asset_Type": ("Image",)}


def former_schema_tables() -> tuple[TableDef, ...]:
    """The tables of a catalog of generation 1.24."""
    return tuple(_former(table) for table in ml_schema().tables if table.name not in _LATER_TABLES)


def former_terms() -> Mapping[str, tuple[str, ...]]:
    """The terms with which catalogs of generation 1.24 started."""
    return {
        vocabulary: (
            *(term.name for term in terms if term.name not in _LATER_TERMS),
            *_FORMER_TERMS.get(vocabulary, ()),
        )
        for vocabulary, terms in VOCABULARY_TERMS.items()
        if vocabulary not in _LATER_TABLES
    }


def _former(table: TableDef) -> TableDef:
    later = _LATER_COLUMNS.get(table.name, frozenset())
    columns = tuple(column for column in table.columns if column.name not in later)
    if table.name == "Execution":
        columns = (*columns, ColumnDef("Duration", "text", True, None, "How long the execution took"))
    return replace(
        table,
        columns=columns,
        foreign_keys=tuple(key for key in table.foreign_keys if key.name not in _LATER_REFERENCES),
    )
