"""What all commands share: exit codes, one-line errors, logging options, and which distribution this is."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, TypeVar

from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, is_refusal, nearest

EXIT_FAILED, EXIT_INPUT, EXIT_PENDING = 1, 2, 3
EXIT_INTERRUPTED = 128 + signal.SIGINT

SHELL_ASKS = "_ARGCOMPLETE"
"""The variable by which a shell, after a TAB, asks a command what could come next."""

_RUNNER = "deriva_ml_core.runner"
# Frames of these stand above the user's own code in a traceback and say nothing about it.
_MACHINERY = frozenset(
    {"hydra", "hydra_zen", "omegaconf", "pydantic", "urllib3", "deriva_ml_core", "deriva_ml", "deriva_ml_hydra_plugins"}
    | sys.stdlib_module_names
)


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser whose refusals are errors like all others: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving.

        Raises:
            DerivaMLConfigurationError: always.
        """
        raise DerivaMLConfigurationError(f"{message} (see {self.prog} --help)")

    def known_options(self) -> list[str]:
        """All option strings, for suggestions."""
        return list(self._option_string_actions)


Parser = TypeVar("Parser", bound=argparse.ArgumentParser)


def completed(parser: Parser) -> Parser:
    """The parser; where a shell asks what could come next (argcomplete), the answer, and the end of the process."""
    if SHELL_ASKS in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    return parser


class ShowVersion(argparse.Action):
    """`--version`: work out the text only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help or "say which deriva-ml this is, and where it lies")

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Print and leave."""
        print(version_text())
        raise SystemExit(0)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """`--version`, `-q/--quiet` and `--debug`, as every command has them."""
    parser.add_argument("--version", action=ShowVersion)
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
    loudness.add_argument("--debug", action="store_true", help="log every step; full tracebacks")


def configure_logging(*, quiet: bool = False, debug: bool = False) -> None:
    """Log to stderr; for commands that Hydra does not configure."""
    level = logging.CRITICAL if quiet else logging.DEBUG if debug else logging.INFO
    logging.basicConfig(
        level=level, format="%(name)s %(levelname)s: %(message)s" if debug else "%(levelname)s: %(message)s"
    )


def run_command(body: Callable[[], int | None], *, debug: bool = False) -> int:
    """Run a command and turn how it ends into an exit code.

    Errors of the user's are one line on stderr and their class's exit code; a failing model is its traceback and 1;
    Ctrl-C is 130. `SystemExit` passes, so that a model's `sys.exit(3)` is the command's.
    """
    _escape_what_stdout_lacks()
    try:
        return body() or 0
    except DerivaMLException as err:
        return _report(err, debug=debug)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `… | head`: the reader has gone, and Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as err:  # noqa: BLE001  the last door: the traceback is the message, whatever it was
        print_traceback(err, full=debug)
        return EXIT_FAILED


def _escape_what_stdout_lacks() -> None:
    """Print escapes, as stderr does, for what the terminal's character set lacks: no command may fail of it."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def run_parsed(
    make_parser: Callable[[], argparse.ArgumentParser],
    body: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None,
) -> int:
    """A whole command: its arguments, then what it does with them; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run_command(lambda: body(completed(make_parser()).parse_args(arguments)), debug="--debug" in arguments)


def _report(err: DerivaMLException, *, debug: bool) -> int:
    """Print a user's error; inside a model, the place in the model is part of the message."""
    if debug or _raised_in_model(err):
        print_traceback(err, full=debug)
    else:
        print(f"error: {' '.join(str(err).split())}", file=sys.stderr)
    wrong_input = err.exit_code == EXIT_INPUT
    return err.exit_code if not wrong_input or is_refusal(err) else EXIT_FAILED


def _raised_in_model(err: DerivaMLException) -> bool:
    """Whether the error came up through the user's model: frames of the user's below those of run_model."""
    if err.execution_rid is None:
        return False
    modules = [_module(frame) for frame, _ in traceback.walk_tb(err.__traceback__)]
    runner = max((at for at, module in enumerate(modules) if module == _RUNNER), default=len(modules))
    return any(not _is_machinery(module) for module in modules[runner:])


def print_traceback(err: BaseException, *, full: bool = False) -> None:
    """Print a traceback to stderr, beginning with the user's own frames where it has any."""
    trace = err.__traceback__ if full else _own_frames(err.__traceback__)
    traceback.print_exception(type(err), err, trace, file=sys.stderr)


def _own_frames(trace: TracebackType | None) -> TracebackType | None:
    own = trace
    while own is not None and _is_machinery(_module(own.tb_frame)):
        own = own.tb_next
    return own or trace


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_machinery(module: str) -> bool:
    return module.partition(".")[0] in _MACHINERY


def unknown_option(token: str, known: Sequence[str]) -> DerivaMLConfigurationError:
    """The error for an option that a command does not have; a dry run is asked for by an override."""
    name = token.partition("=")[0]
    hint = "; did you mean dry_run=true?" if name in ("--dry-run", "--dry_run", "--dryrun") else nearest(name, known)
    return DerivaMLConfigurationError(f"unknown option {token}{hint}")


def version_text() -> str:
    """Name, version and place of the installed distribution: another one on the registry has the same name."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        installed = distribution("deriva-ml")
        name, version, place = (
            installed.metadata["Name"],
            installed.version,
            _origin(installed.read_text("direct_url.json")),
        )
    except PackageNotFoundError:
        name, version, place = "deriva-ml", "(not installed)", None
    package = Path(__file__).resolve().parents[1].parent
    return f"{name} {version}\nfrom {place or package}\nrunning {package} on Python {sys.version.split()[0]}"


def _origin(direct_url: str | None) -> str | None:
    """Where pip or uv took a distribution from (PEP 610); None is a registry."""
    import json

    if not direct_url:
        return None
    origin = json.loads(direct_url)
    url = str(origin.get("url", "")).removeprefix("file://")
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return f"{url}@{commit}"
    return f"{url} (editable)" if origin.get("dir_info", {}).get("editable") else url
