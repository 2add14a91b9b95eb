"""deriva-ml-run-notebook: run a notebook of a project, once or in a sweep, inside an execution."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deriva_ml_core.cli.main import SHELL_ASKS, ArgumentParser, add_common_options, run_command, unknown_option
from deriva_ml_core.cli.modes import (
    INFO_TOPICS,
    MENU,
    add_info_options,
    add_resume_options,
    check_modes,
    check_resume_options,
)
from deriva_ml_core.errors import DerivaMLConfigurationError

PROGRAM = "deriva-ml-run-notebook"
CFG_KINDS = ("job", "hydra", "all")
_NEEDED = ("papermill", "nbclient", "nbconvert", "ipykernel", "nbformat", "nbstripout")

_DESCRIPTION = """\
Run a notebook of this project and record the run, with the executed notebook,
in a Deriva catalog.

Overrides: GROUP=OPTION chooses an option, KEY=VALUE sets a value of the
notebook's configuration, +multirun=NAME runs a named sweep, dry_run=true runs
the notebook and writes nothing to the catalog. --inspect lists the notebook's
parameters, --info the groups and options of the project."""

_ALLOW_DIRTY_HELP = "taken from scripts of earlier releases: uncommitted changes are told and recorded, and stop no run"


@dataclass(frozen=True, slots=True)
class Arguments:
    """A parsed command line."""

    options: argparse.Namespace
    notebook: Path
    overrides: list[str]
    parameters: list[tuple[str, str]]


def build_parser() -> ArgumentParser:
    """The options of deriva-ml-run-notebook."""
    parser = ArgumentParser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        usage=f"{PROGRAM} NOTEBOOK [OPTION | OVERRIDE]...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--parameter", "-p", nargs=2, metavar=("KEY", "VALUE"), help="set a parameter of the notebook; VALUE is YAML"
    )
    parser.add_argument("--file", "-f", type=Path, metavar="FILE", help="parameters: JSON, YAML or TOML; -p wins")
    parser.add_argument("--host", help="the Deriva server, or local for the embedded catalog")
    parser.add_argument("--catalog", metavar="ID", help="the catalog's number, alias or name")
    parser.add_argument("--kernel", "-k", metavar="NAME", help="another kernel than this very environment")
    parser.add_argument("--inspect", action="store_true", help="list the notebook's parameters, run nothing")
    add_info_options(parser, "--info")
    parser.add_argument("--json", action="store_true", help="with --info and --inspect: print JSON")
    parser.add_argument(
        "--cfg", nargs="?", const="job", choices=CFG_KINDS, help="print the composed configuration, run nothing"
    )
    parser.add_argument("--multirun", "-m", action="store_true", help="run a sweep: KEY=A,B,C gives a job for each")
    add_resume_options(parser)
    parser.add_argument("--output", "-o", type=Path, metavar="PATH", help="keep the executed notebook here, too")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for each cell; without it there is none")
    parser.add_argument("--log-output", action="store_true", help="show what the cells print while they run")
    parser.add_argument("--allow-dirty", action="store_true", help=_ALLOW_DIRTY_HELP)
    add_common_options(parser)
    return parser


def parse(argv: Sequence[str]) -> Arguments:
    """
    Separate options, the notebook and overrides, in any order.

    Raises:
        DerivaMLConfigurationError: an unknown option, no notebook, options that exclude each other.
    """
    parser = build_parser()
    if SHELL_ASKS in os.environ:
        _answer_shell(parser)
    tokens, parameters = _take_parameters(list(argv))
    options, rest = parser.parse_known_args(_protect_optional(tokens))
    for token in rest:
        if token.startswith("-"):
            raise unknown_option(token, parser.known_options())
    if not rest:
        raise DerivaMLConfigurationError(f"name a notebook: {PROGRAM} NOTEBOOK [OPTION | OVERRIDE]...")
    notebook = next((token for token in rest if token.endswith(".ipynb") and "=" not in token), rest[0])
    overrides = list(rest)
    overrides.remove(notebook)
    _check(options, parameters)
    return Arguments(options, Path(notebook), overrides, parameters)


def _answer_shell(parser: ArgumentParser) -> None:
    """A notebook comes first, then overrides of its configuration."""
    from argcomplete.completers import FilesCompleter

    from deriva_ml_core.cli.completing import answer_with_overrides
    from deriva_ml_notebook.planning import make_plan

    parser.add_argument("notebook").completer = FilesCompleter(("ipynb",))  # type: ignore[attr-defined]  # argcomplete's
    answer_with_overrides(parser, lambda typed: make_plan(Path(typed.notebook), []).application)


def _take_parameters(tokens: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Take out `-p KEY VALUE`, whatever VALUE looks like: argparse takes -1e-3 for an option."""
    left: list[str] = []
    parameters = []
    while tokens:
        token = tokens.pop(0)
        if token not in ("-p", "--parameter"):
            left.append(token)
            continue
        if len(tokens) < 2 or "=" in tokens[0]:
            shown = " ".join([token, *tokens[:1]])
            raise DerivaMLConfigurationError(f"{shown}: a parameter is a name and a value: {token} KEY VALUE")
        parameters.append((tokens.pop(0), tokens.pop(0)))
    return left, parameters


def _protect_optional(tokens: Sequence[str]) -> list[str]:
    """Keep `--info notebook.ipynb` and `--cfg assets=x` from reading what follows as their own value."""
    defaults = {"--info": (INFO_TOPICS, MENU), "--cfg": (CFG_KINDS, "job")}
    out = []
    for token, following in zip(tokens, [*tokens, ""][1:], strict=True):
        values, default = defaults.get(token, ((), ""))
        out.append(f"{token}={default}" if values and _is_other(following, values) else token)
    return out


def _is_other(token: str, values: Sequence[str]) -> bool:
    """Whether a token is no value but something else; a misspelt value is none of these, and is refused as one."""
    return token not in values and (not token or "=" in token or token.startswith(("-", "~", "+")) or "." in token)


def _check(options: argparse.Namespace, parameters: Sequence[tuple[str, str]]) -> None:
    modes = {"--inspect": options.inspect, "--info": options.info, "--cfg": options.cfg, "--multirun": options.multirun}
    check_modes(options.info, modes | {"--resume": options.resume})
    check_resume_options(options)
    if options.json and not options.inspect and options.info != MENU:
        raise DerivaMLConfigurationError("--json only goes with --inspect and with --info without a topic")
    if options.resume and (options.file or parameters):
        named = f"-p {parameters[0][0]}" if parameters else f"--file {options.file}"
        raise DerivaMLConfigurationError(f"--resume runs what was recorded, so {named} can't be set")
    if options.timeout is not None and not 0 < options.timeout < math.inf:
        raise DerivaMLConfigurationError(f"--timeout {options.timeout:g}: give a number of seconds above 0")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code (0 done, 1 failed, 2 wrong input, 3 outputs not uploaded)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: _dispatch(parse(arguments)), debug="--debug" in arguments)


def _dispatch(arguments: Arguments) -> int:
    """Late imports: `--help` and `--version` need neither Hydra nor Jupyter."""
    require_extra()
    from deriva_ml_notebook.cli import performing

    return performing.perform(arguments)


def require_extra() -> None:
    """
    Refuse to go on without the libraries of the extra `notebook`.

    Raises:
        DerivaMLConfigurationError: some are missing.
    """
    from importlib.util import find_spec

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise DerivaMLConfigurationError(
            f"notebooks need {', '.join(missing)}: install deriva-ml with its extra, `uv add 'deriva-ml[notebook]'`"
        )


if __name__ == "__main__":
    sys.exit(main())
