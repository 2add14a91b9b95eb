"""
Rows when many processes write and read at once, and when the server is killed while it writes.

CI runs the short form. The long one: nox -s endurance
"""

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.checking import check
from deriva_ml_core.local_catalog.ermrest.typenames import SYSTEM_TYPES
from deriva_ml_core.local_catalog.root import Root

STRESS_S = float(os.environ.get("DERIVA_ML_STRESS_S", "3"))
KILLS = int(os.environ.get("DERIVA_ML_KILLS", "5"))
PROCESSES = 8
ACCOUNTS = 10
TOTAL = 1000


def _table(name, columns, key):
    system = [{"name": n, "type": t.document(), "nullok": n in {"RCB", "RMB"}} for n, t in SYSTEM_TYPES.items()]
    own = [{"name": n, "type": {"typename": t}} for n, t in columns.items()]
    keys = [{"unique_columns": ["RID"]}, {"unique_columns": key}]
    return {"schema_name": "S", "table_name": name, "column_definitions": system + own, "keys": keys}


ACCOUNT = _table("Account", {"Name": "text", "Amount": "int8"}, ["Name"])
ENTRY = _table("Entry", {"Writer": "text", "Number": "int4", "Part": "int4"}, ["Writer", "Number", "Part"])
MODEL = {"schemas": {"S": {"schema_name": "S", "tables": {"Account": ACCOUNT, "Entry": ENTRY}}}}


@pytest.fixture
def catalog(tmp_path):
    """The id of a catalog with ten accounts, and a journal; its root is tmp_path / "root"."""
    with LocalServer(tmp_path / "root") as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        identity = session.post(server.url + "/ermrest/catalog").json()["id"]
        catalog = f"{server.url}/ermrest/catalog/{identity}"
        session.post(f"{catalog}/schema", json=MODEL).raise_for_status()
        accounts = [{"Name": f"a{n}", "Amount": TOTAL // ACCOUNTS} for n in range(ACCOUNTS)]
        session.post(f"{catalog}/entity/S:Account", json=accounts).raise_for_status()
    return identity


def work(root, identity, who, seconds):
    """
    One process, with a server of its own: share money out, write journals, read both now and in the past.

    Prints how many journals it wrote.
    """
    chance, number = random.Random(who), 0
    with LocalServer(Path(root)) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        catalog = f"{server.url}/ermrest/catalog/{identity}"
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            _write_journal(session, catalog, who, number)
            number += 1
            _share_out(session, catalog, chance)
            _look(session, catalog)
    print(number)


def _write_journal(session, catalog, who, number):
    rows = [{"Writer": who, "Number": number, "Part": part} for part in range(3)]
    session.post(f"{catalog}/entity/S:Entry", json=rows).raise_for_status()


def _share_out(session, catalog, chance):
    """Set all accounts in one request, so that their sum is right whoever overwrites whom."""
    shares = [chance.randint(-50, 50) for _ in range(ACCOUNTS - 1)]
    shares.append(TOTAL - sum(shares))
    body = [{"Name": f"a{n}", "Amount": share} for n, share in enumerate(shares)]
    session.put(f"{catalog}/attributegroup/S:Account/Name;Amount", json=body).raise_for_status()


def _look(session, catalog):
    """Money is never lost, journals are whole, and a snapshot stays as it is."""
    [total] = session.get(f"{catalog}/aggregate/S:Account/sum:=sum(Amount),n:=cnt(*)").json()
    assert total == {"sum": TOTAL, "n": ACCOUNTS}, total
    torn = session.get(f"{catalog}/attributegroup/S:Entry/Writer,Number;n:=cnt(*)@sort(n)?limit=1").json()
    assert all(group["n"] == 3 for group in torn), torn
    past = f"{catalog}@{session.get(catalog).json()['snaptime']}"
    counts = [session.get(f"{past}/aggregate/S:Entry/n:=cnt(*),m:=max(RID)").json() for _ in range(2)]
    assert counts[0] == counts[1], counts
    [total] = session.get(f"{past}/aggregate/S:Account/sum:=sum(Amount)").json()
    assert total == {"sum": TOTAL}, total


def test_endurance_of_eight_processes(catalog, tmp_path):
    """Eight processes write and read one catalog: no error, no lost row, no torn snapshot."""
    command = [sys.executable, __file__, tmp_path / "root", catalog]
    processes = [
        subprocess.Popen(
            [*command, f"w{who}", str(STRESS_S)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for who in range(PROCESSES)
    ]
    outputs = [process.communicate(timeout=STRESS_S + 240) for process in processes]

    assert [errors for _, errors in outputs] == [""] * PROCESSES
    written = {f"w{who}": int(output) for who, (output, _) in enumerate(outputs)}
    with LocalServer(tmp_path / "root") as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        url = f"{server.url}/ermrest/catalog/{catalog}/attributegroup/S:Entry/Writer;n:=cnt(*)"
        stored = {row["Writer"]: row["n"] for row in session.get(url).json()}
    assert stored == {who: 3 * number for who, number in written.items() if number}
    with Root(tmp_path / "root") as root:
        assert check(root).findings == []


SERVER = """
import sys
from deriva_ml_core.local_catalog import serve

serve(sys.argv[1], ready=lambda url: print(url, flush=True))
"""


def _write_until_killed(catalog, who, acknowledged):
    """Write journals, some of them moved by an update or taken back, until the server is gone."""
    with requests.Session() as session:
        try:
            for number in range(100_000):
                _write_journal(session, catalog, who, number)
                acknowledged[who, number] = 3
                if number % 4 == 3:
                    url = f"{catalog}/entity/S:Entry/Writer={who}&Number={number - 2}"
                    acknowledged.pop((who, number - 2))  # it may be gone from now on, and must be after the answer
                    session.delete(url).raise_for_status()
                    acknowledged[who, number - 2] = 0
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):  # killed before, or in an answer
            return


def _groups(session, catalog):
    url = f"{catalog}/attributegroup/S:Entry/Writer,Number;n:=cnt(*)"
    return {(row["Writer"], row["Number"]): row["n"] for row in session.get(url).json()}


def test_endurance_of_kill_9(catalog, tmp_path):
    """Whenever the server is killed, each acknowledged write is there, no other is half there, and it starts again."""
    root, acknowledged = tmp_path / "root", {}
    for turn in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", SERVER, root], stdout=subprocess.PIPE, text=True)
        url = f"{process.stdout.readline().strip()}/ermrest/catalog/{catalog}"
        threads = [
            threading.Thread(target=_write_until_killed, args=(url, f"r{turn}w{writer}", acknowledged))
            for writer in range(3)
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while not any(who.startswith(f"r{turn}w") for who, _ in list(acknowledged)) and time.monotonic() < until:
            time.sleep(0.005)  # until it writes, on however busy a machine
        time.sleep(random.uniform(0, 0.5))  # the moment of death is random
        process.kill()
        process.communicate(timeout=30)
        for thread in threads:
            thread.join(60)

    with LocalServer(root) as server, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {server.token}"
        found = _groups(session, f"{server.url}/ermrest/catalog/{catalog}")
    assert {journal: found.get(journal, 0) for journal in acknowledged} == acknowledged
    assert set(found.values()) <= {3}
    assert len(acknowledged) >= KILLS
    with Root(root) as opened:
        assert check(opened).findings == []


if __name__ == "__main__":
    work(*sys.argv[1:])
