"""Which process runs an execution, told so that another process can find out whether it still lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What a record says about the SLURM job; identities and places, never tokens.
_SLURM = {
    "job_id": "SLURM_JOB_ID",
    "job_name": "SLURM_JOB_NAME",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_task_id": "SLURM_ARRAY_TASK_ID",
    "partition": "SLURM_JOB_PARTITION",
    "node": "SLURMD_NODENAME",
    "nodes": "SLURM_JOB_NODELIST",
    "cluster": "SLURM_CLUSTER_NAME",
    "restarts": "SLURM_RESTART_COUNT",
    "launcher": "SUBMITIT_EXECUTOR",
}


def slurm_facts(env: Mapping[str, str]) -> dict[str, str]:
    """What SLURM says of the job that an environment belongs to; {} outside SLURM."""
    if not env.get("SLURM_JOB_ID"):
        return {}
    facts = {name: env[variable] for name, variable in _SLURM.items() if env.get(variable)}
    folder, job = env.get("SUBMITIT_FOLDER"), slurm_job(facts)
    return facts | ({"output": folder.replace("%j", job)} if folder and job else {})


def slurm_job(facts: Mapping[str, str]) -> str | None:
    """A job as sacct takes it: the array's element where it is one; None where the facts are of no job."""
    array, task = facts.get("array_job_id"), facts.get("array_task_id")
    return f"{array}_{task}" if array and task else facts.get("job_id")


def slurm_restarts(facts: Mapping[str, str]) -> int:
    """How often SLURM had requeued the job when it started what the facts are of."""
    return int(facts.get("restarts", 0))


def later_task(env: Mapping[str, str]) -> bool:
    """Whether this is a task of a job that SLURM runs in several: the first of them keeps the record."""
    return env.get("SUBMITIT_EXECUTOR") == "slurm" and env.get("SLURM_PROCID", "0") != "0"


@dataclass(frozen=True, slots=True)
class Owner:
    """
    One process.

    Args:
        host: its host's name.
        boot_id: of the host's present boot, "" where the system has none.
        pid_namespace: of the container, "" where there is none: equal pids of two containers are two processes.
        pid: its number there.
        process_start: when it started, in a unit of the system's own: only equality means something.
        slurm: what SLURM says of the job that it belongs to, {} outside SLURM.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_start: str
    slurm: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        job = f", SLURM job {self.slurm_job_id}" if self.slurm_job_id else ""
        restarts = f", restart {self.slurm['restarts']}" if self.slurm.get("restarts") else ""
        return f"process {self.pid} on {self.host}{job}{restarts}"

    @property
    def slurm_job_id(self) -> str | None:
        """As sacct takes it: the array's element where it is one."""
        return slurm_job(self.slurm)

    @property
    def may_be_requeued(self) -> bool:
        """Whether SLURM may run the same call again, in another process: submitit's jobs."""
        return self.slurm.get("launcher") == "slurm"

    @property
    def is_alive(self) -> bool | None:
        """Whether the process lives; None where this host can't tell (it ran on another host or in a container)."""
        here = this_process()
        if self.host != here.host:
            return None
        if self.boot_id != here.boot_id:
            return False  # the host has been started anew since
        if self.pid_namespace != here.pid_namespace:
            return None
        return process_start(self.pid) == self.process_start

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Owner:
        """The owner that a journal holds; what is missing there is empty."""
        return cls(
            host=str(document.get("host", "")),
            boot_id=str(document.get("boot_id", "")),
            pid_namespace=str(document.get("pid_namespace", "")),
            pid=int(document.get("pid", 0)),
            process_start=str(document.get("process_start", "")),
            slurm={str(k): str(v) for k, v in dict(document.get("slurm") or {}).items()},
        )


def this_process() -> Owner:
    """This process, now: after a fork it is another one."""
    pid = os.getpid()
    start = process_start(pid) or ""
    return Owner(socket.gethostname(), _boot_id(), _pid_namespace(), pid, start, slurm_facts(os.environ))


def process_start(pid: int) -> str | None:
    """When a process started, None where there is none of that number (or it has ended and waits for its parent)."""
    if Path("/proc/self/stat").exists():
        return _start_in_proc(pid)
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def _start_in_proc(pid: int) -> str | None:
    """
    Clock ticks since boot: unlike psutil's create_time, they don't move when the host's clock is set.

    Source: proc(5), /proc/pid/stat: after the command's closing bracket, state is the 1st field and starttime the 20th.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return None if fields[0] in "ZXx" else fields[19]


def _boot_id() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _pid_namespace() -> str:
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115  # it is a label, "pid:[4026531836]", not a path
    return ""
