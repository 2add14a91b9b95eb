"""
From the raw text of a data URL to a syntax tree.

URLs are parsed before they are unescaped: `Name=a%2Fb` is a comparison, `Name=a/b` a comparison and a table. The
language is in urlgrammar.lark; here is what its rules mean, and what they cannot say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from deriva_ml_core.local_catalog.ermrest.lalr import END, ParseError, Parser
from deriva_ml_core.local_catalog.ermrest.syntax import (
    Call,
    ColumnLink,
    Comparison,
    Condition,
    Context,
    DataName,
    Element,
    Filter,
    Item,
    Logical,
    Not,
    Reference,
    SortKey,
    TableLink,
    ValueList,
)
from deriva_ml_core.local_catalog.errors import BadRequest

Api = Literal["entity", "attribute", "attributegroup", "aggregate"]
Parameters = Mapping[str, tuple[tuple[str, ...], ...]]
"""Query parameters by name: for each occurrence its comma-separated values; `(("",),)` for a bare name."""

OPERATORS = frozenset({"lt", "leq", "gt", "geq", "regexp", "ciregexp", "ts", "null"})
MAX_NESTING = 100
"""Parentheses in parentheses; a deeper URL is refused so that no later step can run out of stack."""

_LEXEME = re.compile(r"[A-Za-z0-9._~%-]+|::|:=|.", re.DOTALL)
_WORD = re.compile(r"[A-Za-z0-9._~%-]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_JOINS = {"left", "right", "full"}


def parse_name(api: Api, raw: str) -> DataName:
    """
    The syntax tree of a data URL.

    Args:
        raw: what follows `/entity/` (or another api) up to the query string, still escaped.

    Raises:
        BadRequest: it is not of the language.
    """
    name: DataName = _parse(api, raw)
    return name


def parse_query(raw: str) -> Parameters:
    """
    The query string.

    Raises:
        BadRequest: a bad escape.
    """
    parameters: dict[str, tuple[tuple[str, ...], ...]] = {}
    for name, values in _parse("query", raw):
        parameters[name] = (*parameters.get(name, ()), tuple(values))
    return parameters


def _parse(start: str, raw: str) -> Any:
    parser = _parser()
    lexemes = _LEXEME.findall(raw)
    _check_nesting(lexemes)
    tokens = [(_token(parser, lexeme), unescape(lexeme)) for lexeme in lexemes]
    try:
        return parser.parse(start, [*tokens, (END, None)])
    except ParseError as err:
        raise BadRequest(_complaint(lexemes, err.position)) from err


def _token(parser: Parser, lexeme: str) -> str:
    return parser.tokens.get(lexeme) or ("NAME" if _WORD.match(lexeme) else "OTHER")


def _check_nesting(lexemes: Sequence[str]) -> None:
    depth = 0
    for lexeme in lexemes:
        depth += (lexeme == "(") - (lexeme == ")")
        if depth > MAX_NESTING:
            raise BadRequest(f"Parentheses are nested more than {MAX_NESTING} deep.")


def _complaint(lexemes: Sequence[str], position: int) -> str:
    before = "".join(lexemes[:position])[-40:]
    if position >= len(lexemes):
        return f"The URL ends too early, after '{before}'."
    return f"Unexpected '{lexemes[position][:40]}' after '{before}'. Reserved characters in names and values need %."


def unescape(text: str) -> str:
    """
    The characters that an escaped text stands for.

    Raises:
        BadRequest: an escape that is none, or bytes that are not UTF-8 text.
    """
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise BadRequest(f"'{text[:80]}' has a % that is not followed by two hexadecimal digits.")
    try:
        unescaped = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as err:
        raise BadRequest(f"'{text[:80]}' is not escaped UTF-8 text.") from err
    if "\0" in unescaped:
        raise BadRequest("The character NUL is not allowed in text.")
    return unescaped


@cache
def _parser() -> Parser:
    """Made by the first request."""
    return Parser(Path(__file__).with_name("urltables.json"), _ACTIONS)


def _more(members: list[Any], member: Any) -> list[Any]:
    members.append(member)  # each list has one owner: appending in place keeps long lists linear
    return members


def _logical(word: Literal["AND", "OR"]) -> Any:
    def action(conditions: list[Condition]) -> Condition:
        return conditions[0] if len(conditions) == 1 else Logical(word, tuple(conditions))

    return action


def _compare(column: Reference, operator: str, value: str | ValueList) -> Comparison:
    if operator not in OPERATORS:
        raise BadRequest(f"There is no operator ::{operator}::; there are {', '.join(sorted(OPERATORS))} and =.")
    if operator == "null":
        if value:
            raise BadRequest("The operator ::null:: takes no value.")
        return Comparison(column, operator, None)
    return Comparison(column, operator, value)


def _value_list(quantifier: str, values: list[str]) -> ValueList:
    match quantifier.lower():
        case "any":
            return ValueList("any", tuple(values))
        case "all":
            return ValueList("all", tuple(values))
    raise BadRequest(f"'{quantifier}' is no quantifier; there are any(...) and all(...).")


def _endpoint(columns: list[Reference], right: list[Reference] | None = None) -> ColumnLink:
    return _link(ColumnLink(tuple(columns), tuple(right) if right is not None else None))


def _outer(call: Call, right: list[Reference] | None = None) -> ColumnLink:
    if call.function not in _JOINS or call.arguments:
        raise BadRequest(f"'{call.function}(...)' is no link; outer joins are left(...), right(...) and full(...).")
    join: Any = call.function
    return _link(ColumnLink(call.columns, tuple(right) if right is not None else None, join))


def _link(link: ColumnLink) -> ColumnLink:
    if any(column.star for column in (*link.left, *(link.right or ()))):
        raise BadRequest("A link is by columns; * is none.")
    if link.right is not None and len(link.left) != len(link.right):
        raise BadRequest(f"The link has {len(link.left)} columns on its left and {len(link.right)} on its right.")
    return link


def _link_as(alias: str, link: ColumnLink) -> ColumnLink:
    return ColumnLink(link.left, link.right, link.join, alias)


def _modifier(modifiers: dict[str, Any], name: str, keys: list[tuple[str, str]]) -> dict[str, Any]:
    if name not in {"sort", "before", "after"}:
        raise BadRequest(f"There is no modifier @{name}; there are @sort, @before and @after.")
    if name in modifiers:
        raise BadRequest(f"@{name} is given twice.")
    if name != "sort" and "sort" not in modifiers:
        raise BadRequest(f"@{name} needs a @sort before it.")
    modifiers[name] = tuple(_sort_key(*key) if name == "sort" else _page_key(*key) for key in keys)
    if name != "sort" and len(modifiers[name]) != len(modifiers["sort"]):
        raise BadRequest(
            f"@{name} has {len(modifiers[name])} values, but there are {len(modifiers['sort'])} sort keys."
        )
    return modifiers


def _sort_key(name: str, mark: str) -> SortKey:
    if not name or mark not in {"", "desc"}:
        raise BadRequest("A sort key is an output column, or an output column and ::desc::.")
    return SortKey(name, mark == "desc")


def _page_key(value: str, mark: str) -> str | None:
    if mark == "null" and not value:
        return None
    if mark:
        raise BadRequest("A member of a page key is a value or ::null::.")
    return value


def _name(elements: list[Element], items: list[Item] | None, targets: list[Item] | None, modifiers: Any) -> DataName:
    return DataName(
        tuple(elements),
        tuple(items) if items is not None else None,
        tuple(targets) if targets is not None else None,
        **modifiers,
    )


def _group(elements: list[Element], items: list[Item], *rest: Any) -> DataName:
    *targets, modifiers = rest
    return _name(elements, items, targets[0] if targets else None, modifiers)


def _star(parts: list[str] | None = None, *_: Any) -> Reference:
    return Reference(tuple(parts) if isinstance(parts, list) else (), star=True)


def _call(function: str, columns: list[Reference], arguments: Sequence[str] = ()) -> Call:
    return Call(function, tuple(columns), tuple(arguments))


_ACTIONS: dict[str, Any] = {
    "entity": lambda path, modifiers: _name(path, None, None, modifiers),
    "attribute": lambda path, items, modifiers: _name(path, items, None, modifiers),
    "attributegroup": _group,
    "aggregate": lambda path, items: _name(path, items, None, {}),
    "first": lambda member: [member],
    "more": _more,
    "itself": lambda value: value,
    "empty": lambda: "",
    "table": lambda name: TableLink(Reference(tuple(name))),
    "table_as": lambda alias, name: TableLink(Reference(tuple(name)), alias),
    "link": lambda link: link,
    "link_as": _link_as,
    "context": Context,
    "filter": Filter,
    "endpoint": _endpoint,
    "map": _endpoint,
    "outer_endpoint": _outer,
    "outer_map": _outer,
    "any_of": _logical("OR"),
    "all_of": _logical("AND"),
    "negate": Not,
    "equals": lambda column, value: Comparison(column, "=", value),
    "compare": _compare,
    "value_list": _value_list,
    "column": lambda name: Reference(tuple(name)),
    "star": _star,
    "item": Item,
    "item_as": lambda output, source: Item(source, output),
    "call": _call,
    "none": dict,
    "modifier": _modifier,
    "plain_key": lambda value: (value, ""),
    "marked_key": lambda value, mark: (value, mark),
    "flag": lambda name: (name, [""]),
    "parameter": lambda name, values: (name, values),
    "rejoin": lambda text, words: f"{text}={words}",
    "join": lambda words, word: words + word,
    "colon": lambda: ":",
    "colons": lambda: "::",
    "assign": lambda: ":=",
    "slash": lambda: "/",
    "at": lambda: "@",
    "open": lambda: "(",
    "close": lambda: ")",
    "bang": lambda: "!",
    "dollar": lambda: "$",
    "asterisk": lambda: "*",
}
