"""Writing rows: what comes back, what is refused, and that a refused request changes nothing."""

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deriva_ml_core.local_catalog.ermrest.identifiers import decode

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
COLUMNS = {"k": "int4", "t": "text", "n": "int4", "f": "float8", "b": "boolean", "a": "text[]", "j": "jsonb"}
ROW = st.fixed_dictionaries(
    {"k": st.integers(0, 10**6)},
    optional={
        "t": st.none() | TEXT,
        "n": st.none() | st.integers(-5, 5),
        "f": st.none() | st.floats(-1e6, 1e6).map(lambda number: number + 0.0),
        "b": st.none() | st.booleans(),
        "a": st.none() | st.lists(TEXT | st.none(), max_size=3),
        "j": st.none() | st.dictionaries(TEXT, st.integers(), max_size=2),
    },
)
EMPTY = {"t": None, "n": None, "f": None, "b": None, "a": [], "j": None}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*COLUMNS, "RID", "x"]), inner),
    max_leaves=8,
)


@pytest.fixture
def table(rows):
    return rows.table(COLUMNS, [["k"]])


def own(row):
    """A row without its system columns."""
    return {name: value for name, value in row.items() if name in COLUMNS}


def content(rows, table):
    return {row["k"]: own(row) for row in rows.rows(f"entity/{table}")}


@QUICK
@given(batch=st.lists(ROW, unique_by=lambda row: row["k"], max_size=6))
def test_inserted_rows_come_back(rows, batch):
    """What was inserted is answered, and read, as it was sent; what was not sent is null, an array empty."""
    table = rows.table(COLUMNS, [["k"]])

    answer = rows.write("POST", f"entity/{table}", batch)

    assert answer.status_code == 200, answer.text
    expected = {row["k"]: {**EMPTY, **row} for row in batch}
    assert {row["k"]: own(row) for row in answer.json} == expected
    assert content(rows, table) == expected


@QUICK
@given(batch=st.lists(ROW, unique_by=lambda row: row["k"], min_size=1, max_size=5))
def test_csv_answers_can_be_inserted_again(rows, batch):
    """CSV that the service wrote, it reads as the same rows."""
    first, second = rows.table(COLUMNS, [["k"]]), rows.table(COLUMNS, [["k"]])
    rows.write("POST", f"entity/{first}", batch)
    text = rows.get(f"attribute/{first}/{','.join(COLUMNS)}?accept=csv").get_data()

    answer = rows.write("POST", f"entity/{second}", text, "text/csv", Accept="application/json")

    assert answer.status_code == 200, answer.text
    assert content(rows, second) == content(rows, first)


@QUICK
@given(
    stored=st.lists(ROW, unique_by=lambda row: row["k"] % 4, max_size=4),
    sent=st.lists(ROW, unique_by=lambda row: row["k"] % 4, max_size=4),
)
def test_put_overwrites_or_inserts(rows, stored, sent):
    """PUT of entities: rows with a stored key replace its other columns, others are new."""
    stored, sent = ([{**row, "k": row["k"] % 4} for row in each] for each in (stored, sent))
    table = rows.table(COLUMNS, [["k"]])
    rows.write("POST", f"entity/{table}", stored)

    answer = rows.write("PUT", f"entity/{table}", sent)

    assert answer.status_code == 200, answer.text
    expected = {row["k"]: {**EMPTY, **row} for row in [*stored, *sent]}
    assert content(rows, table) == expected
    assert {row["k"] for row in answer.json} == {row["k"] for row in sent}


@QUICK
@given(
    stored=st.lists(ROW, unique_by=lambda row: row["k"], min_size=1, max_size=5),
    changes=st.lists(st.tuples(st.integers(0, 4), TEXT), unique_by=lambda change: change[0], max_size=5),
)
def test_update_sets_the_targets_only(rows, stored, changes):
    """PUT of an attributegroup changes the named columns of the named rows, and ignores rows that are not there."""
    table = rows.table(COLUMNS, [["k"]])
    rows.write("POST", f"entity/{table}", stored)
    before = content(rows, table)
    sent = [{"old": stored[i]["k"] if i < len(stored) else -1 - i, "t": text} for i, text in changes]

    answer = rows.write("PUT", f"attributegroup/{table}/old:=k;t", sent)

    matched = [row for row in sent if row["old"] in before]
    assert answer.json == matched
    assert content(rows, table) == before | {row["old"]: {**before[row["old"]], "t": row["t"]} for row in matched}


@QUICK
@given(method=st.sampled_from(["POST", "PUT"]), body=st.lists(ANYTHING, max_size=3) | ANYTHING)
def test_any_json_body_is_rows_or_refused(rows, method, body):
    """No body breaks the service, and a refused one changes nothing."""
    table = rows.table(COLUMNS, [["k"]])

    answer = rows.write(method, f"entity/{table}", json.dumps(body))

    assert answer.status_code in {200, 400, 409}, answer.text
    assert len(rows.rows(f"entity/{table}")) == (len(answer.json) if answer.status_code == 200 else 0)


@QUICK
@given(
    kind=st.sampled_from(["text/csv", "application/x-json-stream", "application/json"]),
    body=st.binary(max_size=60) | st.text('k,tnfbaj"\r\n{}[]:0', max_size=60).map(str.encode),
)
def test_any_bytes_are_rows_or_refused(rows, kind, body):
    """No bytes break the service, whatever they are said to be."""
    table = rows.table(COLUMNS, [["k"]])

    for method, path in (("POST", f"entity/{table}"), ("PUT", f"attributegroup/{table}/k;t")):
        answer = rows.write(method, path, body, kind)
        assert answer.status_code in {200, 400, 409}, answer.text


@pytest.mark.parametrize(
    ("rows_sent", "status"),
    [
        ([{"k": 2}, {"k": 3, "n": "many"}], 400),
        ([{"k": 2}, {"k": 1}], 409),
        ([{"k": 2}, {"k": 2}], 400),
        ([{"k": 2}, {"n": 5, "k": None}, 7], 409),
    ],
)
def test_all_or_nothing(rows, table, rows_sent, status):
    """One bad row, and none is inserted; RIDs that were handed out are not handed out again."""
    [first] = rows.write("POST", f"entity/{table}", [{"k": 1}]).json

    refused = rows.write("POST", f"entity/{table}", rows_sent)
    [later] = rows.write("POST", f"entity/{table}", [{"k": 9}]).json

    assert refused.status_code == status
    assert [row["k"] for row in rows.rows(f"entity/{table}@sort(k)")] == [1, 9]
    assert decode(later["RID"]) > decode(first["RID"])


def test_rows_of_one_body_may_refer_to_each_other(rows):
    """References are checked at the end: a child may come before its parent; a dangling one refuses all."""
    table = rows.table({"k": "text", "up": "text"}, [["k"]], [])
    body = {
        "foreign_key_columns": [{"schema_name": table[:-2], "table_name": "T", "column_name": "up"}],
        "referenced_columns": [{"schema_name": table[:-2], "table_name": "T", "column_name": "k"}],
    }
    made = rows.ask("POST", f"{rows.catalog}/schema/{table[:-2]}/table/T/foreignkey", json=body)
    assert made.status_code == 201, made.text

    good = rows.write("POST", f"entity/{table}", [{"k": "child", "up": "root"}, {"k": "root"}])
    bad = rows.write("POST", f"entity/{table}", [{"k": "orphan", "up": "nobody"}])
    moved = rows.write("PUT", f"attributegroup/{table}/k;up", [{"k": "root", "up": "nobody"}])

    assert good.status_code == 200, good.text
    assert (bad.status_code, moved.status_code) == (409, 409)
    assert "up" in bad.text
    assert len(rows.rows(f"entity/{table}")) == 2


def test_chosen_rids_are_skipped_by_the_counter(rows, table):
    """After a row with a RID of the client's choice, new RIDs are larger; its spelling is made the one of all RIDs."""
    [row] = rows.write("POST", f"entity/{table}?nondefaults=RID", [{"k": 1, "RID": "4hy0-0g"}]).json
    [after] = rows.write("POST", f"entity/{table}", [{"k": 2}]).json

    assert row["RID"] == "4H-Y00G"
    assert decode(after["RID"]) > decode(row["RID"])


def test_deletes_follow_joins(rows, table):
    """DELETE removes the rows of the last table that the path reaches, and says when there are none."""
    other = rows.table({"n": "int4"})
    rows.write("POST", f"entity/{table}", [{"k": 1, "n": 1}, {"k": 2, "n": 2}, {"k": 3, "n": 2}])
    rows.write("POST", f"entity/{other}", [{"n": 2}])

    gone = rows.delete(f"entity/{other}/(n)=({table}:n)/k::gt::2")
    again = rows.delete(f"entity/{other}/(n)=({table}:n)/k::gt::2")
    cleared = rows.delete(f"attribute/{other}/(n)=({table}:n)/n,t")

    assert [gone.status_code, again.status_code, cleared.status_code] == [204, 404, 204]
    assert {k: row["n"] for k, row in content(rows, table).items()} == {1: 1, 2: None}


@pytest.mark.parametrize("path", ["entity/{}?limit=1", "entity/{}@sort(k)?limit=1", "attribute/{}/n?limit=1"])
def test_a_deletion_is_not_limited(rows, table, path):
    """Who asks for one row to be deleted does not lose them all: the request is refused."""
    rows.write("POST", f"entity/{table}", [{"k": 1, "n": 1}, {"k": 2, "n": 2}])

    answer = rows.delete(path.format(table))

    assert answer.status_code == 400
    assert {k: row["n"] for k, row in content(rows, table).items()} == {1: 1, 2: 2}


@pytest.mark.parametrize("name", ["'; DROP TABLE state; --", 'a"b', "x=?1"])
def test_hostile_parameters_are_names(rows, table, name):
    """SQL in the query string of a write names a column that is not there."""
    escaped = quote(name, safe="")
    for query in (f"defaults={escaped}", f"nondefaults={escaped}"):
        assert rows.write("POST", f"entity/{table}?{query}", [{"k": 1}]).status_code == 409
    assert rows.write("POST", f"entity/{table}?onconflict={escaped}", [{"k": 1}]).status_code == 400
    assert rows.rows(f"entity/{table}") == []
