"""
How does the embedded catalog compare with a real server?

    python benchmarks/catalog.py [--mib 1024]

By answers that a real ERMrest and Hatrac gave, by their speed, and by what its objects, its start and its memory cost.
The real server's medians were taken elsewhere (ERMrest on PostgreSQL, a like machine, loopback HTTPS), with the same
program and client; what is a ratio is measured in one run. Needs ../shared/vectors and ../shared/bench, which
are no part of this repository (DERIVA_VECTORS and DERIVA_BENCH name other places).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import requests
from _harness import Figure, LackingError, each, program, report, sensible
from _servers import served
from deriva.core import ErmrestCatalog

from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.root import Root
from deriva_ml_core.schema.install import install_schema

PROJECT = Path(__file__).parents[1]
SHARED = PROJECT.parent / "shared"
VECTORS = Path(os.environ.get("DERIVA_VECTORS", SHARED / "vectors"))
BENCH = Path(os.environ.get("DERIVA_BENCH", SHARED / "bench"))
MIB = 1024 * 1024

ETAGS = """\
Each question is asked 15 times in a row, as of the real server. deriva's client repeats a question with the ETag of the
last answer, so that some of these answers are a 304."""
REAL_SERVER = {  # name in catalog_bench.py: (median of the real server, how many times as fast we must be)
    "insert 10,000 rows": (5.4, 3),
    "insert one row": (28, 3),
    "update one row": (30, 3),
    "get one row by RID": (14, 3),
    "get 10,000 rows as JSON": (50, 1),
    "get 10,000 rows as CSV": (10, 1),
    "filter 100,000 rows, no index": (14, 1),
    "join and aggregate": (16, 1),
    "group by joined column": (9, 1),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--mib", type=int, default=1024, help="size of the large object in MiB")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="catalog-benchmark-"))
    parts = {
        "Does it answer as a real server does?": lambda title: report(title, {}, replays(folder)),
        "How fast are rows, beside a real server?": lambda title: report(
            title, {}, [*rows(folder), *schema(folder)], ETAGS
        ),
        "How fast are objects, beside cp and md5sum?": lambda title: report(
            title, {}, [*large_object(folder, args.mib), *small_objects(folder)]
        ),
        "What does a catalog in one's own process cost?": lambda title: report(title, {}, in_process(folder)),
    }
    try:
        return each(parts)
    finally:
        shutil.rmtree(folder)


def need(place: Path) -> None:
    """
    Insist on a folder that is no part of this repository.

    Raises:
        LackingError: it isn't there; no page tells this machine's folders.
    """
    if not place.is_dir():
        variable = f"DERIVA_{place.name.upper()}"
        raise LackingError(f"there is no {place.name} folder beside this checkout, and {variable} names none.")


# Replay


def replays(folder: Path) -> Iterator[Figure]:
    """How many public scenarios replay without a difference."""
    need(VECTORS)
    tests = _module(PROJECT / "tests" / "local_catalog" / "test_vectors.py", "benchmark_vectors")
    with Root(folder / "in-process") as root:
        app = Application(root)
        sessions = {who: tests.InProcess(app, token) for who, token in tests.tokens_of(root).items()}
        yield _replay(tests, sessions, tests.BASE, "in process")
    with Root(folder / "over-http") as root:
        tokens = tests.tokens_of(root)
    with LocalServer(folder / "over-http") as server:
        sessions = {who: requests.Session() for who in tokens}
        for who, token in tokens.items():
            sessions[who].headers.update({"Authorization": f"Bearer {token}"} if token else {})
        yield _replay(tests, sessions, server.url, "over HTTP")
        for session in sessions.values():
            session.close()


def _replay(tests: ModuleType, sessions: dict, base: str, how: str) -> Figure:
    with closing(tests.replay.Runner(sessions, base)) as runner:
        good = [runner.run(suite, scenario) == [] for suite, scenario in tests.SCENARIOS]
    return Figure(f"scenarios replayed {how}", sum(good), len(good), f"of {len(good)}", at_least=True)


def _module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# Rows


def rows(folder: Path) -> Iterator[Figure]:
    """../shared/bench/catalog_bench.py against `deriva-ml-catalog serve`."""
    need(BENCH)
    with served(folder / "rows") as url:
        command = [sys.executable, str(BENCH / "catalog_bench.py"), url.removeprefix("http://"), "http"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name, value, unit in re.findall(r"^(.*): ([\d.]+) (\w+)$", out, re.MULTILINE):
        real, times = REAL_SERVER[name]
        yield beside(name, real, float(value), unit, times)


def schema(folder: Path) -> Iterator[Figure]:
    """The model document of a deriva-ml catalog, whole and as 304."""
    with LocalServer(folder / "schema") as server, requests.Session() as session:
        session.headers.update({"Authorization": f"Bearer {server.token}"})
        identity = session.post(server.url + "/ermrest/catalog").json()["id"]
        with CatalogSession.connect("local", identity, credential=server.credential, base_url=server.url) as catalog:
            install_schema(catalog)
        plain = ErmrestCatalog("http", server.netloc, identity, server.credential, caching=False)
        caching = ErmrestCatalog("http", server.netloc, identity, server.credential)
        whole = _median_ms(lambda: plain.get("/schema").json())
        unchanged = _median_ms(lambda: caching.get("/schema"))
    yield beside("/schema of the deriva-ml catalog", 79, whole, "ms", 3)
    yield beside("/schema unchanged, 304", 10, unchanged, "ms", 3)


def beside(name: str, real: float, ours: float, unit: str, times: float) -> Figure:
    """How many times as fast we are, with both medians."""
    told = f"real server / deriva-ml: {name} ({sensible(real)} / {sensible(ours)} {unit})"
    return Figure(told, real / ours, times, at_least=True)


def _median_ms(call: Callable[[], object], runs: int = 15) -> float:
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) * 1000


# Objects


def small_objects(folder: Path, count: int = 1000, connections: int = 8) -> Iterator[Figure]:
    """1,000 objects of 4 KiB over 8 connections."""
    contents = [os.urandom(4096) for _ in range(count)]
    with served(folder / "small") as url:
        _put(url.removeprefix("http://"), "/hatrac/warm-up", b"")
        threads = [
            threading.Thread(target=_put_all, args=(url.removeprefix("http://"), contents, number, connections))
            for number in range(connections)
        ]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        stored = requests.get(f"{url}/hatrac/small", timeout=60).json()
    assert len(stored) == count
    yield Figure("4 KiB objects stored, 8 connections", count / seconds, 500, "/s", at_least=True)


def _put_all(netloc: str, contents: list[bytes], first: int, step: int) -> None:
    with closing(http.client.HTTPConnection(netloc)) as connection:
        for number in range(first, len(contents), step):
            _put(netloc, f"/hatrac/small/o{number}?parents=true", contents[number], connection)


def _put(netloc: str, path: str, content: bytes, connection: http.client.HTTPConnection | None = None) -> None:
    used = connection or http.client.HTTPConnection(netloc)
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    used.request("PUT", path, body=content, headers={"Content-MD5": md5})
    answer = used.getresponse()
    answer.read()
    assert answer.status == 201, answer.status
    if connection is None:
        used.close()


def large_object(folder: Path, mib: int) -> Iterator[Figure]:
    """PUT and GET of one file beside cp plus md5sum of the same file: rates as shares of theirs, median of three."""
    source = folder / "large"
    with source.open("wb") as file:
        for _ in range(mib // 16):
            file.write(os.urandom(16 * MIB))
    with source.open("rb") as file:
        md5 = base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
    puts, gets = [], []
    with served(folder / "objects") as url:
        for turn in range(3):
            os.sync()
            base = _seconds(lambda: _copy_and_sum(source, folder / "copy"))
            put = _seconds(lambda turn=turn: _put_file(f"{url}/hatrac/large{turn}", source, md5))
            get = _seconds(lambda turn=turn: _get_file(f"{url}/hatrac/large{turn}", folder / "copy"))
            requests.delete(f"{url}/hatrac/large{turn}", timeout=60).raise_for_status()
            puts.append(base / put)
            gets.append(base / get)
    yield Figure.median(f"rate of a PUT of {mib} MiB / cp + md5sum", puts, 0.5, at_least=True)
    yield Figure.median(f"rate of a GET of {mib} MiB / cp + md5sum", gets, 0.5, at_least=True)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _copy_and_sum(source: Path, target: Path) -> None:
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["md5sum", source], check=True, stdout=subprocess.DEVNULL)
    target.unlink()


def _put_file(url: str, source: Path, md5: str) -> None:
    with source.open("rb") as file:
        requests.put(url, data=file, headers={"Content-MD5": md5}, timeout=600).raise_for_status()


def _get_file(url: str, target: Path) -> None:
    with requests.get(url, stream=True, timeout=600) as answer, target.open("wb") as file:
        answer.raise_for_status()
        for piece in answer.iter_content(MIB):
            file.write(piece)
    target.unlink()


# In process

IDLE = """
import gc, sys, time
from pathlib import Path

def resident_mb():
    gc.collect()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000

from deriva.core import DerivaServer, ErmrestCatalog, HatracStore
client = resident_mb()
from deriva_ml_core.local_catalog import LocalServer
import requests
with requests.Session() as session:
    start = time.perf_counter()
    server = LocalServer(sys.argv[1]).start()
    answer = session.get(server.url + "/ermrest/", headers={"Authorization": f"Bearer {server.token}"})
    ready = time.perf_counter() - start
    assert answer.status_code == 200
deriva = DerivaServer("http", server.netloc, server.credential)
catalog = deriva.create_ermrest_catalog()
catalog.getCatalogModel()
catalog.get("/entity/public:ERMrest_Client").json()
HatracStore("http", server.netloc, server.credential).get("/hatrac/")
time.sleep(1)  # idle is what is measured: let the connections' buffers go
print(ready * 1000, resident_mb() - client)
"""


def in_process(folder: Path) -> Iterator[Figure]:
    """Time from asking for the server to its first answer, and memory when it has served and is idle."""
    runs = []
    for turn in range(5):
        command = [sys.executable, "-c", IDLE, str(folder / f"idle{turn}")]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        runs.append([float(value) for value in out.split()])
    yield Figure.median("first answer after", (run[0] for run in runs), 50, "ms")
    yield Figure.median("idle: memory over the client alone", (run[1] for run in runs), 25, "MB")


if __name__ == "__main__":
    program(main)
