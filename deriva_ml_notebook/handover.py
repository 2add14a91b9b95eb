"""
What the command that runs a notebook and the notebook's kernel tell each other: files in the run's folder.

    handover.json  command -> kernel   who answers for the execution's end, its place in a sweep, the notebook's code
    opened.json    kernel -> command   the execution that run_notebook has opened, and how it connected
    saved.json     kernel -> command   what the cells have asked to be called before a preemption has been called
    refused.json   kernel -> command   why run_notebook opened none: the user's input, nothing has been recorded
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.executions.journal import write_beside
from deriva_ml_core.executions.owner import Owner, this_process
from deriva_ml_core.executions.sweeps import Place, SweepFacts
from deriva_ml_core.workflows.provenance import CodeReference

FOLDER_VARIABLE = "DERIVA_ML_NOTEBOOK_RUN"
_HANDOVER, _OPENED, _SAVED, _REFUSED = "handover.json", "opened.json", "saved.json", "refused.json"


@dataclass(frozen=True, slots=True)
class Handover:
    """
    One run of a notebook, as both sides see it.

    Args:
        folder: where they write.
        owner: the process of the command, which answers for the execution's end.
        code: the notebook's, as it was read for this run.
        place: the run's place in a sweep.
    """

    folder: Path
    owner: Owner
    code: CodeReference
    place: Place | None = None

    @classmethod
    def given(cls, folder: Path, code: CodeReference, place: Place | None) -> Handover:
        """What the command gives to the kernel that it is about to start."""
        handover = cls(folder, this_process(), code, place)
        document = {"owner": asdict(handover.owner), "code": asdict(code), "place": _place_document(place)}
        write_beside(folder / _HANDOVER, json.dumps(document, default=str).encode())
        return handover

    @classmethod
    def taken(cls) -> Handover | None:
        """What the command has given to this kernel, once: processes that the kernel starts are not meant."""
        folder = os.environ.pop(FOLDER_VARIABLE, "")
        document = _read(Path(folder) / _HANDOVER) if folder else None
        if document is None:
            return None
        owner, code, place = (document[key] for key in ("owner", "code", "place"))
        return cls(Path(folder), Owner.from_json(owner), _code_of(code), _place_of(place))

    def opened(self, document: Mapping[str, Any]) -> None:
        """Tell the command which execution this is, and which process has it."""
        told = {**document, "pid": os.getpid()}
        write_beside(self.folder / _OPENED, json.dumps(told, default=str).encode())

    def saved(self) -> None:
        """Tell the command that SLURM's warning has been heeded."""
        write_beside(self.folder / _SAVED, b"{}")

    def refused(self, err: DerivaMLException) -> None:
        """Tell the command that the input is wrong, and that nothing has been recorded."""
        document = {"message": str(err), "exit_code": err.exit_code}
        write_beside(self.folder / _REFUSED, json.dumps(document).encode())

    @property
    def execution(self) -> dict[str, Any] | None:
        """What the kernel told by `opened`; None where it opened none."""
        return _read(self.folder / _OPENED)

    @property
    def has_saved(self) -> bool:
        """What the kernel told by `saved`."""
        return (self.folder / _SAVED).exists()

    @property
    def refusal(self) -> str | None:
        """What the kernel told by `refused`."""
        document = _read(self.folder / _REFUSED)
        return document["message"] if document else None


def _read(file: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        document = json.loads(file.read_bytes())
        return document if isinstance(document, dict) else None
    return None


def _code_of(document: Mapping[str, Any]) -> CodeReference:
    root, dirty = document["git_root"], document["dirty_paths"]
    return CodeReference(**{**document, "git_root": Path(root) if root else None, "dirty_paths": tuple(dirty)})


def _place_document(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    sweep = place.sweep
    return {
        "sequence": place.sequence,
        "rid": place.rid,
        "parent": sweep.parent,
        "hostname": sweep.hostname,
        "catalog_id": sweep.catalog_id,
        "folder": str(sweep.folder),
        "launcher": asdict(sweep.launcher),
        "stop_on_failure": sweep.stop_on_failure,
    }


def _place_of(document: Mapping[str, Any] | None) -> Place | None:
    if document is None:
        return None
    sequence = int(document["sequence"])
    sweep = SweepFacts(
        document["parent"],
        document["hostname"],
        document["catalog_id"],
        Path(document["folder"]),
        Owner.from_json(document["launcher"]),
        stop_on_failure=document["stop_on_failure"],
        children={sequence: document["rid"]} if document["rid"] else {},
    )
    return Place(sweep, sequence)
