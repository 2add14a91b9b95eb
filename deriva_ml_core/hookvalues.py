"""
The values that hooks take and return (hookspecs.py is the manual). All are frozen; sizes are in bytes.

Plugins import them from `deriva_ml.plugins`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import argparse

Progress = Callable[[int], None]
"""Called with the number of bytes that have moved since the last call; negative where they must move again."""


class Catalog(Protocol):
    """The connected catalog. Paths start below it, escaped: "/entity/demo:Image/RID=1-ABC"."""

    @property
    def hostname(self) -> str:
        """The host, as the user named it."""

    @property
    def catalog_id(self) -> str:
        """The catalog's number or alias."""

    def get_json(self, path: str) -> Any:
        """The answer to a GET, parsed."""

    def post_json(self, path: str, document: Any) -> Any:
        """The answer to a POST, parsed."""

    def put_json(self, path: str, document: Any) -> Any:
        """The answer to a PUT, parsed; None where it is empty."""


# --- assets -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AssetRef:
    """
    An object that is wanted on disk.

    Args:
        url: as its row has it.
        md5: lower-case hex; None where the row has none.
        size_bytes: None where the row does not say.
        rid, table: its row, where the caller knows it.
    """

    url: str
    file_name: str
    md5: str | None = None
    size_bytes: int | None = None
    rid: str | None = None
    table: str | None = None

    @property
    def scheme(self) -> str:
        """Of its URL, lower-case: "s3"; "" for a path on the catalog's own server."""
        head, colon, _ = self.url.partition(":")
        return head.lower() if colon and head.isalnum() else ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """
    An object that is on disk.

    Args:
        path: where; the `target` that was asked for.
        md5: lower-case hex of the bytes as they were written; None: deriva-ml reads the file again and hashes it.
    """

    path: Path
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """
    One file that an execution has made, complete on disk.

    Args:
        schema, table: its asset table.
        file_name: its name in the catalog.
        md5: lower-case hex; "" while it is being prepared, because that may still refuse it.
        columns: values of the table's own columns.
    """

    path: Path
    schema: str
    table: str
    file_name: str
    size_bytes: int
    execution_rid: str
    md5: str = ""
    content_type: str = "application/octet-stream"
    asset_types: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """
    How to send one file.

    Args:
        progress: call it after every block; it raises where the user has stopped the whole.
        resume_file: what must be remembered of an unfinished transfer may be kept here, and is there again when
            a later command goes on; remove it at the end.
        chunk_bytes: size of the parts in which a large file goes; None leaves it to the store.
        lanes: parts of one file that may travel at a time.
    """

    progress: Progress
    resume_file: Path
    chunk_bytes: int | None = None
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class StoredObject:
    """
    Bytes that are in a store for good.

    Args:
        url: what the row will say; the same bytes under the same name must give the same URL.
        md5: lower-case hex, as the store or the transfer computed it: it is held against the file's.
    """

    url: str
    size_bytes: int
    md5: str


@dataclass(frozen=True, slots=True)
class FurtherOutput:
    """
    A file that a plugin made from an output (a thumbnail); it is stored like the model's own, and not prepared again.

    Args:
        path: below the folder that the plugin was given.
        table: an asset table.
        asset_types: terms of Asset_Type.
    """

    path: Path
    table: str
    file_name: str
    asset_types: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    What a plugin says of an output before it is stored.

    Args:
        columns: values of the table's own columns (Width, Height, a checksum); what the model gave itself stays.
        asset_types: terms to add.
        further: more outputs.
        refusal: why this output must not be stored; it stays on disk, and the execution is Failed.
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    asset_types: tuple[str, ...] = ()
    further: Sequence[FurtherOutput] = ()
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """
    Outputs, and URLs of inputs, that are a plugin's own.

    Args:
        tables: names of asset tables; asset_types: terms of Asset_Type. An output of either is claimed.
        stores: it alone stores them: no other plugin is asked, the built-in neither.
        fills: required columns that its deriva_prepare_output will fill, so that a model need not give them.
        schemes: of the URLs that its deriva_fetch_asset brings, such as "s3". Where every plugin that fetches says
            them, an input of another scheme is refused before anything is written; else only when it is fetched.
    """

    tables: tuple[str, ...] = ()
    asset_types: tuple[str, ...] = ()
    stores: bool = False
    fills: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()

    def covers(self, table: str, asset_types: Sequence[str]) -> bool:
        """Whether an output of this table and these types is claimed."""
        return table in self.tables or any(name in self.asset_types for name in asset_types)


# --- the record -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MetadataDocument:
    """
    A further metadata file; it is redacted like all others.

    Args:
        content: text, or a document that is written as JSON.
        asset_type: a term of Asset_Type: Deriva_Config, Hydra_Config, Runtime_Env or Execution_Config.
    """

    filename: str
    content: Any
    description: str
    asset_type: str = "Execution_Config"


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """
    What else is secret, beside what deriva-ml knows.

    Args:
        names: regular expressions; the value of a key, option or variable whose whole name matches one is removed.
        patterns: regular expressions; what matches is removed wherever it stands.
    """

    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


# --- what happens -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExecutionFacts:
    """
    One execution, as it is when a hook is called.

    Args:
        status: the word of the newer generation: Created, Running, Stopped, Pending_Upload, Uploaded, Failed, Aborted.
        detail: why it failed, without secrets; or what it is doing.
        parent, sequence: of a job in a sweep.
        folder: its folder in the working folder.
        durations: seconds of "download", "execution" and "upload", as far as they are over.
    """

    rid: str
    hostname: str
    catalog_id: str
    status: str
    folder: Path
    description: str = ""
    detail: str | None = None
    workflow_rid: str | None = None
    workflow_name: str | None = None
    parent: str | None = None
    sequence: int | None = None
    durations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input asset on disk; `rid` is None for a local file in a dry run."""

    path: Path
    table: str
    rid: str | None


@dataclass(frozen=True, slots=True)
class CommittedOutput:
    """One output that is in the catalog now; `table` is "schema/table"."""

    rid: str
    table: str
    file_name: str
    path: Path
    asset_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SweepOutline:
    """
    A sweep.

    Args:
        rid: of the parent execution.
        jobs: each job's overrides by its number, as far as they are known (an adaptive sweeper finds them as it goes).
    """

    rid: str
    hostname: str
    catalog_id: str
    jobs: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How one job of a sweep ended."""

    rid: str
    sequence: int | None
    status: str
    detail: str | None = None


class Reporter(Protocol):
    """Tells a person about a run; must not raise."""

    def say(self, text: str) -> None:
        """One step of the run."""

    def warn(self, text: str) -> None:
        """Something that the person should know, though the run goes on."""

    def transfer(self, title: str) -> AbstractContextManager[Callable[[Any], None] | None]:
        """A context that gives the callback for an UploadProgress, or None where nobody looks."""

    def ended(self, summary: Any) -> None:
        """The last word; a RunSummary: rid, status, detail, where, outputs, durations, warnings, folder."""


# --- catalogs and commands --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewColumn:
    """One column; `type` is ERMrest's name of it: "text", "int4", "float8", "date", "jsonb", "text[]"."""

    name: str
    type: str = "text"
    required: bool = False
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class NewTable:
    """
    A table that a plugin wants to be there.

    Args:
        schema: made where it is not there.
        kind: "asset" (with the usual columns and associations), "vocabulary", or "plain".
        references: (schema, table) to which its rows may refer: to terms by name, to other rows by RID.
    """

    schema: str
    name: str
    kind: Literal["asset", "vocabulary", "plain"] = "plain"
    columns: tuple[NewColumn, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class NewTerm:
    """A term that a vocabulary must have; `schema` is that of the vocabulary."""

    vocabulary: str
    name: str
    description: str
    synonyms: tuple[str, ...] = ()
    schema: str = "deriva-ml"


@dataclass(frozen=True, slots=True)
class Subcommand:
    """
    A further action of a command.

    Args:
        command: which: deriva-ml-catalog or deriva-ml-executions.
        name: of the action, as it is typed.
        help: one line.
        run: does it and returns the exit code.
        add_arguments: adds its arguments to a parser.
    """

    command: str
    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
