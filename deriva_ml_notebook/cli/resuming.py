"""`deriva-ml-run-notebook NOTEBOOK --resume RID`: what is left of a notebook's sweep, as it was configured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.main import configure_logging
from deriva_ml_core.cli.resuming import connected, hydra_overrides, split_overrides, what_is_left
from deriva_ml_core.cli.running import connection_overrides
from deriva_ml_core.errors import DerivaMLValidationError
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.redaction import REDACTED
from deriva_ml_core.executions.signals import termination_raises
from deriva_ml_notebook.cli.performing import run_of
from deriva_ml_notebook.job import recorded_path, sweep_again
from deriva_ml_notebook.planning import make_plan

if TYPE_CHECKING:
    from deriva_ml_notebook.cli.run_notebook import Arguments


def resume(arguments: Arguments) -> int:
    """
    Run the jobs that are left; the command's exit code.

    Raises:
        DerivaMLConfigurationError: an override of what a job does: that is as it was recorded.
        DerivaMLException: the sweep can't be resumed; see executions.resuming.
    """
    options = arguments.options
    where, hydra = split_overrides(arguments.overrides)
    plan = make_plan(arguments.notebook, [*connection_overrides(options), *where])
    with connected(plan.application, plan.overrides) as ml:
        resumption = what_is_left(ml, options, notebook=recorded_path(plan.notebook))
    if not resumption.left:
        return 0
    _require_parameters(resumption.parent, resumption.subject)
    run = run_of(plan, arguments, resumption.subject)
    configure_logging(quiet=options.quiet, debug=options.debug)
    with termination_raises(), reporting.quietly(options.quiet):
        sweep_again(plan, run, resumption, hydra_overrides(resumption, hydra), quiet=options.quiet)
    return 0


def _require_parameters(parent: str, recorded: Mapping[str, Any]) -> None:
    """
    Refuse to run a notebook with a parameter that nobody knows any more.

    Raises:
        DerivaMLValidationError: one was a secret, which is not recorded.
    """
    parameters = recorded.get("parameters") or {}
    hidden = [name for name, value in parameters.items() if REDACTED in json.dumps(value)]
    if hidden:
        raise DerivaMLValidationError(
            f"the parameter {hidden[0]} of sweep {parent} was a secret, which is not recorded: run the sweep anew"
        )
