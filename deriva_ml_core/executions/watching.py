"""Following a sweep whose launching process has gone, until its last job has ended and its record is complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deriva_ml_core.errors import DerivaMLExecutionError
from deriva_ml_core.executions.fate import fate_of
from deriva_ml_core.executions.journal import executions_folder, read_entry
from deriva_ml_core.executions.record import lookup_execution
from deriva_ml_core.executions.recovery import Reopening, recover_one
from deriva_ml_core.executions.states import Status
from deriva_ml_core.executions.sweep_end import Child, children_of

LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """How a sweep stands: its parent's state, the children that have changed since the look before, and all."""

    rid: str
    status: Status
    detail: str | None
    changed: list[Child]
    children: list[Child]


def watch(ml: Reopening, rid: str, wait: Callable[[float], None] = time.sleep) -> Iterator[Look]:
    """
    Look at a sweep again and again, until its parent has ended; each look ends what is surely dead.

    Args:
        wait: between two looks, for so many seconds.

    Raises:
        DerivaMLExecutionNotFound: no such execution.
        DerivaMLExecutionError: it is of another working folder, and so nobody here can tell what became of its jobs.
    """
    record = lookup_execution(ml.session, rid)
    rid = record.execution_rid
    folder = executions_folder(ml.working_dir) / rid
    before: dict[str, Child] = {}
    while True:
        entry = read_entry(folder)
        ours = not entry.damaged
        if ours and fate_of(entry.owner).dead:
            for _ in recover_one(ml, folder):
                pass
        record = lookup_execution(ml.session, rid)
        children = children_of(ml.session, rid)
        changed = [child for child in children if before.get(child.rid) != child]
        yield Look(rid, record.status, record.status_detail, changed, children)
        if record.status.is_final or record.status is Status.pending_upload:
            return
        if not ours:
            raise DerivaMLExecutionError(f"{ml.working_dir} does not know execution {rid}: watch it where it was run")
        before = {child.rid: child for child in children}
        wait(LOOK_EVERY_S)
