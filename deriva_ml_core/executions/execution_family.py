"""The parents and children of an execution."""

from __future__ import annotations

from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.execution_life import ExecutionLife
from deriva_ml_core.executions.record import ExecutionRecord


class ExecutionFamily(ExecutionLife):
    """The parents and children of an execution."""

    def add_nested_execution(
        self, nested_execution: ExecutionLife | ExecutionRecord | str, sequence: int | None = None
    ) -> None:
        """Make another execution a child of this one."""
        self._require_record("have children")
        child = nested_execution if isinstance(nested_execution, str) else nested_execution.execution_rid
        nesting.link_nested(self._session, self.execution_rid, child, sequence)

    def list_nested_executions(self, recurse: bool = False, _visited: object = None) -> list[ExecutionRecord]:
        """Its children in the order of their numbers; with `recurse`, theirs too."""
        return self.execution_record.list_nested_executions(recurse)

    def list_parent_executions(self, recurse: bool = False, _visited: object = None) -> list[ExecutionRecord]:
        """The executions that it is a child of; with `recurse`, theirs too."""
        return self.execution_record.list_parent_executions(recurse)

    list_execution_children, list_execution_parents = list_nested_executions, list_parent_executions

    def is_nested(self) -> bool:
        """Whether it is a child of another."""
        return not self.is_dry_run and self.execution_record.is_nested()

    def is_parent(self) -> bool:
        """Whether it has children."""
        return not self.is_dry_run and self.execution_record.is_parent()
