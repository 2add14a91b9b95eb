"""What a shell offers after a TAB, and how output looks to a terminal without colours."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

BIN = Path(sys.executable).parent
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "complete-commands-in-my-shell.md"
SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("deriva-ml-run --inf", {"--info"}),
        ("deriva-ml-executions com", {"compare"}),
        ("deriva-ml-executions list --metr", {"--metric"}),
        ("deriva-ml-catalog s", {"serve", "schema"}),
        ("bump-version m", {"minor", "major"}),
        ("deriva-ml-init --de", {"--demo"}),
        ("deriva-ml-run-notebook --insp", {"--inspect"}),
        ("deriva-ml-install-kernel --inst", {"--install-local"}),
        ("deriva-ml-split-dataset --test", {"--test-size"}),
        ("deriva-ml-load-dataset --he", {"--help"}),
        ("deriva-ml-upload --ret", {"--retries", "--retry-delay"}),
        ("deriva-ml-storage --cl", {"--clean", "--clear-cache"}),
    ],
)
def test_a_shell_is_told_what_could_come_next(line, offered, tmp_path):
    """As argcomplete's registered function asks a command; nothing runs."""
    assert offered <= _offered(line, tmp_path, tmp_path / "answer")


def _offered(line: str, folder: Path, answer: Path) -> set[str]:
    env = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run([BIN / line.split(maxsplit=1)[0]], env=env, cwd=folder, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return {word.strip() for word in answer.read_text().splitlines()}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("model_conf", {"model_config=", "model_config."}),
        ("model_config=q", {"model_config=quick"}),
        ("deriva_ml=", {"deriva_ml=default_deriva", "deriva_ml=production"}),
        ("+exp", {"+experiment="}),
        ("+multirun=", {"+multirun=rates"}),
        ("--host dev.example.org dry_run=true model_config.ep", {"model_config.epochs="}),
    ],
)
def test_a_shell_is_told_what_the_project_has(typed, offered, guide_project, tmp_path):
    """Groups, options, keys and named sweeps; deriva-ml's own options on the line are no overrides."""
    assert offered <= _offered(f"deriva-ml-run {typed}", guide_project.root, tmp_path / "answer")


def test_a_shell_is_told_of_notebooks_and_of_what_they_are_configured_by(guide_project, tmp_path):
    """The notebook is the first word, and its configuration's groups and fields are the others."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("run_notebook('analysis')")])
    folder = tmp_path / "project"
    shutil.copytree(guide_project.root, folder)
    (folder / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "notebooks" / "plain.ipynb")
    (folder / "src" / "configs" / "analysis.py").write_text(
        "from deriva_ml.execution import notebook_config\nnotebook_config('analysis')\n"
    )

    def offered(typed: str) -> set[str]:
        return _offered(f"deriva-ml-run-notebook {typed}", folder, tmp_path / "answer")

    assert "notebooks/plain.ipynb" in offered("notebooks/pl")
    assert offered("notebooks/plain.ipynb assets=res") == {"assets=resnet_weights"}
    assert offered("notebooks/plain.ipynb descr") == {"description="}


def test_a_project_that_can_not_be_read_offers_nothing(tmp_path):
    """Whoever types wants no message in the middle of a line."""
    assert _offered("deriva-ml-run model_conf", tmp_path, tmp_path / "answer") == set()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_page_names_every_command(shell):
    """One that is left out is not completed, and nobody would know why."""
    scripts = tomllib.loads((PAGE.parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    named = set(re.findall(r"[\w-]+", _lines_of(shell)))

    assert {script.removeprefix("deriva-ml-") for script in scripts} <= named


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_on_a_terminal_completes_what_is_typed(shell, guide_project, tmp_path):
    """With the lines of the how-to page, and the TAB key: a subcommand, an option, a choice that the project has."""
    if not shutil.which(shell):
        assert not os.environ.get("CI"), "CI has it: .ci/run installs it"
        pytest.skip(f"needs {shell}")
    (tmp_path / "setup").write_text(_lines_of(shell))
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", shell, *SHELLS[shell]]
    process = subprocess.Popen(command, env=env, cwd=guide_project.root, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        os.write(ours, b". ~/setup; echo be''gin\r")
        _read_until(ours, "begin")
        for typed, wanted in [
            ("deriva-ml-executions compa", "compare "),
            ("deriva-ml-executions list --js", "--json "),
            ("deriva-ml-run model_config=qu", "model_config=quick"),
        ]:
            os.write(ours, typed.encode() + b"\t")
            _read_until(ours, wanted)
            os.write(ours, b"\x15")  # Ctrl-U: an empty line
    finally:
        os.close(ours)
        process.kill()
        process.wait()


def _lines_of(shell: str) -> str:
    return re.search(rf"^```{shell}\n(.+?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]


def _read_until(terminal: int, wanted: str) -> None:
    text = ""
    while wanted not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text):
        assert select.select([terminal], [], [], 120)[0], f"{wanted!r} did not come, but {text!r}"
        text += os.read(terminal, 65_536).decode(errors="replace")
