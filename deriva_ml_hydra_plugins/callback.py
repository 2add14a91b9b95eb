"""The callback that ties Hydra's life cycle to executions. See docs/why/life-cycle.md."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext

    from deriva_ml_core.executions.sweeps import SweepFacts
    from deriva_ml_hydra_plugins.opening import CheckedSweep
    from deriva_ml_hydra_plugins.sweep import RunningSweep

LAUNCHER, SWEEPER = "hydra_plugins.deriva_ml.DerivaMLLauncher", "hydra_plugins.deriva_ml.DerivaMLSweeper"


class ExecutionCallback(Callback):
    """
    Opens one parent execution for a sweep and tells each job its place in it.

    Hydra pickles it for each job's process: what belongs to the launching process alone stays there.

    Args:
        on_failure: "continue": a job that fails costs the others nothing; "stop": none starts after it.
        report: store a page of the whole sweep as an output of the parent when it has ended.
        table: tell of the jobs by a live table, where stderr is a terminal; False: by lines.
    """

    def __init__(self, on_failure: str = "continue", *, report: bool = True, table: bool = True) -> None:
        self.on_failure, self.report, self.table = on_failure, report, table
        self.facts: SweepFacts | None = None
        self.checked: CheckedSweep | None = None
        self.running: RunningSweep | None = None
        self.chosen_launcher: DictConfig | None = None
        self.chosen_sweeper: DictConfig | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "checked": None, "running": None, "chosen_launcher": None, "chosen_sweeper": None}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # Hydra's signature
        """Check the sweep and open its parent. Hydra goes on after an exception of a callback, but not after this."""
        try:
            self._start(config)
        except Exception as err:  # noqa: BLE001  # whatever it is: no job may run unrecorded
            raise SystemExit(_refuse(err)) from None

    def _start(self, config: DictConfig) -> None:
        if "deriva_ml" not in config:  # every Hydra application of this environment comes here: cost it nothing
            return
        from deriva_ml_hydra_plugins.opening import check_sweep

        self.checked = check_sweep(config, self.on_failure, table=self.table, report=self.report)
        if self.checked is None:
            return
        if self.checked.plan.jobs is not None:
            self.open()
        self.chosen_launcher = OmegaConf.masked_copy(config.hydra, "launcher").launcher
        self.chosen_sweeper = OmegaConf.masked_copy(config.hydra, "sweeper").sweeper
        with read_write(config), open_dict(config.hydra):
            config.hydra.launcher = {"_target_": LAUNCHER}
            config.hydra.sweeper = {"_target_": SWEEPER}

    def open(self) -> RunningSweep:
        """
        The sweep, whose parent is opened by the first call: before any job, and where the sweeper decides which there
        are, when it has: what it refuses leaves nothing behind.
        """
        if self.running is None:
            assert self.checked is not None
            self.running = self.checked.open()
            self.facts = self.running.facts
        return self.running

    def finish(self) -> None:
        """The sweep is over; it may be told so twice."""
        if self.running is not None:
            self.running.finish()
        elif self.checked is not None:
            self.checked.leave()

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # Hydra's signature
        """Tell run_model which sweep this job belongs to; it opens the execution with the values that really run."""
        if self.facts is None:
            _withdraw()
            return
        from deriva_ml_core.connection.local import URL_VARIABLE
        from deriva_ml_core.executions.sweeps import Place, announce
        from deriva_ml_hydra_plugins import orphans

        orphans.job_starts(self.facts.launcher.pid)
        if self.facts.catalog_url:  # a user's sbatch may leave the environment behind
            os.environ.setdefault(URL_VARIABLE, self.facts.catalog_url)
        if self.running is not None:
            self.running.job_starts_here()
        interrupts = self.running.interrupts if self.running is not None else None
        announce(Place(self.facts, int(config.hydra.job.num), (lambda: interrupts.seen) if interrupts else None))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """The next job in this process is another."""
        _withdraw()
        if (orphans := sys.modules.get("deriva_ml_hydra_plugins.orphans")) is not None:
            orphans.job_ends()
        if self.running is not None:
            self.running.job_ends_here()
        if self.facts is not None and self.facts.shown:
            sys.stdout.flush()  # it may be a pipe to the table's terminal

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002  # Hydra's signature
        """The sweep has come to its end; in every other case its sweeper and launcher have seen to that."""
        self.finish()


def callback_of(hydra_context: HydraContext) -> ExecutionCallback:
    """Ours, among all callbacks of a sweep."""
    return next(one for one in hydra_context.callbacks.callbacks if isinstance(one, ExecutionCallback))


def _withdraw() -> None:
    """No job of a sweep runs here now; nothing to do where none ever did."""
    if (sweeps := sys.modules.get("deriva_ml_core.executions.sweeps")) is not None:
        sweeps.announce(None)


def _refuse(err: Exception) -> int:
    """Say why no job runs; the exit code."""
    from deriva_ml_core.config.translation import hydra_errors
    from deriva_ml_core.errors import DerivaMLException

    try:
        with hydra_errors(""):
            raise err  # noqa: TRY301  # the translation is a context manager
    except DerivaMLException as known:
        sys.stderr.write(f"error: {' '.join(str(known).split())}\n")
        return known.exit_code
    except Exception:  # noqa: BLE001  # our own bug, or a project's: its traceback is the message
        sys.stderr.write(traceback.format_exc())
        return 1
