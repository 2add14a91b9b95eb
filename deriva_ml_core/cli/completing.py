"""What a shell offers where an override could stand: what Hydra knows of the project, and its named sweeps, ours."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO

from deriva_ml_core.cli.main import completed
from deriva_ml_core.config.application import Application
from deriva_ml_core.config.multiruns import get_all_multirun_configs
from deriva_ml_core.errors import DerivaMLException


def answer_with_overrides(
    parser: argparse.ArgumentParser, open_application: Callable[[argparse.Namespace], Application]
) -> None:
    """Answer the shell that asks, overrides of the project too, and end the process."""

    def offers(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
        try:
            application = open_application(parsed_args)
        except DerivaMLException:  # whoever types a line wants no message in the middle of it
            return []
        return _offers(application, parsed_args.overrides, prefix)

    overrides = parser.add_argument("overrides", nargs="*")
    overrides.completer = offers  # type: ignore[attr-defined]  # argcomplete's own way of being told
    completed(parser)


def _offers(application: Application, overrides: Sequence[str], prefix: str) -> list[str]:
    """Every override that begins so; the keys below a key that is the only one, at once."""
    with application:
        found = _hydra_offers(application, overrides, prefix)
        while len(found) == 1 and found[0].endswith("."):
            found = _hydra_offers(application, overrides, found[0])
    sweeps = [f"+multirun={name}" for name in get_all_multirun_configs()]
    return [*found, *(one for one in sweeps if one.startswith(prefix))]


def _hydra_offers(application: Application, overrides: Sequence[str], prefix: str) -> list[str]:
    """As Hydra's own completion answers a bash: from the line in the environment, on stdout."""
    line = " ".join(["deriva-ml-run", *overrides, prefix])
    os.environ.update(COMP_LINE=line)  # argcomplete has read the shell's; the process ends with the answer
    with redirect_stdout(StringIO()) as answer:
        application.shell_completion(["query=bash"])
    return answer.getvalue().split()
