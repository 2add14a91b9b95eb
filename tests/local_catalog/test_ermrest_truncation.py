"""What is known of the past when tables and history have gone, over WSGI."""

from shared_catalog_fixture import table

from deriva_ml_core.local_catalog.ermrest.soundness import defects


def test_a_row_of_a_dropped_table_is_found_as_deleted(shared):
    """entity_rid knows where a row was when its table went."""
    rid = shared.ask("boss", "GET", "/entity/S:T").json[0]["RID"]
    last = shared.ask("boss", "GET", "").json["snaptime"]
    assert shared.ask("boss", "DELETE", "/schema/S/table/T").status_code == 204

    found = shared.ask("boss", "GET", f"/entity_rid/{rid.lower()}").json

    assert (found["RID"], found["table_name"], found["last_visible_snaptime"]) == (rid, "T", last)


def test_truncated_history_keeps_what_is_younger(shared):
    """What had ended is forgotten; every later snapshot, its rows and its model, reads as before."""

    def read(snaptime):
        answer = shared.ask("boss", "GET", "/entity/S:T", base=f"/ermrest/catalog/1@{snaptime}")
        return answer.json if answer.status_code == 200 else answer.status_code

    def now():
        return shared.ask("boss", "GET", "").json["snaptime"]

    first = now()
    shared.ask("boss", "PUT", "/attributegroup/S:T/a;b", [{"a": "1", "b": "y"}])
    second = now()
    shared.ask("boss", "DELETE", "/schema/S/table/T/column/b")
    kept = read(second), read(now())

    assert shared.ask("ann", "DELETE", f"/history/,{second}").status_code == 403
    assert shared.ask("boss", "DELETE", "/history/,").status_code == 400
    assert shared.ask("boss", "DELETE", f"/history/,{second}").status_code == 204
    assert read(first) == 409
    assert (read(second), read(now())) == kept
    found = shared.ask("boss", "GET", "/history/,").json
    assert (found["snaprange"], found["amendver"]) == ([second, now()], now())
    assert list(defects(shared.root.path / "catalogs" / "1" / "catalog.db")) == []


def test_a_truncated_table_is_gone_for_good(shared):
    """A table that was deleted before leaves nothing in the file."""
    rid = shared.ask("boss", "GET", "/entity/S:T").json[0]["RID"]
    shared.ask("boss", "DELETE", "/schema/S/table/T")
    snaptime = shared.ask("boss", "GET", "").json["snaptime"]

    assert shared.ask("boss", "DELETE", f"/history/,{snaptime}").status_code == 204
    assert shared.ask("boss", "GET", f"/entity_rid/{rid}").status_code == 404
    assert shared.ask("boss", "POST", "/schema/S/table", table("T", "a")).status_code == 201
