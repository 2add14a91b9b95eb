"""
What SLURM says of its jobs.

    squeue -t all   every job that the controller remembers: those that wait and run, and for some minutes (MinJobAge)
                    those that have ended. True at once, and also where no slurmdbd runs.
    sacct           all others; one or two seconds late. Also of those that were killed by SIGKILL: it alone tells that
                    a step of a job, whose script then failed, had run out of memory.

A job that neither knows, while the controller answers, is gone. Where the controller does not answer, only sacct's
word on an end that nothing follows counts: a preempted job, for one, may be in the queue again.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

ANSWER_WITHIN_S = 20.0
FRESH_S = 1.5
"""An answer this old is still taken: everybody in this process who asks shares it."""
GONE = "GONE"
"""Our word for a job that SLURM does not know any more."""
ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED"}
    | {"TIMEOUT", GONE}
)
OUT_OF_MEMORY = "OUT_OF_MEMORY"
_CAUSE_WITHIN_S = 5.0
"""After a job was killed, for sacct to hear that it has ended."""
_MAY_BE_FOLLOWED = frozenset({"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "REVOKED"})


@dataclass(frozen=True, slots=True)
class JobState:
    """
    One job, or one element of an array, as SLURM has it now.

    Args:
        word: SLURM's, "RUNNING" say, in full.
        restarts: how often it has been requeued; 0 where sacct alone knows it.
        signal: by which its script was ended; 0 for none.
    """

    word: str
    restarts: int = 0
    node: str = ""
    exit_code: int = 0
    signal: int = 0
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether none of its processes runs, and none will."""
        return self.word in ENDED

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it, and SLURM's controller does not say why."""
        return self.word == "FAILED" and self.signal == signal.SIGKILL


class Slurm:
    """The cluster of this host, asked about many jobs at a time; safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[str] = set()
        self._states: dict[str, JobState] = {}
        self._asked_at = float("-inf")
        self._killed_at: dict[tuple[str, int], float] = {}
        self._causes: dict[tuple[str, int], JobState] = {}

    def states(self, job_ids: Iterable[str]) -> dict[str, JobState]:
        """
        How jobs stand; those about which SLURM gives no sure answer are missing.

        Args:
            job_ids: as sacct takes them: "12", or "12_3" for an element of an array.
        """
        wanted = set(job_ids)
        if not wanted:
            return {}
        with self._lock:
            if time.monotonic() - self._asked_at > FRESH_S or not wanted <= self._watched:
                self._watched |= wanted
                self._states = self._with_causes(_ask(self._watched))
                self._asked_at = time.monotonic()
                self._watched = {one for one in self._watched if one in wanted or not self._ended(one)}
            return {one: self._states[one] for one in wanted if one in self._states}

    def state(self, job_id: str) -> JobState | None:
        """How one job stands; None where SLURM gives no sure answer."""
        return self.states([job_id]).get(job_id)

    def cancel(self, job_ids: Collection[str]) -> None:
        """Tell SLURM to end jobs; those that have ended are left as they are."""
        if job_ids:
            _run("scancel", "--quiet", *sorted(job_ids))

    def _with_causes(self, states: dict[str, JobState]) -> dict[str, JobState]:
        """Of killed jobs what sacct says, for the first few seconds nothing; where it does not answer, what we had."""
        killed = {(job, state.restarts): state for job, state in states.items() if state.killed}
        asked = {job for job, _ in killed.keys() - self._causes.keys()}
        accounted = _sacct(asked, within_s=_CAUSE_WITHIN_S) if asked else {}
        for key, state in killed.items():
            job, now = key[0], time.monotonic()
            cause = accounted.get(job, state)
            if not cause.ended and now - self._killed_at.setdefault(key, now) < _CAUSE_WITHIN_S:
                del states[job]  # sacct has yet to hear of its end
                continue
            word = OUT_OF_MEMORY if cause.word == OUT_OF_MEMORY else state.word
            states[job] = self._causes.setdefault(key, replace(state, word=word))
        return states

    def _ended(self, job_id: str) -> bool:
        state = self._states.get(job_id)
        return state is not None and state.ended


@functools.cache
def this_cluster() -> Slurm:
    """The one that squeue of this host asks; its answers are shared."""
    return Slurm()


def _ask(job_ids: Collection[str]) -> dict[str, JobState]:
    remembered = _squeue(job_ids)
    found = {one: remembered[one] for one in job_ids if one in remembered} if remembered is not None else {}
    others = [one for one in job_ids if one not in found]
    accounted = _sacct(others) if others else {}
    for one in others:
        state = accounted.get(one)
        if state is not None and (remembered is not None or state.word not in _MAY_BE_FOLLOWED):
            found[one] = state
        elif state is None and remembered is not None:
            found[one] = JobState(GONE)
    return found


def _squeue(job_ids: Collection[str]) -> dict[str, JobState] | None:
    """None where the controller does not answer."""
    jobs = ",".join(sorted({one.partition("_")[0] for one in job_ids}))
    columns = "JobArrayID:|,State:|,RestartCnt:|,NodeList:|,exit_code:|,Reason:|"
    answer = _run("squeue", "--noheader", "--array", "--states=all", f"--jobs={jobs}", f"--Format={columns}")
    if answer is None:
        return None
    if answer.returncode != 0:
        return {} if "Invalid job id" in answer.stderr else None
    return dict(_queued(answer.stdout))


def _queued(text: str) -> Iterator[tuple[str, JobState]]:
    """Source: squeue(1), --Format; exit_code is a wait status."""
    for line in filter(None, text.splitlines()):
        job, word, restarts, node, waited, reason, *_ = (part.strip() for part in line.split("|"))
        status = int(waited or 0)
        code = os.waitstatus_to_exitcode(status) if status & 0x7F != 0x7F else 0
        signal = -code if code < 0 else code - 128 if code > 128 else 0  # a shell's 128 + number
        yield job, JobState(word, int(restarts or 0), node, max(code, 0), signal, reason)


def _sacct(job_ids: Collection[str], within_s: float = ANSWER_WITHIN_S) -> dict[str, JobState]:
    """The last incarnation of each; {} where nobody keeps accounts. A step's line follows its job's."""
    jobs = ",".join(sorted({one.partition("_")[0] for one in job_ids}))
    answer = _run("sacct", "-n", "-P", "-D", "-j", jobs, "-o", "JobID,State,ExitCode,NodeList", within_s=within_s)
    found: dict[str, JobState] = {}
    text = answer.stdout if answer is not None and answer.returncode == 0 else ""
    for line in filter(None, text.splitlines()):
        name, words, code, node = line.split("|")
        job, _, step = name.partition(".")
        before = found.get(job)
        exit_code, signal_number = (int(part or 0) for part in (code or "0:0").split(":"))
        word = (words.split() or [""])[0]  # "CANCELLED by 1000"
        if not step:
            found[job] = JobState(word, before.restarts + 1 if before else 0, node, exit_code, signal_number)
        elif before is not None and before.word in ("FAILED", OUT_OF_MEMORY):
            found[job] = _with_step(before, word, signal_number)
    return found


def _with_step(job: JobState, word: str, signal_number: int) -> JobState:
    """A job that failed with one of its steps: the script's exit code hides by which signal, and why."""
    if word == OUT_OF_MEMORY:
        job = replace(job, word=OUT_OF_MEMORY)
    return replace(job, signal=signal_number, exit_code=0) if signal_number and not job.signal else job


def _run(*command: str, within_s: float = ANSWER_WITHIN_S) -> subprocess.CompletedProcess[str] | None:
    """None where there is no such command, or it gives no answer in time."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
