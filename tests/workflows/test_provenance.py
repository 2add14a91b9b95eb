"""Which code a run is: every shape of repository has a defined answer, and none stops a run."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
from hydra_zen import builds, instantiate
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.workflows import calling_file, find_code_reference
from deriva_ml_core.workflows.git import web_url
from deriva_ml_core.workflows.version import version_from_git

MODEL = "def train(lr=0.1, ml_instance=None, execution=None):\n    return lr\n"
WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
NO_ENV: dict[str, str] = {}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit_all(folder: Path, message: str = "work") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "my project é"
    (root / "src" / "models").mkdir(parents=True)
    (root / "src" / "models" / "net.py").write_text(MODEL)
    (root / "README.md").write_text("hello\n")
    git(root, "init", "-q", "-b", "main")
    commit_all(root)
    return root


def model(root: Path) -> Path:
    return root / "src" / "models" / "net.py"


def load(path: Path):
    spec = util.spec_from_file_location(f"loaded_{abs(hash(path))}", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def test_a_committed_file_with_a_remote_gets_a_permalink(project: Path):
    """The link names the last commit that touched the file, as existing catalogs have it."""
    touched = git(project, "rev-parse", "HEAD")
    git(project, "remote", "add", "origin", "https://github.com/org/repo.git")
    (project / "README.md").write_text("another\n")
    head = commit_all(project)

    found = find_code_reference(model(project), env=NO_ENV)

    assert found.url == f"https://github.com/org/repo/blob/{touched}/src/models/net.py"
    assert found.checksum == blob(model(project)) == git(project, "rev-parse", "HEAD:src/models/net.py")
    assert (found.commit, found.git_root, found.path) == (head, project.resolve(), "src/models/net.py")
    assert found.dirty_paths == ()
    assert found.warning == ""
    assert "not pushed" in found.note


def test_a_permalink_quotes_what_a_url_needs(project: Path):
    """A path with blanks and letters beyond ASCII still makes a URL that opens."""
    file = project / "src" / "mein modell ü.py"
    file.write_text(MODEL)
    commit_all(project)
    git(project, "remote", "add", "origin", "https://github.com/org/repo")

    assert find_code_reference(file, env=NO_ENV).url.endswith("/src/mein%20modell%20%C3%BC.py")


@pytest.mark.parametrize(
    ("remote", "web"),
    [
        ("git@github.com:org/repo.git", "https://github.com/org/repo"),
        ("github.com:org/repo", "https://github.com/org/repo"),
        ("ssh://git@host.org:2222/a/b/c.git", "https://host.org/a/b/c"),
        ("https://me:s3cret@host.org/org/repo.git", "https://host.org/org/repo"),
        ("https://ghp_token@github.com/org/repo", "https://github.com/org/repo"),
        ("https://host.org:8443/org/repo.git/", "https://host.org:8443/org/repo"),
        ("https://host.org/org/repo?token=abc", "https://host.org/org/repo"),
        ("http://host.org/org/repo.git", "http://host.org/org/repo"),
        ("git://host.org/org/repo.git", "https://host.org/org/repo"),
        ("/srv/git/repo.git", ""),
        ("../repo", ""),
        ("file:///srv/git/repo.git", ""),
        ("", ""),
    ],
)
def test_remotes_become_web_links_without_credentials(remote: str, web: str):
    """Whatever form a remote has, the record shows https without user, password or token; a folder has no link."""
    assert web_url(remote) == web


@given(user=st.text(alphabet="abcXYZ019_-", min_size=1), password=st.text(alphabet="abcXYZ019%._-~", min_size=8))
def test_no_password_of_a_remote_survives(user: str, password: str):
    """A password in a remote's URL never reaches the record."""
    assert password not in web_url(f"https://{user}:{password}@host.example/g/r.git").replace("host.example", "")


def test_without_a_remote_the_link_is_an_identifier_of_the_content(project: Path):
    """No remote: a SWHID names content, commit and path; it needs no host and invents none."""
    head, checksum = git(project, "rev-parse", "HEAD"), blob(model(project))

    found = find_code_reference(model(project), env=NO_ENV)

    assert found.url == f"swh:1:cnt:{checksum};anchor=swh:1:rev:{head};path=/src/models/net.py"
    assert "no remote" in found.note


def test_a_second_remote_is_used_only_where_it_is_the_only_one(project: Path):
    """Without `origin`, one other remote is unambiguous, two are not."""
    git(project, "remote", "add", "upstream", "git@host.org:org/repo.git")
    one = find_code_reference(model(project), env=NO_ENV)
    git(project, "remote", "add", "other", "git@host.org:me/repo.git")
    two = find_code_reference(model(project), env=NO_ENV)

    assert one.url.startswith("https://host.org/org/repo/blob/")
    assert two.url.startswith("swh:")


def test_uncommitted_changes_are_listed_and_the_checksum_is_of_what_ran(project: Path):
    """A changed tree warns; the checksum is that of the file on disk, not of the commit."""
    model(project).write_text(MODEL + "# changed\n")
    (project / "new.py").write_text("x = 1\n")

    found = find_code_reference(model(project), env=NO_ENV)

    assert found.dirty_paths == ("src/models/net.py", "new.py")
    assert found.checksum == blob(model(project))
    assert "anchor" not in found.url
    assert "Uncommitted changes: src/models/net.py, new.py" in found.warning


def test_results_are_not_changes_of_the_code(project: Path):
    """Result folders, built-in and of DERIVA_ML_DIRTY_CHECK_IGNORE, don't make a tree dirty."""
    for folder in ("outputs", "findings", ".scratch", "runs"):
        (project / folder).mkdir()
        (project / folder / "x.txt").write_text("x")

    default = find_code_reference(model(project), env=NO_ENV)
    named = find_code_reference(model(project), env={"DERIVA_ML_DIRTY_CHECK_IGNORE": "runs/:tmp/"})

    assert default.dirty_paths == ("runs/x.txt",)
    assert named.dirty_paths == ()


def test_a_rename_counts_as_its_destination(project: Path):
    """A file moved into a result folder is not a change of the code there; one moved elsewhere is, once."""
    git(project, "mv", "README.md", "READ ME.md")

    assert find_code_reference(model(project), env=NO_ENV).dirty_paths == ("READ ME.md",)


def test_a_file_that_is_not_tracked(project: Path):
    """No commit has it, so the link promises none."""
    git(project, "remote", "add", "origin", "https://github.com/org/repo")
    file = project / "scratch.py"
    file.write_text(MODEL)

    found = find_code_reference(file, env=NO_ENV)

    assert found.url == f"swh:1:cnt:{blob(file)};origin=https://github.com/org/repo;path=/scratch.py"
    assert "not tracked" in found.note


def test_a_repository_without_commits(tmp_path: Path):
    """`git init` and run: checksum and a note, no commit."""
    git(tmp_path, "init", "-q")
    file = tmp_path / "m.py"
    file.write_text(MODEL)

    found = find_code_reference(file, env=NO_ENV)

    assert (found.commit, found.checksum, found.git_root) == ("", blob(file), tmp_path.resolve())
    assert "no commit yet" in found.note
    assert "empty repository" in found.warning


def test_no_repository(tmp_path: Path):
    """A file outside any repository has its checksum and a note."""
    file = tmp_path / "m.py"
    file.write_text(MODEL)

    found = find_code_reference(file, env=NO_ENV)

    assert (found.url, found.checksum) == (f"swh:1:cnt:{blob(file)};path=/m.py", blob(file))
    assert (found.git_root, found.commit, found.dirty_paths) == (None, "", ())
    assert "not a git repository" in found.note


def test_no_git_executable(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A machine without git still records the checksum, and it is the one that git would give."""
    expected = find_code_reference(model(project), env=NO_ENV).checksum
    monkeypatch.setenv("PATH", str(tmp_path))

    found = find_code_reference(model(project), env=NO_ENV)

    assert found.checksum == expected
    assert "git is not installed" in found.note


def test_a_git_that_fails(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A broken git is a note, not an error."""
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'fatal: detected dubious ownership in repository' >&2\nexit 128\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")

    found = find_code_reference(model(project), env=NO_ENV)

    assert "dubious ownership" in found.note
    assert found.checksum == blob(model(project))


def test_detached_head(project: Path):
    """A checkout of a commit is as good as a branch; the note says so."""
    head = git(project, "rev-parse", "HEAD")
    git(project, "checkout", "-q", head)

    found = find_code_reference(model(project), env=NO_ENV)

    assert found.commit == head
    assert "detached" in found.note


def test_a_worktree(project: Path, tmp_path: Path):
    """A linked work tree is its own root with its own HEAD."""
    git(project, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))

    found = find_code_reference(model(tmp_path / "side"), env=NO_ENV)

    assert found.git_root == (tmp_path / "side").resolve()
    assert found.path == "src/models/net.py"


def test_a_submodule(project: Path, tmp_path: Path):
    """Code in a submodule is code of the submodule's repository; the note names the outer one."""
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(project), "lib")
    commit_all(outer)

    found = find_code_reference(model(outer / "lib"), env=NO_ENV)

    assert found.git_root == (outer / "lib").resolve()
    assert found.commit == git(project, "rev-parse", "HEAD")
    assert "submodule of outer" in found.note


def test_a_shallow_clone(project: Path, tmp_path: Path):
    """Without history the named commit still holds the file; the note says what is not known."""
    (project / "README.md").write_text("more\n")
    head = commit_all(project)
    git(tmp_path, "clone", "-q", "--depth", "1", project.as_uri(), "shallow")

    found = find_code_reference(model(tmp_path / "shallow"), env=NO_ENV)

    assert found.commit == head
    assert "shallow" in found.note


def test_a_hooks_environment_does_not_mislead(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """GIT_DIR of another repository, as a hook exports it, is not followed."""
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nothing"))

    assert find_code_reference(model(project), env=NO_ENV).git_root == project.resolve()


def test_nothing_is_written_to_the_repository(project: Path):
    """Looking takes no lock and refreshes no index: many jobs of a sweep look at once."""
    os.utime(model(project))
    before = {p: p.stat().st_mtime_ns for p in (project / ".git").rglob("*")}

    find_code_reference(model(project), env=NO_ENV)

    assert {p: p.stat().st_mtime_ns for p in (project / ".git").rglob("*")} == before


def test_ignored_files_are_installed_packages_not_project_code(project: Path):
    """A model in an ignored folder (a virtual environment) makes no claim on the project's commit."""
    (project / ".gitignore").write_text(".venv/\n")
    commit_all(project)
    file = project / ".venv" / "lib" / "m.py"
    file.parent.mkdir(parents=True)
    file.write_text(MODEL)

    found = find_code_reference(file, env=NO_ENV)

    assert "ignored by git" in found.note
    assert "anchor" not in found.url


# --- which file ---


def decorated(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


class CallableModel:
    def __call__(self):
        return None


def a_model():
    return None


@pytest.mark.parametrize(
    "thing",
    [
        a_model,
        functools.partial(a_model),
        functools.partial(functools.partial(a_model)),
        decorated(a_model),
        functools.partial(decorated(decorated(a_model))),
        CallableModel,
        CallableModel(),
        CallableModel().__call__,
        functools.lru_cache(a_model),
        sys.modules.get(__name__, a_model),
    ],
)
def test_wrappers_are_seen_through(thing):
    """The user's own file is found behind partials, decorators, bound methods and callable objects."""
    assert find_code_reference(thing, env=NO_ENV).path.endswith("tests/workflows/test_provenance.py")


def test_hydras_partial_is_seen_through(project: Path, monkeypatch: pytest.MonkeyPatch):
    """What `zen_partial=True` leaves to call (Hydra 1.3.8: _DeferredTarget) is the model's own file."""
    monkeypatch.syspath_prepend(str(project / "src"))
    (project / "src" / "zen_net.py").write_text(MODEL)
    import zen_net  # made above

    partial = instantiate(builds(zen_net.train, zen_partial=True, populate_full_signature=True))

    assert find_code_reference(partial, env=NO_ENV).path == "src/zen_net.py"


def test_a_decorator_from_elsewhere_does_not_hide_the_model(project: Path):
    """A decorator in another file must not be recorded as the model."""
    helper = project / "src" / "deco.py"
    helper.write_text(
        "import functools\ndef deco(f):\n    @functools.wraps(f)\n    def w(*a): return f(*a)\n    return w\n"
    )

    assert find_code_reference(load(helper).deco(a_model), env=NO_ENV).path.endswith("test_provenance.py")


@pytest.mark.parametrize("thing", [len, eval("lambda: 1"), 3, "no/such/file.py", object(), None])
def test_what_has_no_source_has_no_reference(thing):
    """Builtins, code typed at a prompt and other things: empty, never an error."""
    found = find_code_reference(thing, env=NO_ENV)

    assert (found.url, found.checksum) == ("", "")


def test_the_calling_script_is_found():
    """The nearest user's file on the stack is the script."""
    assert calling_file() == Path(__file__).absolute()


# --- variables ---


def test_a_container_is_named_by_its_digest(project: Path):
    """In a container image and digest say all; a dirty tree in it is still told."""
    model(project).write_text(MODEL + "#\n")
    env = {
        "DERIVA_MCP_IN_DOCKER": "true",
        "DERIVA_MCP_IMAGE_NAME": "ghcr.io/org/image",
        "DERIVA_MCP_IMAGE_DIGEST": "sha256:" + "a" * 64,
        "DERIVA_MCP_GIT_COMMIT": "b" * 40,
        "DERIVA_MCP_VERSION": "1.2.3",
    }

    found = find_code_reference(model(project), env=env)

    assert found.url == f"ghcr.io/org/image@sha256:{'a' * 64}"
    assert (found.checksum, found.version) == ("sha256:" + "a" * 64, "1.2.3")
    assert found.dirty_paths == ("src/models/net.py",)


def test_a_container_without_digest_is_named_by_its_commit():
    """No digest: the commit of the image's sources."""
    found = find_code_reference(None, env={"DERIVA_MCP_IN_DOCKER": "TRUE", "DERIVA_MCP_GIT_COMMIT": "b" * 40})

    assert found.url.endswith(f"/commit/{'b' * 40}")
    assert found.checksum == "b" * 40


def test_a_container_that_says_nothing_falls_back_to_git(project: Path):
    """The gate alone names nothing: git answers, and the note says what is missing."""
    found = find_code_reference(model(project), env={"DERIVA_MCP_IN_DOCKER": "true"})

    assert found.checksum == blob(model(project))
    assert "DERIVA_MCP_IMAGE_NAME" in found.note


def test_container_variables_without_the_gate_mean_nothing(project: Path):
    """DERIVA_MCP_IN_DOCKER is the gate."""
    found = find_code_reference(model(project), env={"DERIVA_MCP_GIT_COMMIT": "b" * 40})

    assert found.checksum == blob(model(project))


def test_the_workflow_variables_win_over_git(project: Path):
    """The notebook runner tells its kernel what runs; credentials in the URL are dropped."""
    env = {"DERIVA_ML_WORKFLOW_URL": "https://me:pw@host.org/a.ipynb", "DERIVA_ML_WORKFLOW_CHECKSUM": "c" * 40}

    found = find_code_reference(model(project), env=env)

    assert (found.url, found.checksum, found.is_notebook) == ("https://host.org/a.ipynb", "c" * 40, True)


# --- versions ---


@pytest.mark.parametrize("tag", [None, "v1.2.3", "0.4", "v2.0rc1", "proj-1.0.0"])
@pytest.mark.parametrize("distance", [0, 2])
@pytest.mark.parametrize("dirty", [False, True])
def test_the_version_is_that_of_setuptools_scm(project: Path, tag: str | None, distance: int, dirty: bool):
    """Same answer as the library, for a tenth of the time."""
    import setuptools_scm

    if tag:
        git(project, "tag", tag)
    for number in range(distance):
        (project / "README.md").write_text(str(number))
        commit_all(project)
    if dirty:
        (project / "README.md").write_text("dirty")

    ours, theirs = find_code_reference(model(project), env=NO_ENV).version, setuptools_scm.get_version(str(project))

    assert ours.partition(".d2")[0] == theirs.partition(".d2")[0]
    assert (".d2" in ours) == (".d2" in theirs)


@given(described=st.text(), commit=st.text(alphabet="0123456789abcdef", max_size=40), dirty=st.booleans())
def test_any_description_gives_a_version(described: str, commit: str, dirty: bool):
    """Odd tags never stop a run."""
    assert version_from_git(described, commit=commit, commits=3, dirty=dirty)
