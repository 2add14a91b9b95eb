"""`deriva-ml-executions publish` between two servers over HTTPS, by somebody who may write rows and objects there."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import pytest
from recorded_runs import Run, record_runs
from served_fixture import serving, trust

from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.cli.executions import main
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.datasets.dataset import Dataset, add_element_type
from deriva_ml_core.datasets.features import create_feature, find_features
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema, create_vocabulary
from deriva_ml_core.workflows import Workflow

USERS = {"ada": True, "bob": False, "zoe": False, "eve": False}
"""ada owns the catalogs, bob writes rows and objects, zoe rows, eve reads."""
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory, certificate):
    """Where runs were recorded, and where they are published: servers with roots of their own."""
    folder = tmp_path_factory.mktemp("servers")
    with (
        serving(folder / "here", certificate, USERS) as here,
        serving(folder / "there", certificate, USERS) as there,
    ):
        yield here, there


@pytest.fixture(scope="module")
def source(servers, certificate, install_generation):
    """A catalog where runs were recorded, as ada sees it."""
    with pytest.MonkeyPatch.context() as patch:
        trust(patch, certificate)
        with _new_catalog(servers[0]) as session:
            install_generation(session, "1.54")
            _teach(session)
            yield session


@pytest.fixture(params=["1.54"])
def target(request, servers, log_in, install_generation):
    """A catalog of the other server, of a generation of the schema, as ada sees it; bob is logged in there."""
    here, there = servers
    log_in({here.hostname: here.tokens["ada"], there.hostname: there.tokens["bob"]})
    with _new_catalog(there) as session:
        install_generation(session, request.param)
        _teach(session)
        yield session


def _new_catalog(server) -> CatalogSession:
    """With the rights of USERS."""
    credential = {"bearer-token": server.tokens["ada"]}
    client = HttpClient(f"https://{server.hostname}", credential=credential)
    catalog = json.loads(client.request("POST", "/ermrest/catalog", body=b"{}", headers=JSON).data)["id"]
    for right, who in (("enumerate", ["*"]), ("select", ["*"]), ("write", ["bob", "zoe"])):
        body = json.dumps(who).encode()
        client.request("PUT", f"/ermrest/catalog/{catalog}/acl/{right}", body=body, headers=JSON)
    for right, who in (("subtree-read", "*"), ("subtree-create", "bob"), ("subtree-update", "bob")):
        client.request("PUT", f"/hatrac/;acl/{right}", body=json.dumps([who]).encode(), headers=JSON)
    client.close()
    return CatalogSession.connect(server.hostname, catalog, credential=credential)


def _teach(session: CatalogSession) -> None:
    create_domain_schema(session, "demo")
    create_asset_table(session, "demo", "Image", columns=[ColumnDef("Label", "text", True)], comment="Images")
    create_vocabulary(session, "demo", "Grade", comment="How good", curie_prefix="demo")
    session.forget_model()
    create_feature(session, "Image", "Quality", terms=["Grade"], metadata=[ColumnDef("score", "float8", True)])
    add_element_type(session, "Image")
    session.forget_model()


@pytest.fixture(scope="module")
def ml(source, servers, tmp_path_factory):
    """ada, where the runs were recorded."""
    credential = {"bearer-token": servers[0].tokens["ada"]}
    folder = tmp_path_factory.mktemp("work")
    with DerivaML(source.hostname, source.catalog_id, working_dir=folder, credential=credential) as opened:
        opened.add_term("Grade", "Good", "Fit for use")
        yield opened


@pytest.fixture
def arguments(source, target, tmp_path):
    place = ["--host", source.hostname, "--catalog", source.catalog_id, "--working-dir", str(tmp_path / "work")]
    return ["--to", f"{target.hostname}/{target.catalog_id}", *place]


@pytest.fixture(scope="module")
def story(ml, tmp_path_factory):
    """A sweep of three, and a dataset of two labelled images that an execution used."""
    workflow = Workflow(name="Digits", workflow_type="Training", description="Learn digits")
    with ml.create_execution(workflow=workflow, description="load") as load:
        for name in "ab":
            load.asset_file_path("Image", f"{name}.png", Label=name).write_text(name * 1000)
    images = [path.asset_rid for path in load.upload_execution_outputs()["demo/Image"]]
    dataset = load.create_dataset(dataset_types=["Complete"], description="images")
    dataset.add_dataset_members(images)
    label(ml, workflow, images)
    dataset.increment_dataset_version("minor", "labelled")
    used = f"{dataset.dataset_rid}@{dataset.current_version}"
    with ml.create_execution(workflow=workflow, description="train", datasets=[used]) as train:
        train.asset_file_path("Execution_Asset", "weights.bin").write_text("w")
    train.upload_execution_outputs()
    runs = [Run({}, {"rate": n}, {"m": n}, outputs={f"{n}.bin": bytes([n]) * 9}) for n in range(3)]
    parent, _ = record_runs(ml.session, tmp_path_factory.mktemp("files"), runs, parent=True)
    return Story(workflow, parent, train.execution_rid, dataset, images)


@dataclass(frozen=True)
class Story:
    workflow: Workflow
    parent: str
    train: str
    dataset: Dataset
    images: list[str]

    @property
    def rids(self) -> list[str]:
        """What is published."""
        return [self.parent, self.train]


def label(ml, workflow, images) -> str:
    """An execution that says of images how good they are."""
    with ml.create_execution(workflow=workflow, description="label") as execution:
        record = ml.feature_record_class("Image", "Quality")
        execution.add_features([record(Image=rid, Grade="Good", score=0.5) for rid in images])
    execution.upload_execution_outputs()
    return execution.execution_rid


def published(capsys, rids, arguments) -> dict:
    """What the command did, as its JSON says."""
    assert main(["publish", *rids, "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def contents(target: CatalogSession, folder) -> Counter:
    """Names of files in the target's tables with what its store has under their URLs, read and checked."""
    folder.mkdir(exist_ok=True)
    found = Counter()
    for table in target.model.asset_tables():
        for row in rows.select(target, table):
            if row["URL"].startswith("/hatrac/") and not row["Filename"].startswith("published-rows-"):
                file = objects.get_file(target, row["URL"], folder / row["RID"], md5=row["MD5"], length=row["Length"])
                found[row["Filename"], file.read_bytes()] += 1
    return found


def test_whoever_may_write_rows_publishes(target, story, arguments, capsys, tmp_path):
    """Rows, objects, versions, labels; no right of an owner is needed. Repeating it changes nothing."""
    done = published(capsys, story.rids, arguments)
    before = target.latest_snaptime()
    again = published(capsys, story.rids, arguments)

    assert (again["executions"], again["new_rows"], again["files"]) == (done["executions"], {}, 0)
    assert target.latest_snaptime() == before
    found = contents(target, tmp_path / "objects")
    assert found["a.png", b"a" * 1000] == found["weights.bin", b"w"] == 1
    assert sum(found[f"{n}.bin", bytes([n]) * 9] for n in range(3)) == 3
    (feature,) = find_features(target)
    assert [row["Grade"] for row in rows.select(target, feature.feature_table)] == ["Good", "Good"]
    made = rows.select_by_rids(target, "deriva-ml:Execution", done["executions"].values())
    assert {row["RCB"] for row in made.values()} == {"bob"}


@pytest.mark.parametrize("target", ["1.54", "1.24"], indirect=True)
def test_it_is_killed_at_many_moments_and_makes_nothing_twice(target, story, arguments, capsys, tmp_path):
    """SIGKILL of a client of a server far away, into both generations: rows, objects, versions, labels, once."""
    command = [sys.executable, "-m", "deriva_ml_core.cli.executions", "publish", *story.rids, *arguments]
    chance = random.Random(int(os.environ.get("DERIVA_ML_TEST_SEED", "7")))
    for wait_s in [chance.uniform(0.5, 4.0) for _ in range(5)]:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)  # somewhere between its start and its end
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = published(capsys, story.rids, arguments)["executions"]

    links = list(rows.select(target, "deriva-ml:Execution_Execution", {"Execution": done[story.parent]}))
    assert sorted(link["Sequence"] for link in links) == [0, 1, 2]
    said = Counter(row["Description"] for row in rows.select(target, "deriva-ml:Execution"))
    assert said["train"] == said["label"] == said["Run 1"] == said["Run 2"] == 1
    assert len(list(rows.select(target, "deriva-ml:Dataset"))) == 1
    versions = [row["Version"] for row in rows.select(target, "deriva-ml:Dataset_Version")]
    assert len(versions) == len(set(versions))
    (feature,) = find_features(target)
    assert [row["Grade"] for row in rows.select(target, feature.feature_table)] == ["Good", "Good"]
    found = contents(target, tmp_path / "objects")
    assert set(found.values()) == {1}
    assert {name for name, _ in found} >= {"a.png", "b.png", "weights.bin", "0.bin", "1.bin", "2.bin"}


def test_what_came_since_is_added_and_nothing_else(ml, target, story, arguments, capsys, tmp_path):
    """A child, an output, a version of a dataset, and labels, of a second publication."""
    first = published(capsys, story.rids, arguments)["executions"]
    before = every_row(target)
    (child,) = record_runs(ml.session, tmp_path / "f", [Run(outputs={"new.bin": b"new"})])[1]
    link = {"Execution": story.parent, "Nested_Execution": child, "Sequence": 3}
    rows.insert(ml.session, "deriva-ml:Execution_Execution", [link])
    again = label(ml, story.workflow, story.images[:1])
    story.dataset.increment_dataset_version("minor", "labelled again")
    second = published(capsys, [*story.rids, again], arguments)

    assert {rid: there for rid, there in second["executions"].items() if rid in first} == first
    assert set(second["executions"]) - set(first) == {child, again}
    assert second["new_rows"]["deriva-ml:Execution"] == 2
    assert second["new_rows"]["demo:Execution_Image_Quality"] == 1
    assert second["new_rows"]["deriva-ml:Execution_Asset"] == 1
    assert "demo:Image" not in second["new_rows"]
    assert before <= every_row(target)
    (execution,) = rows.select(target, "deriva-ml:Execution_Execution", {"Sequence": 3})
    assert execution["Nested_Execution"] == second["executions"][child]


def every_row(session: CatalogSession) -> set[str]:
    """RIDs of what people and programs wrote."""
    session.forget_model()
    tables = [table for table in session.model.tables.values() if table.schema != "public"]
    return {row["RID"] for table in tables for row in rows.select(session, table, columns=["RID"])}


@pytest.mark.parametrize(
    ("who", "options", "said"),
    [
        ("eve", [], "may not write into catalog"),
        ("bob", ["--create-tables"], "may not create tables"),
        ("bob", [], "lacks tables"),
        ("zoe", [], "does not allow you to PUT /hatrac/"),
    ],
)
def test_whoever_lacks_a_right_reads_which(who, options, said, servers, target, log_in, story, arguments, capsys):
    """In a line, before anything is written."""
    if who == "bob":
        target.request("DELETE", "/schema/demo/table/Execution_Image_Quality")
    here, there = servers
    log_in({here.hostname: here.tokens["ada"], there.hostname: there.tokens[who]})
    before = every_row(target)
    assert main(["publish", *story.rids, *options, *arguments]) == 2

    line = capsys.readouterr().err.splitlines()[-1]
    assert said in line
    assert every_row(target) == before
