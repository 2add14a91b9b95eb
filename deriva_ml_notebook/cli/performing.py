"""What deriva-ml-run-notebook does once its command line is parsed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli.main import configure_logging
from deriva_ml_core.cli.running import PLAIN_WIDTH, connection_overrides, show_menu
from deriva_ml_core.config.menu import build_menu
from deriva_ml_core.errors import DerivaMLConfigurationError
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.signals import termination_raises
from deriva_ml_notebook.documents import read_notebook, require_python
from deriva_ml_notebook.parameters import chosen_parameters, declared_parameters, read_file

if TYPE_CHECKING:
    from deriva_ml_notebook.cli.run_notebook import Arguments
    from deriva_ml_notebook.planning import Plan
    from deriva_ml_notebook.running import NotebookRun

_PLACES = ("host", "catalog")


def perform(arguments: Arguments) -> int:
    """Show something, or run."""
    options = arguments.options
    if options.inspect:
        return _inspect(arguments)
    if options.resume:
        from deriva_ml_notebook.cli.resuming import resume

        return resume(arguments)
    from deriva_ml_notebook.planning import intent_of, make_plan

    plan = make_plan(arguments.notebook, [*connection_overrides(options), *arguments.overrides])
    if options.info or options.cfg:
        return _show(plan, arguments)
    sweeps = options.multirun or plan.checked.multirun is not None
    run = run_of(plan, arguments)
    configure_logging(quiet=options.quiet, debug=options.debug)
    with termination_raises(), reporting.quietly(options.quiet):
        if sweeps:
            from deriva_ml_notebook.job import sweep

            sweep(plan, run, quiet=options.quiet)
        else:
            from deriva_ml_notebook.running import run_once

            run_once(run, intent_of(plan))
    return 0


def run_of(plan: Plan, arguments: Arguments, recorded: Mapping[str, Any] | None = None) -> NotebookRun:
    """
    The run, its parameters checked and its kernel found.

    Args:
        recorded: `NotebookRun.recorded` of the sweep that is resumed, which the command line adds to.

    Raises:
        DerivaMLConfigurationError: a parameter, the kernel or the place of the output is wrong.
    """
    from deriva_ml_notebook.kernels import named_kernel
    from deriva_ml_notebook.running import NotebookRun

    options, known = arguments.options, recorded or {}
    kernel = options.kernel or known.get("kernel")
    if kernel is not None:
        named_kernel(kernel)
    output = options.output.expanduser().absolute() if options.output else None
    if output is not None:
        _check_output(output, plan)
    return NotebookRun(
        plan.notebook,
        known["parameters"] if "parameters" in known else _parameters(plan, arguments),
        kernel=kernel,
        output=output,
        timeout_s=options.timeout or known.get("timeout_s"),
        log_output=options.log_output,
        allow_dirty=options.allow_dirty,
    )


def _parameters(plan: Plan, arguments: Arguments) -> dict[str, Any]:
    options = arguments.options
    from_file = read_file(options.file) if options.file else {}
    chosen = chosen_parameters(plan.notebook, plan.document, from_file, arguments.parameters)
    declared = declared_parameters(plan.document) or {}
    return chosen | {name: getattr(options, name) for name in _PLACES if getattr(options, name) and name in declared}


def _check_output(output: Any, plan: Plan) -> None:
    if output.suffix != ".ipynb":
        raise DerivaMLConfigurationError(f"--output {output}: name a file that ends in .ipynb")
    if output.exists() and output.samefile(plan.notebook):
        raise DerivaMLConfigurationError(f"--output {output} is the notebook itself, which is never written to")
    if not output.parent.is_dir():
        raise DerivaMLConfigurationError(f"--output {output}: there is no folder {output.parent}")


# --- what there is --------------------------------------------------------------------------------------------------


def _inspect(arguments: Arguments) -> int:
    """A table of the notebook's parameters."""
    notebook = arguments.notebook.expanduser().absolute()
    document = read_notebook(notebook)
    require_python(notebook, document)
    declared = declared_parameters(document)
    if arguments.options.json:
        shown = [
            {"name": p.name, "type": p.type, "default": p.default, "help": p.help} for p in (declared or {}).values()
        ]
        print(json.dumps(shown, indent=2))
        return 0
    if not declared:
        why = "no cell has the tag 'parameters'" if declared is None else "its cell tagged 'parameters' sets none"
        print(f"{arguments.notebook} takes no parameters: {why}")
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Parameter", "Type", "Default", "Help"):
        table.add_column(name, overflow="fold")
    for one in declared.values():
        table.add_row(*(Text(text) for text in (one.name, one.type, one.default, one.help)))
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 0) or PLAIN_WIDTH
    Console(width=width).print(table)
    return 0


def _show(plan: Plan, arguments: Arguments) -> int:
    """The menu, Hydra's own facts, or the composed configuration; no kernel, no catalog."""
    from deriva_ml_core.cli.modes import MENU

    options = arguments.options
    with plan.application as application:
        if options.cfg:
            application.show(plan.overrides, options.cfg, package=None, resolve=False)
        elif options.info != MENU:
            application.info(plan.overrides, options.info)
        else:
            if plan.overrides:
                application.compose(plan.overrides, sweep=True)
            command = f"{os.path.basename(sys.argv[0])} {arguments.notebook}"  # noqa: PTH119  # a word, not a path
            menu = build_menu(plan.config_name, command=command, choices=application.choices or None)
            show_menu(menu, as_json=options.json)
    return 0
