"""The files that describe a run: names, types, no secrets, written whole."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from deriva_ml_core.executions.environment import allowed_variables, packages, snapshot
from deriva_ml_core.executions.metadata import write_atomically, write_metadata_files
from deriva_ml_core.workflows import find_code_reference

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
SECRET = "hunter2-and-3-more"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _outside_any_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def hydra_output(tmp_path: Path) -> Path:
    folder = tmp_path / "hydra" / "2026-01-01" / "hydra-config"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("deriva_ml:\n  hostname: local\nmodel_config:\n  lr: 1.0e-3\n")
    (folder / "hydra.yaml").write_text("hydra:\n  job:\n    name: run\n")
    (folder / "overrides.yaml").write_text("- model_config.lr=1e-3\n")
    return folder.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "model.py").write_text("def train():\n    return 1\n")
    (root / "settings.yaml").write_text(f"one: 1\npassword: {SECRET}\ntwo: 2\n")
    (root / "uv.lock").write_text("version = 1\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def write(folder: Path, configuration=None, **options):
    return write_metadata_files(folder, configuration or {"description": "x"}, now=NOW, **options)


def test_names_and_types_are_those_of_existing_catalogs(tmp_path: Path, hydra_output: Path, project: Path):
    """Tools that read executions find the files by name and type."""
    (project / "model.py").write_text("def train():\n    return 2\n")

    code = find_code_reference(project / "model.py", env={})
    files = write(tmp_path / "out", hydra_output_dir=hydra_output, code_reference=code, env={})

    assert [(f.filename, f.asset_type) for f in files] == [
        ("configuration.json", "Deriva_Config"),
        ("hydra-2026-02-03_04-05-06-config.yaml", "Hydra_Config"),
        ("hydra-2026-02-03_04-05-06-hydra.yaml", "Hydra_Config"),
        ("hydra-2026-02-03_04-05-06-overrides.yaml", "Hydra_Config"),
        ("environment_snapshot_20260203_040506.txt", "Runtime_Env"),
        ("uncommitted_changes.diff", "Execution_Config"),
        ("uv.lock", "Execution_Config"),
    ]
    assert all(f.path == tmp_path / "out" / f.filename and f.description for f in files)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f.filename for f in files)


def test_without_hydra_git_and_lock_there_are_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A call of run_model from plain Python still says what and on what."""
    monkeypatch.chdir(tmp_path)

    assert [f.asset_type for f in write(tmp_path / "out", env={})] == ["Deriva_Config", "Runtime_Env"]


def test_hydras_files_are_kept_byte_for_byte(tmp_path: Path, hydra_output: Path):
    """Nothing secret in them, nothing changed: not even how a number is spelt."""
    files = write(tmp_path / "out", hydra_output_dir=hydra_output, env={})

    for file in files[1:4]:
        kind = file.filename.rsplit("-", 1)[1]
        assert file.path.read_bytes() == (hydra_output / "hydra-config" / kind).read_bytes()


def test_a_secret_that_one_file_reveals_is_removed_from_all(tmp_path: Path, hydra_output: Path, project: Path):
    """Known by its name in the overrides, found by its value in the configuration, the diff and the environment."""
    folder = hydra_output / "hydra-config"
    (folder / "overrides.yaml").write_text(f"- +model_config.api_key={SECRET}\n")
    (folder / "hydra.yaml").write_text(f"hydra:\n  job:\n    override_dirname: lr=1,x={SECRET}\n")
    (project / "model.py").write_text(f"def train():\n    return '{SECRET}'\n")
    env = {"PATH": f"/bin:/{SECRET}", "SLURM_JWT": "zzz-secret-1", "HOME": "/root", "SLURM_JOB_ID": "7"}

    code = find_code_reference(project / "model.py", env={})
    files = write(
        tmp_path / "out",
        {"argv": ["run", f"x={SECRET}"], "credential": {"bearer-token": "yyy-secret-2"}},
        hydra_output_dir=hydra_output,
        code_reference=code,
        env=env,
    )
    everything = "".join(file.path.read_text() for file in files)

    for secret in (SECRET, "zzz-secret-1", "yyy-secret-2"):
        assert secret not in everything
    assert yaml.safe_load(files[3].path.read_text()) == ["+model_config.api_key=[redacted]"]
    assert json.loads(files[4].path.read_text())["scheduler"] == {"kind": "slurm", "job_id": "7"}


def test_the_recorded_diff_gives_back_the_code(tmp_path: Path, project: Path):
    """With its heading, `git apply` takes the file as it is recorded."""
    changed = "def train():\n    token = get_token()\n    return 2\n"
    (project / "model.py").write_text(changed)
    (project / "extra.py").write_text("x = 1\n")
    code = find_code_reference(project / "model.py", env={})
    files = write(tmp_path / "out", code_reference=code, env={})
    diff = next(f for f in files if f.filename.endswith(".diff"))

    git(tmp_path, "clone", "-q", str(project), "again")
    git(tmp_path / "again", "checkout", "-q", code.commit)
    git(tmp_path / "again", "apply", str(diff.path))

    assert (tmp_path / "again" / "model.py").read_text() == changed
    assert (tmp_path / "again" / "extra.py").read_text() == "x = 1\n"
    assert code.commit in diff.path.read_text()


def test_a_secret_in_the_diff_does_not_stop_the_rest_from_applying(tmp_path: Path, project: Path):
    """A secret in an added line goes; a change beside a secret line stands in the heading, for reading."""
    (project / "model.py").write_text("def train():\n    return 2\n")
    (project / ".env").write_text(f"API_TOKEN={SECRET}-new\nMODE=fast\n")
    (project / "settings.yaml").write_text(f"one: 11\npassword: {SECRET}\ntwo: 2\n")
    code = find_code_reference(project / "model.py", env={})
    files = write(tmp_path / "out", code_reference=code, env={})
    diff = next(f for f in files if f.filename.endswith(".diff"))

    git(tmp_path, "clone", "-q", str(project), "again")
    git(tmp_path / "again", "apply", str(diff.path))

    assert (tmp_path / "again" / "model.py").read_text().endswith("return 2\n")
    assert (tmp_path / "again" / ".env").read_text() == "API_TOKEN=[redacted]\nMODE=fast\n"
    assert SECRET not in diff.path.read_text()
    assert "#   +one: 11" in diff.path.read_text()


def test_the_projects_own_changes_are_recorded_where_the_model_is_elsewhere(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
):
    """Configuration is code: with the model in a library of its own, the project's uncommitted changes count too."""
    other = tmp_path / "outer"
    git(tmp_path, "init", "-q", "outer")
    (other / "configs.py").write_text("lr = 1\n")
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "x")
    (other / "configs.py").write_text("lr = 2\n")
    code = find_code_reference(project / "model.py", env={})

    monkeypatch.chdir(other)
    elsewhere = {f.filename: f.path.read_text() for f in write(tmp_path / "a", code_reference=code, env={})}
    monkeypatch.chdir(project)
    inside = {f.filename for f in write(tmp_path / "b", code_reference=code, env={})}

    assert "+lr = 2" in elsewhere["uncommitted_changes_of_project.diff"]
    facts = json.loads(next(text for name, text in elsewhere.items() if name.startswith("environment_")))
    assert facts["project"]["git_root"] == str(other)
    assert not any(name.endswith(".diff") for name in inside)


def test_the_lock_is_that_of_the_project_that_runs(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch):
    """Packages are those of the project, wherever the model's file lies; a project may be a part of its repository."""
    part = tmp_path / "outer" / "part"
    part.mkdir(parents=True)
    git(tmp_path, "init", "-q", "outer")
    (part / "uv.lock").write_text("version = 1\n# the part\n")
    (part.parent / "uv.lock").write_text("version = 1\n# the whole\n")
    (project / "uv.lock").write_text("version = 1\n# the library\n")
    code = find_code_reference(project / "model.py", env={})

    def lock(here: Path) -> str:
        monkeypatch.chdir(here)
        files = write(tmp_path / "out", code_reference=code, env={})
        return next(f.path.read_text() for f in files if f.filename == "uv.lock")

    assert "# the part" in lock(part)
    (part / "uv.lock").unlink()
    assert "# the whole" in lock(part)
    (part.parent / "uv.lock").unlink()
    assert "# the library" in lock(part)


def test_the_snapshot_holds_what_readers_look_for(project: Path, tmp_path: Path):
    """The keys of existing snapshots, and the code reference."""
    code = find_code_reference(project / "model.py", env={})
    facts = json.loads(write(tmp_path / "out", code_reference=code, env={"LANG": "C"})[1].path.read_text())

    assert {"imports", "os", "sys", "sys_path", "site", "platform", "gpu", "container", "code"} <= set(facts)
    assert facts["os"]["environ"] == {"LANG": "C"}
    assert {"cwd", "login", "umask", "name"} <= set(facts["os"])
    assert isinstance(facts["gpu"]["available"], bool)
    assert facts["code"]["commit"] == code.commit


def test_variables_are_recorded_by_an_allow_list():
    """What nobody allowed is not recorded, whatever it is called."""
    env = {
        "CUDA_VISIBLE_DEVICES": "0",
        "OMP_NUM_THREADS": "2",
        "MY_APP_SETTING": "x",
        "AWS_PROFILE": "y",
        "LC_ALL": "C",
    }

    assert allowed_variables(env) == {"CUDA_VISIBLE_DEVICES": "0", "LC_ALL": "C", "OMP_NUM_THREADS": "2"}


def test_packages_are_those_that_importlib_knows():
    """The fast way by folder names tells the same as reading each package's metadata."""
    from importlib import metadata

    versions, _ = packages()

    for name in ("hydra-core", "pydantic", "pyyaml", "deriva-ml", "omegaconf"):
        assert versions[name] == metadata.version(name)
    assert len(versions) >= len({d.name for d in metadata.distributions()}) - 1


def test_a_package_from_a_repository_is_named_with_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A version alone does not say what a package from git is (PEP 610)."""
    folder = tmp_path / "my_pkg-1.0.dist-info"
    folder.mkdir()
    (folder / "direct_url.json").write_text(
        json.dumps({"url": "https://me:pw@host.org/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}})
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    assert packages()[1]["my-pkg"] == "https://me:pw@host.org/r.git@abc"
    assert "pw" not in write(tmp_path / "out", env={})[1].path.read_text().split("my-pkg")[2].split("\n")[0]


def test_a_gpu_is_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Name, memory and driver of each; a tool that fails means none."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A100, 40960 MiB, 550.54'\necho 'NVIDIA A100, 40960 MiB, 550.54'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpu = snapshot({})["gpu"]
    tool.write_text("#!/bin/sh\nexit 9\n")

    assert (gpu["available"], gpu["name"], gpu["memory_total"], gpu["driver_version"], len(gpu["devices"])) == (
        True,
        "NVIDIA A100",
        "40960 MiB",
        "550.54",
        2,
    )
    assert snapshot({})["gpu"]["available"] is False


def test_a_container_is_recognized():
    """By the variables of the container's own tools."""
    env = {"DERIVA_MCP_IN_DOCKER": "true", "DERIVA_MCP_IMAGE_NAME": "i", "DERIVA_MCP_IMAGE_DIGEST": "sha256:a"}

    assert snapshot(env)["container"] == {"kind": "docker", "image": "i", "digest": "sha256:a"}
    assert snapshot({"APPTAINER_CONTAINER": "/x.sif"})["container"] == {"kind": "apptainer", "image": "/x.sif"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    """Written beside and renamed: no half file, nothing left over."""
    target = tmp_path / "configuration.json"
    target.write_text("old")

    with pytest.raises(TypeError):
        write_atomically(target, "not bytes")  # type: ignore[arg-type]

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
