"""
What people see of a catalog in Chaise: its name and menus, and pages of text.

Pages are rows of www:Page, whose content Chaise shows as Markdown; the schema is made for the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from deriva_ml_core.errors import DerivaMLTableTypeError
from deriva_ml_core.schema import annotations as shows
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.ports import CatalogPort
from deriva_ml_core.schema.tables import create_domain_schema, create_tables

PAGES_SCHEMA, PAGES_TABLE = "www", "Page"


def annotate_catalog(
    session: CatalogPort,
    *,
    navbar_brand_text: str,
    head_title: str,
    menus: Mapping[str, Sequence[tuple[str, str]]],
) -> None:
    """
    Give a catalog its name and its menus; what it had of these before is replaced.

    Args:
        menus: by title, the tables (schema, name) of further menus.
    """
    wanted = shows.catalog(title=navbar_brand_text, head_title=head_title, menus=menus)
    for tag, value in wanted.items():
        session.put_json(f"/annotation/{quote(tag, safe='')}", value)
    session.forget_model()


def write_page(session: CatalogPort, title: str, content: str) -> str:
    """
    Add a page, or replace the content of the one of this title; its RID.

    Raises:
        DerivaMLTableTypeError: the catalog has a table www:Page that holds something else.
    """
    _require_table(session)
    path = f"{PAGES_SCHEMA}:{PAGES_TABLE}"
    row = {"Title": title, "Content": content}
    if session.get_json(f"/entity/{path}/Title={quote(title, safe='')}"):
        session.put_json(f"/attributegroup/{path}/Title;Content", [row])
    else:
        session.post_json(f"/entity/{path}", [row])
    return str(session.get_json(f"/entity/{path}/Title={quote(title, safe='')}")[0]["RID"])


def _require_table(session: CatalogPort) -> None:
    schemas = session.get_json("/schema")["schemas"]
    tables = schemas.get(PAGES_SCHEMA, {}).get("tables", {})
    if PAGES_TABLE not in tables:
        create_domain_schema(session, PAGES_SCHEMA, comment="Pages of text")
        create_tables(session, PAGES_SCHEMA, [_page_table()])
        return
    columns = {column["name"] for column in tables[PAGES_TABLE]["column_definitions"]}
    if missing := {"Title", "Content"} - columns:
        raise DerivaMLTableTypeError(
            f"the catalog's table {PAGES_SCHEMA}:{PAGES_TABLE} has no column {' and no '.join(sorted(missing))}: "
            "it holds something else than pages"
        )


def _page_table() -> TableDef:
    return TableDef(
        PAGES_TABLE,
        comment="Pages of text",
        columns=(
            ColumnDef("Title", "text", False, None, "What the page is called"),
            ColumnDef("Content", "markdown", False, None, "Its text, Markdown"),
        ),
        keys=(("Title",),),
        annotations={
            shows.TABLE_DISPLAY: shows.row_name("{{{Title}}}"),
            shows.VISIBLE_COLUMNS: {
                "compact": ["Title", "RCT"],
                "detailed": ["Content"],
                "entry": ["Title", "Content"],
            },
        },
    )
