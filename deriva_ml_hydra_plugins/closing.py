"""The last word on a sweep: how many jobs did well, and of each other its own error, not only the first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from deriva_ml_core.executions.journal import JournalEntry, executions_folder
from deriva_ml_core.executions.sweep_end import Child
from deriva_ml_core.executions.sweeps import TRACEBACK_FILE

_FRAME = re.compile(r'^  File "', re.MULTILINE)
_RUNNER = "deriva_ml_core/runner.py"
_MACHINERY = re.compile(r'^  File "[^"]*/(hydra|hydra_zen|omegaconf|functools\.py|contextlib\.py)\b')


def last_words(working_dir: Path, entry: JournalEntry, children: Sequence[Child]) -> Iterator[str]:
    """
    The lines.

    Args:
        entry: of the parent.
    """
    bad = [child for child in children if not child.well]
    yield f"Sweep {entry.rid}: {len(children) - len(bad)} of {len(children)} jobs Uploaded"
    for text, those in _by_traceback(working_dir, bad).items():
        for child in those:
            detail = f" ({child.detail})" if child.detail else ""
            yield f"  job {child.sequence}: {child.rid} {child.status.value}{detail}"
        yield from (f"    {line}" for line in text.splitlines())
    detail = f" ({entry.detail})" if entry.detail else ""
    yield f"Execution {entry.rid}: {entry.status.value}{detail}"


def _by_traceback(working_dir: Path, children: Sequence[Child]) -> dict[str, list[Child]]:
    """Jobs that failed in the same way stand together."""
    found: dict[str, list[Child]] = {}
    for child in children:
        found.setdefault(_traceback(executions_folder(working_dir) / child.rid), []).append(child)
    return found


def _traceback(folder: Path) -> str:
    try:
        return own_part((folder / TRACEBACK_FILE).read_text(encoding="utf-8"))
    except OSError:  # it was killed, or ran on another host without this folder: its detail says all
        return ""


def own_part(text: str) -> str:
    """A traceback from the model on: the frames above it are those of every run."""
    head, _, last = text.rpartition(_RUNNER)
    if not head:
        return text
    frames = _FRAME.split(last)[1:]
    shown = [f'  File "{frame}' for frame in frames]
    while len(shown) > 1 and _MACHINERY.match(shown[0]):
        shown.pop(0)
    return "Traceback (most recent call last):\n" + "".join(shown) if shown else text
