"""The jobs of a sweep ask for one bag at once, and any of them may be killed: real processes, one cache."""

import json
import signal
import subprocess
import sys
import time

import pytest
from meddling_proxy import MeddlingProxy

from deriva_ml_core.datasets.bag import DatasetBag

FETCH = """
import json, sys
from pathlib import Path
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.specs import DatasetSpec
where, rid, cache = json.loads(sys.argv[1])
session = CatalogSession.connect("local", **where)
print(fetch_bag(session, DatasetSpec(rid=rid, fetch_concurrency=1), Path(cache)).path)
"""


@pytest.fixture
def fetch(local_server, image_session, dataset, tmp_path):
    """Call it for a process that fetches the bag into the test's cache; those left over are ended."""
    started = []

    def start(url: str = local_server.url) -> subprocess.Popen[str]:
        where = {"catalog_id": image_session.catalog_id, "base_url": url, "credential": dict(local_server.credential)}
        arguments = json.dumps([where, dataset.dataset_rid, str(tmp_path / "cache")])
        started.append(subprocess.Popen([sys.executable, "-c", FETCH, arguments], stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def objects_asked(log) -> list[str]:
    return [path for method, path in log if method == "GET" and path.startswith("/hatrac/")]


def test_processes_that_ask_at_once_get_one_bag(fetch, server_log, images):
    """One makes it, the others wait; no object is asked for twice, and all have all of it."""
    server_log.clear()
    processes = [fetch() for _ in range(5)]
    found = {process.communicate(timeout=120)[0].strip() for process in processes}

    assert [process.returncode for process in processes] == [0] * 5
    (path,) = found
    assert len(objects_asked(server_log)) == len(set(objects_asked(server_log))) == 4
    assert len([row for row in DatasetBag(path).get_table_as_dict("Image") if row["Filename"].startswith(path)]) == 4


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_was_ended_goes_on(fetch, server_log, local_server, tmp_path, end):
    """Kill -9 or Ctrl-C after the first file: the next process waits for nobody, and fetches only the others."""

    def here() -> int:
        return len([*tmp_path.glob("cache/objects/??/[!.]*")])

    host, _, port = local_server.netloc.partition(":")
    with MeddlingProxy(host, int(port)) as slow:
        slow.delay_s = 0.5
        ended = fetch(slow.url)
        while ended.poll() is None and not here():
            time.sleep(0.01)  # another process's file tells nobody that it is there
        assert ended.poll() is None
        ended.send_signal(end)
        ended.wait()
    before = here()
    server_log.clear()
    path = fetch().communicate(timeout=120)[0].strip()

    assert ended.returncode != 0
    assert 1 <= before < 4
    assert len(objects_asked(server_log)) == 4 - before
    assert len([row for row in DatasetBag(path).get_table_as_dict("Image") if row["Filename"].startswith(path)]) == 4
    assert not (end == signal.SIGINT and list(tmp_path.rglob("*.part")))
