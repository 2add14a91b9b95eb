"""Queries against a simple model of what they mean, and against whoever wishes the catalog ill."""

import csv
import io
import itertools
import json
import random
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = [None, -1, 0, 1, 2]
TEXTS = [None, "", "a", "A", "ab", "é,\"'", "x\ny", "(/)"]
TRUTHS = [None, True, False]
ROWS = [
    {"k": k, "n": n, "t": t, "b": b}
    for k, (n, t, b) in enumerate(itertools.product(NUMBERS, TEXTS, TRUTHS))
    if (k * 7) % 5 < 3
]
COMPARE = {
    "=": lambda a, b: a == b,
    "::lt::": lambda a, b: a < b,
    "::leq::": lambda a, b: a <= b,
    "::gt::": lambda a, b: a > b,
    "::geq::": lambda a, b: a >= b,
}


@pytest.fixture(scope="module")
def table(rows):
    name = rows.table({"k": "int4", "n": "int4", "t": "text", "b": "boolean"}, [["k"]])
    assert rows.write("POST", f"entity/{name}", ROWS).status_code == 200
    return name


def escape(value):
    return quote(str(value).lower() if isinstance(value, bool) else str(value), safe="")


def negated(truth):
    return None if truth is None else not truth


def both(a, b):
    return False if False in {a, b} else None if None in {a, b} else True


@st.composite
def comparisons(draw):
    """The text of a comparison, and a function of a row that is True, False or None."""
    column, values = draw(st.sampled_from([("n", NUMBERS), ("t", TEXTS), ("b", TRUTHS)]))
    operator = draw(st.sampled_from([*COMPARE, "null"]))
    if operator == "null":
        return f"{column}::null::", lambda row: row[column] is None
    literals = draw(st.lists(st.sampled_from(values[1:]), min_size=1, max_size=3))
    quantifier = draw(st.sampled_from(["any", "all"])) if len(literals) > 1 else None
    text = f"{quantifier}({','.join(map(escape, literals))})" if quantifier else escape(literals[0])
    combined = {"any": any, "all": all, None: all}[quantifier]

    def evaluate(row):
        return None if row[column] is None else combined(COMPARE[operator](row[column], v) for v in literals)

    return f"{column}{operator}{text}", evaluate


def combinations(inner):
    """Conditions made of other conditions."""

    def joined(parts, sign):
        text = sign.join(f"({text})" for text, _ in parts)

        def evaluate(row):
            truths = [part(row) for _, part in parts]
            if sign == "&":
                return _fold(truths)
            return negated(_fold([negated(truth) for truth in truths]))

        return text, evaluate

    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        st.builds(joined, several, st.sampled_from(["&", ";"])),
        inner.map(lambda part: (f"!({part[0]})", lambda row: negated(part[1](row)))),
    )


def _fold(truths):
    result = True
    for truth in truths:
        result = both(result, truth)
    return result


@QUICK
@given(condition=st.recursive(comparisons(), combinations, max_leaves=6))
def test_filters_follow_three_valued_logic(rows, table, condition):
    """A filter keeps exactly the rows for which it is true, neither false nor null."""
    text, evaluate = condition

    found = rows.rows(f"attribute/{table}/{text}/k@sort(k)")

    assert [row["k"] for row in found] == [row["k"] for row in ROWS if evaluate(row) is True]


def order(row, keys):
    """What PostgreSQL sorts by: null is the largest."""
    parts = []
    for column, descending in keys:
        value = row[column]
        rank = (value is None, value if value is not None else 0)
        parts.append(Reversed(rank) if descending else rank)
    return parts


class Reversed:
    """A value that sorts the other way round."""

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return other.value < self.value

    def __eq__(self, other):
        return other.value == self.value

    __hash__ = None


@QUICK
@given(
    keys=st.lists(st.tuples(st.sampled_from(["n", "t", "b"]), st.booleans()), unique_by=lambda key: key[0], max_size=3),
    size=st.integers(1, 30),
    forward=st.booleans(),
)
def test_pages_make_up_the_whole(rows, table, keys, size, forward):
    """Walking page by page, forth or back, visits every row once and in order."""
    keys = [*keys, ("k", False)]
    sort = ",".join(f"{column}::desc::" if descending else column for column, descending in keys)
    seen, place = [], ""
    while True:
        page = rows.rows(f"attribute/{table}/k,n,t,b@sort({sort}){place}?limit={size}")
        if not page:
            break
        seen = seen + page if forward else page + seen
        edge = page[-1] if forward else page[0]
        values = ",".join("::null::" if edge[c] is None else escape(edge[c]) for c, _ in keys)
        place = f"@{'after' if forward else 'before'}({values})"
        if not forward and len(seen) == len(page):  # the first page came from the front: begin behind the last row
            seen = []
            last = max(ROWS, key=lambda row: order(row, keys))
            values = ",".join("::null::" if last[c] is None else escape(last[c]) for c, _ in keys)
            place, seen = f"@before({values})", [last]

    assert [row["k"] for row in seen] == [row["k"] for row in sorted(ROWS, key=lambda row: order(row, keys))]


def test_csv_says_the_same_as_json(rows, table):
    """CSV has the same values, told apart: nothing is null, "" is the empty string."""
    text = rows.get(f"attribute/{table}/k,n,t,b@sort(k)?accept=csv").text

    marked = text.replace('""\n', "EMPTY\n").replace(',"",', ",EMPTY,")
    lines = list(csv.DictReader(io.StringIO(marked, newline="")))
    truth = {"t": True, "f": False, "": None}
    values = [
        {
            "k": int(line["k"]),
            "n": int(line["n"]) if line["n"] else None,
            "t": None if line["t"] == "" else line["t"].replace("EMPTY", ""),
            "b": truth[line["b"]],
        }
        for line in lines
    ]
    assert values == ROWS


@pytest.fixture(scope="module")
def joined(rows):
    """Two tables without constraints between them, and their rows."""
    chance = random.Random(5)
    left = [{"id": i, "x": chance.choice(NUMBERS)} for i in range(12)]
    right = [{"id": i, "y": chance.choice([*NUMBERS, 7])} for i in range(15)]
    names = [rows.table({"id": "int4", "x": "int4"}, [["id"]]), rows.table({"id": "int4", "y": "int4"}, [["id"]])]
    for name, content in zip(names, (left, right), strict=True):
        assert rows.write("POST", f"entity/{name}", content).status_code == 200
    return (*names, left, right)


@pytest.mark.parametrize("kind", ["", "left", "right", "full"])
def test_joins(rows, joined, kind):
    """Inner and outer joins give the combinations that SQL gives."""
    name, other, left, right = joined

    found = rows.rows(f"attributegroup/A:={name}/B:={kind}(x)=({other}:y)/a:=A:id,b:=B:id@sort(a,b)")

    pairs = [(a["id"], b["id"]) for a in left for b in right if a["x"] is not None and a["x"] == b["y"]]
    if kind in {"left", "full"}:
        pairs += [(a["id"], None) for a in left if a["id"] not in {p for p, _ in pairs}]
    if kind in {"right", "full"}:
        pairs += [(None, b["id"]) for b in right if b["id"] not in {p for _, p in pairs}]
    assert {(row["a"], row["b"]) for row in found} == set(pairs)
    assert len(found) == len(pairs)


@pytest.mark.parametrize("condition", ["", "/A:x=1", "/A:id::lt::6", "/y::gt::0", "/!A:x=0&y::leq::2"])
def test_joins_filter_and_never_multiply(rows, joined, condition):
    """An entity path has each row of its last table at most once; counts see every combination."""
    name, other, _, _ = joined
    path = f"A:={name}/B:=(x)=({other}:y){condition}"

    entities = rows.rows(f"entity/{path}@sort(id)")
    projected = rows.rows(f"attribute/{path}/id,a:=A:x@sort(id)")
    [counts] = rows.rows(f"aggregate/{path}/n:=cnt(*),b:=cnt_d(B:id),s:=sum(A:id)")
    combinations = rows.rows(f"attributegroup/{path}/a:=A:id,b:=B:id")

    ids = [row["id"] for row in entities]
    assert ids == sorted({row["b"] for row in combinations})
    assert [row["id"] for row in projected] == ids
    assert (counts["n"], counts["b"]) == (len(combinations), len(ids))
    assert (counts["s"] or 0) == sum(row["a"] for row in combinations)


def test_a_table_that_only_filters_does_not_change_counts(rows, joined):
    """Joining a row's one partner changes no count; joining many does, whether they are projected or not."""
    name, other, left, right = joined
    unique = rows.table({"v": "int4"}, [["v"]])
    rows.write("POST", f"entity/{unique}", [{"v": 0}, {"v": 1}])

    [one] = rows.rows(f"aggregate/A:={name}/(x)=({unique}:v)/$A/n:=cnt(*)")
    [many] = rows.rows(f"aggregate/A:={name}/(x)=({other}:y)/$A/n:=cnt(*)")

    assert one["n"] == sum(row["x"] in {0, 1} for row in left)
    assert many["n"] == sum(a["x"] is not None and a["x"] == b["y"] for a in left for b in right)


SQL = ["'; DROP TABLE t1; --", '" OR 1=1 --', "x' OR 'a'='a", "1; SELECT 1", "i0.c1", "?1", "o0", "\\", "%", "){}"]


@pytest.mark.parametrize("evil", SQL)
def test_sql_in_every_position_is_only_text(rows, table, evil):
    """SQL in a name, an alias or a value is a name, an alias or a value."""
    bad = quote(evil, safe="")
    before = rows.rows(f"aggregate/{table}/n:=cnt(*)")
    paths = [
        f"entity/{bad}",
        f"entity/{bad}:{bad}",
        f"entity/{table}/{bad}=1",
        f"entity/{table}/t={bad}",
        f"entity/{table}/n={bad}",
        f"entity/{table}/t::lt::any({bad},{bad})",
        f"entity/{table}/t::regexp::{bad}",
        f"entity/{table}/({bad})",
        f"entity/{table}/({bad})=({table}:{bad})",
        f"entity/{bad}:={table}/${bad}@sort(k)",
        f"attribute/{table}/{bad}:=t@sort({bad})",
        f"attribute/{table}/{bad}:=t@sort({bad})@after({bad})",
        f"attribute/{bad}:={table}/{bad}:*",
        f"attributegroup/{table}/{bad}:=n;{bad}{bad}:=cnt(t)",
        f"attributegroup/{table}/b:=bin(n;{bad};{bad};{bad})",
        f"aggregate/{table}/{bad}:=array({bad})",
        f"entity/{table}?limit={bad}",
        f"entity/{table}?accept={bad}&download={bad}",
    ]

    statuses = {path: rows.get(path).status_code for path in paths}
    deletes = {path: rows.delete(f"entity/{table}/t={bad}").status_code for path in paths[:1]}

    assert set(statuses.values()) | set(deletes.values()) <= {200, 400, 404, 409}, statuses
    assert rows.rows(f"aggregate/{table}/n:=cnt(*)") == before


def test_renamed_outputs_are_any_text(rows, table):
    """An output column may have any name."""
    name = "'; \"?1 {}\\"

    [row] = rows.rows(f"attribute/{table}/k=0/{quote(name, safe='')}:=k")

    assert row == {name: 0}


@pytest.mark.parametrize(
    "filter_text",
    [
        ";".join(f"k={i}" for i in range(100_000)),
        "k=any(" + ",".join(map(str, range(100_000))) + ")",
        "&".join("k::geq::0" for _ in range(2_000)),
        "/".join("k::geq::0" for _ in range(2_000)),
    ],
    ids=["or", "any", "and", "path"],
)
def test_long_filters(rows, table, filter_text):
    """Long filters are answered."""
    assert len(rows.rows(f"attribute/{table}/{filter_text}/k")) == len(ROWS)


@pytest.mark.parametrize(
    "path",
    [
        "/" + ";".join(f"k::lt::{i}" for i in range(100_000)),
        "/t=all(" + ",".join(map(str, range(100_000))) + ")",
        "/" + "!(k=1&" * 90 + "k=2" + ")" * 90,
        "/" + "/".join(f"X{i}:=(k)=({{table}}:k)" for i in range(200)),
        "/" + "(" * 50_000,
        "/t::regexp::" + "a" * 100_000,
        "/*::ciregexp::any(" + ",".join(f"a{i}" for i in range(40_000)) + ")",
    ],
    ids=["terms", "all", "nested", "tables", "open", "pattern", "patterns"],
)
def test_too_much_is_refused_in_words(rows, table, path):
    """What is too much for SQLite is a bad request or a conflict, never a failure of ours."""
    answer = rows.get(f"entity/{table}{path}".replace("{table}", table))

    assert answer.status_code in {200, 400, 409}, answer.text[:300]


def test_hostile_pattern_is_stopped(rows):
    """A regular expression that would search for years ends with words."""
    name = rows.table({"t": "text"})
    rows.write("POST", f"entity/{name}", [{"t": "a" * 5000 + "c"}])

    answer = rows.get(f"entity/{name}/t::regexp::{quote('(a+)+b', safe='')}")

    assert answer.status_code == 400
    assert "takes too long" in answer.text


def test_wide_tables(rows):
    """A table with more columns than an SQL function has arguments is read and written."""
    columns = [f"c{i}" for i in range(700)]
    name = rows.table(dict.fromkeys(columns, "int4"))
    row = {column: i for i, column in enumerate(columns)}

    written = rows.write("POST", f"entity/{name}", [row])

    assert written.status_code == 200, written.text
    [found] = rows.rows(f"entity/{name}/*::regexp::%5E5%24")
    assert {column: found[column] for column in columns} == row
    [line] = csv.DictReader(io.StringIO(rows.get(f"entity/{name}?accept=csv").text))
    assert {column: int(line[column]) for column in columns} == row


@pytest.mark.parametrize("accept", ["application/json", "text/csv", "application/x-json-stream"])
def test_long_answers_come_in_chunks(rows, accept):
    """A long answer is sent while it is read, in chunks, and is whole."""
    name = rows.table({"i": "int4", "t": "text"})
    content = [{"i": i, "t": "x" * (i % 50)} for i in range(5_500)]
    rows.write("POST", f"entity/{name}", content)

    answer = rows.get(f"attribute/{name}/i,t@sort(i)", Accept=accept)

    if accept == "text/csv":
        found = [{"i": int(line["i"]), "t": line["t"]} for line in csv.DictReader(io.StringIO(answer.text))]
    elif accept == "application/json":
        found = answer.json
    else:
        found = [json.loads(line) for line in answer.text.splitlines()]
    assert found == content
