"""Experiments: executions together with the configuration that Hydra composed for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.analysis.facts import Facts, Kind, read_facts
from deriva_ml_core.executions.record import ExecutionRecord, find_executions, lookup_execution

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.executions.asset import Asset
    from deriva_ml_core.executions.states import Status

_AT_ONCE = 100
_RECORDED: tuple[Kind, ...] = ("configuration", "hydra")


@dataclass(frozen=True, slots=True)
class Experiment:
    """
    One execution and how it was configured.

    Args:
        execution: its record.
        config_choices: Hydra's groups and the option chosen of each; empty where it did not run under Hydra.
        model_config: the values of the model's configuration, nested names joined by dots.
    """

    execution: ExecutionRecord
    config_choices: dict[str, str]
    model_config: dict[str, Any]

    @property
    def execution_rid(self) -> str:
        """RID of the execution."""
        return self.execution.execution_rid

    @property
    def name(self) -> str:
        """The experiment that was chosen; else the model's option; else the execution's RID."""
        return self.config_choices.get("experiment") or self.config_choices.get("model_config") or self.execution_rid

    @property
    def status(self) -> Status:
        """The execution's status when it was read."""
        return self.execution.status

    @property
    def description(self) -> str | None:
        """The execution's description, Markdown."""
        return self.execution.description

    @property
    def input_datasets(self) -> list[Dataset]:
        """The datasets that it used; asked for now."""
        return self.execution.list_input_datasets()

    @property
    def input_assets(self) -> list[Asset]:
        """The assets that it used; asked for now."""
        return self.execution.list_assets("Input")

    @property
    def output_assets(self) -> list[Asset]:
        """The assets that it made, its metadata files among them; asked for now."""
        return self.execution.list_assets("Output")

    def summary(self) -> dict[str, Any]:
        """What a table of experiments shows; nothing more is asked for."""
        return {
            "name": self.name,
            "execution_rid": self.execution_rid,
            "status": self.status.value,
            "description": self.description,
            "config_choices": dict(self.config_choices),
            "model_config": dict(self.model_config),
        }


def lookup_experiment(session: CatalogSession, cache_dir: Path, execution_rid: str) -> Experiment:
    """
    The experiment of an execution.

    Raises:
        DerivaMLExecutionNotFound: there is no execution of this RID.
    """
    record = lookup_execution(session, execution_rid)
    facts = read_facts(session, cache_dir, [record.execution_rid], _RECORDED)
    return _experiment(record, facts[record.execution_rid])


def find_experiments(
    session: CatalogSession, cache_dir: Path, *, workflow_rid: str | None = None, status: Status | str | None = None
) -> Iterator[Experiment]:
    """The executions that ran under Hydra, the newest first; their recorded configurations are read in bulk."""
    executions = find_executions(session, workflow=workflow_rid, status=status)
    while records := list(islice(executions, _AT_ONCE)):
        facts = read_facts(session, cache_dir, [record.execution_rid for record in records], _RECORDED)
        found = (_experiment(record, facts[record.execution_rid]) for record in records)
        yield from (one for one in found if one.config_choices or one.model_config)


def _experiment(record: ExecutionRecord, facts: Facts) -> Experiment:
    return Experiment(record, facts.choices, facts.parameters)
