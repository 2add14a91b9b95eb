"""What functions of ours do in an execution of their own, so that it is on record like anybody's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deriva_ml_core.connection.handle import DerivaML
    from deriva_ml_core.datasets.specs import DatasetSpec
    from deriva_ml_core.executions.execution import Execution

_TYPES = "Workflow_Type"


@dataclass(frozen=True, slots=True)
class OwnWork:
    """
    A kind of work.

    Args:
        name, description: of its workflow.
        workflow_type: of the workflow, unless the user gives another; a term that catalogs get where they lack it.
        meaning: what that term says.
    """

    name: str
    description: str
    workflow_type: str
    meaning: str

    def require_type(self, ml: DerivaML, workflow_type: str) -> None:
        """
        A type of the user's own must be a term already: a slip of the pen makes none.

        Raises:
            DerivaMLInvalidTerm: it is none.
        """
        if workflow_type != self.workflow_type:
            ml.lookup_term(_TYPES, workflow_type)

    def execution(
        self, ml: DerivaML, workflow_type: str, description: str, datasets: Sequence[DatasetSpec] = ()
    ) -> Execution:
        """A new execution for it."""
        from deriva_ml_core.executions.configuration import ExecutionConfiguration

        if workflow_type == self.workflow_type:
            ml.add_term(_TYPES, workflow_type, self.meaning)
        workflow = ml.create_workflow(self.name, workflow_type, self.description)
        return ml.create_execution(
            ExecutionConfiguration(workflow=workflow, datasets=list(datasets), description=description)
        )
