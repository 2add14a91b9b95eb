"""The kernel that a notebook runs in: this environment, or one that was registered; by hand or by other tools."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from notebook_fixture import FIRST_CELL

from deriva_ml_notebook.kernels import environment_name, kernel_name

INSTALL = "deriva-ml-install-kernel"


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ("My Project", "my-project"),
        ("digits", "digits"),
        ("a_b.c-d", "a_b.c-d"),
        ("(env)", "env"),
        ("…", "deriva-ml-run"),
    ],
)
def test_a_kernel_has_its_environments_name(environment, name):
    """COMPAT section 1.3: lower case, other characters as one hyphen."""
    assert kernel_name(environment) == name


def test_a_registered_kernel_is_this_environment(guide_project, tmp_path):
    """Among the user's kernels, by the environment's name; help registers nothing."""
    home = {"HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data")}

    help_text = guide_project.run("--help", command=INSTALL, **home)
    assert not (tmp_path / "data").exists()
    done = guide_project.run(command=INSTALL, **home)

    spec = json.loads((tmp_path / "data/kernels" / kernel_name(environment_name()) / "kernel.json").read_text())
    assert "--install-local" in help_text.stdout
    assert spec["argv"][0] == sys.executable
    assert spec["display_name"] == f"Python ({environment_name()})"
    assert sys.prefix in done.stdout


def test_a_kernel_may_have_another_name(guide_project, tmp_path):
    """A name that can't be one is refused."""
    home = {"HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data")}

    guide_project.run("--name", "mine", "--display-name", "Mine", command=INSTALL, **home)
    refused = guide_project.run("--name", "a b", command=INSTALL, **home)

    assert json.loads((tmp_path / "data/kernels/mine/kernel.json").read_text())["display_name"] == "Mine"
    assert refused.returncode == 2
    assert "'a b' can't be a kernel's name" in refused.stderr


def test_a_local_kernel_is_in_the_environment(guide_project, tmp_path):
    """--install-local: gone with the environment, and nobody else sees it."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", venv], check=True)
    ours = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.path[1:], sep=':')"], check=True, capture_output=True, text=True
    )
    code = "from deriva_ml_notebook.cli.install_kernel import main; raise SystemExit(main(['--install-local']))"
    env = guide_project.environment(PYTHONPATH=ours.stdout.strip(), HOME=str(tmp_path))

    subprocess.run([venv / "bin/python", "-c", code], env=env, check=True, capture_output=True)

    (spec,) = (venv / "share/jupyter/kernels").glob("*/kernel.json")
    assert json.loads(spec.read_text())["argv"][0] == str(venv / "bin/python")
    assert not (tmp_path / ".local").exists()


def test_a_notebook_run_by_papermill_is_recorded_too(notebooks):
    """The same cell, without our command; its configuration has the notebook's name."""
    project = notebooks()
    first = FIRST_CELL.replace('"analysis"', "")
    path = project.write("print(config.threshold)", "execution.upload_execution_outputs()", first=first)

    done = subprocess.run(
        [project.project.command("papermill"), "-k", "python3", path.name, "out.ipynb"],
        cwd=path.parent,
        env=project.project.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    record = project.record()
    assert record.only["Status"] == "Uploaded"
    assert record.workflows[record.only["Workflow"]]["URL"].partition("path=")[2].endswith("/analysis.ipynb")


@pytest.mark.parametrize("editor", ["JupyterLab", "VS Code"])
def test_an_editors_notebook_is_found_out(notebooks, tmp_path, editor):
    """By what the editor tells its kernel, wherever that was started; run again, it ends what it had begun."""
    from jupyter_client.manager import KernelManager

    project = notebooks()
    path = project.write("")
    env = {name: value for name, value in project.project.environment().items() if name != "JPY_SESSION_NAME"}
    if editor == "JupyterLab":
        env["JPY_SESSION_NAME"] = str(path)
    manager = KernelManager(kernel_name="python3", transport="ipc", connection_file=str(tmp_path / "kernel.json"))
    manager.start_kernel(cwd=str(path.parent), env=env)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        if editor == "VS Code":
            client.execute_interactive(f"__vsc_ipynb_file__ = {str(path)!r}", silent=True, timeout=120)
        for _ in range(2):
            cell = "from deriva_ml.execution import run_notebook\nml, execution, config = run_notebook()"
            reply = client.execute_interactive(cell, output_hook=lambda _: None, timeout=120)
            assert reply["content"]["status"] == "ok", reply["content"]
        during = project.record()
    finally:
        client.stop_channels()
        manager.shutdown_kernel()

    assert [one["Status"] for one in during.executions] == ["Aborted", "Running"]
    after = project.record()
    assert [one["Status"] for one in after.executions] == ["Aborted", "Aborted"]
    for one in after.executions:
        assert after.workflows[one["Workflow"]]["URL"].partition("path=")[2].endswith("/analysis.ipynb")


def test_a_kernel_that_dies_by_hand_leaves_what_recovery_completes(notebooks):
    """Nobody's command stands by: the journal says whose the execution was."""
    project = notebooks()
    path = project.write("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run(
        [project.project.command("papermill"), "-k", "python3", path.name, "out.ipynb"],
        cwd=path.parent,
        env=project.project.environment(),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert project.record().only["Status"] == "Running"

    project.project.run("recover", command="deriva-ml-executions")

    assert project.record().only["Status"] == "Failed"
