"""
What Chaise shows of our tables: few columns, readable row names, the related rows that matter.

Source: Chaise's annotation documentation (visible-columns, visible-foreign-keys, table-display, asset,
chaise-config, indexing-preferences, display).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from deriva_ml_core.schema.generations import ML_SCHEMA

ASSET = "tag:isrd.isi.edu,2017:asset"
CHAISE_CONFIG = "tag:isrd.isi.edu,2019:chaise-config"
DISPLAY = "tag:misd.isi.edu,2015:display"
INDEXING = "tag:isrd.isi.edu,2018:indexing-preferences"
TABLE_DISPLAY = "tag:isrd.isi.edu,2016:table-display"
VISIBLE_COLUMNS = "tag:isrd.isi.edu,2016:visible-columns"
VISIBLE_FOREIGN_KEYS = "tag:isrd.isi.edu,2016:visible-foreign-keys"

Annotations = dict[str, Any]


def asset_url(table: str) -> Annotations:
    """The URL column of an asset table: Chaise offers upload and download, and knows name, length and checksum."""
    return {
        ASSET: {
            "url_pattern": f"/hatrac/{table}/{{{{{{MD5}}}}}}.{{{{{{Filename}}}}}}",
            "filename_column": "Filename",
            "byte_count_column": "Length",
            "md5": "MD5",
        }
    }


def asset_table(schema: str, table: str, columns: Sequence[str]) -> Annotations:
    """An asset table: rows are called by their file names; types and executions are shown with them."""
    types, executions = f"{table}_Asset_Type", f"{table}_Execution"
    return {
        TABLE_DISPLAY: row_name("{{{Filename}}}"),
        VISIBLE_COLUMNS: {
            "*": [
                "RID",
                "URL",
                "Filename",
                "Description",
                "Length",
                through(schema, table, "Asset_Type", "Asset Types"),
                *columns,
                "RCT",
            ]
        },
        VISIBLE_FOREIGN_KEYS: {"*": [[schema, f"{executions}_{table}_fkey"], [schema, f"{types}_{table}_fkey"]]},
    }


def row_name(pattern: str, *, newest_first: bool = False) -> Annotations:
    """How rows of a table are called, as a Handlebars-like pattern over columns."""
    display: Annotations = {"row_name": {"row_markdown_pattern": pattern}}
    if newest_first:
        display["*"] = {"row_order": [{"column": "RCT", "descending": True}]}
    return display


def shown(*columns: Any) -> Annotations:
    """The columns of a table that are shown, in their order."""
    return {"*": list(columns)}


def related(*constraints: str, schema: str = ML_SCHEMA) -> Annotations:
    """The foreign keys whose rows are shown below a record."""
    return {"*": [[schema, name] for name in constraints]}


def through(schema: str, near: str, far: str, label: str) -> Annotations:
    """A column that lists the terms of vocabulary `far` to which a record is linked by <near>_<far>."""
    table = f"{near}_{far}"
    return {
        "source": [
            {"inbound": [schema, f"{table}_{near}_fkey"]},
            {"outbound": [schema, f"{table}_{far}_fkey"]},
            "Name",
        ],
        "markdown_name": label,
        "aggregate": "array_d",
        "entity": True,
    }


def catalog(
    *,
    title: str = "Deriva-ML",
    head_title: str | None = None,
    menus: Mapping[str, Sequence[tuple[str, str]]] | None = None,
) -> Annotations:
    """
    The whole catalog: names without underscores, a menu of the tables that people look for first.

    Args:
        title: the first words of the navigation bar; head_title: of the browser's window, the same where None.
        menus: further menus, each with its tables (schema, name); one without tables is left out.
    """
    names = ("Workflow", "Execution", "Execution_Metadata", "Execution_Asset", "Dataset", "Dataset_Version", "File")
    shown_menus = {title: [(ML_SCHEMA, name) for name in names], **(menus or {})}
    children = [
        {"name": name, "children": [_entry(*table) for table in some]} for name, some in shown_menus.items() if some
    ]
    return {
        DISPLAY: {"name_style": {"underline_space": True}},
        INDEXING: {"prefer_subset": True},
        CHAISE_CONFIG: {
            "headTitle": head_title or title,
            "navbarBrandText": title,
            "deleteRecord": True,
            "showFaceting": True,
            "shareCiteAcls": True,
            "defaultTable": {"schema": ML_SCHEMA, "table": "Execution"},
            "navbarMenu": {"newTab": False, "children": children},
        },
    }


def _entry(schema: str, table: str) -> dict[str, str]:
    address = f"/chaise/recordset/#{{{{{{$catalog.id}}}}}}/{quote(schema, safe='')}:{quote(table, safe='')}"
    return {"name": table.replace("_", " "), "url": address}
