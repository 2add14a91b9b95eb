"""
What stands before the sweeper that the user chose while a sweep is recorded: whatever it raises, the sweep's record
has its end before. Hydra itself tells nobody of an end by an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

from deriva_ml_core.config.translation import is_known
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, DerivaMLExecutionError
from deriva_ml_hydra_plugins.again import JobsAgain
from deriva_ml_hydra_plugins.callback import callback_of


class RecordedSweeper:
    """The chosen sweeper, watched; of a sweep that is resumed, the jobs that are left."""

    def __init__(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._callback = callback = callback_of(hydra_context)
        self._name = str(config.hydra.runtime.choices.get("hydra/sweeper"))
        given: dict[str, Any] = {"hydra_context": hydra_context, "task_function": task_function, "config": config}
        with self._ended_if_it_raises():
            # Back where it was: what is saved says what the user chose.
            with read_write(config), open_dict(config.hydra):
                config.hydra.sweeper = callback.chosen_sweeper
            resumed = callback.running is not None and callback.running.resumed
            self._chosen: Any = JobsAgain(**given) if resumed else Plugins.instance().instantiate_sweeper(**given)

    def sweep(self, arguments: list[str]) -> Any:
        """
        Sweep.

        Raises:
            Exception: of a job. DerivaMLException: the sweeper failed, or the end of the sweep could not be recorded.
        """
        with self._ended_if_it_raises():
            returns = self._chosen.sweep(arguments)
        if self._callback.running is not None:
            self._callback.running.over = True
        self._callback.finish()
        return returns

    @contextmanager
    def _ended_if_it_raises(self) -> Iterator[None]:
        try:
            yield
        except Exception as err:
            self._callback.finish()
            if is_known(err):
                raise
            raise self._failed(err) from err
        except BaseException:  # Ctrl-C too
            self._callback.finish()
            raise

    def _failed(self, err: Exception) -> DerivaMLException:
        """What the sweeper itself raised: before its first job it has refused what it was given."""
        reason = f"{type(err).__name__}: {err}" if str(err) else f"{type(err).__name__} (--debug shows where)"
        parent = self._callback.facts.parent if self._callback.facts is not None else None
        if parent is None:
            return DerivaMLConfigurationError(f"the sweeper {self._name} refuses: {reason}")
        failed = DerivaMLExecutionError(f"the sweeper {self._name} failed after sweep {parent}: {reason}")
        failed.execution_rid = parent
        return failed
