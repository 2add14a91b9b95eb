"""
Make urltables.json, the LALR(1) tables of urlgrammar.lark, with lark.

Loading lark and building the tables takes longer than most requests, so they are built when the grammar changes, not
when a server starts; a test checks that they are up to date. To make them:

    python -m deriva_ml_core.local_catalog.ermrest.urltables
"""

import json
from pathlib import Path
from typing import Any

from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

STARTS = ["entity", "attribute", "attributegroup", "aggregate", "query"]
_HERE = Path(__file__).parent
GRAMMAR, TABLES = _HERE / "urlgrammar.lark", _HERE / "urltables.json"


def build() -> str:
    """
    The text of urltables.json.

    Returns:
        A JSON object: `tokens` {lexeme: token}; `rules`, a list of [symbol, action, length, positions of the values
        that the action gets]; `states`, a list of {symbol: n}, where n ≥ 0 means go to state n, n < 0 means reduce by
        rule -1 - n; `starts` and `ends` {start symbol: state}.
    """
    lark = Lark(GRAMMAR.read_text(encoding="utf-8"), parser="lalr", lexer="basic", start=STARTS)
    data, memo = lark.memo_serialize([TerminalDef, Rule])
    rules = {number: entry for number, entry in memo.items() if entry["__type__"] == "Rule"}
    table = data["parser"]["parser"]
    document = {
        "tokens": {t["pattern"]["value"]: t["name"] for t in memo.values() if t["__type__"] == "TerminalDef"},
        "rules": [_rule(rule) for rule in rules.values()],
        "states": _states(table, list(rules)),
        "starts": table["start_states"],
        "ends": table["end_states"],
    }
    _renumber(document)
    return json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n"


def _rule(rule: dict[str, Any]) -> list[Any]:
    symbols = rule["expansion"]
    kept = [position for position, symbol in enumerate(symbols) if not symbol.get("filter_out")]
    return [rule["origin"]["name"], rule["alias"], len(symbols), kept]


def _states(table: dict[str, Any], rules: list[int]) -> list[dict[str, int]]:
    names = table["tokens"]
    return [
        {
            names[symbol]: argument if shift == 0 else -1 - rules.index(argument["@"])
            for symbol, (shift, argument) in table["states"][number].items()
        }
        for number in range(len(table["states"]))
    ]


def _renumber(document: dict[str, Any]) -> None:
    """Number the states as they are reached: lark's own numbers differ from run to run."""
    states = document["states"]
    order = [document["starts"][start] for start in STARTS]
    for number in order:  # grows while it is read
        reached = [target for _, target in sorted(states[number].items()) if target >= 0]
        order += [target for target in dict.fromkeys(reached) if target not in order]
    places = {number: place for place, number in enumerate(order)}
    document["states"] = [{s: places[n] if n >= 0 else n for s, n in states[number].items()} for number in order]
    for part in ("starts", "ends"):
        document[part] = {symbol: places[number] for symbol, number in document[part].items()}


if __name__ == "__main__":
    TABLES.write_text(build(), encoding="utf-8")
