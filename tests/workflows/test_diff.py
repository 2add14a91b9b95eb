"""The code that ran can be recovered: commit plus diff gives back the tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deriva_ml_core.workflows import uncommitted_diff

WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def tree(root: Path) -> dict[str, tuple[str, bytes]]:
    """Path -> kind and content of everything but .git."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.split("/")[0] == ".git" or path.is_dir():
            continue
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()))
        else:
            found[name] = ("exec" if os.access(path, os.X_OK) else "file", path.read_bytes())
    return found


def recover(root: Path, patch: str, into: Path) -> dict[str, tuple[str, bytes]]:
    """What another scientist does: check the commit out, apply the recorded diff."""
    git(into.parent, "clone", "-q", str(root), into.name)
    if patch:
        file = into.parent / "recorded.diff"
        file.write_bytes(patch.encode())
        git(into, "apply", str(file))
    return tree(into)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "a.py").write_text("".join(f"line {n}\n" for n in range(60)))
    (root / "gone.py").write_text("to be deleted\n")
    (root / "no newline.py").write_text("no newline at the end")
    (root / "ünïcode.py").write_text("ü\n")
    (root / "moved.py").write_text("x\n" * 30)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_a_change_within_the_second_of_the_commit_is_seen(repository: Path):
    """Git tells by the index file's time which entries it must read again; the copy that we diff keeps that time."""
    git(repository, "config", "core.trustctime", "false")  # a test can set the one time, not the other
    changed = (repository / "ünïcode.py").read_text().replace("ü", "ö")
    second = 1_700_000_000
    os.utime(repository / "ünïcode.py", (second, second))
    git(repository, "update-index", "--really-refresh")
    (repository / "ünïcode.py").write_text(changed)
    os.utime(repository / "ünïcode.py", (second, second))
    os.utime(repository / ".git" / "index", (second, second))

    patch = uncommitted_diff(repository)

    assert patch.paths == ("ünïcode.py",)


def change_everything(root: Path) -> None:
    lines = (root / "a.py").read_text().splitlines(keepends=True)
    lines[3], lines[50] = "changed\n", "changed too\n"
    (root / "a.py").write_text("".join(lines))
    (root / "gone.py").unlink()
    (root / "no newline.py").write_text("still no newline")
    (root / "ünïcode.py").write_text("ü\nß\n")
    (root / "new dir").mkdir()
    (root / "new dir" / "quo\"te and ' tab\t.py").write_text("print('new')\n")
    (root / "empty.py").write_text("")
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "tool.sh").chmod(0o755)
    (root / "a.py").chmod(0o755)
    (root / "link.py").symlink_to("a.py")
    (root / "dangling").symlink_to("nowhere/at all")
    (root / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    (root / "staged.py").write_text("staged\n")
    git(root, "add", "staged.py")
    git(root, "mv", "moved.py", "elsewhere.py")


def test_commit_and_diff_give_back_the_tree(repository: Path, tmp_path: Path):
    """Changed, deleted, renamed, staged, untracked, executable, linked, odd names and line ends: all come back."""
    change_everything(repository)

    diff = uncommitted_diff(repository)

    assert recover(repository, diff.text, tmp_path / "recovered") == tree(repository)
    assert diff.left_out == ()
    assert "new dir/quo\"te and ' tab\t.py" in diff.paths
    assert "ünïcode.py" in diff.paths


def test_the_users_git_settings_do_not_spoil_the_patch(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Colours, prefixes, external diff tools and renames of the user's own settings stay out."""
    settings_file = tmp_path / "gitconfig"
    settings_file.write_text(
        "[color]\n ui = always\n[diff]\n noprefix = true\n mnemonicPrefix = true\n external = /bin/false\n"
        " renames = copies\n context = 0\n interHunkContext = 99\n[core]\n quotePath = false\n pager = /bin/false\n"
        " autocrlf = false\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings_file))
    change_everything(repository)

    diff = uncommitted_diff(repository)

    assert recover(repository, diff.text, tmp_path / "recovered") == tree(repository)


def test_the_index_stays_as_it_is(repository: Path):
    """Looking at untracked files must not stage them, nor write objects."""
    change_everything(repository)
    before = git(repository, "status", "--porcelain"), sorted((repository / ".git" / "objects").rglob("*"))

    uncommitted_diff(repository)

    assert (git(repository, "status", "--porcelain"), sorted((repository / ".git" / "objects").rglob("*"))) == before


def test_a_repository_without_commits_has_everything_in_its_diff(tmp_path: Path):
    """`git init`, no commit: the whole code is uncommitted."""
    root = tmp_path / "fresh"
    root.mkdir()
    git(root, "init", "-q")
    (root / "m.py").write_text("x = 1\n")

    diff = uncommitted_diff(root)

    assert diff.paths == ("m.py",)
    assert "+x = 1" in diff.text


def test_binary_and_big_files_are_only_named(repository: Path, tmp_path: Path):
    """Data is no source: it is named with the reason, and the rest of the patch still applies."""
    (repository / "weights.bin").write_bytes(bytes(range(256)) * 10)
    (repository / "latin.txt").write_bytes(b"caf\xe9\n" * 3)
    (repository / "huge.csv").write_text("1,2,3\n" * 100_000)
    (repository / "small.py").write_text("x = 1\n")

    diff = uncommitted_diff(repository)

    assert diff.paths == ("small.py",)
    assert dict(diff.left_out) == {
        "weights.bin": "binary or very big",
        "latin.txt": "binary or very big",
        "huge.csv": "600000 bytes",
    }
    assert diff.truncated
    assert "small.py" in recover(repository, diff.text, tmp_path / "recovered")


def test_a_very_big_tracked_file_is_not_read(repository: Path):
    """A changed table of gigabytes must not fill the memory."""
    (repository / "table.csv").write_text("1,2,3\n" * 2_000_000)
    git(repository, "add", "-A")
    (repository / "table.csv").write_text("1,2,4\n" * 2_000_000)

    assert dict(uncommitted_diff(repository).left_out) == {"table.csv": "binary or very big"}


def test_a_moved_submodule_is_named_with_its_commit(repository: Path, tmp_path: Path):
    """No text patch moves a submodule: the commit is what has to be known, and the rest still applies."""
    git(tmp_path, "clone", "-q", str(repository), "lib")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "lib"), "lib")
    git(repository, "commit", "-q", "-m", "with a submodule")
    (repository / "lib" / "a.py").write_text("new\n")
    git(repository / "lib", "commit", "-q", "-a", "-m", "moved")
    (repository / "gone.py").write_text("changed\n")

    diff = uncommitted_diff(repository)

    head = git(repository / "lib", "rev-parse", "HEAD")
    assert dict(diff.left_out) == {"lib": f"a submodule, now at commit {head}"}
    assert recover(repository, diff.text, tmp_path / "recovered")["gone.py"] == ("file", b"changed\n")


def test_the_cap_leaves_out_whole_files(repository: Path, tmp_path: Path):
    """A patch cut in its middle would not apply."""
    for name in ("one.py", "two.py"):
        (repository / name).write_text("x = 1\n" * 100)

    diff = uncommitted_diff(repository, cap_bytes=1000)

    assert len(diff.paths) == 1
    assert diff.truncated
    assert diff.paths[0] in recover(repository, diff.text, tmp_path / "recovered")


def test_ignored_and_result_files_are_not_in_the_diff(repository: Path):
    """What git ignores and what a run leaves is no code."""
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "x.log").write_text("x")
    (repository / "outputs").mkdir()
    (repository / "outputs" / "y.txt").write_text("y")

    assert uncommitted_diff(repository).paths == (".gitignore",)


def test_a_clean_tree_and_no_repository_have_no_diff(repository: Path, tmp_path: Path):
    """Nothing to say is an empty text, never an error."""
    assert uncommitted_diff(repository).text == ""
    assert uncommitted_diff(tmp_path).text == ""


def test_a_repository_inside_is_named(repository: Path):
    """An untracked repository in the work tree is not walked into."""
    inner = repository / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "x.py").write_text("x")

    assert dict(uncommitted_diff(repository).left_out) == {"inner/": "a repository of its own"}


contents = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=200)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=contents, after=contents, added=contents)
def test_any_text_comes_back(before: str, after: str, added: str):
    """Whatever characters and line ends a file has."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "repo")
        root.mkdir()
        git(root, "init", "-q")
        git(root, "config", "core.autocrlf", "false")
        (root / "a.py").write_bytes(before.encode())
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "x")
        (root / "a.py").write_bytes(after.encode())
        (root / "b.py").write_bytes(added.encode())

        diff = uncommitted_diff(root)

        assert recover(root, diff.text, Path(folder, "recovered")) == tree(root)
