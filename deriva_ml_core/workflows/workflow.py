"""The workflow of a run: a name, kinds of work, and the code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr, field_validator

from .provenance import CodeReference, find_code_reference
from .source import calling_file


class Workflow(BaseModel):
    """What kind of work a run is, and which code does it.

    Making one reads and asks nothing, so that configurations compose fast. Empty code fields are filled by `filled()`
    when a run starts. For a workflow that was looked up in a catalog, setting `description` or `workflow_type` writes
    to the catalog.

    Args:
        name: for people.
        workflow_type: terms of the vocabulary Workflow_Type, one or several.
        description: Markdown.
        url: where the code can be read; filled from git where empty.
        version: of the project; filled where empty.
        workflow_rid: the row in the catalog; None before registration.
        checksum: git blob hash of the source file; filled where empty.
        is_notebook: the code is a notebook.
        git_root: top folder of the repository.
        allow_dirty: accepted from projects that set it; uncommitted changes only ever warn and are recorded.

    Example:
        >>> Workflow(name="Train a classifier", workflow_type="Training", description="A small network").types
        ['Training']
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    name: str
    workflow_type: str | list[str]
    description: str | None = None
    url: str | None = None
    version: str | None = None
    workflow_rid: str | None = None
    checksum: str | None = None
    is_notebook: bool = False
    git_root: Path | None = None
    allow_dirty: bool = False

    _write: Callable[[str, Any], None] | None = PrivateAttr(default=None)

    @field_validator("workflow_type")
    @classmethod
    def _as_list(cls, value: str | list[str]) -> list[str]:
        return [value] if isinstance(value, str) else value

    @property
    def types(self) -> list[str]:
        """The workflow types, always as a list."""
        return [self.workflow_type] if isinstance(self.workflow_type, str) else list(self.workflow_type)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; of a workflow that was looked up, the catalog's row first: a refusal changes nothing here."""
        if name in ("description", "workflow_type") and self._write is not None:
            self._write(name, [value] if name == "workflow_type" and isinstance(value, str) else value)
        super().__setattr__(name, value)

    def written_by(self, write: Callable[[str, Any], None]) -> Workflow:
        """This workflow, with a function that writes a changed field to the catalog before it changes here."""
        self._write = write
        return self

    def filled(self, reference: CodeReference) -> Workflow:
        """A copy whose empty code fields are those of the reference. A registered workflow stays as it is."""
        if self.workflow_rid is not None:
            return self
        found = {
            "url": self.url or reference.url or None,
            "checksum": self.checksum or reference.checksum or None,
            "version": self.version or reference.version or None,
            "git_root": self.git_root or reference.git_root,
            "is_notebook": self.is_notebook or reference.is_notebook,
        }
        return self.model_copy(update=found)

    def setup_url_checksum(self) -> Workflow:
        """Fill the empty code fields from the script that calls; returns this same object."""
        filled = self.filled(find_code_reference(calling_file()))
        for field in ("url", "checksum", "version", "git_root", "is_notebook"):
            setattr(self, field, getattr(filled, field))
        return self

    @staticmethod
    def get_url_and_checksum(executable_path: str | os.PathLike[str]) -> tuple[str, str]:
        """URL and checksum of a source file; each "" where it can't be found."""
        reference = find_code_reference(Path(executable_path))
        return reference.url, reference.checksum

    @staticmethod
    def get_dynamic_version(root: str | os.PathLike[str] | None = None) -> str:
        """The version that setuptools-scm gives to a folder's repository (default: the current folder); "" if none."""
        from setuptools_scm import get_version

        folder = Path(root) if root is not None else Path.cwd()
        try:
            return str(get_version(str(folder), search_parent_directories=True))
        except LookupError:  # no repository
            return ""
