"""The paths of ACL bindings, by which rows say who may see them, and what is asked of bound rows, over WSGI."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared_catalog_fixture import bind, grant, referring, seen, table

NUMBERS = count(1)


@pytest.mark.parametrize(
    ("projection", "kind", "expected"),
    [
        ("b", "nonnull", ["everybody's", "mine", "theirs"]),
        ([{"filter": "a", "operand": "mine"}, "RID"], "nonnull", ["mine"]),
        (
            [{"filter": ["base", "a"], "operand": "n", "operator": "::gt::"}, "RID"],
            "nonnull",
            ["nobody's", "theirs"],
        ),
        ([{"filter": "a", "operand": "mine", "negate": True}, "b"], "acl", ["everybody's"]),
        ([{"filter": "a", "operator": "::ciregexp::", "operand": "^(M|T)"}, "RID"], "nonnull", ["mine", "theirs"]),
        ([{"filter": "b", "operator": "::null::"}, "RID"], "nonnull", ["nobody's"]),
        (
            [{"or": [{"filter": "a", "operand": "mine"}, {"filter": "a", "operand": "theirs"}]}, "RID"],
            "nonnull",
            ["mine", "theirs"],
        ),
        (
            [{"and": [{"filter": "b", "operand": "ann"}, {"filter": "a", "operand": "theirs"}]}, "RID"],
            "nonnull",
            [],
        ),
    ],
)
def test_projections_filter_the_base_row(bound, projection, kind, expected):
    """Filters, alone or joined, in the operators of URLs."""
    bind(bound, "/schema/S/table/T", types=["select"], projection=projection, projection_type=kind)

    assert seen(bound, "ann") == expected


def test_projections_follow_foreign_keys(bound):
    """Outbound to the table that a row refers to, inbound to rows that refer to it; these are seen whoever asks."""
    made = table("C", "t", fkeys=[referring("C", "T", "a")])
    made["acl_bindings"] = {"theirs": {"types": ["select"], "projection": [{"outbound": ["S", "C_t"]}, "b"]}}
    assert bound.ask("boss", "POST", "/schema/S/table", made).status_code == 201
    assert bound.ask("boss", "POST", "/entity/S:C", [{"t": "mine"}, {"t": "theirs"}]).status_code == 200

    assert bound.ask("ann", "GET", "/attribute/S:C/t").json == [{"t": "mine"}]
    assert seen(bound, "ann") == 403
    bind(
        bound,
        "/schema/S/table/T",
        types=["select"],
        projection=[{"inbound": ["S", "C_t"], "alias": "c"}, {"filter": ["c", "t"], "operand": "mine"}, "t"],
        projection_type="nonnull",
    )
    assert seen(bound, "ann") == ["mine"]
    assert bound.ask("ann", "GET", "/attribute/C:=S:C/T:=S:T/C:t,T:b").json == [{"t": "mine", "b": "ann"}]
    assert bound.ask("ann", "GET", "/attributegroup/T:=S:T/C:=left(a)=(S:C:t)/T:a;n:=cnt(C:t)").json == [
        {"a": "mine", "n": 1}
    ]


@pytest.mark.parametrize(
    ("projection", "status"),
    [
        ([{"outbound": ["S", "none"]}, "b"], 409),
        ([{"outbound": "x"}, "b"], 400),
        ([{"filter": "none", "operand": "x"}, "b"], 409),
        ([{"filter": "a", "operand": "x", "operator": "::like::"}, "b"], 400),
        ([{"filter": "a"}, "b"], 400),
        ([{"filter": "RCT", "operand": "soon"}, "b"], 409),
        ([{"and": []}, "b"], 400),
        ([{}, "b"], 400),
        ([], 400),
        ([{"filter": "a", "operand": "x"}], 400),
        ("RCT", 409),
    ],
)
def test_a_projection_must_make_sense(bound, projection, status):
    """What could never be evaluated is refused when it is stored."""
    bind(bound, "/schema/S/table/T", types=["select"], projection=projection, expect=status)


PATHS = st.sampled_from(
    [
        *(
            "T:=S:{T}",
            "T:=S:{T}/n::gt::1",
            "T:=S:{T}/!n=2",
            "T:=S:{T}/b=ann;n::null::",
            "T:=S:{T}/*::ciregexp::%5Eann%24",
        ),
        *("C:=S:{C}/T:=(t)=(S:{T}:a)", "T:=S:{T}/C:=(a)=(S:{C}:t)/$T", "T:=S:{T}/C:=(a)=(S:{C}:t)/n=1/$T"),
        *("C:=S:{C}/T:=left(t)=(S:{T}:a)", "C:=S:{C}/T:=right(t)=(S:{T}:a)", "C:=S:{C}/T:=full(t)=(S:{T}:a)"),
        *("C:=S:{C}/T:=left(t)=(S:{T}:a)/T:a::null::", "T:=S:{T}/U:=(n)=(S:{T}:n)/V:=(b)=(S:{T}:b)/$T"),
    ]
)
QUESTIONS = st.sampled_from(
    [
        *("attributegroup/{path}/T:a,T:b,T:n@sort(a,n,b)", "aggregate/{path}/k:=cnt(*),d:=cnt_d(T:b),s:=sum(T:n)"),
        *(
            "attributegroup/{path}/T:b;k:=cnt(*),m:=max(T:n)@sort(b)",
            "attributegroup/{path}/T:a@sort(a::desc::)?limit=3",
        ),
        *("attributegroup/{path}/T:n@sort(n)@after(1)", "attributegroup/{path}/T:a@sort(a)@before(m)?limit=2"),
    ]
)
OWNERS = st.sampled_from(["ann", "eve", "*", None])
BOUND_ROWS = st.lists(st.tuples(OWNERS, st.sampled_from([None, 1, 2, 3])), min_size=1, max_size=8)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mine=BOUND_ROWS, theirs=BOUND_ROWS, asked=st.lists(st.tuples(QUESTIONS, PATHS), min_size=10, max_size=10))
def test_who_sees_some_rows_gets_the_answers_of_a_table_that_has_only_these(shared, mine, theirs, asked):
    """Whatever is asked, by filters, inner and outer joins, groups, aggregates or pages."""
    number = next(NUMBERS)
    names = {"T": f"T{number}", "C": f"C{number}"}
    copies = {key: f"{name}copy" for key, name in names.items()}
    rows = {
        "T": [{"a": f"{'aeimquvy'[i]}{i}", "b": owner, "n": n} for i, (owner, n) in enumerate(mine)],
        "C": [{"t": f"{'aeimquvy'[i]}{i}", "b": owner, "n": n} for i, (owner, n) in enumerate(theirs)],
    }
    grant(shared, "", enumerate=["*"])
    for key, first in (("T", "a"), ("C", "t")):
        for name in (names[key], copies[key]):
            made = table(name, first, "b")
            made["column_definitions"].append({"name": "n", "type": {"typename": "int4"}})
            assert shared.ask("boss", "POST", "/schema/S/table", made).status_code == 201
        bind(shared, f"/schema/S/table/{names[key]}", types=["select"], projection="b")
        grant(shared, f"/schema/S/table/{copies[key]}", select=["ann"])
        seen_rows = [row for row in rows[key] if row["b"] in {"ann", "*"}]
        assert shared.ask("boss", "POST", f"/entity/S:{names[key]}", rows[key]).status_code == 200
        assert shared.ask("boss", "POST", f"/entity/S:{copies[key]}", seen_rows).status_code == 200

    for question, path in asked:
        found = shared.ask("ann", "GET", f"/{question.format(path=path.format(**names))}")
        expected = shared.ask("ann", "GET", f"/{question.format(path=path.format(**copies))}")
        assert (found.status_code, found.json) == (200, expected.json), (question, path)
