"""
The line that a launcher logs for each job: without the sweep's description, which may be a page of Markdown, and with
the job's own number, also where joblib's launcher counts each batch from 0.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# tests/hydra_behaviours pins that these are the loggers, and what they log.
_JOBLIB = "hydra_plugins.hydra_joblib_launcher._core"
_LOGGERS = (
    "hydra._internal.core_plugins.basic_launcher",
    _JOBLIB,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
)
_DESCRIPTION = re.compile(r" description=(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|(?:\\.|[^\s\\])*)", re.DOTALL)
_PLACE = re.compile(r"^\t#(\d+) : ")


class _JobLine(logging.Filter):
    """
    Args:
        numbers: of the jobs, in the order of the batch.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self._numbers = numbers

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        if record.name == _JOBLIB:
            line = _PLACE.sub(lambda found: f"\t#{self._numbers[int(found[1])]} : ", line)
        record.msg, record.args = _DESCRIPTION.sub("", line), ()
        return True


@contextmanager
def plain_job_lines(numbers: Sequence[int]) -> Iterator[None]:
    """While a launcher launches these jobs, its lines name what tells them apart."""
    line = _JobLine(numbers)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(line)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(line)
