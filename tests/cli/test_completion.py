"""What a shell offers after a TAB, and how output looks to a terminal without colours."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("line", "offered"),
    [
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
    answer = tmp_path / "answer"
    env = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run([BIN / line.split()[0]], env=env, cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 0
    assert offered <= {word.strip() for word in answer.read_text().splitlines()}


def test_a_bash_on_a_terminal_completes_what_is_typed(tmp_path):
    """With the lines of the how-to page, and the TAB key."""
    bash = shutil.which("bash")
    assert bash, "every machine that this runs on has it"
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [bash, "--norc", "--noprofile", "-i"],
        env=env, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        os.write(ours, b"PS1='>> '; echo be''gin; eval \"$(register-python-argcomplete deriva-ml-executions)\"\n")
        _read_until(ours, b"begin\r\n>> ")
        os.write(ours, b"deriva-ml-executions compa\t")
        _read_until(ours, b"deriva-ml-executions compare ")
        os.write(ours, b"--js\t")
        _read_until(ours, b"--json ")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def _read_until(terminal: int, wanted: bytes) -> None:
    text = b""
    while wanted not in text:
        assert select.select([terminal], [], [], 120)[0], f"{wanted!r} did not come, but {text!r}"
        text += os.read(terminal, 65_536)


def test_no_color_is_respected_on_a_terminal(new_ml, workflow):
    """https://no-color.org: set to anything, no colours."""
    new_ml.create_execution(workflow=workflow, description="x").update_status("Failed", error="no")
    command = [BIN / "deriva-ml-executions", "list", "--host", "local", "--catalog", new_ml.catalog_id]
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}

    def on_a_terminal(**extra: str) -> bytes:
        ours, theirs = pty.openpty()
        env = {**plain, "TERM": "xterm-256color", "COLUMNS": "120", **extra}
        subprocess.run(command, env=env, stdout=theirs, stderr=subprocess.PIPE, check=True)
        os.close(theirs)
        text = os.read(ours, 65_536)
        os.close(ours)
        return text

    red = b"\x1b[31m"
    assert red in on_a_terminal()
    assert red not in on_a_terminal(NO_COLOR="1")
