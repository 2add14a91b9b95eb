"""The heartbeat of a running execution, by which others know that its process lives and it knows that it is its own."""

from __future__ import annotations

import logging
import os
import signal
import threading

from deriva_ml_core.executions.journal import Journal
from deriva_ml_core.executions.signals import Superseded

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
"""Between two heartbeats of a running execution."""


class Heart:
    """
    Beats for a running execution, in a daemon thread: after kill -9 the beats stop. Where another process has taken the
    execution over, it interrupts the main thread, and ends the process if that has not stopped by the next beat.
    """

    def __init__(self, journal: Journal, every_s: float | None = None) -> None:
        self._journal, self._every_s = journal, every_s or HEARTBEAT_S
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deriva-ml-heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self._journal.beat()
            except Superseded as err:
                log.error("%s", err)  # noqa: TRY400  # no traceback helps here
                os.kill(os.getpid(), signal.SIGINT)
                if not self._stopped.wait(self._every_s):
                    os._exit(1)

    def stop(self) -> None:
        """Beat no more; returns when no beat is being written."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
