"""The states of an execution, and which may follow which.

    Created ──> Running ──> Stopped ──> Pending_Upload ──> Uploaded
                   └──────────────────────>┘   ^  └────────────┘ (additive upload)
    Failed   from every state before Uploaded; outputs may still be sent: Failed ──> Pending_Upload
    Aborted  from every state before Uploaded, and from Failed
    Created  again, when a job or its sweep is run again (`deriva-ml-run --resume`): from every state but Uploaded;
             no transition that a model or a script can ask for

Source: COMPAT.md section 10, widened by the plan of the house: a run can end at any moment before its outputs are
safe, also while its inputs arrive or between two steps, so Failed and Aborted follow every state before Uploaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from deriva_ml_core.errors import InvalidTransitionError


class Status(StrEnum):
    """How far an execution has come; the value is the word of the newer generation of catalogs.

    Example:
        >>> Status("Completed") is Status("Uploaded") is Status.uploaded
        True
        >>> Status.failed.is_final
        True
    """

    created = "Created"
    running = "Running"
    stopped = "Stopped"
    failed = "Failed"
    pending_upload = "Pending_Upload"
    uploaded = "Uploaded"
    aborted = "Aborted"

    # The words of the newer generation as names, and those of the older one, which projects still use.
    Created = "Created"
    Running = "Running"
    Stopped = "Stopped"
    Failed = "Failed"
    Pending_Upload = "Pending_Upload"
    Uploaded = "Uploaded"
    Aborted = "Aborted"
    initializing = "Running"
    pending = "Pending_Upload"
    completed = "Uploaded"

    @classmethod
    def _missing_(cls, value: object) -> Status | None:
        """Words of the older generation, in any case."""
        return cls.__members__.get(str(value).lower())

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to happen unless somebody asks for it."""
        return self in FINAL


FINAL = frozenset({Status.failed, Status.uploaded, Status.aborted})

TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.created: frozenset({Status.running, Status.failed, Status.aborted}),
        Status.running: frozenset({Status.stopped, Status.pending_upload, Status.failed, Status.aborted}),
        Status.stopped: frozenset({Status.pending_upload, Status.failed, Status.aborted}),
        Status.pending_upload: frozenset({Status.uploaded, Status.failed, Status.aborted}),
        Status.failed: frozenset({Status.pending_upload, Status.aborted}),
        Status.uploaded: frozenset({Status.pending_upload}),
        Status.aborted: frozenset(),
    }
)


def as_status(word: Any) -> Status:
    """
    The status that a word of either generation names.

    Raises:
        InvalidTransitionError: it names none.
    """
    try:
        return word if isinstance(word, Status) else Status(word)
    except ValueError:
        raise InvalidTransitionError(
            f"{word!r} is no status; there are: {', '.join(s.value for s in Status)}"
        ) from None


def check_transition(rid: str, current: Status, target: Status) -> None:
    """
    Refuse a status that does not follow the current one.

    Raises:
        InvalidTransitionError: naming what may follow.
    """
    if target not in TRANSITIONS[current]:
        follow = ", ".join(sorted(status.value for status in TRANSITIONS[current])) or "nothing"
        raise InvalidTransitionError(
            f"execution {rid} is {current.value}: {target.value} does not follow it (what may follow: {follow})"
        )
