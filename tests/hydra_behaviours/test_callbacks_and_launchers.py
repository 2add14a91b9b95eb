"""What Hydra and its launchers do, where sweeps lean on it: a failure here says what an upgrade has changed."""

from __future__ import annotations

import inspect

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from deriva_ml_hydra_plugins.callback import LAUNCHER, SWEEPER, ExecutionCallback
from deriva_ml_hydra_plugins.launching import Numbers


class Raising:
    """A callback that raises what it is given."""

    def __init__(self, error):
        self.error = error

    def on_job_start(self, **_):
        raise self.error


def _notify(error):
    callbacks = Callbacks()
    callbacks.callbacks.append(Raising(error))
    callbacks.on_job_start(config=OmegaConf.create(), task_function=print)


def test_hydra_only_warns_when_a_callback_raises():
    """So a sweep that must not run is refused by SystemExit."""
    with pytest.warns(UserWarning, match="raised ValueError"):
        _notify(ValueError("no"))


def test_system_exit_of_a_callback_ends_the_run():
    """The one way in which a callback can refuse."""
    with pytest.raises(SystemExit):
        _notify(SystemExit(2))


def test_the_sweeper_is_made_after_on_multirun_start_and_its_end_is_not_always_told():
    """The launcher can be stood before in on_multirun_start; an exception of a sweep skips on_multirun_end."""
    source = inspect.getsource(Hydra.multirun)

    steps = ["on_multirun_start", "instantiate_sweeper", "sweeper.sweep", "on_multirun_end"]
    assert steps == sorted(steps, key=source.index)
    assert "finally" not in source


def test_plugins_of_hydra_find_our_launcher():
    """It must lie in the namespace package hydra_plugins, and be found there."""
    assert {LAUNCHER, SWEEPER} <= Plugins.instance().class_name_to_class.keys()


def test_the_callback_leaves_what_belongs_to_the_launching_process_behind():
    """Hydra pickles callbacks for the processes of the jobs, without calling __init__ again."""
    callback = ExecutionCallback("stop")
    callback.checked = callback.running = callback.chosen_launcher = callback.chosen_sweeper = object()

    assert callback.__getstate__() == {
        "on_failure": "stop",
        "report": True,
        "table": True,
        "facts": None,
        "checked": None,
        "running": None,
        "chosen_launcher": None,
        "chosen_sweeper": None,
    }


def test_the_basic_sweepers_jobs_are_known_beforehand():
    """The parent's list of jobs is made by the sweeper's own function."""
    overrides = OverridesParser.create().parse_overrides(["a=1,2", "b=x"])

    assert BasicSweeper.split_arguments(overrides, None) == [[["a=1", "b=x"], ["a=2", "b=x"]]]


def test_the_basic_sweeper_stops_at_the_first_batch_with_a_failed_job():
    """It reads return_value of each job after each batch, and that raises."""
    failed = JobReturn(status=JobStatus.FAILED, _return_value=ValueError("no"))

    assert "r.return_value" in inspect.getsource(BasicSweeper.sweep)
    with pytest.raises(ValueError, match="no"):
        _ = failed.return_value


def test_joblibs_launcher_takes_parallel_from_its_module():
    """That name is replaced while it launches."""
    core = pytest.importorskip("hydra_plugins.hydra_joblib_launcher._core")

    assert "Parallel(**joblib_cfg)" in inspect.getsource(core.launch)
    assert hasattr(core, "Parallel")


def test_submitits_launcher_takes_auto_executor_from_submitit_and_asks_each_job_for_results():
    """That name is replaced while it launches."""
    submitit = pytest.importorskip("submitit")
    launcher = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")

    source = inspect.getsource(launcher.BaseSubmititLauncher.launch)
    assert "submitit.AutoExecutor(" in source
    assert "j.results()[0] for j in jobs" in source
    assert hasattr(submitit.Job, "_results_timeout_s")


def test_launchers_number_jobs_by_adding_their_place_to_the_first_number():
    """So jobs that run again keep their numbers, with gaps where others are done."""
    basic = pytest.importorskip("hydra._internal.core_plugins.basic_launcher")
    joblib = pytest.importorskip("hydra_plugins.hydra_joblib_launcher._core")
    submitit = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")

    for source in (basic.BasicLauncher.launch, joblib.launch, submitit.BaseSubmititLauncher.launch):
        assert "initial_job_idx + idx" in inspect.getsource(source)
    assert [Numbers([3, 7, 8]) + place for place in range(3)] == [3, 7, 8]


def test_submitits_jobs_have_the_names_that_we_wait_by():
    """We look for the results of SLURM jobs ourselves."""
    core = pytest.importorskip("submitit.core.core")
    utils = pytest.importorskip("submitit.core.utils")

    assert {"job_id", "num_tasks", "task", "paths", "results"} <= set(dir(core.Job))
    assert {"folder", "result_pickle"} <= set(dir(utils.JobPaths))


def test_submitit_leaves_or_raises_when_slurm_warns():
    """SystemExit where the job is requeued, an Exception where it is not: preemption.py tells them apart."""
    environment = pytest.importorskip("submitit.core.job_environment")
    utils = pytest.importorskip("submitit.core.utils")
    slurm = pytest.importorskip("submitit.slurm.slurm")

    source = inspect.getsource(environment.SignalHandler.checkpoint_and_try_requeue)
    assert source.index("raise utils.UncompletedJobError") < source.index("self.env._requeue") < source.index("_exit()")
    assert "sys.exit(" in inspect.getsource(environment.SignalHandler._exit)
    assert issubclass(utils.UncompletedJobError, Exception)
    assert 'f"Job not requeued because: {no_requeue_reason}."' in source
    assert 'no_requeue_reason = "timed-out too many times"' in source
    assert environment.JobEnvironment.USR_SIG == "USR2"
    assert 'check_call(["scontrol", "requeue"' in inspect.getsource(slurm.SlurmJobEnvironment._requeue)
    assert "-> bool" in inspect.getsource(environment.SignalHandler.has_timed_out)


def test_submitits_script_takes_lines_of_shell_and_says_that_it_is_submitits():
    """PYTHONPATH goes in by `setup`; SUBMITIT_EXECUTOR tells a job that SLURM may run again."""
    slurm = pytest.importorskip("submitit.slurm.slurm")

    script = slurm._make_sbatch_string("run", "folder", setup=["export A=1"])
    assert script.index("export A=1") < script.index("export SUBMITIT_EXECUTOR=slurm") < script.index("\nsrun")
