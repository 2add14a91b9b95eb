"""
How soon is a dataset here?

    python benchmarks/datasets.py [--images 5000] [--rows 1000000]

Images of 8 KiB with labels, beside deriva's own export and bdbag's own materialize of the same bag. deriva-ml downloads
with hostname="local", as users of the embedded catalog do: from a server in its own process. deriva and bdbag get the
same rows and files from a server of the same root in this process, and so does deriva-ml twice more:
connected by DERIVA_ML_LOCAL_URL, as users of a served catalog are, and with a request for each object, as from any
Deriva server; that also through a network with a delay, with fewer images, since bdbag asks for one after the other.
Each download is a process of its own, whose times have no start of Python in them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from _harness import Figure, each, program, report, there_and_back

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))
from meddling_proxy import MeddlingProxy

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.datasets.dataset import Dataset, add_element_type, create_dataset
from deriva_ml_core.datasets.feature_values import add_features
from deriva_ml_core.datasets.features import create_feature
from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.server import LocalServer
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.install import install_schema
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema, create_tables

DELAY_S, FAR_IMAGES = 0.02, 300

DOWNLOAD = """
import json, sys, time, resource
from pathlib import Path
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.connection.local import connect_local
from deriva_ml_core.datasets.cache import fetch_bag
from deriva_ml_core.datasets.specs import DatasetSpec
from deriva_ml_core.local_catalog.app import Application
where, rid, cache, materialize, tables = json.loads(sys.argv[1])
asked, answer = [], Application.__call__
def counting(application, environ, start_response):
    asked.append(environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"])
    return answer(application, environ, start_response)
Application.__call__ = counting  # where requests arrive, so that no client can hide one
if where.get("base_url"):
    session = CatalogSession.connect("local", **where)
else:
    session = connect_local(where["catalog_id"]).session
asked.clear()
start = time.perf_counter()
bag = fetch_bag(session, DatasetSpec(rid=rid, materialize=materialize), Path(cache))
fetched = time.perf_counter() - start
start = time.perf_counter()
if tables:
    next(bag.denormalize_as_dict(tables))
first = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
facts = {"fetched_s": fetched, "first_row_s": first, "peak_mib": peak, "path": str(bag.path), "asked": asked}
print(json.dumps(facts))
"""

# deriva's own export of the same rows (CSV of each table, a list of files to fetch), then bdbag's materialize.
THEIRS = """
import json, sys, time
from bdbag import bdbag_api
from deriva.transfer.download.deriva_download import GenericDownloader
arguments = json.loads(sys.argv[1])
members = "Dataset/RID=" + arguments["rid"] + "/Dataset_Image/I:=demo:Image"
tables = {"Dataset": "Dataset/RID=" + arguments["rid"], "Image": members,
          "Dataset_Image": "Dataset_Image/Dataset=" + arguments["rid"],
          "Image_Asset_Type": members + "/Image_Asset_Type", "Image_Execution": members + "/Image_Execution"}
queries = [{"processor": "csv", "processor_params": {"query_path": "/entity/" + path, "output_path": name}}
           for name, path in tables.items()]
columns = "/url:=I:URL,length:=I:Length,filename:=I:Filename,md5:=I:MD5"
queries.append({"processor": "fetch", "processor_params": {
    "query_path": "/attribute/" + members + columns, "output_path": "assets"}})
config = {"bag": {"bag_name": "theirs", "bag_algorithms": ["md5"]}, "catalog": {"query_processors": queries}}
start = time.perf_counter()
loader = GenericDownloader(arguments["server"], config=config, credentials=arguments["credential"],
                           output_dir=arguments["folder"])
loader.download()
bag = arguments["folder"] + "/theirs"
if not bdbag_api.resolve_fetch(bag, force=True, keychain_file=arguments["keychain"]):
    sys.exit("bdbag could not fetch")
bdbag_api.validate_bag(bag)
print(time.perf_counter() - start)
"""


# A run that does nothing, with an input dataset or without.
RUN = """
import json, sys, time
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.workflows import Workflow
catalog, folder, inputs = json.loads(sys.argv[1])
asked, answer = [], Application.__call__
def counting(application, environ, start_response):
    asked.append(environ["PATH_INFO"])
    return answer(application, environ, start_response)
Application.__call__ = counting
with DerivaML("local", catalog, working_dir=folder) as ml:
    start = time.perf_counter()
    with ml.create_execution(workflow=Workflow(name="Bench", workflow_type="Training"), datasets=inputs) as execution:
        pass
    execution.commit_output_assets()
    seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "requests": len(asked)}))
"""


class Bench:
    """A server, a catalog in it, and the requests that arrive."""

    def __init__(self, folder: Path, server: LocalServer) -> None:
        self.folder, self.server, self.asked = folder, server, list[str]()
        answer = Application.__call__

        def counting(application, environ, start_response):
            self.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            return answer(application, environ, start_response)

        Application.__call__ = counting  # where requests arrive, so that no client can hide one
        self.where = {"base_url": server.url, "credential": server.credential, "catalog_id": self._new_catalog()}
        self.session = CatalogSession.connect("local", **self.where)
        install_schema(self.session)
        create_domain_schema(self.session, "demo")
        login = folder / "home" / ".deriva" / "credential.json"  # of whoever connects by DERIVA_ML_LOCAL_URL
        login.parent.mkdir(parents=True)
        login.write_text(json.dumps({server.netloc: server.credential}))
        row = rows.insert_one(self.session, "deriva-ml:Execution", Description="load", Status="Running")
        self.execution = row["RID"]

    def _new_catalog(self) -> str:
        from deriva_ml_core.catalog.http import HttpClient

        client = HttpClient(self.server.url, credential=self.server.credential)
        headers = {"Content-Type": "application/json"}
        answer = client.request("POST", "/ermrest/catalog", body=b"{}", headers=headers)
        client.close()
        return str(json.loads(answer.data)["id"])

    def download(
        self,
        dataset: Dataset,
        cache: str,
        *,
        materialize: bool = True,
        tables: tuple[str, ...] = (),
        served: bool = False,
        requests_to: str = "",
    ) -> dict:
        """
        Facts of one download in a process of its own, whose embedded server opens the same root.

        Args:
            served: from this process's server, as users of a served catalog connect.
            requests_to: a URL of this process's server, asked for each object.
        """
        where = {**self.where, "base_url": requests_to} if requests_to else {"catalog_id": self.where["catalog_id"]}
        arguments = json.dumps([where, dataset.dataset_rid, str(self.folder / cache), materialize, tables])
        environment = {**os.environ, "DERIVA_ML_LOCAL_ROOT": str(self.server.path)}
        if served:
            environment |= {"DERIVA_ML_LOCAL_URL": self.server.url, "HOME": str(self.folder / "home")}
        command = [sys.executable, "-c", DOWNLOAD, arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return json.loads(done.stdout)

    def run(self, folder: str, inputs: list[str]) -> dict:
        """Facts of a run with these input datasets, which come from nobody's cache."""
        arguments = json.dumps([self.where["catalog_id"], str(self.folder / folder), inputs])
        environment = {**os.environ, "DERIVA_ML_LOCAL_ROOT": str(self.server.path)}
        command = [sys.executable, "-c", RUN, arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large join, over three tables")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="datasets-benchmark-"))
    try:
        with LocalServer(folder / "server") as server:
            bench = Bench(folder, server)
            about = f"{args.images:,} images, three times each; cold means that nothing of it is in the cache."
            return each(
                {
                    "How fast is a dataset downloaded?": lambda title: report(
                        title, {}, images(bench, args.images), about
                    ),
                    "How many requests does a dataset of many members take?": lambda title: report(
                        title, {}, many(bench)
                    ),
                    "How much memory does a large dataset take?": lambda title: report(
                        title, {}, large(bench, args.rows)
                    ),
                }
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def images(bench: Bench, count: int) -> Iterator[Figure]:
    """Cold, warm, and the same bag by bdbag."""
    session = bench.session
    create_asset_table(session, "demo", "Image", columns=[ColumnDef("Label")])
    add_element_type(session, "Image")
    staging = Staging(bench.folder / "load", session)
    for number in range(count):
        path = staging.register("Image", f"{number}.png", Label=str(number % 10))
        path.write_bytes(os.urandom(8_192))
    found = [path.asset_rid for path in upload_staged(session, staging, bench.execution).assets["demo/Image"]]
    dataset = create_dataset(session)
    dataset.add_dataset_members({"Image": found})
    url = bench.server.url
    subjects: dict[str, Callable[[str], float]] = {
        "own": lambda cache: bench.download(dataset, cache)["fetched_s"],
        "theirs": lambda folder: _theirs(bench, dataset, bench.folder / folder, url),
        "served": lambda cache: bench.download(dataset, cache, served=True)["fetched_s"],
        "requests": lambda cache: bench.download(dataset, cache, requests_to=url)["fetched_s"],
    }
    times: dict[str, list[float]] = {key: [] for key in subjects}
    for key in there_and_back(subjects, 3):
        os.sync()  # what the one before has left to the disk is not this one's to wait for
        times[key].append(subjects[key](f"{key}-{len(times[key])}"))
    warm = bench.download(dataset, "own-0")
    bare = bench.download(dataset, "bare", materialize=False)
    compared = {"own": "", "served": ", from a served catalog", "requests": ", with a request for each object"}
    for key, how in compared.items():
        ratios = [theirs / ours for theirs, ours in zip(times["theirs"], times[key], strict=True)]
        bound = None if key == "requests" else 5
        yield Figure.median(f"deriva and bdbag / deriva-ml{how}", ratios, bound, at_least=True)
    yield Figure.median("deriva-ml, cold", times["own"], 2.0, "s")
    yield Figure.median("deriva-ml, cold, from a served catalog", times["served"], 2.0, "s")
    yield Figure.median("deriva-ml, cold, with a request for each object", times["requests"], None, "s")
    yield Figure.median("deriva and bdbag", times["theirs"], None, "s")
    yield Figure("deriva-ml, cold, its tables alone", bare["fetched_s"], None, "s")
    yield Figure("deriva-ml, warm", warm["fetched_s"], 0.3, "s")
    yield Figure("warm, requests", len(warm["asked"]), 5, "")
    yield Figure("warm, object requests", sum("/hatrac" in one for one in warm["asked"]), 0, "")
    yield from far(bench, found[:FAR_IMAGES])
    yield from small(bench, found[:2])


def far(bench: Bench, images: list[str]) -> Iterator[Figure]:
    """A request for each object, through a network."""
    dataset = create_dataset(bench.session)
    dataset.add_dataset_members({"Image": images})
    host, _, port = bench.server.netloc.partition(":")
    with MeddlingProxy(host, int(port)) as proxy:
        proxy.delay_s = DELAY_S
        ours = bench.download(dataset, "far", requests_to=proxy.url)["fetched_s"]
        theirs = _theirs(bench, dataset, bench.folder / "theirs-far", proxy.url)
    told = f"{len(images)} images, {DELAY_S * 1000:g} ms away: deriva and bdbag / deriva-ml"
    yield Figure(told, theirs / ours, 5, at_least=True)


def small(bench: Bench, images: list[str]) -> Iterator[Figure]:
    """What an input dataset of two files adds to a run."""
    dataset = create_dataset(bench.session)
    dataset.add_dataset_members({"Image": images})
    bench.run("run-first", [])  # registers the workflow
    without, with_it = [], []
    for turn in range(5):
        without.append(bench.run(f"run-{turn}", []))
        with_it.append(bench.run(f"run-with-{turn}", [dataset.dataset_rid]))
    for what, bound, unit in (("seconds", 1.0, "s"), ("requests", 60, "")):
        before, after = (statistics.median(run[what] for run in runs) for runs in (without, with_it))
        yield Figure(f"an input dataset of 2 files, more {what}", after - before, bound, unit)


def _theirs(bench: Bench, dataset: Dataset, folder: Path, url: str) -> float:
    keychain = bench.folder / "keychain.json"
    auth = {"uri": url, "auth_type": "cookie", "auth_params": {"cookies": [_cookie(bench)]}}
    keychain.write_text(json.dumps([auth]))
    folder.mkdir()
    arguments = {
        "rid": dataset.dataset_rid,
        "server": {"host": url.removeprefix("http://"), "protocol": "http", "catalog_id": bench.where["catalog_id"]},
        "credential": bench.server.credential,
        "folder": str(folder),
        "keychain": str(keychain),
    }
    command = [sys.executable, "-c", THEIRS, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"deriva or bdbag: {(done.stderr or done.stdout)[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def _cookie(bench: Bench) -> str:
    credential = bench.server.credential
    return str(credential.get("cookie") or f"webauthn={credential.get('bearer-token')}")


def many(bench: Bench, count: int = 10_000) -> Iterator[Figure]:
    """Requests for members and values."""
    session = bench.session
    create_tables(session, "demo", [TableDef("Cell", (ColumnDef("Name"),))])
    add_element_type(session, "Cell")
    record = create_feature(session, "Cell", "Size", metadata=[ColumnDef("Pixels", "int4")]).feature_record_class()
    cells = [row["RID"] for row in rows.insert(session, "Cell", ({"Name": str(n)} for n in range(count)))]
    dataset = create_dataset(session)
    bench.asked.clear()
    dataset.add_dataset_members({"Cell": cells})
    yield Figure(f"{count:,} members, requests", len(bench.asked), 20, "")
    bench.asked.clear()
    add_features(session, [record(Cell=rid, Pixels=4) for rid in cells], bench.execution)
    yield Figure(f"{count:,} values of a feature, requests", len(bench.asked), 20, "")


def large(bench: Bench, count: int) -> Iterator[Figure]:
    """Rows over three tables: one study, a hundredth as many visits as points."""
    session = bench.session
    visit = TableDef(
        "Visit", (ColumnDef("Study"),), foreign_keys=(patterns.foreign_key("Visit", "Study", "demo", "Study"),)
    )
    point = TableDef(
        "Point",
        (ColumnDef("Visit"), ColumnDef("Value", "float8")),
        foreign_keys=(patterns.foreign_key("Point", "Visit", "demo", "Visit"),),
    )
    create_tables(session, "demo", [TableDef("Study", (ColumnDef("Name"),)), visit, point])
    add_element_type(session, "Study")
    study = rows.insert_one(session, "Study", Name="all")["RID"]
    visits = [row["RID"] for row in rows.insert(session, "Visit", ({"Study": study} for _ in range(count // 100)))]
    for start in range(0, count, 50_000):
        block = range(start, min(start + 50_000, count))
        rows.insert(session, "Point", ({"Visit": visits[n % len(visits)], "Value": n / 7} for n in block))
    dataset = create_dataset(session)
    dataset.add_dataset_members({"Study": [study]})
    done = bench.download(dataset, "large", tables=("Study", "Visit", "Point"))
    yield Figure("peak memory", done["peak_mib"] * 1.048576, 500, "MB")
    yield Figure("first row of the join, export included", done["fetched_s"] + done["first_row_s"], 60, "s")
    yield Figure(f"{count:,} rows exported", done["fetched_s"], None, "s")


if __name__ == "__main__":
    program(main)
