"""Rights in a catalog, as ERMrest's "Static ACL Technical Reference" has them, over WSGI."""

import json

import pytest
from shared_catalog_fixture import grant, table


def test_write_implies_the_other_data_rights(shared):
    """write: insert, update, delete and select."""
    grant(shared, "", enumerate=["*"], write=["ann"])

    assert shared.ask("ann", "POST", "/entity/S:T", [{"a": "2"}]).json[0]["RCB"] == "ann"
    assert shared.ask("ann", "PUT", "/attributegroup/S:T/a;b", [{"a": "2", "b": "y"}]).status_code == 200
    assert shared.ask("ann", "DELETE", "/entity/S:T/a=2").status_code == 204
    assert shared.ask("eve", "GET", "/entity/S:T").status_code == 403


def test_a_table_overrides_what_it_inherits(shared):
    """A list of its own, even an empty one, takes the place of the catalog's."""
    grant(shared, "", enumerate=["*"], select=["*"])
    grant(shared, "/schema/S/table/T", select=[])

    assert shared.ask("ann", "GET", "/entity/S:T").status_code == 403
    assert shared.ask("nobody", "GET", "/entity/S:T").status_code == 401
    assert shared.ask("boss", "GET", "/entity/S:T").status_code == 200


def test_ownership_is_inherited_and_adds_up(shared):
    """A schema's owner owns its tables; the catalog's owner still does."""
    grant(shared, "", enumerate=["*"])
    grant(shared, "/schema/S", owner=["ann"])

    rights = shared.ask("ann", "GET", "/schema/S/table/T").json["rights"]
    assert set(rights.values()) == {True}
    assert (
        shared.ask("ann", "POST", "/schema/S/table/T/column", {"name": "c", "type": {"typename": "int4"}}).status_code
        == 201
    )
    assert shared.ask("ann", "POST", "/schema/New").status_code == 403
    assert shared.ask("boss", "GET", "/schema/S/table/T/acl").status_code == 200


def test_whoever_creates_owns_what_they_made(shared):
    """The right create on a schema lets a client add a table, which then is theirs, and nothing else."""
    grant(shared, "", enumerate=["*"])
    grant(shared, "/schema/S", create=["ann"])

    made = shared.ask("ann", "POST", "/schema/S/table", table("U", "k"))

    assert (made.status_code, made.json["acls"]) == (201, {"owner": ["ann"]})
    assert shared.ask("ann", "PUT", "/schema/S/table/U/annotation/x", 1).status_code == 201
    assert shared.ask("ann", "PUT", "/schema/S/table/T/annotation/x", 1).status_code == 403
    assert shared.ask("ann", "DELETE", "/schema/S/table/U").status_code == 204


def test_hidden_elements_are_left_out(shared):
    """What a client may not enumerate is not in the model that it sees, nor does its URL answer."""
    grant(shared, "", enumerate=["*"], select=["*"])
    grant(shared, "/schema/S/table/T/column/b", enumerate=[], select=[], insert=[], update=[], write=[])

    seen = shared.ask("ann", "GET", "/schema").json

    assert [c["name"] for c in seen["schemas"]["S"]["tables"]["T"]["column_definitions"]][5:] == ["a"]
    assert "acls" not in json.dumps(seen)
    assert seen["schemas"]["public"]["tables"].keys() == {"ERMrest_RID_Lease"}
    assert shared.ask("ann", "GET", "/schema/S/table/T/column/b").status_code == 403


def test_a_hidden_schema_hides_its_tables(shared):
    """Whoever may not know of a schema reads nothing in it, whatever else is granted, and so for tables and columns."""
    grant(shared, "", enumerate=["*"], select=["*"])
    grant(shared, "/schema/S/table/T", write=["ann"])
    assert shared.ask("ann", "POST", "/entity/S:T", [{"a": "2"}]).status_code == 200
    grant(shared, "/schema/S", enumerate=[])

    assert shared.ask("ann", "GET", "/entity/S:T").status_code == 403
    assert shared.ask("nobody", "GET", "/entity/S:T").status_code == 401
    assert shared.ask("ann", "POST", "/entity/S:T", [{"a": "3"}]).status_code == 403
    assert "S" not in shared.ask("ann", "GET", "/schema").json["schemas"]
    assert shared.ask("boss", "GET", "/entity/S:T").status_code == 200


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
def test_a_hidden_column_is_in_no_row(shared, path):
    """Where a URL does not name columns, those that the client may not select are left out, also of aggregates."""
    grant(shared, "", enumerate=["*"], select=["*"])
    grant(shared, "/schema/S/table/T/column/b", select=[])

    seen = shared.ask("ann", "GET", f"/{path}")

    assert seen.status_code == 200
    assert '"x"' not in seen.text
    assert '"1"' in seen.text


@pytest.mark.parametrize(
    "path", ["attribute/S:T/b", "entity/S:T/b=x", "entity/S:T/b::ciregexp::x", "aggregate/S:T/n:=max(b)"]
)
def test_a_hidden_column_may_not_be_asked_for(shared, path):
    """Nor may a client use a column that it may not select: filters and aggregates would tell."""
    grant(shared, "", enumerate=["*"], select=["*"])
    grant(shared, "/schema/S/table/T/column/b", select=[])

    assert shared.ask("ann", "GET", f"/{path}").status_code == 403


def test_a_message_names_nothing_hidden(shared):
    """Whoever mistypes a name is told the nearest, unless somebody may not know of it."""
    secret = table("Secrets", "passphrase")
    assert shared.ask("boss", "POST", "/schema/S/table", secret).status_code == 201
    grant(shared, "", enumerate=["*"], select=["*"])
    assert "Secrets" in shared.ask("ann", "GET", "/entity/S:Secret").text
    assert "Did you mean passphrase?" in shared.ask("ann", "GET", "/attribute/S:Secrets/passphrases").text
    grant(shared, "/schema/S/table/Secrets", enumerate=[])

    assert "Secrets" not in shared.ask("ann", "GET", "/entity/S:Secret").text
    assert "Did you mean" not in shared.ask("ann", "GET", "/attribute/S:Secrets/passphrases").text


def test_everybody_may_not_change_anything(shared):
    """No list that grants changes may name everybody, except those of foreign keys."""
    for name in ("owner", "create", "insert", "update", "delete", "write"):
        assert shared.ask("boss", "PUT", f"/schema/S/acl/{name}", ["*"]).status_code == 400
    assert shared.ask("boss", "PUT", "/schema/S/table/T/column/a/acl/update", ["*"]).status_code == 400


def test_a_foreign_key_decides_who_may_refer(shared):
    """Without the foreign key's insert right rows may be added, but not with a reference."""
    reference = {
        "foreign_key_columns": [{"schema_name": "S", "table_name": "C", "column_name": "t"}],
        "referenced_columns": [{"schema_name": "S", "table_name": "T", "column_name": "a"}],
    }
    assert shared.ask("boss", "POST", "/schema/S/table", table("C", "t", fkeys=[reference])).status_code == 201
    grant(shared, "", enumerate=["*"], write=["ann"])
    path = "/schema/S/table/C/foreignkey/t/reference/S:T/a"

    assert shared.ask("ann", "GET", path).json[0]["rights"] == {"insert": True, "update": True}
    grant(shared, path, insert=["eve"])
    assert shared.ask("ann", "GET", path).json[0]["rights"] == {"insert": False, "update": True}
    assert shared.ask("ann", "POST", "/entity/S:C", [{"t": "1"}]).status_code == 403


def test_the_past_needs_the_rights_of_then_and_today(shared):
    """A right given later does not open the past; a right taken closes it."""
    closed = shared.ask("boss", "GET", "").json["snaptime"]
    grant(shared, "", enumerate=["*"], select=["*"])
    opened = shared.ask("boss", "GET", "").json["snaptime"]

    def read(snaptime):
        return shared.ask("ann", "GET", "/entity/S:T", base=f"/ermrest/catalog/1@{snaptime}").status_code

    assert (read(closed), read(opened)) == (403, 200)
    grant(shared, "/schema/S/table/T", select=[])
    assert read(opened) == 403


def test_a_client_leaves_its_row(shared):
    """The first request of a client writes it into ERMrest_Client, once."""
    for _ in range(2):
        shared.ask("ann", "GET", "")
    found = shared.ask("boss", "GET", "/attribute/public:ERMrest_Client/ID,Display_Name@sort(ID)").json

    assert found == [{"ID": "ann", "Display_Name": "ann"}, {"ID": "boss", "Display_Name": "boss"}]


def test_an_owner_cannot_be_shut_out(shared):
    """A catalog keeps an owner, and its maker is one."""
    assert shared.ask("boss", "PUT", "/acl/owner", ["ann"]).status_code == 403
    assert shared.ask("boss", "DELETE", "/acl/owner").status_code == 403
    assert shared.ask("boss", "PUT", "/acl", {"select": ["*"]}).status_code == 403
    assert shared.ask("boss", "POST", "/ermrest/catalog", {"owner": ["ann"]}, base="").status_code == 403
    assert shared.ask("boss", "PUT", "/acl", {"owner": ["boss", "ann"]}).status_code == 200
