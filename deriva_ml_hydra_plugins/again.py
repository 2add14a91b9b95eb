"""What stands in for the sweeper while a sweep is resumed: its jobs are known, with the numbers that they had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from deriva_ml_hydra_plugins.launching import RecordedLauncher


class JobsAgain:
    """Launches the jobs that are left, in the batches that the sweep had."""

    def __init__(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._config, self._max_batch_size = config, config.hydra.sweeper.get("max_batch_size")
        self._launcher = RecordedLauncher(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:  # noqa: ARG002  # a sweeper's signature
        """
        Run them.

        Raises:
            Exception: of the first job that failed, when all have had their turn.
        """
        folder = Path(self._config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, folder / "multirun.yaml")  # as Hydra's own sweeper does
        return [self._launcher.launch_jobs(batch) for batch in self._batches()]

    def _batches(self) -> Iterator[dict[int, list[str]]]:
        jobs: Any = iter(self._launcher.jobs.items())
        while batch := dict(islice(jobs, self._max_batch_size)):
            yield batch
