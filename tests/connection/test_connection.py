"""DerivaML: connecting, its folders, what it composes, and how it is closed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deriva_ml_core.config.connection_config import DerivaMLConfig
from deriva_ml_core.connection import DerivaML
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLInvalidTerm, DerivaMLNotFoundError
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.tables import create_domain_schema

HEAVY = ("deriva", "requests", "pandas", "rich", "bdbag", "hydra", "apsw", "cheroot", "sqlalchemy", "pydantic")


def test_importing_it_loads_nothing_heavy():
    """`import deriva_ml` and `--help` must not wait for what a run needs."""
    code = f"import deriva_ml_core.connection, sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_run_loads_neither_derivas_client_nor_pandas(open_ml, ml_session, tmp_path):
    """Each costs as much as the rest of a start."""
    open_ml(ml_session.catalog_id)
    code = (
        "import sys; from deriva_ml_core.runner import run_model; from deriva_ml_core.workflows import Workflow\n"
        "def model(ml_instance, execution): pass\n"
        "where = {'hostname': 'local', 'catalog_id': sys.argv[1], 'working_dir': sys.argv[2]}\n"
        "run_model(where, [], [], 'd', Workflow(name='w', workflow_type='Training'), model)\n"
        "print([m for m in ('deriva', 'requests', 'pandas', 'rich', 'bdbag', 'hydra') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, ml_session.catalog_id, str(tmp_path / "w")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_instantiate_takes_a_config_and_gives_a_subclass(open_ml, ml_session, tmp_path):
    """A connection is a value first."""

    class EyeAI(DerivaML):
        pass

    open_ml(ml_session.catalog_id)
    config = DerivaMLConfig(hostname="local", catalog_id=ml_session.catalog_id, working_dir=tmp_path / "here")
    with EyeAI.instantiate(config) as ml:
        assert (EyeAI, tmp_path / "here", tmp_path / "here/cache") == (type(ml), ml.working_dir, ml.cache_dir)


def test_the_default_working_folder_is_that_of_the_catalog(open_ml, ml_session):
    """`~/.deriva-ml/<hostname>/<catalog_id>`; it is not made by connecting."""
    ml = open_ml(ml_session.catalog_id, working_dir=None)

    assert Path.home() / ".deriva-ml" / "local" / ml_session.catalog_id == ml.working_dir
    assert not ml.working_dir.exists()


def test_the_context_of_a_folder_says_where(open_ml, ml_session, tmp_path, monkeypatch):
    """`.deriva-context.json`, in the folder or above."""
    open_ml(ml_session.catalog_id)
    context = {"hostname": "local", "catalog_id": ml_session.catalog_id, "working_dir": str(tmp_path / "w")}
    (tmp_path / ".deriva-context.json").write_text(json.dumps(context))
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    with DerivaML.from_context() as ml:
        assert tmp_path / "w" == ml.working_dir

    (tmp_path / ".deriva-context.json").write_text("{")
    with pytest.raises(DerivaMLConfigurationError, match="can't be read"):
        DerivaML.from_context()


def test_without_an_embedded_catalog_the_message_says_how_to_make_one(tmp_path, monkeypatch):
    """And nothing is made by asking."""
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(tmp_path / "none"))
    with pytest.raises(DerivaMLNotFoundError, match="deriva-ml-catalog create NAME"):
        DerivaML("local", "demo")

    assert not (tmp_path / "none").exists()


def test_closing_ends_the_server_and_may_be_done_twice(open_ml, ml_session):
    """No socket and no thread stays."""
    ml = open_ml(ml_session.catalog_id)
    server = ml._local.server
    ml.close()
    ml.close()

    assert server._running is None


def test_connections_of_one_process_share_the_embedded_server(open_ml, ml_session, tmp_path):
    """The jobs of a sweep in one process connect one after the other: starting a server for each would be felt."""
    first = open_ml(ml_session.catalog_id, working_dir=tmp_path / "a")
    second = open_ml(ml_session.catalog_id, working_dir=tmp_path / "b")

    assert first.session.base_url == second.session.base_url
    first.close()
    assert second.session.latest_snaptime()


def test_rows_and_rids(new_ml):
    """Where a RID is, its row, and what is said of one that is not there."""
    term = new_ml.lookup_term("Workflow_Type", "Training")

    assert new_ml.resolve_rid(term.rid).table.name == "Workflow_Type"
    assert new_ml.retrieve_rid(term.rid)["Name"] == "Training"
    assert {term.rid} == new_ml.resolve_rids([term.rid.lower()], ["Workflow_Type"]).keys()
    with pytest.raises(DerivaMLNotFoundError, match="no row 2-ZZZY, 2-ZZZZ"):
        new_ml.resolve_rids(["2-ZZZZ", term.rid, "2-ZZZY"])
    with pytest.raises(DerivaMLNotFoundError, match="not a rid"):
        new_ml.resolve_rid("not a rid")


def test_terms(new_ml):
    """Added, found by synonym, listed, deleted; a wrong one names the nearest."""
    new_ml.add_term("Workflow_Type", "Segmentation", "Finds regions", synonyms=["Seg"])

    assert new_ml.lookup_term("Workflow_Type", "Seg").name == "Segmentation"
    assert "Segmentation" in {term.name for term in new_ml.list_vocabulary_terms("Workflow_Type")}
    with pytest.raises(DerivaMLInvalidTerm, match="did you mean 'Segmentation'"):
        new_ml.lookup_term("Workflow_Type", "Segmentaton")
    new_ml.delete_term("Workflow_Type", "Segmentation")
    with pytest.raises(DerivaMLInvalidTerm):
        new_ml.lookup_term("Workflow_Type", "Segmentation")


def test_tables_of_a_project(new_ml):
    """A vocabulary and an asset table, whose outputs a run can name at once."""
    create_domain_schema(new_ml.session, "eye")
    new_ml.create_vocabulary("Side", "Left or right")
    image = new_ml.create_asset("Image", [ColumnDef("Angle", "float8")], comment="Fundus images")
    workflow = new_ml.create_workflow("Ingest", "Ingest")
    with new_ml.create_execution(workflow=workflow) as execution:
        execution.asset_file_path("Image", "a.png", Angle=1.5).write_bytes(b"png")
    execution.upload_execution_outputs()

    assert (image.schema, image.is_asset) == ("eye", True)
    (row,) = new_ml.get_table_as_dict("Image")
    assert (row["Filename"], row["Angle"]) == ("a.png", 1.5)
    assert [row["RID"]] == list(new_ml.get_table_as_dataframe("Image")["RID"])
    assert [asset.filename for asset in new_ml.find_assets(asset_type="Image")] == ["a.png"]
    assert image.name in {table.name for table in new_ml.list_asset_tables()}


def test_without_a_schema_of_the_projects_own_a_new_table_has_no_place(new_ml):
    """Said, instead of putting it somewhere."""
    with pytest.raises(DerivaMLConfigurationError, match="say in which schema"):
        new_ml.create_vocabulary("Side")


def test_the_schema_is_checked_on_request(new_ml):
    """What we install is what we expect."""
    assert new_ml.validate_schema(strict=True).is_valid


def test_snapshots_read_the_past(new_ml):
    """And can't be written to."""
    before = new_ml.session.latest_snaptime()
    new_ml.add_term("Workflow_Type", "Later", "Added after the snapshot")
    past = new_ml.catalog_snapshot(f"{new_ml.catalog_id}@{before}")

    assert (past.is_snapshot(), new_ml.is_snapshot()) == (True, False)
    assert "Later" not in {term.name for term in past.list_vocabulary_terms("Workflow_Type")}


def test_citations_hold_for_ever_unless_the_present_is_asked_for(new_ml):
    """The snapshot is in the link."""
    rid = new_ml.lookup_term("Workflow_Type", "Training").rid

    assert new_ml.cite(rid).startswith(f"local/id/{new_ml.catalog_id}/{rid}@")
    assert f"local/id/{new_ml.catalog_id}/{rid}" == new_ml.cite({"RID": rid}, current=True)


def test_workflows_are_found_again(new_ml):
    """By RID and by URL; the code is that of this file."""
    rid = new_ml.add_workflow(new_ml.create_workflow("Mine", "Analysis", "d"))
    found = new_ml.lookup_workflow(rid)

    assert found.url.endswith("/test_connection.py")
    assert rid == new_ml.lookup_workflow_by_url(found.url).workflow_rid
    assert rid in {workflow.workflow_rid for workflow in new_ml.find_workflows()}


def test_executions_are_found_by_what_they_are(ml, workflow):
    """Status words are ours on catalogs of both generations."""
    done = ml.create_execution(workflow=workflow, description="done")
    done.upload_execution_outputs()
    ml.create_execution(workflow=workflow, description="waiting")

    assert [record.description for record in ml.find_executions(status="Uploaded")] == ["done"]
    assert [record.description for record in ml.find_executions(status="Completed")] == ["done"]
    assert len(list(ml.find_executions(workflow_type="Training"))) == 2
    assert len(list(ml.find_executions(workflow=done.workflow_rid))) == 2
    assert list(ml.find_executions(workflow_type="Testing")) == []
    record = ml.lookup_execution(done.execution_rid)
    record.description = "renamed"
    assert ml.lookup_execution(done.execution_rid).description == "renamed"
    with pytest.raises(DerivaMLNotFoundError, match="it is a row of Workflow"):
        ml.lookup_execution(done.workflow_rid)


def test_derivas_own_client_works_on_the_same_catalog(new_ml):
    """The unmodified `deriva`: catalog, model and path builder."""
    assert "deriva-ml" in new_ml.model.schemas
    names = {row["Name"] for row in new_ml.pathBuilder().schemas["deriva-ml"].tables["Workflow_Type"].entities()}

    assert "Training" in names
    assert new_ml.catalog_id == new_ml.catalog.catalog_id


def test_a_table_may_be_described_without_its_system_columns(new_ml):
    """They are the same in every table; writing them out helps nobody."""
    new_ml.create_domain_schema("study")
    writer = {"table_name": "Writer", "column_definitions": [{"name": "Code", "type": {"typename": "text"}}]}

    table = new_ml.create_table(writer)

    assert {"RID", "RCT", "RMT", "RCB", "RMB", "Code"} <= set(table.columns)
