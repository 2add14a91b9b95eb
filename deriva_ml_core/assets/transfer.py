"""Many small jobs in a few threads: bounded, in order of arrival, and stopped together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from deriva_ml_core.catalog.threads import threads_start
from deriva_ml_core.errors import DerivaMLException

Job = TypeVar("Job")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Job, Answer]):
    """A job that is over: its answer, or the error that it ended with."""

    job: Job
    answer: Answer | None
    error: DerivaMLException | None


def in_parallel(
    jobs: Iterable[Job],
    work: Callable[[Job], Answer],
    *,
    workers: int,
    stop: Callable[[], None] | None = None,
) -> Iterator[Outcome[Job, Answer]]:
    """
    Outcomes as they come, not in the order of `jobs`; at most 4 * `workers` jobs are taken ahead.

    A job that ends with one of our errors is an outcome, the others go on. Any other exception (Ctrl-C among them)
    stops all: jobs that have not begun are dropped, `stop` is called (to end those that have), and they are waited for.
    An interpreter that ends starts no more threads: what is done then, is done in turn.
    """
    if not threads_start():
        yield from in_turn(jobs, work)
        return
    waiting = iter(jobs)
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="deriva-ml-transfer")
    running: dict[Future[Answer], Job] = {}
    over: SimpleQueue[Future[Answer]] = SimpleQueue()  # futures.wait() would lock every running job for each outcome
    try:
        while True:
            for job in islice(waiting, 4 * workers - len(running)):
                future = pool.submit(work, job)
                running[future] = job
                future.add_done_callback(over.put)
            if not running:
                return
            future = over.get()
            yield _outcome(running.pop(future), future)
    except BaseException:  # Ctrl-C too: nobody wants to wait for the rest of a large file
        if stop is not None:
            stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_turn(jobs: Iterable[Job], work: Callable[[Job], Answer]) -> Iterator[Outcome[Job, Answer]]:
    """The same, one after the other in the thread that asks: jobs that are shorter than their way to another thread."""
    for job in jobs:
        try:
            yield Outcome(job, work(job), None)
        except DerivaMLException as err:
            yield Outcome(job, None, err)


def one_ahead(items: Iterable[Answer]) -> Iterator[Answer]:
    """The same items; each is made in another thread while the one before it is used."""
    if not threads_start():
        yield from items
        return
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="deriva-ml-ahead") as pool:
        coming: Future[Any] = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield item


def batched(items: Iterable[Job], size: int) -> Iterator[list[Job]]:
    """Lists of at most `size` items (itertools.batched is not in Python 3.11)."""
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch


def _outcome(job: Job, future: Future[Answer]) -> Outcome[Job, Answer]:
    try:
        return Outcome(job, future.result(), None)
    except DerivaMLException as err:
        return Outcome(job, None, err)
