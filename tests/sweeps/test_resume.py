"""`deriva-ml-run --resume PARENT`: what is left of a sweep runs again, as the same executions under the same parent."""

from __future__ import annotations

import shutil
import subprocess

import pytest

MODEL = """\
import os, signal
from pathlib import Path

def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    if rate == 3 and Path("kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    execution.asset_file_path("Execution_Asset", f"rate-{rate}.txt").write_text(str(rate))
    if rate in (2, 4) and not Path("fixed").exists():
        execution.asset_file_path("Execution_Asset", "only-of-the-first.txt").write_text("of the attempt that failed")
        raise ValueError(f"no convergence at {rate}")
"""


@pytest.fixture
def swept(demo_project, tree):
    """A committed project, and its sweep of four jobs of which two have failed."""
    made = demo_project(MODEL)
    made.write(".gitignore", "__pycache__/\nfixed\nkill\n")
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "project"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *argv], cwd=made.root, check=True)

    def sweep(*more):
        return made.run("--multirun", "model_config.rate=1,2,3,4", "description=Rates", *more)

    return made, sweep


def _statuses(children):
    return [child["Status"] for child in children]


LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local"],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_only_what_is_left_runs_again_on_another_launcher_as_the_same_executions(swept, tree, demo_rows, launcher):
    """RIDs and numbers stay, what failed is kept beside, and the parent comes to its true end."""
    made, sweep = swept
    sweep()
    parent, before = tree()
    assert _statuses(before) == ["Uploaded", "Failed", "Uploaded", "Failed"]
    (made.root / "fixed").touch()

    done = made.run("--resume", parent["RID"], *LAUNCHERS[launcher])

    assert done.returncode == 0, done.stderr
    assert "2 of 4 jobs run again" in done.stderr
    parent, after = tree()
    assert [(child["RID"], child["Sequence"]) for child in after] == [
        (child["RID"], child["Sequence"]) for child in before
    ]
    assert (parent["Status"], _statuses(after)) == ("Uploaded", ["Uploaded"] * 4)
    assert [child["Description"] for child in after] == [child["Description"] for child in before]
    assert {f"rate-{rate}.0.txt" for rate in (1, 2, 3, 4)} == {row["Filename"] for row in demo_rows("Execution_Asset")}
    kept = made.home / f".deriva-ml/local/demo/deriva-ml/execution/{before[1]['RID']}/attempts/1"
    assert (kept / "assets/Execution_Asset/only-of-the-first.txt").is_file()
    assert "no convergence" in (kept / "traceback.txt").read_text()
    again = made.run("--resume", parent["RID"])
    assert (again.returncode, "all 4 jobs are Uploaded" in again.stderr) == (0, True)


def test_what_fails_again_is_failed_again(swept, tree):
    """Exit code and parent are as honest as the first time."""
    made, sweep = swept
    sweep()

    done = made.run("--resume", tree()[0]["RID"])

    assert done.returncode == 1
    parent, children = tree()
    assert (parent["Status"], _statuses(children)) == ("Failed", ["Uploaded", "Failed", "Uploaded", "Failed"])
    assert "2 of 4 jobs" in parent["Status_Detail"]


def test_other_code_is_refused_unless_told(swept, tree):
    """The children of one parent are of one code; the folder of the sweep may be gone."""
    made, sweep = swept
    sweep()
    parent, _ = tree()
    model = made.root / "src/models/model.py"
    model.write_text(model.read_text() + "# another thought\n")
    (made.root / "fixed").touch()

    refused = made.run("--resume", parent["RID"])
    assert refused.returncode == 2, refused.stderr
    assert "other uncommitted changes" in refused.stderr
    assert _statuses(tree()[1]) == ["Uploaded", "Failed", "Uploaded", "Failed"]
    shutil.rmtree(made.home / ".deriva-ml")
    done = made.run("--resume", parent["RID"], "--allow-other-code")

    assert done.returncode == 0, done.stderr
    parent, children = tree()
    assert (parent["Status"], _statuses(children)) == ("Uploaded", ["Uploaded"] * 4)


def test_another_commit_is_refused_and_names_both(swept, tree):
    """Also where nothing is uncommitted: the children of one parent are of one commit."""
    made, sweep = swept
    sweep()
    parent, before = tree()
    model = made.root / "src/models/model.py"
    model.write_text(model.read_text() + "# another thought\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "commit", "-qam", "another thought"], cwd=made.root, check=True)

    refused = made.run("--resume", parent["RID"])

    assert refused.returncode == 2, refused.stderr
    commits = subprocess.run([*git, "log", "--format=%h"], cwd=made.root, check=True, capture_output=True, text=True)
    assert all(commit in refused.stderr for commit in commits.stdout.split())
    assert "--allow-other-code" in refused.stderr
    assert tree() == (parent, before)


def test_a_killed_sweep_is_resumed_without_another_word(swept, tree):
    """The launching process was killed: its end is recorded first, then what is left runs."""
    made, sweep = swept
    (made.root / "kill").touch()
    sweep()
    (made.root / "kill").unlink()
    (made.root / "fixed").touch()
    parent, children = tree()
    assert (parent["Status"], _statuses(children)) == ("Running", ["Uploaded", "Failed", "Running", "Created"])

    done = made.run("--resume", parent["RID"])

    assert done.returncode == 0, done.stderr
    parent, children = tree()
    assert (parent["Status"], _statuses(children)) == ("Uploaded", ["Uploaded"] * 4)


def test_what_can_not_be_resumed_is_one_line(swept, tree):
    """No such execution, no sweep, a change of what was recorded: nothing is written."""
    made, sweep = swept
    sweep()
    parent, children = tree()

    for arguments, words in {
        ("9-ZZZZ",): "9-ZZZZ",
        (children[0]["RID"],): "is no sweep",
        (parent["RID"], "model_config.rate=7"): "--resume runs what was recorded",
        (parent["RID"], "--multirun"): "only one of",
    }.items():
        refused = made.run("--resume", *arguments)
        assert refused.returncode == 2, refused.stderr
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert tree() == (parent, children)
