"""Every URL that the language of ERMrest has, by chance: none of them may be a fault of the server's."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KINDS = {
    "i": "int4",
    "l": "int8",
    "s": "serial4",
    "f": "float8",
    "r": "float4",
    "t": "text",
    "b": "boolean",
    "d": "date",
    "z": "timestamptz",
    "w": "timestamp",
    "c": "time",
    "v": "interval",
    "u": "uuid",
    "j": "json",
    "q": "jsonb",
    "ta": "text[]",
    "ia": "int4[]",
    "fa": "float8[]",
    "ja": "jsonb[]",
}
FULL = {
    "i": 1,
    "l": 2**62,
    "s": 3,
    "f": 0.1,
    "r": 0.1,
    "t": "x",
    "b": True,
    "d": "2020-01-02",
    "u": "0" * 32,
    "z": "2020-01-02T03:04:05Z",
    "w": "2020-01-02",
    "c": "01:02:03",
    "v": "1 day",
    "j": {"a": 1},
    "q": [1, None],
    "ta": ["a", None],
    "ia": [1, 2],
    "fa": [0.5, None],
    "ja": [{"a": 1}, 2],
}
FITTING = {
    **dict.fromkeys(["i", "l", "s", "f", "r", "ia", "fa", "A:i"], ("1", "0", "-7")),
    **dict.fromkeys(["t", "ta", "RID"], ("x", "", "a", "%25")),
    **dict.fromkeys(["d", "z", "w", "RCT"], ("2020-01-02", "2020-01-02%2003%3A04%3A05")),
    **dict.fromkeys(["q", "ja"], ("1", "%7B%22a%22%3A1%7D", "null")),
    "b": ("true", "f"),
    "c": ("01%3A02%3A03",),
    "v": ("1%20day",),
    "u": ("0" * 32,),
    "nope": ("1",),
}
"""Literals that are values of the columns."""


@pytest.fixture(scope="module")
def every_kind(rows):
    name = rows.table(KINDS)
    assert rows.write("POST", f"entity/{name}", [FULL, {}, FULL]).status_code == 200
    return name


@st.composite
def urls(draw, table):
    """A data URL of the language, about a table with a column of every type; most are about something."""
    column = st.sampled_from([*KINDS, "RID", "RCT", "A:i"])
    operator = st.sampled_from(["=", "::lt::", "::geq::", "::regexp::", "::ciregexp::"])

    def comparison(name):
        literals = st.lists(st.sampled_from(FITTING[name]), min_size=1, max_size=3).map(",".join)
        value = st.one_of(
            st.sampled_from(FITTING[name]), literals.map("any({})".format), literals.map("all({})".format)
        )
        return st.tuples(operator, value).map(lambda parts: name + "".join(parts))

    test = st.one_of(st.sampled_from([*FITTING]).flatmap(comparison), column.map("{}::null::".format))
    filters = st.lists(st.tuples(test, st.sampled_from(["&", ";"]), test).map("".join) | test | test.map("!{}".format))
    link = st.tuples(st.sampled_from(["", "left", "right", "full"]), st.sampled_from([*KINDS])).map(
        lambda parts: f"{parts[0]}({parts[1]})=({table}:{parts[1]})"
    )
    path = "/".join([f"A:={table}", *draw(filters)[:3], *draw(st.lists(link, max_size=2)), *draw(filters)[:1]])
    path += draw(st.sampled_from(["", "/$A", f"/B:=(i)=({table}:i)"]))
    function = st.sampled_from(["cnt", "cnt_d", "min", "max", "sum", "avg", "array", "array_d", "tcrs"])
    aggregates = draw(st.lists(st.tuples(function, column), min_size=1, max_size=3))
    outputs = ",".join(f"o{i}:={name}({of})" for i, (name, of) in enumerate(aggregates))
    keys = draw(st.lists(column, min_size=1, max_size=3, unique=True))
    projection = ",".join(
        [*keys, draw(st.sampled_from(["x:=bin(i;3;0;9)", "x:=bin(z;2;2020-01-01;2021-01-01)", "x:=f"]))]
    )
    sort = draw(
        st.sampled_from(["", *(f"@sort({key}::desc::)" for key in keys), "@sort(x)", f"@sort({keys[0]})@after(1)"])
    )
    suffix = sort + draw(st.sampled_from(["", "?limit=1", "?accept=csv", "?accept=csv&arrays=json"]))
    return draw(
        st.sampled_from(
            [
                f"entity/{path}{suffix}",
                f"attribute/{path}/{projection}{suffix}",
                f"attributegroup/{path}/{projection};{outputs}{suffix}",
                f"aggregate/{path}/{outputs}{suffix.removeprefix(sort)}",
            ]
        )
    )


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_url_of_the_language_is_answered(rows, every_kind, data):
    """Whatever the columns' types, a well-formed URL gives rows or a refusal in words."""
    url = data.draw(urls(every_kind))

    answer = rows.get(url)

    assert answer.status_code in {200, 400, 409, 501}, f"{url}\n{answer.text[:300]}"
    if answer.status_code == 200 and "json" in answer.content_type:
        assert isinstance(json.loads(answer.text), list)
