"""The shapes that recur in a Deriva-ML catalog: vocabularies, asset tables, associations."""

from __future__ import annotations

from collections.abc import Sequence

from deriva_ml_core.schema import annotations as shows
from deriva_ml_core.schema.elements import ColumnDef, ForeignKeyDef, TableDef, constraint_name
from deriva_ml_core.schema.generations import ML_SCHEMA


def foreign_key(
    table: str,
    column: str,
    schema: str,
    target: str,
    *,
    to: str = "RID",
    cascade: bool = False,
    name: str | None = None,
) -> ForeignKeyDef:
    """A reference by one column; `cascade` on delete and update, so that links go with what they link."""
    rule = "CASCADE" if cascade else "NO ACTION"
    return ForeignKeyDef(
        name=name or constraint_name(f"{table}_{column}_fkey"),
        columns=(column,),
        schema=schema,
        table=target,
        referenced_columns=(to,),
        on_delete=rule,
        on_update=rule,
    )


def vocabulary(name: str, comment: str, *, curie_prefix: str) -> TableDef:
    """
    A controlled vocabulary: terms that other tables refer to by Name.

    Args:
        curie_prefix: what stands before the colon of a term's ID, usually the project's name.
    """
    return TableDef(
        name,
        comment=comment,
        columns=(
            ColumnDef("ID", "ermrest_curie", False, f"{curie_prefix}:{{RID}}", "Short identifier of the term"),
            ColumnDef("URI", "ermrest_uri", False, "/id/{RID}", "Where the term is described"),
            ColumnDef("Name", "text", False, None, "The word that is used; unique in this vocabulary"),
            ColumnDef("Description", "markdown", False, None, "What the term means"),
            ColumnDef("Synonyms", "text[]", True, None, "Other words for the same"),
        ),
        keys=(("ID",), ("URI",), ("Name",)),
    )


def asset_table(
    name: str,
    comment: str,
    *,
    schema: str = ML_SCHEMA,
    columns: Sequence[ColumnDef] = (),
    foreign_keys: Sequence[ForeignKeyDef] = (),
) -> TableDef:
    """A table whose rows describe files: where they are, their names, lengths and checksums."""
    return TableDef(
        name,
        comment=comment,
        columns=(
            ColumnDef("URL", "text", False, None, "Where the file is", shows.asset_url(name)),
            ColumnDef("Filename", "text", True, None, "Its name when it was stored"),
            ColumnDef("Description", "markdown", True, None, "What it holds"),
            ColumnDef("Length", "int8", False, None, "Its size in bytes"),
            ColumnDef("MD5", "text", False, None, "Its MD5 checksum in lower-case hex"),
            *columns,
        ),
        keys=(("URL",),),
        foreign_keys=tuple(foreign_keys),
        annotations=shows.asset_table(schema, name, [column.name for column in columns]),
    )


def link(
    name: str,
    comment: str,
    ends: Sequence[ForeignKeyDef],
    *,
    columns: Sequence[ColumnDef] = (),
    foreign_keys: Sequence[ForeignKeyDef] = (),
) -> TableDef:
    """An association: a row for each pair of the two ends, at most one; `columns` say more about the pair."""
    pair = tuple(end.columns[0] for end in ends)
    return TableDef(
        name,
        comment=comment,
        columns=(*(ColumnDef(column, "text", False) for column in pair), *columns),
        keys=(pair,),
        foreign_keys=(*ends, *foreign_keys),
    )


def asset_type_link(asset: str, *, schema: str = ML_SCHEMA, ml_schema: str = ML_SCHEMA) -> TableDef:
    """<Asset>_Asset_Type: the kinds of content of each asset."""
    name = f"{asset}_Asset_Type"
    return link(
        name,
        f"Which kinds of content each {asset} has",
        (
            foreign_key(name, asset, schema, asset, cascade=True),
            foreign_key(name, "Asset_Type", ml_schema, "Asset_Type", to="Name", cascade=True),
        ),
    )


def asset_execution_link(asset: str, *, schema: str = ML_SCHEMA, ml_schema: str = ML_SCHEMA) -> TableDef:
    """<Asset>_Execution: the executions that read or made each asset, and which of the two."""
    name = f"{asset}_Execution"
    return link(
        name,
        f"Which executions read or made each {asset}",
        (
            foreign_key(name, asset, schema, asset, cascade=True),
            foreign_key(name, "Execution", ml_schema, "Execution", cascade=True),
        ),
        columns=(ColumnDef("Asset_Role", "text", False, None, "Input, or Output of the execution"),),
        foreign_keys=(foreign_key(name, "Asset_Role", ml_schema, "Asset_Role", to="Name", cascade=True),),
    )
