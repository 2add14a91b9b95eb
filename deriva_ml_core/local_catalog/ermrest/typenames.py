"""
The column types that a catalog may use, by the names that model documents give them.

Source: ERMrest's type names are PostgreSQL's, plus its own domains; aliases are answered by PostgreSQL's internal
name (NOTES.md "Model", observed "column-type-names"). numeric and money cannot be created, as on the real service.
"""

from __future__ import annotations

from typing import Any

from deriva_ml_core.local_catalog.ermrest.model import ColumnType
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

_BASE = frozenset(
    {
        *("boolean", "int2", "int4", "int8", "float4", "float8", "serial2", "serial4", "serial8"),
        *("text", "date", "time", "timetz", "timestamp", "timestamptz", "interval"),
        *("uuid", "json", "jsonb"),
    }
)

_ALIASES = {
    "bool": "boolean",
    "smallint": "int2",
    "integer": "int4",
    "int": "int4",
    "bigint": "int8",
    "real": "float4",
    "float": "float8",
    "double precision": "float8",
    "smallserial": "serial2",
    "serial": "serial4",
    "bigserial": "serial8",
    "character varying": "text",
    "varchar": "text",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}

_TEXT_DOMAINS = ("ermrest_rid", "ermrest_rcb", "ermrest_rmb", "ermrest_uri", "ermrest_curie")
_OTHER_DOMAINS = ("markdown", "longtext", "gene_sequence", "color_rgb_hex")
_TEXT = ColumnType("text")
_TIME = ColumnType("timestamptz")

_TYPES = {name: ColumnType(name) for name in _BASE}
_TYPES |= {name: ColumnType(name, _TEXT, is_domain=True) for name in _TEXT_DOMAINS + _OTHER_DOMAINS}
_TYPES |= {name: ColumnType(name, _TIME, is_domain=True) for name in ("ermrest_rct", "ermrest_rmt")}
_TYPES |= {f"{name}[]": ColumnType(f"{name}[]", _TYPES[name], is_array=True) for name in _BASE if "serial" not in name}

SYSTEM_TYPES = {
    "RID": _TYPES["ermrest_rid"],
    "RCT": _TYPES["ermrest_rct"],
    "RMT": _TYPES["ermrest_rmt"],
    "RCB": _TYPES["ermrest_rcb"],
    "RMB": _TYPES["ermrest_rmb"],
}
"""The types that the system columns must have."""


def type_named(name: str) -> ColumnType:
    """
    The type of that name or alias, such as int4, integer or text[].

    Raises:
        Conflict: there is no such type.
    """
    base = name.removesuffix("[]")
    known = _ALIASES.get(base, base) + name[len(base) :]
    if known not in _TYPES:
        raise Conflict(f"There is no column type {name!r}.")
    return _TYPES[known]


def read_type(document: Any) -> ColumnType:
    """
    The type that a type document means: by its typename, or, for arrays and unknown domains, by its base type.

    Raises:
        BadRequest: not a type document.
        Conflict: there is no such type.
    """
    if not isinstance(document, dict) or not isinstance(document.get("typename"), str):
        raise BadRequest('A column type is an object such as {"typename": "text"}.')
    if document.get("is_array") and not document["typename"].endswith("[]"):
        return type_named(f"{read_type(document.get('base_type')).typename}[]")
    return type_named(document["typename"])
