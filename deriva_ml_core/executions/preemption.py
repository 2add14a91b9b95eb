"""
SLURM's warning before it ends a job, by SIGUSR2: the model saves where it stands, then submitit requeues the job.

submitit's own handler stays and has the last word: it requeues, and leaves the process; it raises where the job has
timed out too often, or SLURM does not take it back. They are told apart here, so that the record says what it was.
SLURM also refuses to requeue a job that it has requeued itself meanwhile, as it does when a preemption's time of grace
is over.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from deriva_ml_core.executions.owner import slurm_restarts, this_process
from deriva_ml_core.executions.signals import GaveWay, Preempted, TimedOut
from deriva_ml_core.executions.slurm import Slurm

log = logging.getLogger(__name__)

Save = Callable[[], object]


@contextmanager
def giving_way(saves: Iterable[Save]) -> Iterator[None]:
    """
    Inside the block SLURM's warning calls `saves`, then what submitit does; nothing where submitit runs no job.

    Raises:
        GaveWay: the job waits in SLURM's queue again.
        TimedOut: it does not, and its time is over.
        Preempted: nor does it, though it had time left: it was submitted as one that is not requeued.
    """
    number = warning_signal()
    before = signal.getsignal(number)
    here = threading.current_thread() is threading.main_thread()
    if not is_warned() or not here or not callable(before):
        yield
        return

    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a forked worker of the model's: SLURM warns it too, but it is not its to answer
            return
        signal.signal(number, signal.SIG_IGN)  # a second one must not cut short what follows
        job = this_process().slurm_job_id
        call_all(saves)
        try:
            before(number, frame)
        except SystemExit as err:
            raise GaveWay(job, err.code) from None
        except subprocess.CalledProcessError:  # of `scontrol requeue`
            if _requeued_already():
                raise GaveWay(job, -1) from None  # as submitit leaves
            raise (TimedOut(job) if _time_is_over(before) else Preempted(job)) from None
        except Exception as err:  # noqa: BLE001  # submitit's UncompletedJobError: no more restarts
            log.debug("%s", err)
            raise TimedOut(job) from None
        signal.signal(number, handle)  # a later task of the job: the first decides

    signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, before)


def shelter_children() -> None:
    """Let processes that this thread starts from now on not hear SLURM's warning, which would end them."""
    if is_warned():
        signal.pthread_sigmask(signal.SIG_BLOCK, {warning_signal()})


def call_all(saves: Iterable[Save]) -> None:
    """Have everything saved; whatever the model's own functions raise, the job must still give way."""
    for save in saves:
        try:
            save()
        except Exception:
            log.exception("the state of the model could not be saved before job %s ends", this_process().slurm_job_id)


def is_warned() -> bool:
    """Whether this is a job that SLURM warns, for submitit, before it ends it."""
    return os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


def _requeued_already() -> bool:
    """Whether SLURM counts more restarts of the job than this process is of; it counts one when it requeues."""
    owner = this_process()
    state = Slurm().state(owner.slurm_job_id or "")  # not this_cluster(), whose answer may be of before
    return state is not None and not state.ended and state.restarts > slurm_restarts(owner.slurm)


def _time_is_over(handler: Callable[..., object]) -> bool:
    """Whether submitit takes the warning for the time limit's; tests/hydra_behaviours pins the name."""
    return bool(handler.__self__.has_timed_out())  # type: ignore[attr-defined]  # a method of its SignalHandler


def warning_signal() -> signal.Signals:
    """The one that it warns with. Source: submitit.core.job_environment.JobEnvironment.USR_SIG."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]
