"""Rights in a catalog, as ERMrest's "Static ACL Technical Reference" has them, over WSGI."""

import json
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.ermrest.soundness import defects
from deriva_ml_core.local_catalog.root import Root
from deriva_ml_core.local_catalog.users import Users

NUMBERS = count(1)
SYSTEM = [
    {"name": name, "type": {"typename": f"ermrest_{name.lower()}"}} for name in ("RID", "RCT", "RMT", "RCB", "RMB")
]


def table(name, *columns, fkeys=()):
    own = [{"name": column, "type": {"typename": "text"}} for column in columns]
    keys = [{"unique_columns": ["RID"]}, {"unique_columns": [columns[0]]}]
    return {
        "schema_name": "S",
        "table_name": name,
        "column_definitions": SYSTEM + own,
        "keys": keys,
        "foreign_keys": fkeys,
    }


@pytest.fixture
def server(tmp_path):
    """A catalog of the boss with schema S and table T (a, b); `ask(who, method, path, document)` gives the response."""
    root = Root(tmp_path)
    users = Users(root.registry)
    tokens = {"boss": users.add("boss", admin=True), "ann": users.add("ann", admin=False)}
    tokens["eve"] = users.add("eve", admin=False)
    client = Client(Application(root))

    def ask(who, method, path, document=None, base="/ermrest/catalog/1", **headers):
        if who != "nobody":
            headers["Authorization"] = f"Bearer {tokens[who]}"
        body = {} if document is None else {"data": json.dumps(document), "content_type": "application/json"}
        return client.open("/", method=method, headers=headers, environ_overrides={"REQUEST_URI": base + path}, **body)

    ask("boss", "POST", "/ermrest/catalog", base="")
    made = ask("boss", "POST", "/schema", [{"schema_name": "S"}, table("T", "a", "b")])
    assert made.status_code == 201
    assert ask("boss", "POST", "/entity/S:T", [{"a": "1", "b": "x"}]).status_code == 200
    yield SimpleNamespace(ask=ask, root=root)
    root.close()


def grant(server, path, **acls):
    for name, acl in acls.items():
        assert server.ask("boss", "PUT", f"{path}/acl/{name}", acl).status_code == 200


def test_write_implies_the_other_data_rights(server):
    """write: insert, update, delete and select."""
    grant(server, "", enumerate=["*"], write=["ann"])

    assert server.ask("ann", "POST", "/entity/S:T", [{"a": "2"}]).json[0]["RCB"] == "ann"
    assert server.ask("ann", "PUT", "/attributegroup/S:T/a;b", [{"a": "2", "b": "y"}]).status_code == 200
    assert server.ask("ann", "DELETE", "/entity/S:T/a=2").status_code == 204
    assert server.ask("eve", "GET", "/entity/S:T").status_code == 403


def test_a_table_overrides_what_it_inherits(server):
    """A list of its own, even an empty one, takes the place of the catalog's."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T", select=[])

    assert server.ask("ann", "GET", "/entity/S:T").status_code == 403
    assert server.ask("nobody", "GET", "/entity/S:T").status_code == 401
    assert server.ask("boss", "GET", "/entity/S:T").status_code == 200


def test_ownership_is_inherited_and_adds_up(server):
    """A schema's owner owns its tables; the catalog's owner still does."""
    grant(server, "", enumerate=["*"])
    grant(server, "/schema/S", owner=["ann"])

    rights = server.ask("ann", "GET", "/schema/S/table/T").json["rights"]
    assert set(rights.values()) == {True}
    assert (
        server.ask("ann", "POST", "/schema/S/table/T/column", {"name": "c", "type": {"typename": "int4"}}).status_code
        == 201
    )
    assert server.ask("ann", "POST", "/schema/New").status_code == 403
    assert server.ask("boss", "GET", "/schema/S/table/T/acl").status_code == 200


def test_whoever_creates_owns_what_they_made(server):
    """The right create on a schema lets a client add a table, which then is theirs, and nothing else."""
    grant(server, "", enumerate=["*"])
    grant(server, "/schema/S", create=["ann"])

    made = server.ask("ann", "POST", "/schema/S/table", table("U", "k"))

    assert (made.status_code, made.json["acls"]) == (201, {"owner": ["ann"]})
    assert server.ask("ann", "PUT", "/schema/S/table/U/annotation/x", 1).status_code == 201
    assert server.ask("ann", "PUT", "/schema/S/table/T/annotation/x", 1).status_code == 403
    assert server.ask("ann", "DELETE", "/schema/S/table/U").status_code == 204


def test_hidden_elements_are_left_out(server):
    """What a client may not enumerate is not in the model that it sees, nor does its URL answer."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T/column/b", enumerate=[], select=[], insert=[], update=[], write=[])

    seen = server.ask("ann", "GET", "/schema").json

    assert [c["name"] for c in seen["schemas"]["S"]["tables"]["T"]["column_definitions"]][5:] == ["a"]
    assert "acls" not in json.dumps(seen)
    assert seen["schemas"]["public"]["tables"].keys() == {"ERMrest_RID_Lease"}
    assert server.ask("ann", "GET", "/schema/S/table/T/column/b").status_code == 403


def test_a_hidden_schema_hides_its_tables(server):
    """Whoever may not know of a schema reads nothing in it, whatever else is granted, and so for tables and columns."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T", write=["ann"])
    assert server.ask("ann", "POST", "/entity/S:T", [{"a": "2"}]).status_code == 200
    grant(server, "/schema/S", enumerate=[])

    assert server.ask("ann", "GET", "/entity/S:T").status_code == 403
    assert server.ask("nobody", "GET", "/entity/S:T").status_code == 401
    assert server.ask("ann", "POST", "/entity/S:T", [{"a": "3"}]).status_code == 403
    assert "S" not in server.ask("ann", "GET", "/schema").json["schemas"]
    assert server.ask("boss", "GET", "/entity/S:T").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "entity/S:T",
        "attribute/S:T/*",
        "attribute/X:=S:T/X:*",
        "aggregate/S:T/all:=array(*)",
        "aggregate/X:=S:T/all:=array_d(X:*)",
        "attributegroup/S:T/a;all:=array(*)",
        "entity/S:T/*::ciregexp::1",
        "entity/S:T/!*::ciregexp::x/a=1",
    ],
)
def test_a_hidden_column_is_in_no_row(server, path):
    """Where a URL does not name columns, those that the client may not select are left out, also of aggregates."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T/column/b", select=[])

    seen = server.ask("ann", "GET", f"/{path}")

    assert seen.status_code == 200
    assert '"x"' not in seen.text
    assert '"1"' in seen.text


@pytest.mark.parametrize(
    "path", ["attribute/S:T/b", "entity/S:T/b=x", "entity/S:T/b::ciregexp::x", "aggregate/S:T/n:=max(b)"]
)
def test_a_hidden_column_may_not_be_asked_for(server, path):
    """Nor may a client use a column that it may not select: filters and aggregates would tell."""
    grant(server, "", enumerate=["*"], select=["*"])
    grant(server, "/schema/S/table/T/column/b", select=[])

    assert server.ask("ann", "GET", f"/{path}").status_code == 403


def test_a_message_names_nothing_hidden(server):
    """Whoever mistypes a name is told the nearest, unless somebody may not know of it."""
    secret = table("Secrets", "passphrase")
    assert server.ask("boss", "POST", "/schema/S/table", secret).status_code == 201
    grant(server, "", enumerate=["*"], select=["*"])
    assert "Secrets" in server.ask("ann", "GET", "/entity/S:Secret").text
    assert "Did you mean passphrase?" in server.ask("ann", "GET", "/attribute/S:Secrets/passphrases").text
    grant(server, "/schema/S/table/Secrets", enumerate=[])

    assert "Secrets" not in server.ask("ann", "GET", "/entity/S:Secret").text
    assert "Did you mean" not in server.ask("ann", "GET", "/attribute/S:Secrets/passphrases").text


def test_everybody_may_not_change_anything(server):
    """No list that grants changes may name everybody, except those of foreign keys."""
    for name in ("owner", "create", "insert", "update", "delete", "write"):
        assert server.ask("boss", "PUT", f"/schema/S/acl/{name}", ["*"]).status_code == 400
    assert server.ask("boss", "PUT", "/schema/S/table/T/column/a/acl/update", ["*"]).status_code == 400


def test_a_foreign_key_decides_who_may_refer(server):
    """Without the foreign key's insert right rows may be added, but not with a reference."""
    reference = {
        "foreign_key_columns": [{"schema_name": "S", "table_name": "C", "column_name": "t"}],
        "referenced_columns": [{"schema_name": "S", "table_name": "T", "column_name": "a"}],
    }
    assert server.ask("boss", "POST", "/schema/S/table", table("C", "t", fkeys=[reference])).status_code == 201
    grant(server, "", enumerate=["*"], write=["ann"])
    path = "/schema/S/table/C/foreignkey/t/reference/S:T/a"

    assert server.ask("ann", "GET", path).json[0]["rights"] == {"insert": True, "update": True}
    grant(server, path, insert=["eve"])
    assert server.ask("ann", "GET", path).json[0]["rights"] == {"insert": False, "update": True}
    assert server.ask("ann", "POST", "/entity/S:C", [{"t": "1"}]).status_code == 403


def test_the_past_needs_the_rights_of_then_and_today(server):
    """A right given later does not open the past; a right taken closes it."""
    closed = server.ask("boss", "GET", "").json["snaptime"]
    grant(server, "", enumerate=["*"], select=["*"])
    opened = server.ask("boss", "GET", "").json["snaptime"]

    def read(snaptime):
        return server.ask("ann", "GET", "/entity/S:T", base=f"/ermrest/catalog/1@{snaptime}").status_code

    assert (read(closed), read(opened)) == (403, 200)
    grant(server, "/schema/S/table/T", select=[])
    assert read(opened) == 403


ROWS = [
    {"a": "mine", "b": "ann"},
    {"a": "theirs", "b": "eve"},
    {"a": "everybody's", "b": "*"},
    {"a": "nobody's", "b": None},
]


@pytest.fixture
def bound(server):
    """The server with rows of several people in T (column b says whose) and the right to know the model."""
    grant(server, "", enumerate=["*"])
    assert server.ask("boss", "DELETE", "/entity/S:T").status_code == 204
    assert server.ask("boss", "POST", "/entity/S:T", ROWS).status_code == 200
    return server


def bind(server, path, name="own", expect=200, **binding):
    answer = server.ask("boss", "PUT", f"{path}/acl_binding/{name}", binding)
    assert answer.status_code == expect, answer.text


def seen(server, who, path="/attribute/S:T/a@sort(a)", base="/ermrest/catalog/1"):
    answer = server.ask(who, "GET", path, base=base)
    return [row["a"] for row in answer.json] if answer.status_code == 200 else answer.status_code


def test_a_binding_shows_rows_to_whom_they_name(bound):
    """Rows are left out of answers, not refused; the model says that it depends."""
    bind(bound, "/schema/S/table/T", types=["select"], projection="b")

    rights = bound.ask("ann", "GET", "/schema/S/table/T").json["rights"]
    assert rights == {"owner": False, "insert": False, "update": False, "delete": False, "select": None}
    assert seen(bound, "ann") == ["everybody's", "mine"]
    assert seen(bound, "eve") == ["everybody's", "theirs"]
    assert seen(bound, "nobody") == ["everybody's"]
    assert len(seen(bound, "boss")) == 4
    assert bound.ask("ann", "GET", "/aggregate/S:T/n:=cnt(*)").json == [{"n": 2}]
    assert bound.ask("ann", "GET", "/attributegroup/S:T/b;n:=cnt(*)@sort(b)").json[1] == {"b": "ann", "n": 1}


def test_an_invisible_row_has_no_rid(bound):
    """Nor does resolving RIDs tell of it."""
    rid = bound.ask("boss", "GET", "/attribute/S:T/a=theirs/RID").json[0]["RID"]
    bind(bound, "/schema/S/table/T", types=["select"], projection="b")

    assert bound.ask("ann", "GET", f"/entity_rid/{rid}").status_code == 404
    assert bound.ask("eve", "GET", f"/entity_rid/{rid}").json["table_name"] == "T"


def test_a_hidden_row_is_not_taken_for_a_deleted_one(bound):
    """Its former versions are in the history, whether a binding hides it or the table is closed."""
    rid = bound.ask("boss", "GET", "/attribute/S:T/a=theirs/RID").json[0]["RID"]
    assert bound.ask("boss", "PUT", "/attributegroup/S:T/a;b", [{"a": "theirs", "b": "eve"}]).status_code == 200
    assert bound.ask("ann", "GET", f"/entity_rid/{rid}").status_code == 404
    bind(bound, "/schema/S/table/T", types=["select"], projection="b")

    assert bound.ask("ann", "GET", f"/entity_rid/{rid}").status_code == 404
    assert "deleted_at" not in bound.ask("eve", "GET", f"/entity_rid/{rid}").json
    assert bound.ask("boss", "DELETE", "/entity/S:T/a=theirs").status_code == 204
    assert bound.ask("eve", "GET", f"/entity_rid/{rid}").status_code == 404
    assert "deleted_at" in bound.ask("boss", "GET", f"/entity_rid/{rid}").json
    grant(bound, "/schema/S/table/T", select=["eve"])
    assert "deleted_at" in bound.ask("eve", "GET", f"/entity_rid/{rid}").json


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


def referring(name, target, on):
    return {
        "foreign_key_columns": [{"schema_name": "S", "table_name": name, "column_name": "t"}],
        "referenced_columns": [{"schema_name": "S", "table_name": target, "column_name": on}],
        "names": [["S", f"{name}_t"]],
    }


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
def test_who_sees_some_rows_gets_the_answers_of_a_table_that_has_only_these(server, mine, theirs, asked):
    """Whatever is asked, by filters, inner and outer joins, groups, aggregates or pages."""
    number = next(NUMBERS)
    names = {"T": f"T{number}", "C": f"C{number}"}
    copies = {key: f"{name}copy" for key, name in names.items()}
    rows = {
        "T": [{"a": f"{'aeimquvy'[i]}{i}", "b": owner, "n": n} for i, (owner, n) in enumerate(mine)],
        "C": [{"t": f"{'aeimquvy'[i]}{i}", "b": owner, "n": n} for i, (owner, n) in enumerate(theirs)],
    }
    grant(server, "", enumerate=["*"])
    for key, first in (("T", "a"), ("C", "t")):
        for name in (names[key], copies[key]):
            made = table(name, first, "b")
            made["column_definitions"].append({"name": "n", "type": {"typename": "int4"}})
            assert server.ask("boss", "POST", "/schema/S/table", made).status_code == 201
        bind(server, f"/schema/S/table/{names[key]}", types=["select"], projection="b")
        grant(server, f"/schema/S/table/{copies[key]}", select=["ann"])
        seen_rows = [row for row in rows[key] if row["b"] in {"ann", "*"}]
        assert server.ask("boss", "POST", f"/entity/S:{names[key]}", rows[key]).status_code == 200
        assert server.ask("boss", "POST", f"/entity/S:{copies[key]}", seen_rows).status_code == 200

    for question, path in asked:
        found = server.ask("ann", "GET", f"/{question.format(path=path.format(**names))}")
        expected = server.ask("ann", "GET", f"/{question.format(path=path.format(**copies))}")
        assert (found.status_code, found.json) == (200, expected.json), (question, path)


def test_an_array_is_an_acl(bound):
    """text[] lists several who are admitted."""
    column = {"name": "l", "type": {"typename": "text[]", "is_array": True, "base_type": {"typename": "text"}}}
    assert bound.ask("boss", "POST", "/schema/S/table/T/column", column).status_code == 201
    rows = [{"a": "mine", "l": ["eve", "ann"]}, {"a": "theirs", "l": []}]
    assert bound.ask("boss", "PUT", "/attributegroup/S:T/a;l", rows).status_code == 200
    bind(bound, "/schema/S/table/T", types=["select"], projection="l")

    assert seen(bound, "ann") == seen(bound, "eve") == ["mine"]
    assert seen(bound, "nobody") == []


def test_a_binding_is_for_those_in_its_scope(bound):
    """For others it is as if it were not there: they are refused."""
    bind(bound, "/schema/S/table/T", types=["select"], projection="b", scope_acl=["ann"])

    assert seen(bound, "ann") == ["everybody's", "mine"]
    assert seen(bound, "eve") == 403
    assert seen(bound, "nobody") == 401


def test_whoever_may_not_write_a_row_is_refused(bound):
    """Rows that are visible but not theirs: 403 and nothing is written. Invisible rows are not there."""
    grant(bound, "/schema/S/table/T", select=["*"])
    bind(bound, "/schema/S/table/T", types=["update", "delete"], projection="b")

    assert bound.ask("ann", "PUT", "/attributegroup/S:T/a;b", [{"a": "mine", "b": "ann"}]).status_code == 200
    both = [{"a": "mine", "b": "eve"}, {"a": "theirs", "b": "ann"}]
    assert bound.ask("ann", "PUT", "/attributegroup/S:T/a;b", both).status_code == 403
    assert bound.ask("ann", "DELETE", "/entity/S:T").status_code == 403
    assert bound.ask("ann", "DELETE", "/entity/S:T/a=theirs").status_code == 403
    assert bound.ask("ann", "DELETE", "/attribute/S:T/a=theirs/b").status_code == 403
    assert bound.ask("nobody", "DELETE", "/entity/S:T/b=*").status_code == 400
    assert bound.ask("nobody", "DELETE", "/entity/S:T/b=%2A").status_code == 401
    assert len(seen(bound, "boss")) == 4
    assert bound.ask("ann", "DELETE", "/entity/S:T/a=mine").status_code == 204
    grant(bound, "/schema/S/table/T", select=[])
    assert bound.ask("ann", "DELETE", "/entity/S:T/a=theirs").status_code == 404
    assert bound.ask("ann", "PUT", "/attributegroup/S:T/a;b", [{"a": "theirs", "b": "ann"}]).json == []
    assert bound.ask("eve", "DELETE", "/attribute/S:T/a=theirs/b").status_code == 204


def test_an_upsert_overwrites_only_what_the_client_may_write(bound):
    """Rows of others are refused if they are seen, and clash if they are not, as rows of another key do."""
    grant(bound, "/schema/S/table/T", insert=["ann"])
    bind(bound, "/schema/S/table/T", types=["update"], projection="b")

    assert (
        bound.ask("ann", "PUT", "/entity/S:T", [{"a": "mine", "b": "ann"}, {"a": "new", "b": "ann"}]).status_code == 200
    )
    assert bound.ask("ann", "PUT", "/entity/S:T", [{"a": "theirs", "b": "ann"}]).json == []
    grant(bound, "/schema/S/table/T", select=["*"])
    assert bound.ask("ann", "PUT", "/entity/S:T", [{"a": "theirs", "b": "ann"}]).status_code == 403
    assert bound.ask("boss", "GET", "/attribute/S:T/a=theirs/b").json == [{"b": "eve"}]


def test_a_binding_lets_nobody_insert(bound):
    """New rows have no say in who may make them."""
    bind(bound, "/schema/S/table/T", types=["owner"], projection="b")

    assert bound.ask("ann", "POST", "/entity/S:T", [{"a": "new", "b": "ann"}]).status_code == 403
    assert bound.ask("ann", "DELETE", "/entity/S:T/a=mine").status_code == 204


def test_values_of_a_column_are_bound_apart(bound):
    """A column's binding hides values, which read as null, and guards them; `false` suppresses its table's."""
    grant(bound, "/schema/S/table/T", select=["*"])
    grant(bound, "/schema/S/table/T/column/b", select=[], update=[], write=[])
    assert bound.ask("ann", "GET", "/attribute/S:T/b").status_code == 403
    bind(bound, "/schema/S/table/T", types=["update"], projection="b")
    bind(bound, "/schema/S/table/T/column/b", "see", types=["select"], projection="b")

    values = {row["a"]: row["b"] for row in bound.ask("ann", "GET", "/entity/S:T").json}
    assert values == {"mine": "ann", "theirs": None, "everybody's": "*", "nobody's": None}
    assert bound.ask("ann", "GET", "/attribute/S:T/b=eve/a").json == []
    assert bound.ask("ann", "PUT", "/attributegroup/S:T/a;b", [{"a": "mine", "b": "ann"}]).status_code == 200
    answer = bound.ask("boss", "PUT", "/schema/S/table/T/column/b/acl_binding/own", False)
    assert answer.json is False
    assert bound.ask("ann", "PUT", "/attributegroup/S:T/a;b", [{"a": "mine", "b": "ann"}]).status_code == 403


def test_a_summary_tells_of_each_row(bound):
    """trs() and tcrs() are asked because the model can only say that it depends."""
    grant(bound, "/schema/S/table/T", select=["*"])
    bind(bound, "/schema/S/table/T", types=["update"], projection="b")

    found = bound.ask("ann", "GET", "/attributegroup/T:=S:T/a;r:=trs(RID),c:=tcrs(T:RID)@sort(a)").json

    assert [row["r"] for row in found] == [{"update": own, "delete": False} for own in (True, True, False, False)]
    assert [row["c"]["column_update"]["a"] for row in found] == [True, True, False, False]
    assert found[0]["c"]["column_update"]["RID"] is False


def test_a_reference_is_bound_to_what_it_refers_to(bound):
    """The base of a foreign key's binding is the row referred to."""
    assert (
        bound.ask("boss", "POST", "/schema/S/table", table("C", "t", fkeys=[referring("C", "T", "a")])).status_code
        == 201
    )
    grant(bound, "/schema/S/table/C", write=["ann"])
    path = "/schema/S/table/C/foreignkey/t/reference/S:T/a"
    grant(bound, path, insert=[], update=[])
    assert bound.ask("ann", "POST", "/entity/S:C", [{"t": "mine"}]).status_code == 403
    bind(bound, path, types=["insert", "update"], projection="b")

    assert bound.ask("ann", "POST", "/entity/S:C", [{"t": "mine"}, {"t": None}]).status_code == 200
    assert bound.ask("ann", "POST", "/entity/S:C", [{"t": "theirs"}]).status_code == 403
    assert bound.ask("ann", "PUT", "/attributegroup/S:C/old:=t;t", [{"old": "mine", "t": "theirs"}]).status_code == 403
    assert bound.ask("ann", "PUT", "/entity/S:C", [{"t": "theirs"}]).status_code == 403
    assert bound.ask("boss", "GET", "/attribute/S:C/t@sort(t)").json == [{"t": "mine"}, {"t": None}]


def test_the_past_is_seen_as_bound_then_and_today(bound):
    """A row that was mine and is another's now is seen by neither in the past."""
    bind(bound, "/schema/S/table/T", types=["select"], projection="b")
    before = bound.ask("boss", "GET", "").json["snaptime"]
    assert bound.ask("boss", "PUT", "/attributegroup/S:T/a;b", [{"a": "mine", "b": "eve"}]).status_code == 200
    past = f"/ermrest/catalog/1@{before}"

    assert seen(bound, "ann") == ["everybody's"]
    assert seen(bound, "ann", base=past) == ["everybody's"]
    assert seen(bound, "eve", base=past) == ["everybody's", "theirs"]
    assert len(seen(bound, "boss", base=past)) == 4


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


def test_a_binding_whose_column_is_gone_grants_nothing(bound):
    """It stays in the document and lets nobody see more."""
    bind(bound, "/schema/S/table/T", types=["select"], projection="b")
    assert bound.ask("boss", "DELETE", "/schema/S/table/T/column/b").status_code == 204

    assert seen(bound, "ann") == []


def test_a_client_leaves_its_row(server):
    """The first request of a client writes it into ERMrest_Client, once."""
    for _ in range(2):
        server.ask("ann", "GET", "")
    found = server.ask("boss", "GET", "/attribute/public:ERMrest_Client/ID,Display_Name@sort(ID)").json

    assert found == [{"ID": "ann", "Display_Name": "ann"}, {"ID": "boss", "Display_Name": "boss"}]


def test_an_owner_cannot_be_shut_out(server):
    """A catalog keeps an owner, and its maker is one."""
    assert server.ask("boss", "PUT", "/acl/owner", ["ann"]).status_code == 403
    assert server.ask("boss", "DELETE", "/acl/owner").status_code == 403
    assert server.ask("boss", "PUT", "/acl", {"select": ["*"]}).status_code == 403
    assert server.ask("boss", "POST", "/ermrest/catalog", {"owner": ["ann"]}, base="").status_code == 403
    assert server.ask("boss", "PUT", "/acl", {"owner": ["boss", "ann"]}).status_code == 200


def test_a_row_of_a_dropped_table_is_found_as_deleted(server):
    """entity_rid knows where a row was when its table went."""
    rid = server.ask("boss", "GET", "/entity/S:T").json[0]["RID"]
    last = server.ask("boss", "GET", "").json["snaptime"]
    assert server.ask("boss", "DELETE", "/schema/S/table/T").status_code == 204

    found = server.ask("boss", "GET", f"/entity_rid/{rid.lower()}").json

    assert (found["RID"], found["table_name"], found["last_visible_snaptime"]) == (rid, "T", last)


def test_truncated_history_keeps_what_is_younger(server):
    """What had ended is forgotten; every later snapshot, its rows and its model, reads as before."""

    def read(snaptime):
        answer = server.ask("boss", "GET", "/entity/S:T", base=f"/ermrest/catalog/1@{snaptime}")
        return answer.json if answer.status_code == 200 else answer.status_code

    def now():
        return server.ask("boss", "GET", "").json["snaptime"]

    first = now()
    server.ask("boss", "PUT", "/attributegroup/S:T/a;b", [{"a": "1", "b": "y"}])
    second = now()
    server.ask("boss", "DELETE", "/schema/S/table/T/column/b")
    kept = read(second), read(now())

    assert server.ask("ann", "DELETE", f"/history/,{second}").status_code == 403
    assert server.ask("boss", "DELETE", "/history/,").status_code == 400
    assert server.ask("boss", "DELETE", f"/history/,{second}").status_code == 204
    assert read(first) == 409
    assert (read(second), read(now())) == kept
    found = server.ask("boss", "GET", "/history/,").json
    assert (found["snaprange"], found["amendver"]) == ([second, now()], now())
    assert list(defects(server.root.path / "catalogs" / "1" / "catalog.db")) == []


def test_a_truncated_table_is_gone_for_good(server):
    """A table that was deleted before leaves nothing in the file."""
    rid = server.ask("boss", "GET", "/entity/S:T").json[0]["RID"]
    server.ask("boss", "DELETE", "/schema/S/table/T")
    snaptime = server.ask("boss", "GET", "").json["snaptime"]

    assert server.ask("boss", "DELETE", f"/history/,{snaptime}").status_code == 204
    assert server.ask("boss", "GET", f"/entity_rid/{rid}").status_code == 404
    assert server.ask("boss", "POST", "/schema/S/table", table("T", "a")).status_code == 201
