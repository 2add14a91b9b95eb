"""Execution: one run, from its record to its uploaded outputs, in the process that runs it."""

from __future__ import annotations

from deriva_ml_core.executions.execution_family import ExecutionFamily
from deriva_ml_core.executions.execution_inputs import ExecutionInputs
from deriva_ml_core.executions.execution_outputs import ExecutionOutputs
from deriva_ml_core.executions.execution_restarts import ExecutionRestarts


class Execution(ExecutionInputs, ExecutionOutputs, ExecutionFamily, ExecutionRestarts):
    """
    One execution that this process runs: make it with `DerivaML.create_execution`.

        with ml.create_execution(configuration) as execution:
            path = execution.asset_file_path("Execution_Asset", "weights.pt")
            ...
        execution.upload_execution_outputs()

    Leaving the block well stops it; leaving it by an exception records the exception and lets it pass.

    Args:
        configuration: what it uses.
        ml_object: the connection.
        workflow: instead of the configuration's.
        reload: RID of an execution whose process is gone: go on with it instead of making one.
        dry_run: check everything and bring the inputs; write nothing to the catalog.
        request: all of this and more, for callers inside deriva-ml.
    """
