"""What one request may cost: how long a query runs, and how much memory the rows of a body take."""

import json
import threading

import pytest

from deriva_ml_core.local_catalog.ermrest import runningtime


@pytest.fixture(scope="module")
def crowd(rows):
    """A table of 300 rows that are all linked to each other by their equal values."""
    name = rows.table({"k": "int4", "v": "int4"}, [["k"]])
    assert rows.write("POST", f"entity/{name}", [{"k": k, "v": 1} for k in range(300)]).status_code == 200
    return name


def _endless(table):
    """A path with 300 to the power of 5 combinations."""
    return f"a:={table}" + "".join(f"/{alias}:=(v)=({table}:v)" for alias in "bcde")


def test_a_query_without_end_is_refused_as_deriva_expects(rows, crowd, monkeypatch):
    """Deriva's paged download and Chaise know a query that takes too long by these words with a 400."""
    monkeypatch.setattr(runningtime, "READING_S", 0.2)

    answer = rows.get(f"aggregate/{_endless(crowd)}/n:=cnt(*),m:=cnt_d(a:k)")

    assert answer.status_code == 400
    assert "Query run time limit exceeded" in answer.text


def test_a_deletion_without_end_changes_nothing(rows, crowd, monkeypatch):
    """An interrupted write is undone as a whole, and the next one goes on as ever."""
    monkeypatch.setattr("deriva_ml_core.local_catalog.ermrest.dataresources.WRITING_S", 0.2)

    answer = rows.delete(f"entity/{_endless(crowd)}/a:k::gt::1000;e:k::gt::1000")

    assert (answer.status_code, "Query run time limit exceeded" in answer.text) == (400, True)
    assert rows.rows(f"aggregate/{crowd}/n:=cnt(*)") == [{"n": 300}]
    assert rows.write("PUT", f"attributegroup/{crowd}/k;v", [{"k": 1, "v": 1}]).status_code == 200


def test_time_between_rows_is_what_counts(rows, crowd, monkeypatch):
    """A long export is not a long wait: the clock starts anew with every piece that is sent."""
    restarts = []
    restart = runningtime.Clock.restart
    monkeypatch.setattr(runningtime.Clock, "restart", lambda clock: restarts.append(clock) or restart(clock))

    answer = rows.get(f"attributegroup/a:={crowd}/b:=(v)=({crowd}:v)/a:k,l:=b:k")

    assert len(answer.json) == 300 * 300
    assert len(restarts) > 3


def test_a_query_that_nobody_reads_to_its_end_leaves_no_clock(rows, crowd):
    """The connection goes back to its pool: the time of a broken download must not end somebody else's query."""
    answer = rows.get(f"attributegroup/a:={crowd}/b:=(v)=({crowd}:v)/a:k,l:=b:k")
    answer.close()

    assert len(rows.rows(f"entity/{crowd}")) == 300


@pytest.mark.parametrize(
    "body", ["[", "[{}", '[{"k":1},]', '[{"k":1}{"k":2}]', '[{"k":1}] 1', "[1 2]", '[{"k":NaN}]', ""]
)
def test_an_array_that_is_no_json_is_refused_whole(rows, crowd, body):
    """Rows are read one at a time; what is wrong at the end still means that none is written."""
    answer = rows.write("POST", f"entity/{crowd}", body)

    assert answer.status_code == 400
    assert rows.rows(f"aggregate/{crowd}/n:=cnt(*)") == [{"n": 300}]


def test_blanks_around_rows_do_not_matter(rows):
    """RFC 8259, section 2: blanks, tabs and line ends may stand around every sign."""
    name = rows.table({"k": "int4"}, [["k"]])

    answer = rows.write("POST", f"entity/{name}", ' \n[\t{"k": 1}\r\n ,\n{"k":2} ] \n')

    assert [row["k"] for row in answer.json] == [1, 2]


BODIES = [
    ("application/json", '[{"k": 1, "t": "é𝄞"}, {"k": 2, "t": "a,\\"b\\n"}\r\n , {"k":3}]\n ', 200),
    ("application/json", "\ufeff[ ]", 200),
    ("application/json", '[{"k": 1}, 12]', 409),
    ("application/json", '[{"k": 1}, 12x]', 400),
    ("application/json", '[{"k": 1}, {"k": 1}]', 400),
    ("application/json", '[{"k": 1}] []', 400),
    ("application/json", '[{"k": 1}, {"t": "no end]', 400),
    ("application/json", ' {"k": 1} ', 400),
    ("application/x-json-stream", '{"k": 1, "t": "é𝄞"}\n\n{"k": 2}', 200),
    ("application/x-json-stream", '{"k": 1}\n{"k": ', 400),
    ("text/csv", 'k,t\r\n1,"é𝄞, ""x""\r\ny"\r\n2,\r\n3,""', 200),
    ("text/csv", "k,t\r1,a\r2,b\r", 200),
    ("text/csv", "k,t\n1,", 200),
    ("text/csv", 'k,t\n1,"no end\n2,b\n', 400),
    ("text/csv", "k,t\n1,a,b\n", 400),
]


@pytest.mark.parametrize(("kind", "body", "status"), BODIES)
def test_a_body_means_the_same_wherever_it_is_cut(rows, monkeypatch, kind, body, status):
    """Bodies are read through a window: a value, a character or a line end that is cut is read on."""
    name = rows.table({"k": "int4", "t": "text"}, [["k"]])
    answers = []
    for size in (1024 * 1024, 1, 2, 3, 7):
        monkeypatch.setattr("deriva_ml_core.local_catalog.ermrest.bodies._WINDOW_BYTES", size)
        answer = rows.write("POST", f"entity/{name}", body.encode(), kind, Accept="application/json")
        written = rows.rows(f"attribute/{name}/k,t@sort(k)")
        answers.append((answer.status_code, answer.text if answer.status_code != 200 else None, written))
        rows.delete(f"entity/{name}")

    assert answers == [answers[0]] * 5
    assert answers[0][0] == status


def test_many_rows_are_packed(rows, monkeypatch):
    """Rows are kept a few at a time, in any number of packs, and lose nothing by it."""
    monkeypatch.setattr("deriva_ml_core.local_catalog.ermrest.bodies._PACKED_ROWS", 3)
    name = rows.table({"k": "int4", "t": "text", "f": "float8", "j": "jsonb"}, [["k"]])
    sent = [{"k": k, "t": None if k % 2 else "é", "f": k / 8, "j": {"a": [k]}} for k in range(10)]

    assert rows.write("POST", f"entity/{name}", sent).status_code == 200
    assert rows.rows(f"attribute/{name}/k,t,f,j@sort(k)") == sent
    assert rows.write("PUT", f"entity/{name}", [{**row, "t": "x"} for row in sent]).status_code == 200
    assert rows.rows(f"aggregate/{name}/n:=cnt(*),t:=cnt_d(t)") == [{"n": 10, "t": 1}]


def test_long_bodies_wait_on_disk_for_their_turn(rows, monkeypatch):
    """Of many long bodies at once only one is in memory: the others are files without a name."""
    monkeypatch.setattr("deriva_ml_core.local_catalog.ermrest.dataresources._IN_MEMORY_BYTES", 1000)
    name = rows.table({"k": "int4", "t": "text"}, [["k"]])
    bodies = [json.dumps([{"k": who * 100 + k, "t": "é" * 100} for k in range(100)]) for who in range(8)]
    statuses = []

    def post(body):
        statuses.append(rows.write("POST", f"entity/{name}", body.encode()).status_code)

    threads = [threading.Thread(target=post, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 8
    assert rows.rows(f"aggregate/{name}/n:=cnt(*),d:=cnt_d(t)") == [{"n": 800, "d": 1}]
