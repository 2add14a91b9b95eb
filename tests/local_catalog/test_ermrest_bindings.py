"""Rights to single rows and values: ERMrest's dynamic ACL bindings, over WSGI."""

from shared_catalog_fixture import bind, grant, referring, seen, table


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


def test_a_binding_whose_column_is_gone_grants_nothing(bound):
    """It stays in the document and lets nobody see more."""
    bind(bound, "/schema/S/table/T", types=["select"], projection="b")
    assert bound.ask("boss", "DELETE", "/schema/S/table/T/column/b").status_code == 204

    assert seen(bound, "ann") == []
