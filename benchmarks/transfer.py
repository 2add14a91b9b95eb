"""
How fast do outputs and inputs travel?

    python benchmarks/transfer.py [--only small,large,resume,many,inputs,distance] [--gib 4] [--mlflow PYTHON]

Every subject is a process of its own. mlflow asks `mlflow server`, deriva's uploader asks `deriva-ml-catalog serve`; we
use the embedded catalog as `hostname="local"` does, inside the process that uploads, and for comparison over HTTP, from
the same `serve` ("served"). All is on this machine, with files on the same disk. What is timed is the
upload itself, without the start of Python. mlflow is installed with uv into an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from _environments import environment
from _harness import Figure, each, program, report, there_and_back
from _servers import mlflow_server, served

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))
from meddling_proxy import MeddlingProxy

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.schema.install import install_schema
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema

PARTS = {
    "small": "How fast are many small files uploaded?",
    "large": "How fast is a large file uploaded?",
    "resume": "What does an upload move again that was killed at half?",
    "many": "Does the time of an upload grow with its files alone?",
    "inputs": "What do inputs cost that are in the cache?",
    "distance": "What does a server far away add to a run?",
}
MIB = 2**20
RUNS = 3

UPLOAD = """
import json, resource, sys, time
from pathlib import Path
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.connection.local import connect_local
catalog, execution, files, folder = sys.argv[1:]
local = connect_local(catalog)
with local.session as session:
    written = lambda: int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])
    wrote = written()
    staging = Staging(Path(folder), session)
    start = time.perf_counter()
    if files != "-":
        for file in sorted(Path(files).iterdir()):
            staging.register("Image", file)
    staged = time.perf_counter() - start
    before = session.client.requests_sent
    report = upload_staged(session, staging, execution)
    seconds = time.perf_counter() - start
    report.raise_for_failures()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"s": seconds, "staged_s": staged, "peak_mb": peak, "files": report.total_uploaded,
                      "requests": session.client.requests_sent - before, "written": written() - wrote}))
local.close()
"""

MLFLOW = """
import json, os, sys, time
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run():
    start = time.perf_counter()
    mlflow.log_artifacts(sys.argv[2])
    print(json.dumps({"s": time.perf_counter() - start}))
"""

DERIVA = """
import json, sys, time
from deriva.transfer.upload.deriva_upload import GenericUploader
where, catalog, credential, config, folder = sys.argv[1:]
server = {"host": where, "protocol": "http", "catalog_id": catalog}
uploader = GenericUploader(config_file=config, credential_file=credential, server=server)
start = time.perf_counter()
uploader.scanDirectory(folder)
uploader.uploadFiles()
print(json.dumps({"s": time.perf_counter() - start}))
"""

DERIVA_CONFIG = {
    "asset_mappings": [
        {
            "file_pattern": ".*/(?P<name>[^/]+)$",
            "ext_pattern": r".*[.](?P<file_ext>bin)$",
            "target_table": ["demo", "Image"],
            "checksum_types": ["md5"],
            "hatrac_templates": {"hatrac_uri": "/hatrac/Image/{md5}.{file_name}"},
            "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
            "column_map": {"MD5": "{md5}", "URL": "{URI}", "Length": "{file_size}", "Filename": "{file_name}"},
        }
    ]
}

INPUTS = """
import json, sys, tempfile, time
from pathlib import Path
from deriva_ml_core.assets.download import fetch_assets
from deriva_ml_core.assets.specs import AssetSpec
from deriva_ml_core.catalog.session import CatalogSession
url, catalog, execution, cache, *rids = sys.argv[1:]
specs = [AssetSpec(rid, cache=True) for rid in rids]
with CatalogSession.connect("local", catalog, base_url=url) as session:
    before = session.client.requests_sent
    start = time.perf_counter()
    fetch_assets(session, specs, Path(tempfile.mkdtemp(dir=cache)), Path(cache), execution_rid=execution)
    print(json.dumps({"s": time.perf_counter() - start, "requests": session.client.requests_sent - before}))
"""

RUN = """
import functools, json, sys, time
from pathlib import Path
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.runner import run_model
from deriva_ml_core.workflows.workflow import Workflow
url, catalog, folder = sys.argv[1:]
class Distant(DerivaML):
    def _connect(self, hostname, catalog_id, credential, schemas):
        return CatalogSession.connect(hostname, catalog_id, base_url=url, **schemas)
def model(rate=0.1, *, ml_instance, execution=None):
    for number in range(8):
        path = execution.asset_file_path("Execution_Asset", f"{number}.txt")
        path.write_text(f"{time.time_ns()} {number}")
start = time.perf_counter()
run_model(
    {"hostname": "localhost", "catalog_id": catalog, "working_dir": folder}, [], [], "distance",
    Workflow(name="Distance", workflow_type="Training"), functools.partial(model), ml_class=Distant,
)
print(json.dumps({"s": time.perf_counter() - start}))
"""


class Bench:
    """A server, a catalog in it with the asset table Image, and an execution."""

    def __init__(self, folder: Path, url: str, mlflow: Path | None, running: ExitStack) -> None:
        self.folder, self.url, self.mlflow, self.turn = folder, url, mlflow, 0
        self.running, self.mlflow_url = running, None
        client = HttpClient(url)
        made = client.request("POST", "/ermrest/catalog", body=b"{}", headers={"Content-Type": "application/json"})
        client.close()
        self.catalog = str(json.loads(made.data)["id"])
        self.session = CatalogSession.connect("local", self.catalog, base_url=url)
        install_schema(self.session)
        create_domain_schema(self.session, "demo")
        create_asset_table(self.session, "demo", "Image")
        row = rows.insert_one(self.session, "deriva-ml:Execution", Description="benchmark", Status="Running")
        self.execution = row["RID"]

    def files(self, count: int, size_bytes: int) -> Path:
        """A folder of files whose content nobody has seen."""
        self.turn += 1
        folder = self.folder / f"files-{self.turn}"
        folder.mkdir()
        for number in range(count):
            with (folder / f"{number:05}.bin").open("wb") as file:
                for start in range(0, size_bytes, MIB):
                    file.write(os.urandom(min(MIB, size_bytes - start)))
        return folder

    def upload(self, files: Path | str, *, served: str | None = None, staging: str = "") -> dict:
        """Our own upload: inside the process that uploads, or by asking the server at the URL `served`."""
        return run(*self.upload_command(files, staging or f"staging-{self.turn}"), env=self.environment(served))

    def upload_command(self, files: Path | str, staging: str) -> list[object]:
        """The same as a command, without `-c`."""
        return [sys.executable, UPLOAD, self.catalog, self.execution, files, self.folder / staging]

    def environment(self, served: str | None) -> dict[str, str]:
        """Where the embedded catalog is."""
        return {**os.environ, "DERIVA_ML_LOCAL_ROOT": str(self.folder / "server"), "DERIVA_ML_LOCAL_URL": served or ""}

    def uploaders(self) -> dict[str, Callable[[Path], dict]]:
        """Who uploads a folder of files, by name."""
        return {
            "deriva-ml": self.upload,
            "deriva-ml, served": partial(self.upload, served=self.url),
            "mlflow": self.upload_by_mlflow,
        }

    def upload_by_deriva(self, files: Path) -> dict:
        """The uploader of deriva, to the same catalog."""
        config, credential = self.folder / "uploader.json", self.folder / "credential.json"
        config.write_text(json.dumps(DERIVA_CONFIG))
        where = urlsplit(self.url).netloc
        credential.write_text(json.dumps({where: {"bearer-token": "any"}}))
        return run(sys.executable, DERIVA, where, self.catalog, credential, config, files)

    def upload_by_mlflow(self, files: Path) -> dict:
        """As artifacts of mlflow, to its own server, which is started once."""
        if self.mlflow_url is None:
            self.mlflow = self.mlflow or environment(self.folder / "environments", "mlflow")
            self.mlflow_url = self.running.enter_context(mlflow_server(self.mlflow, self.folder))
        return run(self.mlflow, MLFLOW, self.mlflow_url, files)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by comma (%(default)s)")
    parser.add_argument("--gib", type=float, default=4, help="size of the largest file (%(default)s)")
    parser.add_argument("--mlflow", type=Path, help="the Python of an environment that has mlflow")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="transfer-benchmark-"))
    try:
        with ExitStack() as running:
            bench = Bench(folder, running.enter_context(served(folder / "server")), args.mlflow, running)
            return each({PARTS[name]: partial(measure, name, bench, args) for name in args.only.split(",")})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(name: str, bench: Bench, args: argparse.Namespace, title: str) -> int:
    """One part; an exit code."""
    part = globals()[name]
    return report(title, {}, part(bench, args), part.__doc__)


def small(bench: Bench, _: argparse.Namespace) -> Iterator[Figure]:
    """500 files of 4 KiB, in files per second."""
    count = 500
    subjects = bench.uploaders() | {"deriva's uploader": bench.upload_by_deriva}
    for upload in subjects.values():  # the first upload compiles what it imports
        upload(bench.files(1, 4096))
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for name in there_and_back(subjects, RUNS):
        rates[name].append(count / subjects[name](bench.files(count, 4096))["s"])
    for name in ("mlflow", "deriva's uploader"):
        yield Figure.median(f"deriva-ml / {name}", ratios(rates["deriva-ml"], rates[name]), 4, at_least=True)
        yield Figure.median(f"deriva-ml, served / {name}", ratios(rates["deriva-ml, served"], rates[name]), None)
    for name, speeds in rates.items():
        yield Figure.median(name, speeds, None, "files/s")


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Turn by turn."""
    return [own / other for own, other in zip(ours, theirs, strict=True)]


def large(bench: Bench, args: argparse.Namespace) -> Iterator[Figure]:
    """One file of 256 MiB, three times, and one of 4 GiB."""
    for mib, runs in ((256, RUNS), (round(args.gib * 1024), 1)):
        subjects, peaks = bench.uploaders(), []
        rates: dict[str, list[float]] = {name: [] for name in subjects}
        for name in there_and_back(subjects, runs):
            files = bench.files(1, mib * MIB)
            done = subjects[name](files)
            shutil.rmtree(files)
            rates[name].append(mib / done["s"])
            peaks.append(done.get("peak_mb", 0))
        for name, bound in (("deriva-ml", 2), ("deriva-ml, served", None)):
            told = f"{mib} MiB: {name} / mlflow"
            yield Figure.median(told, ratios(rates[name], rates["mlflow"]), bound, at_least=True)
        yield Figure(f"{mib} MiB: memory of the client, at most", max(peaks), 150, "MB")
        for name, speeds in rates.items():
            yield Figure.median(f"{mib} MiB: {name}", speeds, None, "MiB/s")


def resume(bench: Bench, _: argparse.Namespace) -> Iterator[Figure]:
    """1 GiB, killed with kill -9. What the second command moves is counted by the system, or by a proxy if served."""
    size = 1024 * MIB
    copies = bench.folder / "server" / "uploads"
    copied = lambda: sum(file.stat().st_size for file in copies.glob("grow-*"))  # noqa: E731  # a count, for a moment
    kill_at_half(bench, bench.files(1, size), "killed", None, copied, size)
    second = bench.upload("-", staging="killed")["written"]
    yield Figure("written by the second command", 100 * second / size, 55, "%")
    where = urlsplit(bench.url)
    with MeddlingProxy(where.hostname, where.port) as proxy:
        kill_at_half(bench, bench.files(1, size), "killed-served", proxy.url, lambda: proxy.bytes_up, size)
        before = proxy.bytes_up
        bench.upload("-", served=proxy.url, staging="killed-served")
        yield Figure("served: sent by the second command", 100 * (proxy.bytes_up - before) / size, 55, "%")


def kill_at_half(
    bench: Bench, files: Path, staging: str, served: str | None, moved: Callable[[], int], size: int
) -> None:
    """Begin an upload, and kill -9 once half is moved."""
    python, code, *arguments = map(str, bench.upload_command(files, staging))
    with subprocess.Popen([python, "-c", code, *arguments], env=bench.environment(served)) as process:
        while moved() < size / 2:
            time.sleep(0.005)  # what has been copied is told by nobody
        process.kill()


def many(bench: Bench, _: argparse.Namespace) -> Iterator[Figure]:
    """10,000 files of 100 bytes, and a tenth of them."""
    few = bench.upload(bench.files(1_000, 100))
    lots = bench.upload(bench.files(10_000, 100))
    yield Figure("10,000 files, requests besides the objects'", lots["requests"], 40, "")
    yield Figure("10,000 files / 1,000 files, time of each", lots["s"] / 10 / few["s"], 1.3)


def inputs(bench: Bench, _: argparse.Namespace) -> Iterator[Figure]:
    """100 assets of 10 kB as inputs of an execution, the second time and later."""
    bench.upload(bench.files(100, 10_000), staging="inputs")
    made = rows.select(bench.session, "Image", {"Length": 10_000}, columns=["RID"])
    rids = [row["RID"] for row in made]
    cache = bench.folder / "cache"
    cache.mkdir()
    done = [run(sys.executable, INPUTS, bench.url, bench.catalog, bench.execution, cache, *rids) for _ in range(4)]
    yield Figure.median("100 inputs, warm", (one["s"] for one in done[1:]), 0.2, "s")
    yield Figure("100 inputs, cold", done[0]["s"], None, "s")
    yield Figure.median("100 inputs, warm / cold", (one["s"] / done[0]["s"] for one in done[1:]), None)
    yield Figure("requests, warm, at most", max(one["requests"] for one in done[1:]), 3, "")
    yield Figure("requests, cold", done[0]["requests"], None, "")


def distance(bench: Bench, _: argparse.Namespace) -> Iterator[Figure]:
    """A run with 8 small outputs and no input, near and with 100 ms on every request."""
    where = urlsplit(bench.url)
    near, far = [], []
    with MeddlingProxy(where.hostname, where.port) as proxy:
        places = {"near": (0, near), "far": (0.1, far)}
        for place in there_and_back(places, RUNS):
            delay_s, times = places[place]
            proxy.delay_s, proxy.requests = delay_s, 0
            times.append(run(sys.executable, RUN, proxy.url, bench.catalog, bench.folder / "work")["s"])
    yield Figure("100 ms away: added", median(far) - median(near), 3.5, "s")
    yield Figure.median("100 ms away", far, None, "s")
    yield Figure.median("near", near, None, "s")
    yield Figure("requests of the run", proxy.requests, None, "")


# What it stands on


def run(python: object, code: object, *arguments: object, env: Mapping[str, str] | None = None) -> dict:
    """The facts that a process prints."""
    command = [str(python), "-c", str(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout)[-3000:])
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))  # mlflow says more


if __name__ == "__main__":
    program(main)
