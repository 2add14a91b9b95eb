"""Every error that deriva-ml raises for its users, as one tree.

    DerivaMLException
    ├── DerivaMLConfigurationError      the configuration, an override, an option   exit 2
    │   ├── ConfigModuleError           a module of src/configs failed to import
    │   └── PluginError                 a plugin is missing, broken or in another's way
    ├── DerivaMLValidationError         what a configuration names is not so        exit 2
    ├── DerivaMLNotFoundError           no such thing in this catalog               exit 2
    │   ├── DerivaMLTableNotFound
    │   ├── DerivaMLDatasetNotFound
    │   ├── DerivaMLExecutionNotFound
    │   └── DerivaMLInvalidTerm         not a term of that vocabulary
    ├── DerivaMLTableTypeError          the table exists but is of another kind     exit 2
    ├── DerivaMLSchemaError             the catalog lacks the deriva-ml schema      exit 2
    ├── DerivaMLAuthenticationError     no login, an expired one, or no right       exit 2
    ├── WorkingFolderError              the working folder can't be written to      exit 2
    ├── CatalogError                    the server refused a request                exit 1
    │   └── CatalogUnreachable          no answer                                   exit 1
    ├── DerivaMLReadOnlyError           a snapshot or a dry run was asked to write  exit 1
    ├── PluginHookError                 a plugin failed at its work                 exit 1
    ├── ChecksumMismatch                bytes are not what their checksum promises  exit 1
    ├── DerivaMLExecutionError          an execution can't do this now              exit 1
    │   ├── InvalidTransitionError      that status does not follow this one
    │   └── DerivaMLStateInconsistency  the journal and the catalog contradict each other
    ├── DerivaMLWorkflowError           a workflow can't be described or registered exit 1
    │   └── DerivaMLDirtyWorkflowError
    └── DerivaMLUploadError             outputs wait on disk                        exit 3

Exit codes are those of the commands: 1 the run failed, 2 the input was wrong and nothing
was written, 3 the run ended but its outputs wait on disk for a later command.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class DerivaMLException(Exception):
    """Base of all errors of deriva-ml. Its text is one line for a person: what, where, what to do.

    To do: read the message. `--debug` shows where it was raised.

    Attributes:
        execution_rid: the execution that this error ended; None where no execution had been recorded.
    """

    exit_code: ClassVar[int] = 1
    execution_rid: str | None = None


class DerivaMLConfigurationError(DerivaMLException):
    """The project's configuration, an override or an option is wrong.

    To do: correct what the message names. `deriva-ml-run --info` lists the groups and options, `--cfg job` shows
    what they compose to.
    """

    exit_code = 2


class ConfigModuleError(DerivaMLConfigurationError):
    """A configuration module failed to import.

    To do: correct the module at the line that the message names, or install what it imports.

    Args:
        module: full name of the module.
        file: the source file in which it failed.
        line: 1-based line in that file.
    """

    def __init__(self, message: str, *, module: str, file: str, line: int) -> None:
        super().__init__(message)
        self.module, self.file, self.line = module, file, line


class PluginError(DerivaMLConfigurationError):
    """A plugin that the run needs is missing or broken, or two are in each other's way.

    To do: install the plugin that is named, or leave it out with `plugins.block=[NAME]`. `deriva-ml-run --plugins`
    lists those that are there.
    """


_SHOWN = 20  # problems in one message; a folder may have thousands


class DerivaMLValidationError(DerivaMLException):
    """What a configuration names does not exist or does not fit; `problems` holds one line each.

    To do: correct each problem that the message lists. A dry run (`dry_run=true`) checks them without writing.
    """

    exit_code = 2

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        self.problems = tuple(problems)
        more = [f"and {len(self.problems) - _SHOWN} more"] if len(self.problems) > _SHOWN else []
        super().__init__("; ".join([message, *self.problems[:_SHOWN], *more]))


class DerivaMLNotFoundError(DerivaMLException):
    """No such thing in this catalog.

    To do: check the name or RID, and that host and catalog are those you mean. The message has the nearest names.
    """

    exit_code = 2


class DerivaMLTableNotFound(DerivaMLNotFoundError):
    """No such table in this catalog.

    To do: check the table's name, with its schema where two schemas have it. A table of your own is created once,
    by an owner.
    """


class DerivaMLDatasetNotFound(DerivaMLNotFoundError):
    """No such dataset, or no such version of it.

    To do: take a version that the message lists, or leave the version out for the current one.
    """


class DerivaMLExecutionNotFound(DerivaMLNotFoundError):
    """No such execution in this catalog.

    To do: `deriva-ml-executions list --all` has the RIDs of all executions of the catalog.
    """


class DerivaMLInvalidTerm(DerivaMLNotFoundError):
    """The name is neither a term nor a synonym of the vocabulary.

    To do: take one of the terms that the message names, or add yours with `ml.add_term`.
    """


class DerivaMLTableTypeError(DerivaMLException):
    """The table exists, but is not of the kind asked for (asset table, vocabulary, dataset element).

    To do: give a table of that kind. `ml.add_dataset_element_type` and `ml.create_asset` make one.
    """

    exit_code = 2


class DerivaMLSchemaError(DerivaMLException):
    """The catalog has no deriva-ml schema, or one that we can't use.

    To do: `deriva-ml-catalog schema check` says what the catalog has, `schema install` adds what is missing.
    """

    exit_code = 2


class DerivaMLAuthenticationError(DerivaMLException):
    """No login, an expired login, or no right to do this.

    To do: type the login command that the message shows, or ask an owner of the catalog for the right.
    """

    exit_code = 2


class WorkingFolderError(DerivaMLException):
    """The working folder can't be written: read-only, full, or not a folder.

    To do: make room, or name another folder with `deriva_ml.working_dir=DIR` or `--working-dir DIR`.
    """

    exit_code = 2


class CatalogError(DerivaMLException):
    """The server refused a request.

    To do: the message has the server's own words. Where the server is at fault, try again later: repeating a
    command makes no row twice.

    Args:
        url: what was asked, without credentials.
        status: HTTP status code, or None where there was no answer.
    """

    def __init__(self, message: str, *, url: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.url, self.status = url, status


class CatalogUnreachable(CatalogError):
    """The server gave no answer.

    To do: check the host's name and the network, and try again. What a run has made waits on disk for `deriva-ml-
    executions upload`.
    """


class DerivaMLReadOnlyError(DerivaMLException):
    """A snapshot, or a dry run, was asked to write.

    To do: connect to the catalog without a snapshot, or leave out `dry_run=true`.
    """


class PluginHookError(DerivaMLException):
    """A plugin failed at its work.

    To do: the message has the plugin's own error: tell whoever keeps it, or leave it out with
    `plugins.block=[NAME]`.

    Args:
        plugin: its name.
    """

    def __init__(self, message: str, *, plugin: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin


class ChecksumMismatch(DerivaMLException):
    """Bytes are not those that their checksum promises.

    To do: repeat the command: what is wrong in a cache is fetched anew. If it stays, the stored file is damaged, or
    changed while it was sent.
    """


class DerivaMLExecutionError(DerivaMLException):
    """An execution can't do what was asked, in its present state.

    To do: `deriva-ml-executions show RID` says how far the execution has come.
    """


class InvalidTransitionError(DerivaMLExecutionError):
    """That status does not follow the present one.

    To do: an execution that has ended stays as it is: open a new one.
    """


class DerivaMLStateInconsistency(DerivaMLExecutionError):
    """The journal on disk and the catalog contradict each other.

    To do: `deriva-ml-executions recover` compares the two, and records what is true.
    """


class DerivaMLWorkflowError(DerivaMLException):
    """A workflow can't be described or registered.

    To do: give the workflow what the message says that it lacks: a name, a type, a file under git.
    """


class DerivaMLDirtyWorkflowError(DerivaMLWorkflowError):
    """The source has uncommitted changes where a clean tree was demanded.

    To do: commit. A run does not demand it: it records the changes as a diff.
    """


class DerivaMLUploadError(DerivaMLException):
    """Outputs are safe on disk, but not yet in the catalog.

    To do: type the command that the message shows: `deriva-ml-executions upload RID` goes on where it stopped.
    """

    exit_code = 3


def is_refusal(err: BaseException) -> bool:
    """Whether an error means that the input was wrong and nothing was recorded."""
    return isinstance(err, DerivaMLException) and err.exit_code == 2 and err.execution_rid is None


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Text to append to a message: "; did you mean 'a' or 'b'?", or "" where nothing is near."""
    known = {name.lower(): name for name in candidates}
    near = difflib.get_close_matches(word.lower(), known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(known[name]) for name in near)}?" if near else ""
