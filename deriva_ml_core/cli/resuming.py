"""`deriva-ml-run --resume`: what is left of a sweep, as it was configured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deriva_ml_core.cli import running
from deriva_ml_core.errors import DerivaMLConfigurationError

if TYPE_CHECKING:
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
    hydra = [token for token in tokens if _key(token).startswith("hydra")]
    where = [token for token in tokens if _key(token).partition(".")[0] == _WHERE]
    if others := [token for token in tokens if token not in (*hydra, *where)]:
        raise DerivaMLConfigurationError(
            f"--resume runs what was recorded, so {others[0]} can't be set; only {_WHERE} (where it is recorded) and "
            "hydra… (another launcher, say) can be"
        )
    from deriva_ml_core.executions.resuming import resuming

    project = running.open_project(options, where)
    with _connected(project) as ml:
        resumption = _what_is_left(ml, options)
    if not resumption.left:
        return 0
    application = project.application
    application.job_name = resumption.job_name or application.job_name
    kept = [token for token in resumption.hydra if not _overridden(token, hydra)]
    with application, resuming(resumption), running.quietly(options):
        application.sweep(running.Job(quiet=options.quiet), [*kept, *hydra])
    return 0


def _what_is_left(ml: DerivaML, options: argparse.Namespace) -> Resumption:
    from deriva_ml_core.executions.resuming import finish, prepare

    resumption = prepare(ml, options.resume, other_code=options.allow_other_code)
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


def _connected(project: running.Project) -> DerivaML:
    from hydra_zen import instantiate

    from deriva_ml_core.connection import DerivaML

    with project.application as application:
        composed = application.compose(project.overrides)
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
