"""How a notebook ended before its last cell."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.errors import DerivaMLExecutionError
from deriva_ml_core.executions.redaction import Redactor
from deriva_ml_core.executions.states import Status
from deriva_ml_notebook.documents import code_cells

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_SHORT_TRACEBACK, _SHORT_SOURCE = 12, 20  # lines on a console


class NotebookFailed(DerivaMLExecutionError):  # noqa: N818  # what has happened, as the runs' own words say it
    """A notebook has not come to its end; the record says where and why."""


@dataclass(frozen=True, slots=True)
class Failure:
    """
    The end of a notebook in one of its cells.

    Args:
        number: of the cell among those that run, from 1; 0 before the first, total + 1 after the last.
        total: how many cells run.
        index: of the cell in the document; None before the first.
        reason: what ended it, `Type: message` where the cell raised.
        traceback: the lines that IPython gives, coloured.
        stopped: somebody stopped it: the run is Aborted, not Failed.
    """

    number: int
    total: int
    reason: str
    index: int | None = None
    source: str = ""
    traceback: tuple[str, ...] = ()
    stopped: bool = False

    @property
    def status(self) -> Status:
        """The status that it gives to the execution."""
        return Status.aborted if self.stopped else Status.failed

    @property
    def text(self) -> str:
        """One line for the record, without secrets."""
        where = f"cell {self.number} of {self.total}" if self.number else "before the first cell"
        where = "after the last cell" if self.number > self.total else where
        return f"{where}: {Redactor(os.environ).text(self.reason)}"

    def error(self, rid: str | None) -> NotebookFailed:
        """To be raised, where the run's execution is that one."""
        err = NotebookFailed(self.text)
        err.execution_rid = rid
        return err

    def console_lines(self) -> list[str]:
        """The cell's source and a short traceback, for a person."""
        source = self.source.rstrip().splitlines()
        shown = source[:_SHORT_SOURCE] + (
            [f"… {len(source) - _SHORT_SOURCE} more"] if len(source) > _SHORT_SOURCE else []
        )
        lines = [f"  | {line}" for line in shown]
        trace = [line for part in self.traceback for line in without_ansi(part).splitlines() if line.strip(" -")]
        if len(trace) > _SHORT_TRACEBACK:
            trace = ["…", *trace[-_SHORT_TRACEBACK:]]
        return lines + [f"  {line}" for line in trace]


def not_kept(document: Any, err: Exception) -> Failure:
    """The end of a notebook whose cells have all run, where the executed notebook can't become part of the record."""
    total = len(code_cells(document))
    return Failure(number=total + 1, total=total, reason=f"the executed notebook can't be kept: {err}")


def raised(ename: str, evalue: str) -> str:
    """`Type: message`, in one line."""
    message = " ".join(without_ansi(evalue).split())
    return f"{ename}: {message}" if message else ename


def without_ansi(text: str) -> str:
    """A text without a terminal's colours and other control sequences (ECMA-48)."""
    return _ANSI.sub("", text)


def error_output(outputs: Sequence[Any]) -> Any:
    """The error among a cell's outputs; None where there is none."""
    return next((output for output in reversed(outputs) if output.output_type == "error"), None)
