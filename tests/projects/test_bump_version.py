"""`bump-version`, in real repositories with a real remote beside them."""

from __future__ import annotations

import subprocess

import pytest

from deriva_ml_core.cli.bump_version import main

PYPROJECT = '[project]\nname = "digits"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'


@pytest.fixture
def git(tmp_path, monkeypatch):
    """Call it with arguments for what git says; a repository with one commit, in the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("START", "PREFIX"):
        monkeypatch.delenv(name, raising=False)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.org")

    def call(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    call("init", "--quiet", "--initial-branch", "main")
    call("commit", "--quiet", "--allow-empty", "--message", "first")
    return call


@pytest.fixture
def remote(git, tmp_path):
    """A bare repository that the project pushes to."""
    path = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    git("remote", "add", "origin", str(path))
    git("push", "--quiet", "--set-upstream", "origin", "main")
    return lambda *arguments: subprocess.run(
        ["git", "-C", str(path), *arguments], check=True, capture_output=True, text=True
    ).stdout.split()


def test_the_first_tag_is_the_start(git, capsys, monkeypatch):
    """Annotated, as `git describe` and setuptools-scm want it; START and PREFIX are the environment's."""
    assert main([]) == 0
    assert capsys.readouterr().out == "v0.1.0\n"
    assert git("cat-file", "-t", "v0.1.0") == "tag"
    monkeypatch.setenv("START", "2.0.0")
    monkeypatch.setenv("PREFIX", "model-")
    assert main([]) == 0
    assert capsys.readouterr().out == "model-2.0.0\n"


@pytest.mark.parametrize(
    ("part", "tag"), [([], "v1.9.4"), (["patch"], "v1.9.4"), (["minor"], "v1.10.0"), (["major"], "v2.0.0")]
)
def test_a_part_is_raised_and_what_follows_it_is_zero(git, capsys, part, tag):
    """Of the highest version, by number and not by name; tags of other kinds are none."""
    for old in ("v0.9.0", "v1.9.3", "v1.2.10", "v1.10.0rc1", "data-5.0.0"):
        git("tag", old)
    git("commit", "--quiet", "--allow-empty", "--message", "second")

    assert main(part) == 0
    assert capsys.readouterr().out.strip() == tag


def test_the_tag_and_the_branch_are_pushed(git, remote, capsys):
    """Together or not at all."""
    git("tag", "v0.1.0")
    git("commit", "--quiet", "--allow-empty", "--message", "second")

    assert main(["minor"]) == 0
    assert "v0.2.0" in remote("tag")
    assert remote("rev-parse", "main") == [git("rev-parse", "HEAD")]


def test_a_tag_that_only_the_remote_has_counts(git, remote, capsys):
    """A colleague released meanwhile."""
    git("tag", "v0.3.0")
    git("push", "--quiet", "origin", "v0.3.0")
    git("tag", "--delete", "v0.3.0")

    assert main([]) == 0
    assert capsys.readouterr().out == "v0.3.1\n"


def test_without_a_remote_the_tag_stays_and_that_is_said(git, capsys):
    """No failure: many projects begin so."""
    assert main([]) == 0
    assert "no remote" in capsys.readouterr().err


def test_a_lock_file_that_changed_is_committed_by_itself(git, tmp_path):
    """`uv run bump-version` may write it before we look."""
    (tmp_path / "project" / "uv.lock").write_text("version = 1\n")

    assert main([]) == 0
    assert git("show", "--name-only", "--format=%s", "HEAD").split("\n\n") == ["Update uv.lock", "uv.lock"]
    assert git("status", "--porcelain") == ""


def test_a_version_in_pyproject_goes_along(git, tmp_path):
    """One that is the tag's; the commit that changes it is the one that is tagged."""
    path = tmp_path / "project" / "pyproject.toml"
    path.write_text(PYPROJECT)
    git("add", "--all")
    git("commit", "--quiet", "--message", "project")
    git("tag", "v0.1.0")

    assert main(["minor"]) == 0
    assert 'version = "0.2.0"' in path.read_text()
    assert git("rev-parse", "v0.2.0^{commit}") == git("rev-parse", "HEAD")
    assert git("status", "--porcelain", "--untracked-files=no") == ""


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        ("dirty", 2, "not everything is committed: model.py"),
        ("start", 2, "MAJOR.MINOR.PATCH"),
        ("part", 2, "invalid choice"),
    ],
)
def test_a_wrong_state_writes_nothing(git, tmp_path, monkeypatch, capsys, spoil, code, said):
    """One line, exit code 2, no tag."""
    if spoil == "dirty":
        (tmp_path / "project" / "model.py").write_text("x")
    if spoil == "start":
        monkeypatch.setenv("START", "1.0")

    assert main(["huge"] if spoil == "part" else []) == code
    assert said in capsys.readouterr().err
    assert git("tag") == ""


def test_no_commit_is_nothing_to_tag(tmp_path, monkeypatch, capsys):
    """Exit code 1, as the guide's generation has it; outside a repository it is 2."""
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "in no git repository" in capsys.readouterr().err
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert main([]) == 1
    assert "no commits" in capsys.readouterr().err


def test_a_push_that_is_refused_says_so(git, remote, capsys):
    """The tag is there, and what git said."""
    git("remote", "set-url", "--push", "origin", "/nowhere.git")

    assert main([]) == 1
    assert "push" in capsys.readouterr().err
