"""One Hydra application: what Hydra promises to tasks, plugins and callbacks holds, and errors arrive as they are."""

from __future__ import annotations

import logging

import hydra_zen
import pytest
from hydra.conf import HydraConf, RunDir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from deriva_ml_core.config.application import Application
from deriva_ml_core.config.hydra_folders import install_hydra_defaults
from deriva_ml_core.config.translation import hydra_errors
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLValidationError, WorkingFolderError

CALLS: list[str] = []


class Recorder:
    """A callback of the project's."""

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda **_: CALLS.append(name)


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A top-level configuration with a connection, whose working folder is returned; logging as before afterwards."""
    monkeypatch.chdir(tmp_path)
    CALLS.clear()
    hydra_zen.store(
        hydra_zen.make_config(
            deriva_ml={"hostname": "h.org", "catalog_id": "5", "working_dir": str(tmp_path / "work")},
            x=1,
            dry_run=False,
        ),
        name="deriva_model",
    )
    hydra_zen.store.add_to_hydra_store()
    install_hydra_defaults()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield tmp_path / "work"
    for handler in set(root.handlers) - set(before[0]):
        root.removeHandler(handler)
        handler.close()
    root.handlers[:], root.level = before


def _run(task, *overrides, name="job"):
    with Application("deriva_model", job_name=name) as application:
        return application.run(task, list(overrides))


def test_output_lies_in_the_working_folder_of_the_connection(workdir):
    """Hydra's folder and its three files are where COMPAT.md section 5 says; the job has the name it was given."""
    seen = {}

    def task(config):
        seen.update(folder=HydraConfig.get().runtime.output_dir, name=HydraConfig.get().job.name, x=config.x)
        logging.getLogger("model").info("a word of the model's")
        return "done"

    assert _run(task, "x=2", name="quick_training") == "done"

    (folder,) = (workdir / "hydra").iterdir()
    assert (seen["folder"], seen["name"], seen["x"]) == (str(folder), "quick_training", 2)
    assert {path.name for path in (folder / "hydra-config").iterdir()} == {
        "config.yaml",
        "hydra.yaml",
        "overrides.yaml",
    }
    assert OmegaConf.load(folder / "hydra-config/overrides.yaml") == ["x=2"]
    assert "a word of the model's" in (folder / "quick_training.log").read_text()


def test_sweep_has_a_folder_a_job(workdir):
    """Each job of a sweep runs with its own values in its own numbered folder."""
    seen = []

    with Application("deriva_model", job_name="job") as application:
        application.sweep(lambda config: seen.append((config.x, HydraConfig.get().job.num)), ["x=5,6"])

    (folder,) = (workdir / "hydra-sweep").iterdir()
    assert seen == [(5, 0), (6, 1)]
    assert (folder / "0/hydra-config/config.yaml").exists()
    assert (folder / "1/hydra-config/config.yaml").exists()


def test_projects_own_hydra_settings_are_kept(workdir, tmp_path):
    """A project that stores a HydraConf of its own keeps its folder; what it leaves alone is ours."""
    hydra_zen.store(HydraConf(run=RunDir(str(tmp_path / "mine"))), group="hydra", name="config")
    hydra_zen.store.add_to_hydra_store(overwrite_ok=True)
    install_hydra_defaults()

    _run(lambda config: None)

    assert (tmp_path / "mine/hydra-config/config.yaml").exists()
    assert not workdir.exists()


def test_callbacks_are_called_as_under_hydra_main(workdir):
    """A project's callbacks see the life of a run in Hydra's own order."""
    ConfigStore.instance().repo["hydra"]["config.yaml"].node.callbacks = {"ours": {"_target_": f"{__name__}.Recorder"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(Recorder=Recorder))
        _run(lambda config: CALLS.append("task"))

    assert CALLS == ["on_run_start", "on_job_start", "task", "on_job_end", "on_run_end"]


@pytest.mark.parametrize("error", [KeyError("k"), FileNotFoundError(2, "no", "f"), SystemExit(3), KeyboardInterrupt()])
def test_error_of_a_task_arrives_as_it_is(workdir, error, capsys):
    """Whatever a task raises reaches the caller, with nothing printed about it."""

    def task(config):
        raise error

    with pytest.raises(type(error)) as caught:
        _run(task)

    assert caught.value is error
    assert capsys.readouterr().err == ""
    assert (workdir / "hydra").exists()


def test_refused_run_leaves_no_folder(workdir):
    """A run that is refused for its input leaves nothing: neither Hydra's folder nor those made for it."""

    def task(config):
        raise DerivaMLValidationError("no such dataset")

    with pytest.raises(DerivaMLValidationError):
        _run(task)

    assert not workdir.exists()


def test_error_of_a_recorded_execution_keeps_the_folder(workdir):
    """Once an execution is recorded, what Hydra wrote belongs to its record, whatever the error's class."""

    def task(config):
        error = DerivaMLValidationError("wrong")
        error.execution_rid = "1-ABCD"
        raise error

    with pytest.raises(DerivaMLValidationError):
        _run(task)

    assert (workdir / "hydra").exists()


def test_dry_run_leaves_no_folder_and_touches_no_other(workdir):
    """A dry run takes back its own folder alone."""
    workdir.mkdir()
    (workdir / "cache").mkdir()

    _run(lambda config: None, "dry_run=true")

    assert [path.name for path in workdir.iterdir()] == ["cache"]


def test_folder_that_was_there_is_not_taken_back(workdir, tmp_path):
    """A folder that the user named and that existed is the user's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes").write_text("x")

    _run(lambda config: None, "dry_run=true", f"hydra.run.dir={tmp_path}/mine")

    assert (tmp_path / "mine/notes").exists()


@pytest.mark.parametrize("sweep", [False, True])
def test_runs_of_the_same_second_have_folders_of_their_own(workdir, monkeypatch, sweep):
    """Two runs that start at once must not write each other's configuration: each claims a folder."""
    from hydra.core import utils

    frozen = type("Clock", (), {"now": staticmethod(lambda: utils_now)})
    utils_now = utils.datetime(2026, 1, 2, 3, 4, 5)
    monkeypatch.setattr(utils, "datetime", frozen)
    with Application("deriva_model", job_name="job") as application:
        for x in ("1", "2", "3"):
            (application.sweep if sweep else application.run)(lambda config: None, [f"x={x}"])

    found = workdir / ("hydra-sweep" if sweep else "hydra")
    names = ["2026-01-02_03-04-05", "2026-01-02_03-04-05-2", "2026-01-02_03-04-05-3"]
    assert sorted(path.name for path in found.iterdir()) == names
    for number, name in enumerate(names, 1):
        saved = found / name / ("0" if sweep else "") / "hydra-config/overrides.yaml"
        assert OmegaConf.load(saved) == [f"x={number}"]


def test_read_only_working_folder_is_named(workdir, read_only):
    """A folder that can't be written is one line with its path."""
    workdir.mkdir()
    read_only(workdir)
    with pytest.raises(WorkingFolderError, match=str(workdir)):
        _run(lambda config: None)


def test_working_folder_below_a_file_is_named(workdir):
    """A working folder that is a file is one line with its path."""
    workdir.write_text("a file")
    with pytest.raises(WorkingFolderError, match=str(workdir)):
        _run(lambda config: None)


def test_application_needs_its_block():
    """Hydra's state is global: it exists inside the block alone."""
    with pytest.raises(RuntimeError, match="with block"):
        Application("deriva_model", job_name="x").compose([])


def test_missing_configuration_is_named():
    """An unknown top-level configuration is answered with those there are."""
    with (
        Application("deriva_modle", job_name="x") as application,
        pytest.raises(DerivaMLConfigurationError, match="'deriva_modle'"),
    ):
        application.compose([])


@pytest.mark.parametrize(("launcher", "extra"), [("joblib", "joblib"), ("submitit_slurm", "slurm")])
def test_a_launcher_that_is_not_installed_names_its_extra(launcher, extra):
    """Also where it was asked for by a preset that stands on it."""
    with (
        pytest.raises(DerivaMLConfigurationError, match=rf"install deriva-ml\[{extra}\]"),
        hydra_errors("deriva_model"),
    ):
        raise MissingConfigException("Could not load", missing_cfg_file=f"hydra/launcher/{launcher}")
