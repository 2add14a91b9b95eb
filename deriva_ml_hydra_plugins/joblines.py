"""The line that a launcher logs for each job, without the sweep's description: it may be a page of Markdown."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

# tests/hydra_behaviours pins that these are the loggers, and what they log.
_LOGGERS = (
    "hydra._internal.core_plugins.basic_launcher",
    "hydra_plugins.hydra_joblib_launcher._core",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
)
_DESCRIPTION = re.compile(r" ?\bdescription='(?:\\.|[^'\\])*'", re.DOTALL)


class _WithoutDescription(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _DESCRIPTION.sub("", record.getMessage()), ()
        return True


@contextmanager
def short_job_lines() -> Iterator[None]:
    """While a launcher launches, its lines name what tells the jobs apart."""
    short = _WithoutDescription()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(short)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(short)
