"""Plugins as real distributions: each is installed in a fresh environment, where its own tests pass."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deriva_ml_core.cli.init import main
from deriva_ml_core.projects.tools import find_uv

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples" / "plugins"
UV = find_uv()

pytestmark = pytest.mark.skipif(UV is None, reason="environments are made by uv, which is not on this machine")


def run(command, folder: Path, **env: str) -> str:
    """Its output; a failure shows all of it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "HOME"))}
    done = subprocess.run(
        command, cwd=folder, env={**inherited, **env}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def environment(tmp_path):
    """Call it with an example's folder for the Python of an environment with it, deriva-ml and its tests' needs."""
    home = {"HOME": str(tmp_path), "UV_CACHE_DIR": UV_CACHE}

    def make(example: Path, group: str = "test") -> Path:
        python = tmp_path / "env" / "bin" / "python"
        run([UV, "venv", "--quiet", str(tmp_path / "env")], tmp_path, **home)
        # botocore asks for an older python-dateutil than the rest of us has been tested with.
        lines = (REPOSITORY / "constraints.txt").read_text().splitlines(keepends=True)
        tested = tmp_path / "constraints.txt"
        tested.write_text("".join(line for line in lines if not line.startswith("python-dateutil")))
        install = [UV, "pip", "install", "--quiet", "--python", str(python), "-c", str(tested)]
        needs = ["--group", f"{example / 'pyproject.toml'}:{group}"]
        run([*install, str(REPOSITORY), str(example), *needs], tmp_path, **home)
        return python

    return make


UV_CACHE = (
    subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=False).stdout.strip() if UV else ""
)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")))
def test_an_example_works_where_it_is_installed(environment, tmp_path, name):
    """Its tests run against what was installed, not against the folder beside them."""
    python = environment(EXAMPLES / name)

    shown = run([str(python.with_name("deriva-ml-run")), "--plugins"], tmp_path, HOME=str(tmp_path))
    run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / name / "tests")],
        tmp_path,
        HOME=str(tmp_path),
    )

    assert f"deriva-ml-example-{name}  0.1.0" in shown


def test_a_new_plugin_has_tests_that_pass(environment, tmp_path, monkeypatch, capsys):
    """`deriva-ml-init --plugin NAME`, and nothing else; what it says can be typed in another folder."""
    folder = tmp_path / "my-plugin"
    monkeypatch.chdir(tmp_path)

    assert main(["--plugin", "my-plugin"]) == 0

    said = capsys.readouterr().out
    assert "uv run pytest" in said
    assert said.endswith(f"uv add --editable {folder}\n")
    assert '"deriva-ml",' in (folder / "pyproject.toml").read_text()  # who uses it need not want notebooks
    assert run(["git", "status", "--porcelain"], folder) == ""
    python = environment(folder, "dev")
    assert "4 passed" in run([str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder, HOME=str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--plugin", "3d"], "no Python name"), (["--plugin", "x", "--host", "local"], "--plugin needs no catalog")],
)
def test_a_plugin_that_can_not_be_made_is_refused(tmp_path, monkeypatch, capsys, arguments, words):
    """One line, exit code 2, nothing made."""
    monkeypatch.chdir(tmp_path)

    assert main(arguments) == 2

    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
