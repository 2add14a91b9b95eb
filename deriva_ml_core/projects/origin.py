"""Where this deriva-ml came from, so that a new project gets this one and not another of the same name."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "deriva-ml"


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Args:
        requirement: for the project's dependencies, e.g. "deriva-ml" or "deriva-ml==1.2.3".
        source: the value in TOML for [tool.uv.sources], or "" for a package from the registry.
        words: for people.
    """

    requirement: str
    source: str
    words: str

    def with_extra(self, extra: str) -> str:
        """The requirement, with one of the distribution's extras."""
        return f"{NAME}[{extra}]{self.requirement.removeprefix(NAME)}"


def find_origin(project: Path, distribution: metadata.Distribution | None = None) -> Origin:
    """
    How a project gets this very distribution (PEP 610's direct_url.json says where it came from).

    Args:
        project: the project's folder. A source folder above it is named by a relative path, so that both can move.
        distribution: the installed deriva-ml; found where None.
    """
    found = distribution or metadata.distribution(NAME)
    document = _direct_url(found)
    url = str(document.get("url", ""))
    if not url:
        return Origin(f"{NAME}=={found.version}", "", f"{NAME} {found.version} from the registry")
    if "vcs_info" in document:
        return _from_repository(url, document)
    if url.startswith("file:"):
        return _from_disk(url, document, project)
    return Origin(NAME, f"{{ url = {_toml(url)} }}", url)


def _direct_url(distribution: metadata.Distribution) -> dict[str, Any]:
    text = distribution.read_text("direct_url.json")
    document = json.loads(text) if text else {}
    return document if isinstance(document, dict) else {}


def _from_repository(url: str, document: dict[str, Any]) -> Origin:
    commit = str(document["vcs_info"].get("commit_id", ""))
    fields = [f"git = {_toml(url)}", *([f"rev = {_toml(commit)}"] if commit else [])]
    if folder := document.get("subdirectory"):
        fields.append(f"subdirectory = {_toml(str(folder))}")
    return Origin(NAME, f"{{ {', '.join(fields)} }}", f"{url}@{commit}" if commit else url)


def _from_disk(url: str, document: dict[str, Any], project: Path) -> Origin:
    path = Path(unquote(urlsplit(url).path))
    named = _relative(path, project)
    editable = document.get("dir_info", {}).get("editable", False)
    flag = ", editable = true" if editable else ""
    return Origin(NAME, f"{{ path = {_toml(named)}{flag} }}", str(path))


def _relative(path: Path, project: Path) -> str:
    """Relative where the project lies inside the source folder; absolute otherwise."""
    there = path.resolve()
    return os.path.relpath(there, project.resolve()) if there in project.resolve().parents else str(path)


def _toml(text: str) -> str:
    """A basic string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
