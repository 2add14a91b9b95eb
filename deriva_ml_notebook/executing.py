"""
A notebook's cells, run one after the other in a kernel by papermill's client.

The client works in a thread of its own, so that Ctrl-C and SIGTERM, whoever handles them, arrive in a thread that can
answer: the cell is interrupted as Jupyter's stop button would, its traceback is kept, and only a kernel that does not
heed that is killed.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import ensure_async
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager

from deriva_ml_core.executions.preemption import shelter_children
from deriva_ml_core.executions.signals import GaveWay, TimedOut
from deriva_ml_notebook.documents import code_cells, write_notebook
from deriva_ml_notebook.failures import Failure, error_output, raised
from deriva_ml_notebook.kernels import Kernel
from deriva_ml_notebook.progress import Watcher
from deriva_ml_notebook.streams import joined

INTERRUPT_PATIENCE_S = 20.0
"""For a cell that is interrupted, until its kernel is killed."""
START_PATIENCE_S = 120.0
_SAVE_EVERY_S = 1.0
_SAVE_SHARE = 10  # saving takes at most one part in so many of the time


@dataclass(frozen=True, slots=True)
class Setting:
    """
    What surrounds the cells.

    Args:
        path: the executed notebook, on disk at every moment.
        folder: the kernel's current folder.
        env: the kernel's environment.
        timeout_s: for each cell; None is no limit.
    """

    kernel: Kernel
    path: Path
    folder: Path
    env: Mapping[str, str]
    timeout_s: float | None = None


def execute(
    document: Any, setting: Setting, watcher: Watcher, meanwhile: Callable[[], None] = lambda: None
) -> Failure | None:
    """
    Run the cells; the document gets their outputs.

    Args:
        meanwhile: called while they run.

    Returns:
        How it ended before its last cell; None where all have run.

    Raises:
        GaveWay: SLURM runs it again; this is no end.
    """
    run = _Run(document, setting, watcher)
    threading.Thread(target=run.work, name="deriva-ml-notebook", daemon=True).start()
    try:
        meanwhile()
        _wait(run.ended)
    except GaveWay:
        run.kill()
        _end(run)
        raise
    except (KeyboardInterrupt, SystemExit) as err:  # Terminated is a SystemExit
        reason = "interrupted by Ctrl-C" if isinstance(err, KeyboardInterrupt) else str(err)
        run.stop(reason, by_somebody=not isinstance(err, TimedOut))
        _end(run)
    if run.error is not None:
        raise run.error
    return run.failure


def _wait(ended: threading.Event, patience_s: float | None = None) -> None:
    """Not Thread.join: where an exception interrupts it, Python up to 3.12 takes the thread for ended (bpo-45274)."""
    until = None if patience_s is None else time.monotonic() + patience_s
    while not ended.is_set() and (until is None or time.monotonic() < until):
        ended.wait(0.1)  # a wait without end would keep Ctrl-C waiting


def _end(run: _Run) -> None:
    """Give the cell time to heed the interrupt; a second Ctrl-C takes it away."""
    with suppress(KeyboardInterrupt, SystemExit):
        _wait(run.ended, INTERRUPT_PATIENCE_S)
    while not run.ended.is_set():
        run.kill()
        with suppress(KeyboardInterrupt, SystemExit):
            _wait(run.ended, 2.0)


class _Manager(NotebookExecutionManager):  # type: ignore[misc]  # papermill has no types
    """Papermill's bookkeeping, with a file that is written cell by cell and a watcher that hears of it."""

    def __init__(self, document: Any, setting: Setting, watcher: Watcher) -> None:
        super().__init__(document, output_path=str(setting.path), progress_bar=False)
        self._path, self._watcher = setting.path, watcher
        self._numbers = {id(cell): number for number, cell in enumerate(code_cells(document), 1)}
        self._saved, self._took_s = 0.0, 0.0
        self.trouble: OSError | None = None

    def save(self, *, force: bool = False, **_: Any) -> None:
        """
        Write the notebook, unless it has just been written: of large outputs not after every cell.

        A disk that is full ends no cell: there may be room again when the next one has ended.
        """
        start = time.monotonic()
        if not force and start - self._saved < self._took_s * _SAVE_SHARE:
            return
        try:
            write_notebook(self.nb, self._path)
            self.trouble = None
        except OSError as err:
            self.trouble = err
        self._saved = time.monotonic()
        self._took_s = self._saved - start

    def autosave_cell(self) -> None:
        """Write it while a cell runs, too."""
        if time.monotonic() - self._saved >= _SAVE_EVERY_S:
            self.save()

    def number(self, cell: Any) -> int:
        """Of a cell among those that run; 0 for any other."""
        return self._numbers.get(id(cell), 0)

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """A cell's turn."""
        if number := self.number(cell):
            self._watcher.cell_started(number, cell.source)
        super().cell_start(cell, cell_index, **kwargs)

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """A cell has ended, well or not."""
        super().cell_complete(cell, cell_index, **kwargs)
        if number := self.number(cell):
            own = cell.metadata.papermill
            self._watcher.cell_ended(number, cell.source, own["duration"] if own["status"] == self.COMPLETED else None)


class _Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    """Papermill's client, which tells what its outputs are and how it ended."""

    def __init__(self, run: _Run, manager: _Manager, setting: Setting, watcher: Watcher, sockets: Path) -> None:
        super().__init__(
            manager,
            km=setting.kernel.manager(sockets),
            kernel_name=setting.kernel.name,
            log=_client_log(),
            startup_timeout=int(START_PATIENCE_S),
            iopub_timeout=600,  # large outputs on a busy host: the reply may be long before the last of them
        )
        self._run, self._watcher, self._timeout_s = run, watcher, setting.timeout_s

    def papermill_execute_cells(self) -> None:
        """Papermill's loop, which ends at the first cell that fails."""
        self._run.know_process(self.km)
        for index, cell in enumerate(self.nb.cells):
            if self._run.reason:
                return
            self._run.at = index
            self.nb_man.cell_start(cell, index)
            try:
                self.execute_cell(cell, index)
            except (CellExecutionError, CellTimeoutError) as err:
                if _leaves_well(err):
                    return
                self._run.failed(err)
                self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=err)
                return
            finally:
                if self.nb.cells[index].cell_type == "code":
                    self.nb.cells[index].outputs = joined(self.nb.cells[index].outputs)
                self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)

    def process_message(self, *args: Any, **kwargs: Any) -> Any:
        """Hand an output on."""
        output = super().process_message(*args, **kwargs)
        if output is not None:
            self._watcher.output(output)
        return output

    def _get_timeout(self, cell: Any) -> float | None:
        return None if cell is None else self._timeout_s

    async def _async_handle_timeout(self, timeout: float, cell: Any = None) -> Any:
        """
        Interrupt the cell as a person would, so that it ends by a traceback that says where it was.

        Source: nbclient's client.py, which calls this from _async_poll_for_reply and takes a reply from it.
        """
        self._run.reason = f"TimeoutError: the cell took longer than {timeout:g} s"
        await ensure_async(self.km.interrupt_kernel())
        with suppress(Empty):
            while True:
                reply = await ensure_async(self.kc.shell_channel.get_msg(timeout=INTERRUPT_PATIENCE_S))
                if reply["msg_type"] == "execute_reply":
                    return reply
        raise CellTimeoutError.error_from_timeout_and_cell("Cell execution timed out", math.ceil(timeout), cell)


def _client_log() -> logging.Logger:
    """What the client says is said by us, in other words."""
    log = logging.getLogger(f"{__name__}.client")
    log.setLevel(logging.CRITICAL)
    return log


def _leaves_well(err: Exception) -> bool:
    """Papermill's rule: sys.exit() and sys.exit(0) end a notebook before its last cell, and well."""
    return getattr(err, "ename", "") == "SystemExit" and str(getattr(err, "evalue", "")) in ("", "0", "None")


class _Run:
    """One run, as both threads see it."""

    def __init__(self, document: Any, setting: Setting, watcher: Watcher) -> None:
        self.reason = ""
        self.stopped = False
        self.ended = threading.Event()
        self.at: int | None = None
        self.failure: Failure | None = None
        self.error: BaseException | None = None
        self._document, self._setting, self._watcher = document, setting, watcher
        self._manager = _Manager(document, setting, watcher)
        self._process: Any = None

    def work(self) -> None:
        """In the client's thread: all of it."""
        shelter_children()
        try:
            self._watcher.started(len(code_cells(self._document)))
            self._manager.notebook_start()
            try:
                self._converse()
            except (DeadKernelError, RuntimeError) as err:  # the second is jupyter_client's, of a kernel's start
                self.failed(err)
            finally:
                if self.failure is None and self.reason:
                    self.failed(None)
                self._manager.notebook_complete()
                self._manager.save(force=True)
                if self._manager.trouble is not None and self.failure is None:
                    self.reason = f"the executed notebook can't be written: {self._manager.trouble}"
                    self.failed(None)
                self._watcher.ended()
        except BaseException as err:  # noqa: BLE001  # our own fault: the thread that waits raises it
            self.error = err
        finally:
            ensure_event_loop().close()  # nbclient has made one for this thread
            self.ended.set()

    def _converse(self) -> None:
        with tempfile.TemporaryDirectory(prefix="deriva-ml-", ignore_cleanup_errors=True) as sockets:
            client = _Client(self, self._manager, self._setting, self._watcher, Path(sockets))
            client.execute(env=dict(self._setting.env), cwd=str(self._setting.folder), cleanup_kc=True)

    def failed(self, err: Exception | None) -> None:
        """Keep how it ended, with the cell that it ended in."""
        cell = None if self.at is None else self._document.cells[self.at]
        output = error_output(cell.get("outputs", ())) if cell is not None else None
        self.failure = Failure(
            number=self._manager.number(cell) if cell is not None else 0,
            total=len(code_cells(self._document)),
            index=self.at,
            reason=self.reason or self._reason(err),
            source=cell.source if cell is not None else "",
            traceback=tuple(output.traceback) if output is not None else (),
            stopped=self.stopped,
        )

    def _reason(self, err: Exception | None) -> str:
        if isinstance(err, CellExecutionError):
            return raised(err.ename, err.evalue)
        code = self._exit_code()
        if code is None or isinstance(err, CellTimeoutError):
            return raised(type(err).__name__, str(err))
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"the kernel {how}" + (" (out of memory?)" if code == -signal.SIGKILL else "")

    def _exit_code(self) -> int | None:
        """Of the kernel's process; None while it runs, or where nobody knows."""
        process = self._process
        if process is None:
            return None
        with suppress(Exception):  # the provisioner's class is the user's choice
            process.wait(timeout=1)
        code = process.returncode
        return code if isinstance(code, int) else None

    def know_process(self, manager: Any) -> None:
        """Keep the kernel's process, of which its manager knows nothing any more once it has ended."""
        self._process = getattr(manager.provisioner, "process", None)

    def stop(self, reason: str, *, by_somebody: bool) -> None:
        """From the waiting thread: interrupt the cell, and start no other."""
        self.stopped = by_somebody
        self.reason = reason
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End the kernel at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if (process := self._process) is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(process.pid), number)
