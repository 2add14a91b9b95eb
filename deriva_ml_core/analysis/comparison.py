"""What differs between executions, and what they measured: `deriva-ml-executions compare`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.analysis.facts import Facts, flatten, read_facts
from deriva_ml_core.analysis.links import asset_links, datasets_used
from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import DerivaMLExecutionNotFound, DerivaMLValidationError
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.environment import allowed_variables
from deriva_ml_core.executions.listing import summary, workflow_rows
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

Values = dict[str, Any]
"""What one execution says under each name."""

SECTIONS = ("configuration", "code", "inputs", "environment")
# What differs between any two runs, or says by another name what is compared already: folders, numbers of processes and
# jobs, nodes. Patterns of names.
_NOISE = (
    "execution",
    "code.*",
    "project.*",
    "sources.*",
    "sys_path",
    "site.*",
    "sys.argv",
    "sys.executable",
    "sys.version_info",
    "platform.node",
    "platform.platform",
    "platform.version",
    "scheduler.*job_id",
    "scheduler.job_name",
    "scheduler.array_task_id",
    "scheduler.node",
    "scheduler.output",
    "scheduler.restarts",
    "os.cwd",
    "os.*id",
    "os.groups",
    "os.login",
    "os.umask",
    "os.environ.*PATH",
    "os.environ.*PREFIX",
    "os.environ.*_ENV",
    "os.environ.*_VISIBLE_DEVICES",
    "os.environ.DERIVA_*",
    "os.environ.LSB_*",
    "os.environ.PBS_*",
    "os.environ.SGE_*",
    "os.environ.SLURM_*",
)
# What scikit-learn sets as it is imported: of jobs that share a process the first has not imported it yet when its
# environment is recorded. Another value is somebody's own.
_SET_BY_AN_IMPORT = {"os.environ.KMP_DUPLICATE_LIB_OK": "True", "os.environ.KMP_INIT_AT_FORK": "FALSE"}


@dataclass(frozen=True, slots=True)
class Compared:
    """
    One execution as it is compared.

    Args:
        sections: of SECTIONS, to names, to values.
        sequence: its number among its parent's children, where it was named by the parent.
    """

    record: ExecutionRecord
    summary: dict[str, Any]
    sections: Mapping[str, Values]
    facts: Facts
    sequence: int | None = None

    @property
    def rid(self) -> str:
        """Its RID."""
        return self.record.execution_rid


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    Executions side by side.

    Args:
        differences: section -> name -> RID -> value, only of names whose values are not the same for all; None is
            what an execution does not say.
        same: how many names each section has that are the same for all.
        metrics: name -> RID -> final value.
    """

    executions: Sequence[Compared]
    differences: Mapping[str, Mapping[str, Values]]
    same: Mapping[str, int]
    metrics: Mapping[str, Values]

    def document(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            "executions": [{**one.summary, "sequence": one.sequence} for one in self.executions],
            "differences": self.differences,
            "same": self.same,
            "metrics": {
                name: {rid: _plain(value) for rid, value in values.items()} for name, values in self.metrics.items()
            },
        }


def compare(session: CatalogSession, cache_dir: Path, named: Sequence[str]) -> Comparison:
    """
    Compare executions; of a single one that is named, its children.

    Raises:
        DerivaMLExecutionNotFound: a RID is no execution's.
        DerivaMLValidationError: there is nothing to compare it with.
    """
    return side_by_side(read_executions(session, cache_dir, executions_named(session, named)))


def executions_named(session: CatalogSession, named: Sequence[str]) -> dict[str, int | None]:
    """
    The executions to compare, each with its number where it is a child that its parent stands for.

    Raises:
        DerivaMLValidationError: one execution that has no children.
    """
    wanted = list(dict.fromkeys(rows.normal_rid(rid) for rid in named))
    if len(wanted) > 1:
        return dict.fromkeys(wanted)
    rid = lookup_execution(session, wanted[0]).execution_rid
    children = {link.child: link.sequence for link in nesting.neighbours(session, [rid], "children")}
    if not children:
        raise DerivaMLValidationError(f"execution {rid} has no children: name another one to compare it with")
    return children


def read_executions(session: CatalogSession, cache_dir: Path, wanted: Mapping[str, int | None]) -> list[Compared]:
    """
    All that is compared of executions, in about a dozen requests however many there are, and their files.

    Raises:
        DerivaMLExecutionNotFound: a RID is no execution's.
    """
    found = rows.select_by_rids(session, session.model.ml_table("Execution"), wanted)
    for rid in wanted:
        if rid not in found:
            lookup_execution(session, rid)  # says what it is instead
            raise DerivaMLExecutionNotFound(f"execution {rid} has just gone")
    records = [ExecutionRecord.from_row(session, found[rid]) for rid in wanted]
    workflows = workflow_rows(session, {one.workflow_rid for one in records if one.workflow_rid})
    facts = read_facts(session, cache_dir, wanted, ("configuration", "hydra", "environment", "metrics"))
    inputs = _inputs(session, wanted)
    return [
        Compared(
            record,
            summary(record, workflows),
            _sections(facts[record.execution_rid], workflows.get(record.workflow_rid or "", {}), inputs),
            facts[record.execution_rid],
            wanted[record.execution_rid],
        )
        for record, inputs in ((one, inputs.get(one.execution_rid, {})) for one in records)
    ]


def side_by_side(executions: Sequence[Compared]) -> Comparison:
    """What differs between executions that have been read."""
    differences: dict[str, dict[str, Values]] = {}
    same: dict[str, int] = {}
    for section in SECTIONS:
        values = _by_name((one.rid, one.sections[section]) for one in executions)
        differing = {name: per for name, per in values.items() if not _all_alike(per.values())}
        differences[section] = differing
        same[section] = len(values) - len(differing)
    metrics = _by_name((one.rid, one.facts.metrics.final) for one in executions)
    return Comparison(executions, differences, same, metrics)


def _by_name(sayings: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Values]:
    """Name -> RID -> value, None where an execution does not say it."""
    said = list(sayings)
    names = dict.fromkeys(name for _, values in said for name in values)
    return {name: {rid: values.get(name) for rid, values in said} for name in names}


def _all_alike(values: Iterable[Any]) -> bool:
    first, *rest = values
    return all(one == first for one in rest)


# --- sections ---------------------------------------------------------------------------------------------------------


def _sections(facts: Facts, workflow: Mapping[str, Any], inputs: Values) -> dict[str, Values]:
    return {
        "configuration": dict(_configuration(facts)),
        "code": _code(facts, workflow),
        "inputs": inputs,
        "environment": dict(_environment(facts.environment)),
    }


def _configuration(facts: Facts) -> Iterator[tuple[str, Any]]:
    yield from ((f"{group} (choice)", option) for group, option in facts.choices.items())
    yield from facts.parameters.items()


def _code(facts: Facts, workflow: Mapping[str, Any]) -> Values:
    code = facts.environment.get("code") or {}
    dirty = code.get("dirty_paths") or []
    said = {
        "workflow": workflow.get("Name"),
        "url": code.get("url") or workflow.get("URL"),
        "version": code.get("version") or workflow.get("Version"),
        "commit": code.get("commit"),
        "file checksum": code.get("checksum") or workflow.get("Checksum"),
        "uncommitted changes": ", ".join(dirty) or None,
    }
    project = facts.environment.get("project") or {}
    said |= {"project commit": project.get("commit"), "project version": project.get("version")}
    return {name: value for name, value in said.items() if value is not None}


def _environment(snapshot: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in flatten(snapshot):
        if not _is_noise(name) and not (name in _SET_BY_AN_IMPORT and _SET_BY_AN_IMPORT[name] == value):
            yield _told(name, value)


@cache
def _is_noise(name: str) -> bool:
    variable = name.removeprefix("os.environ.")
    if variable != name and not allowed_variables({variable: ""}):  # other releases have recorded them all
        return True
    return any(fnmatchcase(name, pattern) for pattern in _NOISE)


def _told(name: str, value: Any) -> tuple[str, Any]:
    """In a reader's words. A machine's memory is a little different after each boot."""
    if name == "platform.memory_bytes":
        return "memory (GiB)", round(value / 2**30) if isinstance(value, int) else value
    for prefix, word in (("imports.", "package "), ("os.environ.", "variable ")):
        if name.startswith(prefix):
            return word + name.removeprefix(prefix), value
    return name, value


def _inputs(session: CatalogSession, executions: Iterable[str]) -> dict[str, Values]:
    rids = list(executions)
    found: dict[str, Values] = {rid: {} for rid in rids}
    for dataset in datasets_used(session, executions=rids):
        found[dataset.execution][f"dataset {dataset.rid}"] = dataset.version or "used"
    for asset in asset_links(session, executions=rids, role="Input"):
        found[asset.execution][f"{asset.table.partition(':')[2]} {asset.rid}"] = asset.name
    return found


def _plain(value: Any) -> Any:
    """JSON has no word for what is no number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
