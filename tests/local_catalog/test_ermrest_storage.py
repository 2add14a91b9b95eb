"""One catalog's file: transactions, snapshots, history, crashes."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.altering import alter_column, drop_column, drop_table
from deriva_ml_core.local_catalog.ermrest.creating import create_column, create_many
from deriva_ml_core.local_catalog.ermrest.draft import Draft
from deriva_ml_core.local_catalog.ermrest.identifiers import decode
from deriva_ml_core.local_catalog.ermrest.soundness import defects
from deriva_ml_core.local_catalog.ermrest.storage import Catalog, NoSnapshot, StorageError
from deriva_ml_core.local_catalog.ermrest.systemtables import populate
from deriva_ml_core.local_catalog.ermrest.typenames import SYSTEM_TYPES
from deriva_ml_core.local_catalog.errors import Conflict

BOSS = Client("boss", "Boss", ("boss",), admin=True)


def table_document(name, columns, keys=(), fkeys=()):
    system = [{"name": n, "type": t.document()} for n, t in SYSTEM_TYPES.items()]
    own = [{"name": n, "type": {"typename": "text"}} for n in columns]
    return {
        "schema_name": "S",
        "table_name": name,
        "column_definitions": system + own,
        "keys": [{"unique_columns": ["RID"]}, *({"unique_columns": list(key)} for key in keys)],
        "foreign_keys": list(fkeys),
    }


def reference(table, column, to_table, to_column, **actions):
    return {
        "foreign_key_columns": [{"schema_name": "S", "table_name": table, "column_name": column}],
        "referenced_columns": [{"schema_name": "S", "table_name": to_table, "column_name": to_column}],
        **actions,
    }


PARENT = table_document("P", ["name"], keys=[["name"]])
CHILD = table_document(
    "C", ["parent", "note"], fkeys=[reference("C", "parent", "P", "name", on_delete="CASCADE", on_update="CASCADE")]
)


def new_catalog(folder: Path, *tables) -> Catalog:
    catalog = Catalog.create(folder / "catalog.db", lambda txn: populate(txn, BOSS, ["boss"], {}), "boss")
    with catalog.write("boss") as txn:
        draft = Draft(txn, BOSS)
        create_many(draft, [{"schema_name": "S"}, *tables])
        draft.finish()
    return catalog


def insert(txn, name, /, **values):
    table = txn.model.find_table("S", name)
    row = {"RID": txn.allocate_rids(1)[0], "RCT": txn.now, "RMT": txn.now, "RCB": txn.client, "RMB": txn.client}
    row |= values
    columns = ", ".join(table.by_name[column].sql for column in row)
    txn.db.execute(f"INSERT INTO {table.live} ({columns}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    txn.changed()
    return row["RID"]


def update(txn, name, rid, /, **values):
    table = txn.model.find_table("S", name)
    sets = ", ".join(f"{table.by_name[column].sql} = ?" for column in values)
    txn.db.execute(f"UPDATE {table.live} SET {sets} WHERE {table.rid_column.sql} = ?", (*values.values(), rid))
    txn.changed()


def delete(txn, name, rid):
    table = txn.model.find_table("S", name)
    txn.db.execute(f"DELETE FROM {table.live} WHERE {table.rid_column.sql} = ?", (rid,))
    txn.changed()


def rows(view, name):
    """Every row of a table with its column names."""
    table = view.model.find_table("S", name)
    columns = ", ".join(column.sql for column in table.columns)
    names = [column.name for column in table.columns]
    found = view.db.execute(f"SELECT {columns} FROM {view.source(table)} ORDER BY {table.rid_column.sql}")
    return [dict(zip(names, row, strict=True)) for row in found]


def everything(view):
    return {table.name: rows(view, table.name) for table in view.model.tables.values() if table.name in "PCD"}


@pytest.fixture
def catalog(tmp_path):
    catalog = new_catalog(tmp_path, PARENT, CHILD)
    yield catalog
    catalog.close()


def test_a_written_row_is_read(catalog):
    """RCT and RMT are the transaction's time, which is the snapshot's."""
    with catalog.write("boss") as txn:
        insert(txn, "P", name="a")

    with catalog.read() as view:
        [row] = rows(view, "P")

        assert view.snaptime == txn.snaptime == catalog.snaptime()
        assert (row["name"], row["RCT"], row["RMT"], row["RMB"]) == ("a", txn.now, txn.now, "boss")


def test_a_failed_transaction_leaves_no_snapshot(catalog):
    """Rows, model and time are as before."""
    before = catalog.snaptime()

    def fail():
        with catalog.write("boss") as txn:
            insert(txn, "P", name="a")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with catalog.read() as view:
        assert (view.snaptime, rows(view, "P")) == (before, [])


def test_rids_are_not_reused_after_a_failure(catalog):
    """The counter survives a rollback, also for those who open the file anew."""
    lost = []

    def fail():
        with catalog.write("boss") as txn:
            lost.extend(txn.allocate_rids(3))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with Catalog(catalog.path).write("boss") as txn:
        [rid] = txn.allocate_rids(1)

    assert rid not in lost
    assert decode(rid) > max(map(decode, lost))


def test_the_counter_jumps_past_a_chosen_rid(catalog):
    """A RID that a client chose is never handed out."""
    with catalog.write("boss") as txn:
        txn.skip_past("3-ABCE")
        [rid] = txn.allocate_rids(1)

    assert rid == "3-ABCG"


def test_an_unchanged_transaction_is_no_snapshot(catalog):
    """Whoever writes nothing leaves ETags alone."""
    before = catalog.snaptime()
    with catalog.write("boss"):
        pass

    assert catalog.snaptime() == before


def test_snapshots_increase_when_the_clock_stands_still(catalog, monkeypatch):
    """Each transaction has a time of its own, even if the clock went back."""
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    seen = [catalog.snaptime()]
    for name in "abc":
        with catalog.write("boss") as txn:
            insert(txn, "P", name=name)
        seen.append(catalog.snaptime())

    assert seen == sorted(set(seen))


def test_a_cascade_is_history_too(catalog):
    """What ON UPDATE and ON DELETE CASCADE do to other rows moves their RMT and is kept."""
    with catalog.write("boss") as txn:
        parent = insert(txn, "P", name="a")
        insert(txn, "C", parent="a", note="n")
    with catalog.write("other") as txn:
        update(txn, "P", parent, name="b")
    with catalog.read() as view:
        [moved] = rows(view, "C")
    with catalog.write("boss") as gone:
        delete(gone, "P", parent)

    assert (moved["parent"], moved["RMT"], moved["RMB"]) == ("b", txn.now, "other")
    with catalog.read() as view:
        assert rows(view, "C") == []
    with catalog.read(txn.snaptime) as view:
        assert rows(view, "C") == [moved]
    with catalog.read(txn.snaptime - 1) as view:
        assert [row["parent"] for row in rows(view, "C")] == ["a"]


operations = st.lists(
    st.tuples(st.sampled_from(["insert", "child", "rename", "note", "delete", "column", "drop"]), st.integers(0, 9)),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(operations, min_size=1, max_size=6))
def test_every_snapshot_reads_as_it_was(tmp_path_factory, transactions):
    """Whatever is inserted, renamed, cascaded, deleted and remodelled later: the past does not change."""
    catalog = new_catalog(tmp_path_factory.mktemp("history"), PARENT, CHILD)
    past = {}
    for steps in transactions:
        with catalog.write("boss") as txn:
            for kind, number in steps:
                apply_step(txn, kind, number)
        with catalog.read() as view:
            past[view.snaptime] = everything(view), view.model

    for snaptime, (content, model) in past.items():
        with Catalog(catalog.path).read(snaptime) as view:
            assert everything(view) == content
            assert replace(view.model, snaptime=0) == replace(model, snaptime=0)
    assert list(defects(catalog.path)) == []
    catalog.close()


def apply_step(txn, kind, number):
    parents, children = rows(txn, "P"), rows(txn, "C")
    taken = {row["name"] for row in parents}
    if kind == "insert" and f"p{number}" not in taken:
        insert(txn, "P", name=f"p{number}")
    elif kind == "child":
        insert(txn, "C", parent=parents[number % len(parents)]["name"] if parents else None)
    elif kind == "rename" and parents and f"p{number}" not in taken:
        update(txn, "P", parents[number % len(parents)]["RID"], name=f"p{number}")
    elif kind == "note" and children and "note" in children[0]:
        update(txn, "C", children[number % len(children)]["RID"], note=f"n{number}")
    elif kind == "delete" and parents:
        delete(txn, "P", parents[number % len(parents)]["RID"])
    elif kind == "column":
        change_columns(txn, "C", f"x{number}")
    elif kind == "drop":
        change_columns(txn, "C", "note")


def change_columns(txn, table, name):
    """Drop the column if it is there, else add it with a default."""
    draft = Draft(txn, BOSS)
    known = txn.model.find_table("S", table)
    if known.find(name):
        drop_column(draft, known, known.find(name))
    else:
        create_column(draft, known, {"name": name, "type": {"typename": "text"}, "default": name})
    draft.finish()


def test_a_dropped_table_stays_readable_in_the_past(catalog):
    """Its rows keep their place at every snapshot that had it, and parents may go."""
    with catalog.write("boss") as txn:
        insert(txn, "P", name="a")
        insert(txn, "C", parent="a", note="n")
    with catalog.write("boss") as drop:
        draft = Draft(drop, BOSS)
        drop_table(draft, drop.model.find_table("S", "C"))
        draft.finish()
    with catalog.write("boss") as later:
        later.db.execute(f"DELETE FROM {later.model.find_table('S', 'P').live}")
        later.changed()

    with catalog.read(txn.snaptime) as view:
        assert [row["note"] for row in rows(view, "C")] == ["n"]
    with catalog.read() as view:
        assert view.model.find_table("S", "C") is None
        assert rows(view, "P") == []


def retype(catalog, table, column, typename):
    with catalog.write("boss") as txn:
        draft = Draft(txn, BOSS)
        known = txn.model.find_table("S", table)
        alter_column(draft, known, known.find(column), {"type": {"typename": typename}})
        draft.finish()


def test_a_changed_type_leaves_the_past_alone(catalog):
    """Old snapshots have the old values in the old type, also after the row and the type changed again."""
    with catalog.write("boss") as first:
        rid = insert(first, "C", note="012")
    retype(catalog, "C", "note", "int4")
    with catalog.write("boss") as second:
        update(second, "C", rid, note=13)
    retype(catalog, "C", "note", "float8")

    seen = []
    for snaptime in (first.snaptime, first.snaptime + 1, second.snaptime - 1, second.snaptime, None):
        with catalog.read(snaptime) as view:
            [row] = rows(view, "C")
            seen.append((row["note"], view.model.find_table("S", "C").find("note").type.typename))
    assert seen == [("012", "text"), ("012", "text"), (12, "int4"), (13, "int4"), (13.0, "float8")]
    assert list(defects(catalog.path)) == []


@pytest.mark.parametrize(("value", "typename"), [("x", "int4"), ("70000", "int2"), ("2024-13-01", "date")])
def test_a_type_that_values_do_not_fit_is_refused(catalog, value, typename):
    """Nothing changes then."""
    with catalog.write("boss") as txn:
        insert(txn, "C", note=value)

    with pytest.raises(Conflict, match=typename):
        retype(catalog, "C", "note", typename)
    with catalog.read() as view:
        assert [row["note"] for row in rows(view, "C")] == [value]


def test_a_referenced_column_keeps_a_comparable_type(catalog):
    """Both ends of a foreign key must compare."""
    with pytest.raises(Conflict, match="cannot compare"):
        retype(catalog, "P", "name", "int4")
    retype(catalog, "P", "name", "markdown")

    assert list(defects(catalog.path)) == []


def test_nothing_before_the_first_snapshot(catalog):
    """A time before the catalog existed is refused."""
    with pytest.raises(NoSnapshot, match="did not exist"), catalog.read(0):
        pass


def test_what_is_no_catalog_is_refused(tmp_path):
    """One line says which file and why."""
    apsw.Connection(str(tmp_path / "other.db")).execute("CREATE TABLE t (a)")

    with pytest.raises(StorageError, match="format 0"):
        Catalog(tmp_path / "other.db")
    with pytest.raises(StorageError, match="no catalog"):
        Catalog(tmp_path / "absent.db")


def test_readers_see_one_snapshot_while_others_write(catalog):
    """A view does not move under its reader."""
    with catalog.write("boss") as txn:
        insert(txn, "P", name="a")
    with catalog.read() as view:
        before = rows(view, "P")
        with catalog.write("boss") as txn:
            insert(txn, "P", name="b")

        assert rows(view, "P") == before


def start(task, *arguments):
    """Run a function of this file in a process of its own."""
    return subprocess.Popen([sys.executable, __file__, task.__name__, *map(str, arguments)])


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        ("UPDATE {live} SET {rmt} = '9999-01-01 00:00:00+00'", "newer than the newest"),
        ("UPDATE {live} SET {rid} = 'ZZZZ-ZZZY'", "given out again"),
        ("DROP INDEX {key}", "lacks its index"),
        ("ALTER TABLE {live} ADD COLUMN extra", "not declared"),
        ("DROP TABLE {history}", "no SQLite table"),
        ("UPDATE element SET document = '{{}}'", "cannot be read"),
        ("UPDATE state SET snaptime = 5", "newest snapshot"),
    ],
)
def test_harm_is_found(catalog, harm, word):
    """What no service would have written is told, in words that name the table or row."""
    with catalog.write("boss") as txn:
        insert(txn, "P", name="a")
    table = txn.model.find_table("S", "P")
    db = apsw.Connection(str(catalog.path))
    names = {"live": table.live, "history": table.history, "rid": table.rid_column.sql, "rmt": table.rmt_column.sql}
    db.execute(f"DROP TRIGGER u{table.oid}")
    db.execute(harm.format(**names, key=f"k{table.keys[1].oid}"))
    db.close()

    assert any(word in defect for defect in defects(catalog.path))


def write_rows(path, prefix, count):
    catalog = Catalog(Path(path))
    for number in range(int(count)):
        with catalog.write(prefix) as txn:
            insert(txn, "P", name=f"{prefix}{number}")
        with catalog.read() as view:
            assert any(row["name"] == f"{prefix}{number}" for row in rows(view, "P"))


def test_processes_write_at_once_and_lose_nothing(catalog):
    """Four processes queue for the file; each row and each RID is there once."""
    writers = [start(write_rows, catalog.path, prefix, 15) for prefix in "abcd"]

    assert [writer.wait(60) for writer in writers] == [0] * 4
    with catalog.read() as view:
        found = rows(view, "P")
    assert sorted(row["name"] for row in found) == sorted(f"{p}{n}" for p in "abcd" for n in range(15))
    assert len({row["RID"] for row in found}) == 60


def write_for_ever(path, log):
    catalog = Catalog(Path(path))
    with Path(log).open("a") as file:
        for number in range(10**6):
            with catalog.write("victim") as txn:
                insert(txn, "P", name=f"v{os.getpid()}-{number}")
                insert(txn, "C", parent=f"v{os.getpid()}-{number}")
            file.write(f"v{os.getpid()}-{number}\n")
            file.flush()


def test_acknowledged_writes_survive_kill(catalog, tmp_path):
    """Killed at any moment, a writer leaves every acknowledged row, whole transactions, and no lock."""
    log = tmp_path / "acknowledged"
    log.touch()
    for _ in range(3):
        size = log.stat().st_size
        victim = start(write_for_ever, catalog.path, log)
        while log.stat().st_size < size + 200 and victim.poll() is None:
            time.sleep(0.005)  # until it writes: there is nothing to wait on but its file
        victim.kill()
        victim.wait()

    with catalog.read() as view:
        names = {row["name"] for row in rows(view, "P")}
        children = {row["parent"] for row in rows(view, "C")}
        health = view.db.execute("PRAGMA integrity_check").get
    assert health == "ok"
    assert list(defects(catalog.path)) == []
    assert set(log.read_text().split()) <= names == children
    with catalog.write("boss") as txn:
        insert(txn, "P", name="after")


if __name__ == "__main__":
    {"write_rows": write_rows, "write_for_ever": write_for_ever}[sys.argv[1]](*sys.argv[2:])
