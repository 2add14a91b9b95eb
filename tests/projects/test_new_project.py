"""deriva-ml-init DIR: a whole project or nothing, in the guide's layout, with this very deriva-ml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from deriva_ml_core.cli.init import main
from deriva_ml_core.projects.creation import Lock, NewProject, create_project
from deriva_ml_core.projects.demo import Catalogs, create_demo
from deriva_ml_core.projects.origin import find_origin
from deriva_ml_core.projects.tools import find_uv, project_environment

MODULES = ("__init__", "assets", "base", "datasets", "deriva", "experiments", "multiruns")
LAYOUT = [
    *(".gitignore", ".python-version", "README.md", "notebooks/my_notebook.ipynb", "pyproject.toml"),
    *(f"src/configs/{name}.py" for name in (*MODULES, "my_model", "my_notebook", "workflow")),
    *("src/models/__init__.py", "src/models/my_model.py"),
]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def command(*arguments: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command of ours, in a project, as a process of its own."""
    module = f"deriva_ml_core.cli.{arguments[0]}"
    return subprocess.run(
        [sys.executable, "-m", module, *arguments[1:]],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def make(folder: Path, **options) -> Path:
    return create_project(NewProject(folder, **options), lock=Lock.NO)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make(tmp_path / "my-project")


def test_the_layout_is_the_guides(project: Path):
    """Every folder and module that the guide names, committed, nothing besides."""
    assert git(project, "ls-files").splitlines() == LAYOUT
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-list", "--count", "HEAD") == "1"
    assert git(project, "branch", "--show-current") == "main"


def test_it_gets_this_deriva_ml(project: Path):
    """Another package of the name is on the registry: the project names ours, wherever ours came from."""
    document = tomllib.loads((project / "pyproject.toml").read_text())

    assert document["project"]["name"] == "my-project"
    assert document["tool"]["uv"]["sources"]["deriva-ml"] == tomllib.loads(f"x = {find_origin(project).source}")["x"]


def test_the_menu_works_at_once(project: Path):
    """`deriva-ml-run --info` before anything is filled in: placeholders are valid, every option has a description."""
    shown = command("run", "--info", folder=project)

    assert shown.returncode == 0, shown.stderr
    assert "default_deriva  deriva.example.org, catalog 1" in shown.stdout
    for line in ("No dataset.", "No input files.", "3 epochs, to see that all works.", "Train a model on the input"):
        assert line in shown.stdout


def test_every_experiment_and_sweep_composes(project: Path):
    """What the template offers is not broken."""
    for option in ("+experiment=quick", "+experiment=long", "model_config=long_training", "workflow=prediction"):
        shown = command("run", option, "--cfg", "job", "--resolve", folder=project)
        assert shown.returncode == 0, shown.stderr


def test_host_and_catalog_go_into_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    """`--host`, `--catalog`: one's own catalog from the start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV", "")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    assert main(["mine", "--host", "www.example.org", "--catalog", "eye-ai"]) == 0
    assert 'hostname="www.example.org", catalog_id="eye-ai"' in (tmp_path / "mine/src/configs/deriva.py").read_text()
    assert "cd mine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which folder"),
        ([""], "which folder"),
        (["a b"], "can't be the name of a project"),
        (["-x-"], "unrecognized arguments"),
        (["ünï"], "can't be the name of a project"),
        (["x" * 300], "can't be"),
        (["a\0b"], "can't be"),
        (["deriva-ml"], "a package that it needs"),
        (["x", "--host", "no host"], "is no host name"),
        (["x", "--catalog", "1"], "--catalog needs --host"),
        (["x", "--host", "h", "--catalog", "a/b"], "is no catalog id"),
        (["--demo", "x", "--host", "h"], "--demo makes a catalog of its own"),
        (["--demo", "numpy"], "a package that it needs"),
        (["--demo", "7digits"], "can't be the name of a catalog"),
        (["x", "y"], "unrecognized arguments"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
):
    """Exit code 2, what is wrong, nothing made."""
    monkeypatch.chdir(tmp_path)

    code = main(arguments)

    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1), error
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nothing is overwritten, not even beside what is there."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").write_text("years of work")

    for arguments in (["x"], ["--demo", "x"]):
        assert main([str(tmp_path / arguments[-1]), *arguments[:-1]]) == 2
        assert "is not empty; nothing was changed" in capsys.readouterr().err

    assert [p.name for p in tmp_path.rglob("*")] == ["x", "thesis.tex"]


def test_run_twice_is_refused(project: Path, capsys: pytest.CaptureFixture[str]):
    """The second time says that the project is there."""
    before = git(project, "rev-parse", "HEAD")

    assert main([str(project)]) == 2
    assert "is a project already; nothing was changed" in capsys.readouterr().err
    assert git(project, "rev-parse", "HEAD") == before


def test_a_file_in_the_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A file, a link to nowhere: named."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")

    assert main([str(tmp_path / "file")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_an_empty_folder_is_used_as_it_is(tmp_path: Path, monkeypatch):
    """`mkdir x; cd x; deriva-ml-init .`: the folder in which the user stands is not replaced."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    before = folder.stat().st_ino

    make(Path.cwd())

    assert folder.stat().st_ino == before
    assert git(folder, "status", "--porcelain") == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The reason is the system's."""
    (tmp_path / "file").write_text("x")

    assert main([str(tmp_path / "file" / "x")]) == 2
    assert "can't be made" in capsys.readouterr().err


def test_no_git(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    """A project is a repository: without git there is none."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main([str(tmp_path / "x")]) == 2
    assert "git is not installed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_failing_git_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    """Half a project is none."""
    tool = tmp_path / "bin" / "git"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'fatal: no space' >&2\nexit 128\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")

    assert main([str(tmp_path / "x")]) == 1
    assert "fatal: no space" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin"]


def test_without_an_author_git_is_given_one_for_this_commit_only(tmp_path: Path, monkeypatch):
    """A machine without user.name and user.email makes a project, and its configuration stays untouched."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("NAME", "EMAIL"):
        monkeypatch.delenv(f"GIT_AUTHOR_{name}", raising=False)
        monkeypatch.delenv(f"GIT_COMMITTER_{name}", raising=False)
    monkeypatch.delenv("EMAIL", raising=False)

    made = make(tmp_path / "x")

    assert git(made, "log", "--format=%an") == "deriva-ml-init"
    assert "user" not in (made / ".git" / "config").read_text()
    assert not (tmp_path / "none").exists()


def test_the_users_author_is_used(tmp_path: Path, monkeypatch):
    """Where one is configured, the commit is the user's; their commit hooks and signing keys are left alone."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        "[user]\n name = Ada\n email = ada@example.org\n"
        f"[core]\n hooksPath = {hooks}\n[commit]\n gpgSign = true\n[gpg]\n program = /bin/false\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    for name in ("NAME", "EMAIL"):
        monkeypatch.delenv(f"GIT_AUTHOR_{name}", raising=False)
        monkeypatch.delenv(f"GIT_COMMITTER_{name}", raising=False)

    assert git(make(tmp_path / "x"), "log", "--format=%an <%ae>") == "Ada <ada@example.org>"


def test_inside_another_repository_it_is_its_own(tmp_path: Path, monkeypatch):
    """The demo is made inside the clone of deriva-ml; a hook's GIT_DIR does not redirect it."""
    git(tmp_path, "init", "-q", "outer")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "outer" / ".git"))

    made = make(tmp_path / "outer" / "inner")

    monkeypatch.delenv("GIT_DIR")
    assert git(made, "rev-parse", "--show-toplevel") == str(made.resolve())


# --- which deriva-ml ---


def distribution(folder: Path, direct_url: object | None) -> PathDistribution:
    info = folder / "deriva_ml-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: deriva-ml\nVersion: 1.2.3\n")
    if direct_url is not None:
        (info / "direct_url.json").write_text(json.dumps(direct_url))
    return PathDistribution(info)


@pytest.mark.parametrize(
    ("direct_url", "requirement", "source"),
    [
        (None, "deriva-ml==1.2.3", ""),
        (
            {"url": "file:///src/dm", "dir_info": {"editable": True}},
            "deriva-ml",
            '{ path = "/src/dm", editable = true }',
        ),
        ({"url": "file:///src/d%20m", "dir_info": {}}, "deriva-ml", '{ path = "/src/d m" }'),
        ({"url": "file:///w/dm-1.whl", "archive_info": {}}, "deriva-ml", '{ path = "/w/dm-1.whl" }'),
        ({"url": "https://h.org/dm.whl", "archive_info": {}}, "deriva-ml", '{ url = "https://h.org/dm.whl" }'),
        (
            {"url": "https://h.org/o/dm.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}},
            "deriva-ml",
            '{ git = "https://h.org/o/dm.git", rev = "abc123" }',
        ),
    ],
)
def test_the_source_is_where_this_one_came_from(tmp_path: Path, direct_url, requirement: str, source: str):
    """PEP 610 says how this distribution was installed; the project gets it the same way."""
    found = find_origin(tmp_path / "project", distribution(tmp_path, direct_url))

    assert (found.requirement, found.source) == (requirement, source)
    if source:
        tomllib.loads(f"x = {source}")


def test_a_project_inside_the_sources_names_them_by_a_relative_path(tmp_path: Path):
    """A clone with its demo can be moved."""
    origin = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}

    assert (
        find_origin(tmp_path / "a" / "b", distribution(tmp_path, origin)).source
        == '{ path = "../..", editable = true }'
    )


def test_our_own_environment_does_not_leak(monkeypatch: pytest.MonkeyPatch):
    """`uv run` in the new project must not take our virtual environment, nor a hook's repository."""
    env = {
        "VIRTUAL_ENV": "/ours",
        "UV_PROJECT_ENVIRONMENT": "/ours",
        "UV_FROZEN": "1",
        "UV_PYTHON": "/ours/bin/python",
        "GIT_DIR": "/repo",
        "PYTHONPATH": "/ours/lib",
        "PATH": "/ours/bin:/usr/bin",
        "UV_INDEX_URL": "kept",
        "HOME": "/home/x",
    }

    assert project_environment(env) == {"PATH": "/usr/bin", "UV_INDEX_URL": "kept", "HOME": "/home/x"}


# --- the demo, as far as it goes without a registry ---


def no_catalogs() -> Catalogs:
    return Catalogs(list, lambda name: pytest.fail(f"deleted {name}"))


def test_the_demo_needs_uv(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    """Without uv: how to install it, nothing made."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("UV", raising=False)

    assert main(["--demo", str(tmp_path / "x")]) == 2
    assert "pip install uv" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin"]


def test_the_demo_does_not_touch_a_catalog_that_is_there(tmp_path: Path):
    """A name that is taken is refused before anything is made."""
    taken = Catalogs(lambda: ["digits"], lambda name: pytest.fail(f"deleted {name}"))

    with pytest.raises(Exception, match=r"embedded catalog 'digits' already.*deriva-ml-catalog delete digits"):
        create_demo(tmp_path / "digits", taken, print)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_uv() is None, reason="needs uv")
def test_the_demo_without_a_registry_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No network: uv says why, and neither project nor catalog are there."""
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    with pytest.raises(Exception, match="uv lock"):
        create_demo(tmp_path / "digits", no_catalogs(), print, quiet=True)

    assert not (tmp_path / "digits").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == []


def test_a_failing_load_removes_project_and_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What failed half-way can be tried again under the same name."""
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text('#!/bin/sh\ncase "$*" in *load_digits*) echo "boom" >&2; exit 1;; esac\nexit 0\n')
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))
    deleted: list[str] = []
    catalogs = Catalogs(lambda: [] if not (tmp_path / "digits").exists() else ["digits"], deleted.append)
    said: list[str] = []

    with pytest.raises(Exception, match="boom; the project and its catalog were removed again"):
        create_demo(tmp_path / "digits", catalogs, said.append, quiet=True)

    assert deleted == ["digits"]
    assert not (tmp_path / "digits").exists()
    assert "$ uv run deriva-ml-catalog create digits" in said


def test_a_failing_first_run_keeps_project_and_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Everything is made; the message says how to go on."""
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        '*load_digits*) while [ "$1" != --report ]; do shift; done\n'
        '  echo \'{"rid": "1-ABC", "version": "1.0.0"}\' > "$2";;\n'
        "*deriva-ml-run*) exit 3;;\nesac\nexit 0\n"
    )
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))

    with pytest.raises(Exception, match=r"first run failed.*cd .*digits && uv run deriva-ml-run"):
        create_demo(tmp_path / "digits", no_catalogs(), print, quiet=True)

    assert 'rid="1-ABC", version="1.0.0"' in (tmp_path / "digits/src/configs/datasets.py").read_text()
    assert git(tmp_path / "digits", "status", "--porcelain") == ""
