"""Workflows: what a run is called, what kind of work it is, and which code it runs."""

from __future__ import annotations

from .diff import Diff, uncommitted_diff
from .provenance import CodeReference, find_code_reference
from .source import calling_file, source_file
from .workflow import Workflow

__all__ = [
    "CodeReference",
    "Diff",
    "Workflow",
    "calling_file",
    "find_code_reference",
    "source_file",
    "uncommitted_diff",
]
