"""Joblib's jobs, each awaited for itself: its one pool of workers breaks as a whole when one of them dies."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from deriva_ml_hydra_plugins.lost_jobs import lost

Task = tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]
_LOOK_EVERY_S = 0.2


@contextmanager
def separate_workers() -> Iterator[None]:
    """Put separate workers in the place of joblib's one pool, for as long as jobs are launched."""
    import hydra_plugins.hydra_joblib_launcher._core as core

    before = core.Parallel
    core.Parallel = SeparateWorkers
    try:
        yield
    finally:
        core.Parallel = before


class SeparateWorkers:
    """
    Runs joblib's tasks as joblib's loky backend does, but in pools of one worker each.

    Args:
        n_jobs: as joblib takes it. The rest of joblib's options is about how it hands tasks to its one pool.
    """

    def __init__(self, n_jobs: int | None = None, **options: Any) -> None:
        from joblib import effective_n_jobs

        self._workers = int(effective_n_jobs(n_jobs if n_jobs is not None else 1))
        self._inner_threads = options.get("inner_max_num_threads")
        self._pools: dict[int, Any] = {}
        self._stopped = False

    def __call__(self, tasks: Iterable[Task]) -> list[Any]:
        """The results in the order of the tasks; a failed JobReturn for a task whose worker died."""
        waiting: queue.SimpleQueue[tuple[int, Task]] = queue.SimpleQueue()
        for item in enumerate(tasks):
            waiting.put(item)
        results: list[Any] = [None] * waiting.qsize()
        slots = range(min(self._workers, len(results)))
        threads = [
            threading.Thread(
                target=self._work, args=(slot, waiting, results), daemon=True, name=f"deriva-ml-slot-{slot}"
            )
            for slot in slots
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_LOOK_EVERY_S)  # a join without end would keep Ctrl-C waiting
        finally:
            self._stopped = True
            for pool in self._pools.values():
                pool.shutdown(wait=False)
        return results

    def _work(self, slot: int, waiting: queue.SimpleQueue[tuple[int, Task]], results: list[Any]) -> None:
        while not self._stopped:
            try:
                number, (function, args, keywords) = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results[number] = self._pool(slot).submit(function, *args, **keywords).result()
            except Exception as err:  # noqa: BLE001  # the worker died, or what it sent can't be read: this job's fate
                results[number] = lost(_named(err))
                self._pools.pop(slot).shutdown(wait=False, kill_workers=True)

    def _pool(self, slot: int) -> Any:
        from joblib._parallel_backends import LokyBackend
        from joblib.externals.loky.process_executor import ProcessPoolExecutor

        if slot not in self._pools:
            backend = LokyBackend(inner_max_num_threads=self._inner_threads)
            env = backend._prepare_worker_env(n_jobs=self._workers)  # noqa: SLF001  # threads for each worker
            self._pools[slot] = ProcessPoolExecutor(max_workers=1, env=env)
        return self._pools[slot]


def _named(err: Exception) -> BaseException | str:
    """A pool's error in words of a run; any other as it is."""
    from concurrent.futures.process import BrokenProcessPool

    if not isinstance(err, BrokenProcessPool):
        return err
    _, _, codes = str(err).partition("exit codes of the workers are")
    return f"its worker process died{' with' + codes.rstrip('.') if codes else ''}"
