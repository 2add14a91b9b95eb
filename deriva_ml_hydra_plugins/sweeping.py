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

from deriva_ml_hydra_plugins.again import JobsAgain
from deriva_ml_hydra_plugins.callback import callback_of


class RecordedSweeper:
    """The chosen sweeper, watched; of a sweep that is resumed, the jobs that are left."""

    def __init__(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        callback = callback_of(hydra_context)
        assert callback.running is not None
        self._running = callback.running
        given: dict[str, Any] = {"hydra_context": hydra_context, "task_function": task_function, "config": config}
        with self._ended_if_it_raises():
            # Back where it was: what is saved says what the user chose.
            with read_write(config), open_dict(config.hydra):
                config.hydra.sweeper = callback.chosen_sweeper
            resumed = self._running.resumed
            self._chosen: Any = JobsAgain(**given) if resumed else Plugins.instance().instantiate_sweeper(**given)

    def sweep(self, arguments: list[str]) -> Any:
        """
        Sweep.

        Raises:
            Exception: what the sweeper raises. DerivaMLException: the end of the sweep could not be recorded.
        """
        with self._ended_if_it_raises():
            returns = self._chosen.sweep(arguments)
        self._running.over = True
        self._running.finish()
        return returns

    @contextmanager
    def _ended_if_it_raises(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # Ctrl-C too
            self._running.finish()
            raise
