"""An execution that SLURM interrupts and starts again: what the model saves before, and finds afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deriva_ml_core.executions.beginning import CHECKPOINTS
from deriva_ml_core.executions.execution_life import ExecutionLife

_Save = TypeVar("_Save", bound=Callable[[], object])


class ExecutionRestarts(ExecutionLife):
    """The part of an execution that knows of its earlier incarnations."""

    def on_preemption(self, save: _Save) -> _Save:
        """
        Have something called when SLURM warns that it will end the job: at its time limit, or to let another go first.

        It is called in the main thread, between two steps of the model, and has `hydra.launcher.signal_delay_s`
        seconds. What it raises is logged, and stops nothing. Where the job is started again, the model is called anew,
        under the same execution; what was saved in `checkpoint_dir` is there. Usable as a decorator.

        Args:
            save: takes no arguments. Several are called in their order.
        """
        self.saves.append(save)
        return save

    @property
    def checkpoint_dir(self) -> Path:
        """A folder that a restarted job finds as it left it; it goes when all outputs are in the catalog."""
        folder = self.working_dir / CHECKPOINTS
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def restarts(self) -> int:
        """How often this execution has been started again; 0 the first time."""
        return self.journal_entry.restarts
