"""ExecutionConfiguration: what an execution is to use, as a value that outside data may fill."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deriva_ml_core.assets.specs import AssetSpec, LocalFile, as_input
from deriva_ml_core.datasets.specs import DatasetSpec, as_dataset_spec
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, DerivaMLValidationError
from deriva_ml_core.workflows.workflow import Workflow


class ExecutionConfiguration(BaseModel):
    """
    One execution, before it has a record.

    Args:
        datasets: specs, mappings, "RID" or "RID@version".
        assets: specs, RIDs, or mappings with `rid` or `path` (a local file).
        workflow: a Workflow, or the RID or URL of one that is in the catalog.
        description: Markdown.
        argv: the command that ran.
        config_choices: the chosen option of each Hydra group.

    Raises:
        DerivaMLValidationError: entries that are no datasets or assets; all of them in one message.
    """

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)

    datasets: list[DatasetSpec] = Field(default_factory=list)
    assets: list[AssetSpec | LocalFile] = Field(default_factory=list)
    workflow: Workflow | str | None = None
    description: str = ""
    argv: list[str] = Field(default_factory=lambda: list(sys.argv))
    config_choices: dict[str, str] = Field(default_factory=dict)

    @field_validator("datasets", mode="before")
    @classmethod
    def _read_datasets(cls, value: Any) -> list[DatasetSpec]:
        return _each(as_dataset_spec, value)

    @field_validator("assets", mode="before")
    @classmethod
    def _read_assets(cls, value: Any) -> list[AssetSpec | LocalFile]:
        return _each(as_input, value)

    @field_validator("workflow", mode="before")
    @classmethod
    def _read_workflow(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        # Files of the older generation call the workflow's row `rid`.
        known = {**value, "workflow_rid": value.get("workflow_rid") or value.get("rid")}
        return Workflow.model_validate({k: v for k, v in known.items() if k in Workflow.model_fields})

    @staticmethod
    def load_configuration(path: str | Path) -> ExecutionConfiguration:
        """
        Read a configuration that was recorded as JSON, of either generation.

        Raises:
            DerivaMLConfigurationError: the file can't be read as one.
        """
        try:
            return ExecutionConfiguration.model_validate_json(Path(path).read_bytes())
        except (OSError, ValueError) as err:
            reason = str(err).splitlines()[0]
            raise DerivaMLConfigurationError(f"{path} holds no execution configuration: {reason}") from err


def as_configuration(configuration: Any = None, **keywords: Any) -> ExecutionConfiguration:
    """
    A configuration from one, or from keywords (None: not given).

    Raises:
        TypeError: both are given.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    if configuration is None:
        return ExecutionConfiguration(**given)
    if mixed := sorted(set(given) - {"workflow"}):
        raise TypeError(f"give a configuration or keywords, not both ({', '.join(mixed)})")
    read: ExecutionConfiguration = ExecutionConfiguration.model_validate(configuration)
    return read.model_copy(update=given) if given else read


def _each(read: Callable[[Any], Any], value: Any) -> list[Any]:
    """Every entry as what it stands for; what is wrong with all of them in one message."""
    if value is None:
        return []
    entries = [value] if isinstance(value, str | Mapping) or not isinstance(value, Iterable) else list(value)
    found, problems = [], []
    for entry in entries:
        try:
            found.append(read(entry))
        except DerivaMLException as err:
            problems.append(str(err))
    if problems:
        raise DerivaMLValidationError("this configuration can't be used", problems)
    return found
