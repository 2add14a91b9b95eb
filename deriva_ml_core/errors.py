"""Every error that deriva-ml raises for its users, as one tree.

    DerivaMLException
    ├── DerivaMLConfigurationError      the project's configuration, an override, an option          exit 2
    │   ├── ConfigModuleError           a module of src/configs failed to import
    │   └── PluginError                 a plugin that the run needs is missing, broken or in another's way
    ├── DerivaMLValidationError         what a configuration names is not so (all problems in one)    exit 2
    ├── DerivaMLNotFoundError           no such thing in this catalog                                 exit 2
    │   ├── DerivaMLTableNotFound
    │   ├── DerivaMLDatasetNotFound
    │   ├── DerivaMLExecutionNotFound
    │   └── DerivaMLInvalidTerm         not a term of that vocabulary
    ├── DerivaMLTableTypeError          the table exists but is of another kind                       exit 2
    ├── DerivaMLSchemaError             the catalog has no (or another) deriva-ml schema              exit 2
    ├── DerivaMLAuthenticationError     no login, an expired one, or no right                         exit 2
    ├── WorkingFolderError              the working folder is read-only, full, or not a folder        exit 2
    ├── CatalogError                    the server refused a request                                  exit 1
    │   └── CatalogUnreachable          no answer                                                     exit 1
    ├── DerivaMLReadOnlyError           a snapshot or a dry run was asked to write                    exit 1
    ├── PluginHookError                 a plugin failed at its work                                   exit 1
    ├── ChecksumMismatch                bytes are not those that their checksum promises              exit 1
    ├── DerivaMLExecutionError          an execution can't do this now                                exit 1
    │   ├── InvalidTransitionError      that status does not follow this one
    │   └── DerivaMLStateInconsistency  the journal and the catalog contradict each other
    ├── DerivaMLWorkflowError           a workflow can't be described or registered                   exit 1
    │   └── DerivaMLDirtyWorkflowError
    └── DerivaMLUploadError             outputs are kept on disk and not yet in the catalog           exit 3

Exit codes are those of the commands: 1 the run failed, 2 the input was wrong and nothing was written, 3 the run
ended but its outputs wait on disk for a later command.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class DerivaMLException(Exception):
    """Base of all errors of deriva-ml. Its text is one line for a person: what, where, what to do.

    Attributes:
        execution_rid: the execution that this error ended; None where no execution had been recorded.
    """

    exit_code: ClassVar[int] = 1
    execution_rid: str | None = None


class DerivaMLConfigurationError(DerivaMLException):
    """The project's configuration, an override or an option is wrong."""

    exit_code = 2


class ConfigModuleError(DerivaMLConfigurationError):
    """A configuration module failed to import.

    Args:
        module: full name of the module.
        file: the source file in which it failed.
        line: 1-based line in that file.
    """

    def __init__(self, message: str, *, module: str, file: str, line: int) -> None:
        super().__init__(message)
        self.module, self.file, self.line = module, file, line


class PluginError(DerivaMLConfigurationError):
    """A plugin that the run needs is missing or broken, or two are in each other's way."""


_SHOWN = 20  # problems in one message; a folder may have thousands


class DerivaMLValidationError(DerivaMLException):
    """What a configuration names does not exist or does not fit; `problems` holds one line each."""

    exit_code = 2

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        self.problems = tuple(problems)
        more = [f"and {len(self.problems) - _SHOWN} more"] if len(self.problems) > _SHOWN else []
        super().__init__("; ".join([message, *self.problems[:_SHOWN], *more]))


class DerivaMLNotFoundError(DerivaMLException):
    """No such thing in this catalog."""

    exit_code = 2


class DerivaMLTableNotFound(DerivaMLNotFoundError):
    """No such table in this catalog."""


class DerivaMLDatasetNotFound(DerivaMLNotFoundError):
    """No such dataset, or no such version of it."""


class DerivaMLExecutionNotFound(DerivaMLNotFoundError):
    """No such execution in this catalog."""


class DerivaMLInvalidTerm(DerivaMLNotFoundError):
    """The name is neither a term nor a synonym of the vocabulary."""


class DerivaMLTableTypeError(DerivaMLException):
    """The table exists, but is not of the kind asked for (asset table, vocabulary, dataset element)."""

    exit_code = 2


class DerivaMLSchemaError(DerivaMLException):
    """The catalog has no deriva-ml schema, or one that we can't use."""

    exit_code = 2


class DerivaMLAuthenticationError(DerivaMLException):
    """No login, an expired login, or no right to do this."""

    exit_code = 2


class WorkingFolderError(DerivaMLException):
    """The working folder can't be written: read-only, full, or not a folder."""

    exit_code = 2


class CatalogError(DerivaMLException):
    """The server refused a request.

    Args:
        url: what was asked, without credentials.
        status: HTTP status code, or None where there was no answer.
    """

    def __init__(self, message: str, *, url: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.url, self.status = url, status


class CatalogUnreachable(CatalogError):
    """The server gave no answer."""


class DerivaMLReadOnlyError(DerivaMLException):
    """A snapshot, or a dry run, was asked to write."""


class PluginHookError(DerivaMLException):
    """A plugin failed at its work.

    Args:
        plugin: its name.
    """

    def __init__(self, message: str, *, plugin: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin


class ChecksumMismatch(DerivaMLException):
    """Bytes are not those that their checksum promises."""


class DerivaMLExecutionError(DerivaMLException):
    """An execution can't do what was asked, in its present state."""


class InvalidTransitionError(DerivaMLExecutionError):
    """That status does not follow the present one."""


class DerivaMLStateInconsistency(DerivaMLExecutionError):
    """The journal on disk and the catalog contradict each other."""


class DerivaMLWorkflowError(DerivaMLException):
    """A workflow can't be described or registered."""


class DerivaMLDirtyWorkflowError(DerivaMLWorkflowError):
    """The source has uncommitted changes where a clean tree was demanded."""


class DerivaMLUploadError(DerivaMLException):
    """Outputs are safe on disk, but not yet in the catalog."""

    exit_code = 3


def is_refusal(err: BaseException) -> bool:
    """Whether an error means that the input was wrong and nothing was recorded."""
    return isinstance(err, DerivaMLException) and err.exit_code == 2 and err.execution_rid is None


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Text to append to a message: "; did you mean 'a' or 'b'?", or "" where nothing is near."""
    known = {name.lower(): name for name in candidates}
    near = difflib.get_close_matches(word.lower(), known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(known[name]) for name in near)}?" if near else ""
