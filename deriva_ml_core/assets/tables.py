"""What the rows of asset tables may hold: outputs are checked against it when they are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.values import json_value, value_fault
from deriva_ml_core.errors import DerivaMLException, DerivaMLInvalidTerm, DerivaMLValidationError, nearest

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Column, Table
    from deriva_ml_core.catalog.session import CatalogSession

# Filled by the server or by us: nobody else may give them. Description has a parameter of its own.
SYSTEM_COLUMNS = frozenset({"RID", "RCT", "RMT", "RCB", "RMB"})
FILE_COLUMNS = frozenset({"URL", "Filename", "Length", "MD5"})
_OURS = SYSTEM_COLUMNS | FILE_COLUMNS

ASSET_TYPE = "Asset_Type"
ROLE_TAGS = {"Input": "Input_File", "Output": "Output_File"}


class AssetTables:
    """Answers which tables, columns and terms an output may name, from one session's model and vocabularies."""

    def __init__(self, session: CatalogSession) -> None:
        self._session = session

    def find(self, name: str) -> Table:
        """
        The asset table of this name.

        Raises:
            DerivaMLTableNotFound, DerivaMLTableTypeError: there is none; the text has the nearest names.
        """
        return self._session.model.asset_table(name)

    def folder(self, table: Table) -> str:
        """Name of the table's folder: its own, with the schema's where another asset table has that name too."""
        namesakes = [other for other in self._session.model.asset_tables() if other.name == table.name]
        return table.name if len(namesakes) == 1 else f"{table.schema}.{table.name}"

    def check_types(self, table: Table, asset_types: str | Iterable[str] | None) -> tuple[str, ...]:
        """
        The terms, by their own names where synonyms were given; omitted, the table's name where it is a term.

        Raises:
            DerivaMLInvalidTerm: one is neither a term of Asset_Type nor a synonym.
        """
        vocabulary = self._session.model.ml_table(ASSET_TYPE)
        if asset_types is None:
            return (table.name,) if table.name in self._session.vocabularies.terms(vocabulary) else ()
        names = (asset_types,) if isinstance(asset_types, str) else asset_types
        terms = (self._session.vocabularies.lookup(vocabulary, _text(name)).name for name in names)
        return tuple(dict.fromkeys(terms))

    def role_tag(self, role: str) -> str | None:
        """The tag that says a role beside the content types (COMPAT section 13); None where a catalog lacks it."""
        tag = ROLE_TAGS[role]
        return tag if tag in self._session.vocabularies.terms(self._session.model.ml_table(ASSET_TYPE)) else None

    def check_columns(
        self, table: Table, values: Mapping[str, Any], asset_types: Sequence[str] = (), *, complete: bool = False
    ) -> dict[str, Any]:
        """
        The values as JSON, terms by their own names where synonyms were given; all problems are told at once.

        Args:
            asset_types: of the output.
            complete: plugins have filled what they fill; until then that may be missing.

        Raises:
            DerivaMLValidationError: unknown, reserved or missing columns, values that do not fit, unknown terms.
        """
        given = {name: json_value(value) for name, value in values.items()}
        problems = [problem for name, value in given.items() for problem in self._problems(table, name, value)]
        missing = [name for name in required_columns(table) if given.get(name) is None]
        if missing and not complete:
            missing = [name for name in missing if not self._is_filled(table, name, asset_types)]
        if missing:
            problems.append(f"no value for {', '.join(missing)}, which every row of {table.name} must have")
        if problems:
            raise DerivaMLValidationError(f"an output of {table.name} was refused", problems)
        return {name: self._own_name(table, name, value) for name, value in given.items()}

    def _is_filled(self, table: Table, column: str, asset_types: Sequence[str]) -> bool:
        """Whether a plugin will fill a column before the output is stored."""
        claims = (claim for _, claim in self._session.plugins.claims if claim.covers(table.name, asset_types))
        return any(column in claim.fills for claim in claims)

    def _problems(self, table: Table, name: str, value: Any) -> Iterable[str]:
        if name in _OURS:
            yield f"column {name} is filled by deriva-ml"
        elif name not in table.columns:
            own = [column for column in table.columns if column not in _OURS]
            yield f"{table.name} has no column {name!r}{nearest(name, own)}; it has {', '.join(own)}"
        else:
            yield from self._value_problems(table, table.columns[name], value)

    def _value_problems(self, table: Table, column: Column, value: Any) -> Iterable[str]:
        fault = value_fault(value, column.type)
        if fault:
            yield f"column {column.name}: {fault}"
        elif isinstance(value, str):
            try:
                self._own_name(table, column.name, value)
            except DerivaMLInvalidTerm as err:
                yield f"column {column.name}: {err}"

    def _own_name(self, table: Table, column: str, value: Any) -> Any:
        """A term's own name where a column that holds terms has a synonym; any other value as it is."""
        for key in table.foreign_keys if isinstance(value, str) else ():
            if key.columns == (column,) and key.referenced_columns == ("Name",):
                target = self._session.model.table((key.schema, key.table))
                if target.is_vocabulary:
                    return self._session.vocabularies.lookup(target, value).name
        return value


def required_columns(table: Table) -> list[str]:
    """The columns that a user must fill for each asset of this table."""
    return [name for name, column in table.columns.items() if column.is_required and name not in _OURS]


def _text(name: object) -> str:
    """A term's name: enumerations of names (ExecAssetType) are strings or carry one."""
    value = getattr(name, "value", name)
    if not isinstance(value, str):
        raise DerivaMLException(f"{name!r} is not the name of an asset type")
    return value
