"""
Random models, rows and paths, against what they mean in forty lines of Python.

A path is a list of combinations: one row, or None where an outer join found no partner, for each of its tables. Links
make them, filters keep those for which they are true, and what is asked for is made of what is left.
"""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

SETTINGS = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS, TEXTS = [None, -2, -1, 0, 1, 2], [None, "", "a", "B", "é b", "(,/)"]
ESCAPED = {"": "", "a": "a", "B": "B", "é b": "%C3%A9%20b", "(,/)": "%28%2C%2F%29"}
COMPARE = {
    "=": lambda a, b: a == b,
    "::lt::": lambda a, b: a < b,
    "::leq::": lambda a, b: a <= b,
    "::gt::": lambda a, b: a > b,
    "::geq::": lambda a, b: a >= b,
}


@dataclass
class Model:
    """
    Tables T0, T1, ... with columns k (a key), n, t, and rJ for each table J that they refer to by its k.

    Attributes:
        refers: for each table the numbers of those that it refers to, all smaller than its own.
        rows: for each table its rows.
        names: for each table its name in URLs.
    """

    refers: list[list[int]]
    rows: list[list[dict]]
    names: list[str] = field(default_factory=list)

    def linked(self, one, other):
        """The pairs of columns by which foreign keys link two tables, in either direction."""
        outgoing = [(f"r{other}", "k")] if other in self.refers[one] else []
        incoming = [("k", f"r{one}")] if one in self.refers[other] else []
        return outgoing + incoming


@st.composite
def models(draw):
    """Two to four tables, each with up to eight rows that refer to rows that are there."""
    count = draw(st.integers(2, 4))
    refers = [[j for j in range(i) if draw(st.booleans())] for i in range(count)]
    rows = []
    for i in range(count):
        targets = {f"r{j}": st.sampled_from([None, *(row["k"] for row in rows[j])]) for j in refers[i]}
        columns = st.fixed_dictionaries({"n": st.sampled_from(NUMBERS), "t": st.sampled_from(TEXTS), **targets})
        rows.append([{"k": k, **row} for k, row in enumerate(draw(st.lists(columns, max_size=8)))])
    return Model(refers, rows)


@dataclass
class Walk:
    """A path as text, and what it means."""

    model: Model
    text: str
    tables: list[int]
    combinations: list[list[dict | None]]
    context: int = 0
    outer: bool = False
    filters: list = field(default_factory=list)

    def result(self):
        """The combinations for which every filter is true."""
        return [c for c in self.combinations if all(test(c) is True for test in self.filters)]


def join(walk, kind, table, matches):
    """Add a table: `matches` tells whether a row of the context and one of the table belong together."""
    new, met, size = [], set(), len(walk.tables)
    for combination in walk.combinations:
        mine = combination[walk.context]
        partners = [
            (place, row)
            for place, row in enumerate(walk.model.rows[table])
            if mine is not None and matches(mine, row) is True
        ]
        met.update(place for place, _ in partners)
        new += [[*combination, row] for _, row in partners]
        if not partners and kind in {"left", "full"}:
            new.append([*combination, None])
    if kind in {"right", "full"}:
        new += [[None] * size + [row] for place, row in enumerate(walk.model.rows[table]) if place not in met]
    walk.combinations, walk.context, walk.outer = new, size, walk.outer or bool(kind)
    walk.tables.append(table)


def equal(a, b):
    return None if a is None or b is None else a == b


@st.composite
def walks(draw, model):
    """A path of up to three links, with filters and returns to earlier tables."""
    start = draw(st.integers(0, len(model.rows) - 1))
    walk = Walk(model, f"A0:={model.names[start]}", [start], [[row] for row in model.rows[start]])
    for _ in range(draw(st.integers(0, 3))):
        step = draw(st.sampled_from(["link", "columns", "filter", "return"]))
        if step == "link":
            _by_foreign_keys(draw, walk)
        elif step == "columns":
            _by_columns(draw, walk)
        elif step == "filter":
            _filter(draw, walk)
        else:
            walk.context = draw(st.integers(0, len(walk.tables) - 1))
            walk.text += f"/$A{walk.context}"
    return walk


def _by_foreign_keys(draw, walk):
    here = walk.tables[walk.context]
    around = [table for table in range(len(walk.model.rows)) if table != here and walk.model.linked(here, table)]
    if not around:
        return
    table = draw(st.sampled_from(around))
    pairs = walk.model.linked(here, table)
    walk.text += f"/A{len(walk.tables)}:={walk.model.names[table]}"
    join(walk, "", table, lambda mine, row: any(equal(mine[a], row[b]) for a, b in pairs))


def _by_columns(draw, walk):
    table = draw(st.integers(0, len(walk.model.rows) - 1))
    kind = draw(st.sampled_from(["", "", "left", "right", "full"]))
    pairs = draw(st.lists(st.sampled_from([("k", "k"), ("n", "n"), ("n", "k"), ("t", "t")]), min_size=1, max_size=2))
    left, right = ",".join(a for a, _ in pairs), ",".join(b for _, b in pairs)
    walk.text += f"/A{len(walk.tables)}:={kind}({left})=({walk.model.names[table]}:{right})"
    join(walk, kind, table, lambda mine, row: all(equal(mine[a], row[b]) for a, b in pairs))


def _filter(draw, walk):
    place = draw(st.integers(0, len(walk.tables) - 1))
    column, values = draw(st.sampled_from([("n", NUMBERS), ("t", TEXTS), ("k", [None, 0, 1, 2, 3])]))
    qualifier = f"A{place}:" if place != walk.context or draw(st.booleans()) else ""
    negated = draw(st.booleans())
    if draw(st.booleans()):
        operator, literal = draw(st.sampled_from(sorted(COMPARE))), draw(st.sampled_from(values[1:]))
        text = f"{qualifier}{column}{operator}{ESCAPED.get(literal, literal)}"
    else:
        operator, literal, text = None, None, f"{qualifier}{column}::null::"

    def test(combination):
        value = combination[place][column] if combination[place] is not None else None
        if operator is None:
            return (value is None) != negated
        return None if value is None else COMPARE[operator](value, literal) != negated

    walk.text += f"/!({text})" if negated else f"/{text}"
    walk.filters.append(test)


def values_of(combinations, place, column):
    return [c[place][column] for c in combinations if c[place] is not None and c[place][column] is not None]


AGGREGATES = {
    "cnt": len,
    "cnt_d": lambda values: len(set(values)),
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "sum": lambda values: sum(values) if values else None,
    "avg": lambda values: sum(values) / len(values) if values else None,
}


def same(found, expected):
    """Whether values are equal; averages have more digits than a float."""
    if isinstance(expected, float):
        return found is not None and math.isclose(found, expected, abs_tol=1e-9)
    return found == expected


@st.composite
def aggregates(draw, walk):
    """Some aggregates of columns of a path, as {output: (text, function of combinations)}."""
    chosen = {"all": ("cnt(*)", len)}
    for number in range(draw(st.integers(1, 3))):
        place, column = draw(st.integers(0, len(walk.tables) - 1)), draw(st.sampled_from("knt"))
        names = [name for name in sorted(AGGREGATES) if column != "t" or name not in {"sum", "avg"}]
        name = draw(st.sampled_from(names))
        chosen[f"v{number}"] = (
            f"{name}(A{place}:{column})",
            lambda combinations, p=place, c=column, f=AGGREGATES[name]: f(values_of(combinations, p, c)),
        )
    return chosen


def _written(chosen):
    return ",".join(f"{output}:={text}" for output, (text, _) in chosen.items())


@pytest.fixture
def install(rows):
    """Make a model's tables, with its rows."""

    def install(model):
        for number, (refers, content) in enumerate(zip(model.refers, model.rows, strict=True)):
            columns = {"k": "int4", "n": "int4", "t": "text"} | {f"r{j}": "int4" for j in refers}
            references = [(f"r{j}", model.names[j], "k") for j in refers]
            model.names.append(rows.table(columns, [["k"]], references))
            assert rows.write("POST", f"entity/{model.names[number]}", content).status_code == 200
        return model

    return install


@SETTINGS
@given(data=st.data())
def test_paths_mean_what_they_say(rows, install, data):
    """Entities, projections, sorted pages, groups and aggregates of any path are those of its combinations."""
    model = install(data.draw(models()))
    for _ in range(4):
        walk = data.draw(walks(model))
        event(f"{len(walk.tables)} tables, {'outer' if walk.outer else 'inner'}")
        _check_aggregate(rows, walk, data.draw(aggregates(walk)))
        _check_groups(rows, walk, data.draw(aggregates(walk)), data.draw(st.integers(0, len(walk.tables) - 1)))
        if not walk.outer:
            _check_entities(rows, walk)
            _check_page(rows, walk, data.draw(st.booleans()), data.draw(st.integers(1, 5)))


def _check_aggregate(rows, walk, chosen):
    [found] = rows.rows(f"aggregate/{walk.text}/{_written(chosen)}")

    expected = {output: function(walk.result()) for output, (_, function) in chosen.items()}
    assert all(same(found[output], value) for output, value in expected.items()), (found, expected)


def _check_groups(rows, walk, chosen, place):
    found = rows.rows(f"attributegroup/{walk.text}/key:=A{place}:n;{_written(chosen)}@sort(key)")

    groups = {}
    for combination in walk.result():
        groups.setdefault(combination[place]["n"] if combination[place] is not None else None, []).append(combination)
    assert [row["key"] for row in found] == sorted(groups, key=lambda key: (key is None, key or 0))
    for row in found:
        expected = {output: function(groups[row["key"]]) for output, (_, function) in chosen.items()}
        assert all(same(row[output], value) for output, value in expected.items()), (row, expected)


def _reached(walk):
    """The rows of the context that are part of some combination, by k."""
    return {row["k"]: row for combination in walk.result() if (row := combination[walk.context])}


def _check_entities(rows, walk):
    found = rows.rows(f"entity/{walk.text}@sort(k)")

    expected = _reached(walk)
    assert [row["k"] for row in found] == sorted(expected)
    assert all({name: row[name] for name in expected[row["k"]]} == expected[row["k"]] for row in found)


def _check_page(rows, walk, descending, size):
    sort = "n::desc::" if descending else "n"
    found = rows.rows(f"attribute/{walk.text}/n,k,other:=A0:n@sort({sort},k)?limit={size}")

    ordered = sorted(_reached(walk).values(), key=lambda row: row["k"])
    ordered.sort(key=lambda row: (row["n"] is None, row["n"] or 0), reverse=False)
    if descending:
        ordered.sort(key=lambda row: (row["n"] is not None, -(row["n"] or 0)))
    assert [(row["n"], row["k"]) for row in found] == [(row["n"], row["k"]) for row in ordered[:size]]
    partners = {(c[walk.context]["k"], c[0]["n"]) for c in walk.result()}
    assert {(row["k"], row["other"]) for row in found} <= partners
