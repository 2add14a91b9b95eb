"""Servers that benchmarks ask: ours, in a process of its own, and mlflow's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def served(root: Path) -> Iterator[str]:
    """`deriva-ml-catalog serve` on a root without users; its URL."""
    command = [sys.executable, "-m", "deriva_ml_core.cli.catalog", "serve", "--root", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()


def server_store(folder: Path) -> str:
    """Where the server of mlflow keeps its runs."""
    return f"sqlite:///{folder}/mlflow/db"


@contextmanager
def mlflow_server(python: Path, folder: Path) -> Iterator[str]:
    """The server of mlflow, with its own store of artifacts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = folder / "mlflow"
    home.mkdir(exist_ok=True)
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", server_store(folder), "--artifacts-destination", str(home / "artifacts")]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process, home / "log")
            _wait_until_idle(process.pid)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it leaves workers behind otherwise
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:  # its first start compiles what it imports
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)  # a server tells nobody that it listens
        else:
            return
    raise RuntimeError(f"the server of mlflow ended: {log.read_text()[-2000:]}")


def _wait_until_idle(pid: int, most_s: float = 120) -> None:
    """Its workers go on starting once it has answered, and would take time from whoever is measured first."""
    until, used = time.monotonic() + most_s, -1.0
    while time.monotonic() < until:
        before, used = used, _used_s(pid)
        if used - before < 0.1:
            return
        time.sleep(2)  # in which a worker that starts takes more


def _used_s(pid: int) -> float:
    """The time that a process and its children have had of the processors."""
    parent, used = psutil.Process(pid), 0.0
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # some of them are short
            used += sum(process.cpu_times()[:2])
    return used
