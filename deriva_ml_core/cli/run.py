"""deriva-ml-run: compose a project's configuration and run its model, once or in a sweep, inside an execution."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from deriva_ml_core.cli.main import SHELL_ASKS, ArgumentParser, add_common_options, run_command, unknown_option
from deriva_ml_core.cli.modes import MENU, add_info_options, add_resume_options, check_modes, check_resume_options
from deriva_ml_core.errors import DerivaMLConfigurationError

PROGRAM = "deriva-ml-run"

_DESCRIPTION = """\
Run a model of this project and record the run in a Deriva catalog.

Overrides: GROUP=OPTION chooses an option, GROUP.KEY=VALUE sets a value,
+experiment=NAME runs an experiment, +multirun=NAME a named sweep, dry_run=true
checks everything and writes nothing.
--info lists the groups and options that the project has."""

_ALLOW_DIRTY_HELP = "taken from scripts of earlier releases: uncommitted changes are told and recorded, and stop no run"


@dataclass(frozen=True, slots=True)
class Arguments:
    """A parsed command line: our options, and the overrides that are left, in their order."""

    options: argparse.Namespace
    overrides: list[str]


def build_parser() -> ArgumentParser:
    """The options of deriva-ml-run: its own and Hydra's."""
    parser = ArgumentParser(
        prog=PROGRAM,
        description=_DESCRIPTION,
        usage=f"{PROGRAM} [OPTION | OVERRIDE]...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", help="the Deriva server, or local for the embedded catalog")
    parser.add_argument("--catalog", metavar="ID", help="the catalog's number, alias or name")
    parser.add_argument("--config-dir", "-c", default="src/configs", metavar="DIR", help="folder of the configuration")
    parser.add_argument("--config-name", "-cn", default="deriva_model", metavar="NAME", help="top-level configuration")
    parser.add_argument("--multirun", "-m", action="store_true", help="run a sweep: KEY=A,B,C gives a job for each")
    add_resume_options(parser)
    parser.add_argument("--allow-dirty", action="store_true", help=_ALLOW_DIRTY_HELP)
    add_info_options(parser, "--info", "-i")
    parser.add_argument(
        "--plugins", action="store_true", help="list plugins: name, distribution, version, status, hooks"
    )
    parser.add_argument("--json", action="store_true", help="with --info and --plugins: print JSON")
    add_common_options(parser)
    _add_hydra_options(parser.add_argument_group("Hydra's own options"))
    return parser


def _add_hydra_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cfg", choices=("job", "hydra", "all"), help="print the composed configuration, run nothing")
    group.add_argument("--resolve", action="store_true", help="with --cfg: resolve interpolations first")
    group.add_argument("--package", "-p", help="with --cfg: only this part")
    group.add_argument("--run", "-r", action="store_true", help="run once (what happens without any option)")
    group.add_argument("--config-path", "-cp", metavar="DIR", help="folder with YAML configurations of the project")
    group.add_argument("--hydra-help", action="store_true", help="Hydra's help")
    group.add_argument("--shell-completion", "-sc", action="store_true", help="install=SHELL, uninstall=SHELL")


def parse(argv: Sequence[str]) -> Arguments:
    """Separate options from overrides, in any order.

    Raises:
        DerivaMLConfigurationError: an option that there is not, or options that exclude each other.
    """
    parser = build_parser()
    if SHELL_ASKS in os.environ:
        from deriva_ml_core.cli import completing, running

        completing.answer_with_overrides(parser, lambda typed: running.open_project(typed, []).application)
    options, rest = parser.parse_known_args(_protect_info(argv))
    for token in rest:
        if token.startswith("-"):
            raise unknown_option(token, parser.known_options())
    _check_options(options)
    return Arguments(options, rest)


def _protect_info(argv: Sequence[str]) -> list[str]:
    """Keep `--info model_config=quick` from reading the override as a topic."""
    out = []
    for token, following in zip_longest(argv, argv[1:], fillvalue=""):
        takes_next = following and "=" not in following and not following.startswith(("-", "~", "+"))
        out.append(f"--info={MENU}" if token in ("--info", "-i") and not takes_next else token)
    return out


def _check_options(options: argparse.Namespace) -> None:
    modes = {"--run": options.run, "--multirun": options.multirun, "--cfg": options.cfg, "--info": options.info}
    modes |= {"--shell-completion": options.shell_completion, "--resume": options.resume, "--plugins": options.plugins}
    check_modes(options.info, modes)
    check_resume_options(options)
    if options.resolve and not options.cfg:
        raise DerivaMLConfigurationError("--resolve only goes with --cfg")
    if options.json and not options.plugins and options.info != MENU:
        raise DerivaMLConfigurationError("--json only goes with --plugins and with --info without a topic")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code (0 done, 1 failed, 2 wrong input, 3 outputs not uploaded)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: _dispatch(parse(arguments)), debug="--debug" in arguments)


def _dispatch(arguments: Arguments) -> int:
    """Late imports: `--help` and `--version` need none of Hydra."""
    from deriva_ml_core.cli import running

    options = arguments.options
    if options.hydra_help:
        return running.hydra_help(options)
    if options.resume:
        from deriva_ml_core.cli.resuming import resume

        return resume(options, arguments.overrides)
    if options.plugins:
        from deriva_ml_core.cli.plugins import list_plugins

        return list_plugins(options, arguments.overrides)
    project = running.open_project(options, arguments.overrides)
    if options.info == MENU:
        return running.print_menu(project, program_name(), as_json=options.json)
    return running.perform(project, options)


def program_name() -> str:
    """How the user called the command, for usage lines."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else PROGRAM


if __name__ == "__main__":
    sys.exit(main())
