"""`--resume`: what is left of a sweep, as it was configured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli import running
from deriva_ml_core.errors import DerivaMLConfigurationError

if TYPE_CHECKING:
    from deriva_ml_core.config.application import Application
    from deriva_ml_core.connection import DerivaML
    from deriva_ml_core.executions.resuming import Resumption

_WHERE = "deriva_ml"


def resume(options: argparse.Namespace, tokens: Sequence[str]) -> int:
    """
    Run the jobs that are left; the command's exit code.

    Args:
        tokens: overrides of Hydra's own configuration (another launcher, say), and of where to connect.

    Raises:
        DerivaMLConfigurationError: an override of what a job does: that is as it was recorded.
        DerivaMLException: the sweep can't be resumed; see executions.resuming.
    """
    from deriva_ml_core.executions import reporting
    from deriva_ml_core.executions.resuming import resuming

    where, hydra = split_overrides(tokens)
    project = running.open_project(options, where)
    with connected(project.application, project.overrides) as ml:
        resumption = what_is_left(ml, options)
    if not resumption.left:
        return 0
    application = project.application
    application.job_name = resumption.job_name or application.job_name
    with application, resuming(resumption), reporting.quietly(options.quiet):
        application.sweep(running.Job(quiet=options.quiet), hydra_overrides(resumption, hydra))
    return 0


def split_overrides(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """
    The overrides of where to connect, and those of Hydra's own configuration.

    Raises:
        DerivaMLConfigurationError: there are others, which would change what was recorded.
    """
    hydra = [token for token in tokens if _key(token).startswith("hydra")]
    where = [token for token in tokens if _key(token).partition(".")[0] == _WHERE]
    if others := [token for token in tokens if token not in (*hydra, *where)]:
        raise DerivaMLConfigurationError(
            f"--resume runs what was recorded, so {others[0]} can't be set; only {_WHERE} (where it is recorded) and "
            "hydra… (another launcher, say) can be"
        )
    return where, hydra


def hydra_overrides(resumption: Resumption, given: Sequence[str]) -> list[str]:
    """Hydra's own configuration as it was recorded, but for what is given now."""
    return [*(token for token in resumption.hydra if not _overridden(token, given)), *given]


def what_is_left(ml: DerivaML, options: argparse.Namespace, notebook: str = "") -> Resumption:
    """
    The sweep that `--resume` names, after word of how much of it runs again; one that is complete gets its end.

    Args:
        notebook: what its jobs run; "" for a model.
    """
    from deriva_ml_core.executions.resuming import finish, prepare

    resumption = prepare(ml, options.resume, other_code=options.allow_other_code, notebook=notebook)
    total = len(resumption.jobs)
    waited = f" (of {resumption.uploaded} only outputs were missing: uploaded)" if resumption.uploaded else ""
    if resumption.left:
        _say(options, f"Resuming sweep {resumption.parent}: {len(resumption.left)} of {total} jobs run again{waited}")
    else:
        status = finish(ml, resumption)
        _say(options, f"Sweep {resumption.parent}: all {total} jobs are Uploaded{waited}; it is {status.value}")
    return resumption


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        sys.stderr.write(f"{text}\n")


def connected(application: Application, overrides: Sequence[str]) -> DerivaML:
    """The connection of a configuration."""
    from hydra_zen import instantiate

    from deriva_ml_core.connection import DerivaML

    with application:
        composed = application.compose(overrides)
        build: Any = lambda node: (instantiate(node.get("ml_class")), instantiate(node.deriva_ml))  # noqa: E731
        ml_class, connection = application.build(composed, build)
    return (ml_class or DerivaML).instantiate(connection)


def _overridden(token: str, given: Sequence[str]) -> bool:
    """Whether a recorded override gives way to one of the command line: another launcher takes its settings along."""
    own, keys = _key(token), [_key(other) for other in given]
    if own.startswith(("hydra/launcher", "hydra.launcher")) and "hydra/launcher" in keys:
        return True
    return own in keys or own == "hydra.sweep.dir"  # it goes on in a new folder, and overwrites nothing


def _key(token: str) -> str:
    return token.partition("=")[0].lstrip("+~")
