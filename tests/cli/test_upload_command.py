"""deriva-ml-upload and deriva-ml-executions upload: what a run left is finished by a later command."""

import json

import pytest

MODEL = """
import os, signal

def train(epochs=1, rate=0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", "weights.txt").write_text(str(rate))
    if epochs == 2:
        raise ValueError("two")
    if epochs == 3:  # the network goes: nobody answers any more
        ml_instance.session.client.base_url = "http://127.0.0.1:9"
    if epochs == 5:
        execution.log_metrics(1, loss=0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    if epochs == 4:
        from deriva_ml_core.assets import upload
        upload.record_files = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    if epochs == 6:
        execution.asset_file_path("Execution_Asset", "large.bin").write_bytes(os.urandom(8 * 2**20))
        from deriva_ml_core.local_catalog.hatrac import intake
        copy = intake._copy_block
        def copy_and_die(source, target, start, count):
            copy(source, target, start, count)
            if start == 4 * 2**20:
                os.kill(os.getpid(), signal.SIGKILL)
        intake._copy_block = copy_and_die
"""


@pytest.fixture
def project(demo_project):
    return demo_project(MODEL)


@pytest.fixture
def command(project):
    def run(module, *arguments):
        return project.run("-m", f"deriva_ml_core.cli.{module}", *map(str, arguments), command="python")

    return run


def show(command, rid):
    return json.loads(command("executions", "show", rid, "--json").stdout)


def the_only(command, status):
    (one,) = json.loads(command("executions", "list", "--status", status, "--json").stdout)
    return one["rid"]


def test_a_run_whose_catalog_went_away_is_finished_by_the_command_that_it_names(command):
    """Exit code 3, one line with the command; that command, in any folder, makes the record whole."""
    run = command("run", "model_config.epochs=3")
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("error:")]
    typed = line.rpartition("finish with: ")[2].split()

    assert run.returncode == 3, run.stderr
    assert "Retrying" not in run.stdout + run.stderr  # urllib3's own words, for each repeat of a request
    assert typed[:2] == ["deriva-ml-executions", "upload"]
    later = command("executions", *typed[1:])
    assert later.returncode == 0, later.stderr
    record = show(command, typed[2])
    assert record["status"] == "Uploaded"
    assert "weights.txt" in [asset["file"] for asset in record["outputs"]]
    assert record["start_time"]


def test_a_run_killed_in_its_upload_is_finished_later(command):
    """Kill -9 when its objects were stored and no row was: the later command adds each row once."""
    run = command("run", "model_config.epochs=4")
    assert run.returncode < 0 or run.returncode == 137, run.stderr
    later = command("upload", "--json")
    (done,) = json.loads(later.stdout)

    assert (later.returncode, done["error"]) == (0, None), later.stderr
    record = show(command, done["rid"])
    assert record["status"] == "Uploaded"
    assert [asset["file"] for asset in record["outputs"]].count("weights.txt") == 1
    assert command("upload").stdout.startswith("nothing waits in ")


def test_a_run_killed_while_a_large_output_goes_into_its_own_catalog_is_finished_later(command, tmp_path):
    """No server and no chunks between: what lies half copied in the catalog's folder is completed."""
    run = command("run", "model_config.epochs=6")
    assert run.returncode < 0 or run.returncode == 137, run.stderr
    (half,) = (tmp_path / "local_root" / "uploads").iterdir()
    assert half.stat().st_size == 5 * 2**20
    later = command("upload", "--json")
    (done,) = json.loads(later.stdout)

    assert (later.returncode, done["error"]) == (0, None), later.stderr
    record = show(command, done["rid"])
    assert record["status"] == "Uploaded"
    assert sorted(a["file"] for a in record["outputs"] if a["table"].endswith("_Asset")) == ["large.bin", "weights.txt"]
    assert list((tmp_path / "local_root" / "uploads").iterdir()) == []


def test_the_metrics_of_a_killed_run_are_brought_by_the_next_command(command):
    """Metadata goes into the catalog whatever ends a run; its outputs wait, since they may be half written."""
    command("run", "model_config.epochs=5")
    recovered = command("executions", "recover")
    rid = the_only(command, "Failed")
    names = [asset["file"] for asset in show(command, rid)["outputs"]]

    assert f"deriva-ml-executions upload {rid}" in recovered.stdout
    assert "metrics.jsonl" in names
    assert "weights.txt" not in names


def test_a_failed_run_is_left_until_somebody_asks_for_it(command):
    """Its outputs may be half of what they should be: they go up when it is named, or with --failed."""
    assert command("run", "model_config.epochs=2").returncode == 1
    rid = the_only(command, "Failed")
    bare = command("upload")
    named = command("upload", "--execution", rid)

    assert bare.returncode == 0
    assert bare.stdout.startswith(f"left on disk: {rid} (Failed)")
    assert f"{rid}: uploaded 1 file" in named.stdout
    assert show(command, rid)["status"] == "Failed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "offline"], "an upload needs the catalog"),
        (["--retries", "-1"], "max_retries=-1"),
        (["--chunk-mib", "0"], "chunk_size=0"),
        (["--execution", "9-ZZZZ"], "has no execution 9-ZZZZ"),
    ],
)
def test_bad_input_is_one_line(command, arguments, words):
    """Exit code 2, nothing done."""
    done = command("upload", *arguments)

    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
