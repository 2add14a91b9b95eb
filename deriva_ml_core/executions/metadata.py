"""The files that describe a run, written before the model starts so that they survive whatever it does.

    configuration.json                        Deriva_Config      what was asked for
    hydra-TIME-config|hydra|overrides.yaml    Hydra_Config       what Hydra composed
    environment_snapshot_TIME.txt             Runtime_Env        what it runs on, and the code reference; JSON
    uncommitted_changes.diff                  Execution_Config   where the tree is not what the commit holds
    uncommitted_changes_of_project.diff       Execution_Config   the same of the project, where the model is elsewhere
    uv.lock                                   Execution_Config   exact versions, where the project has one

Names and types are those of COMPAT.md section 12 (the diff is ours). Every file is redacted, see redaction.py.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from deriva_ml_core.assets.names import check_file_name
from deriva_ml_core.executions.contributions import environment_facts, metadata_documents
from deriva_ml_core.executions.redaction import Redactor
from deriva_ml_core.hookvalues import ExecutionFacts, MetadataDocument
from deriva_ml_core.plugins import Plugins
from deriva_ml_core.workflows import CodeReference, Diff, uncommitted_diff
from deriva_ml_core.workflows.provenance import find_project_reference, ignored_prefixes

log = logging.getLogger(__name__)

HYDRA_FILES = ("config", "hydra", "overrides")
_HYDRA_FOLDERS = ("hydra-config", ".hydra", "")  # ours; Hydra's own default; the folder itself
# In these a value without quotes is an expression; in all others it may be a secret.
_CODE = re.compile(r"\.(?:py|pyi|pyx|ipynb|c|cc|cpp|cu|cuh|h|hpp|rs|go|js|ts|java|jl|r|m|f90|sql)$", re.IGNORECASE)
_YamlLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A file to upload to Execution_Metadata.

    Args:
        path: where it is now.
        filename: its name in the catalog.
        asset_type: a term of the vocabulary Asset_Type.
        description: for its row.
    """

    path: Path
    filename: str
    asset_type: str
    description: str


def write_metadata_files(
    folder: Path,
    configuration: Any,
    *,
    hydra_output_dir: Path | str | None = None,
    code_reference: CodeReference | None = None,
    project: CodeReference | None = None,
    execution: ExecutionFacts | None = None,
    plugins: Plugins | None = None,
    env: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> list[MetadataFile]:
    """
    Write the files that describe a run.

    Args:
        folder: where to; made if it is not there. A file of the same name is replaced in one step.
        configuration: a JSON-like document, or a pydantic model.
        hydra_output_dir: Hydra's output folder of this job (`hydra.runtime.output_dir`), or None outside Hydra.
        code_reference: what `find_code_reference` said.
        project: what `project_around` said, where the caller has asked already.
        execution: its RID is written into the snapshot of the environment: two runs that start in the same second must
            not share one file, whose description tells when the run started and stopped.
        plugins: add facts and files; those that are installed where None.
        env: environment variables; the process's own where None.
        now: the time that file names bear; the present where None.

    Returns:
        The files, configuration first. Files that there is no reason for are left out.

    Raises:
        OSError: the folder can't be written.
    """
    variables = os.environ if env is None else env
    code = code_reference or CodeReference()
    time = now or datetime.now(tz=UTC).astimezone()
    texts = _Texts(variables)
    texts.add_json("configuration.json", _document(configuration), "Deriva_Config", "Configuration of this execution.")
    for kind, path in _hydra_files(hydra_output_dir):
        name = f"hydra-{time:%Y-%m-%d_%H-%M-%S}-{kind}.yaml"
        texts.add_yaml(name, path, "Hydra_Config", _HYDRA_DESCRIPTIONS[kind])
    project = project_around(code, variables) if project is None else project
    plugins = plugins or Plugins()
    rid = execution.rid if execution else None
    facts = environment_facts(plugins, variables) | {"execution": rid, "code": _code_document(code)}
    if project != CodeReference():
        facts["project"] = _code_document(project)
    name = f"environment_snapshot_{time:%Y%m%d_%H%M%S}.txt"
    texts.add_json(name, facts, "Runtime_Env", "Packages, Python, machine and code of this execution.")
    _add_diff(texts, "uncommitted_changes.diff", code, variables)
    _add_diff(texts, "uncommitted_changes_of_project.diff", project, variables)
    _add_lock(texts, [code.git_root, project.git_root])
    if execution is not None:
        texts.add_contributed(metadata_documents(plugins, execution))
    folder.mkdir(parents=True, exist_ok=True)
    return texts.write(folder)


_HYDRA_DESCRIPTIONS = {
    "config": "Configuration as Hydra composed it.",
    "hydra": "Hydra's own settings for this run.",
    "overrides": "Overrides given on the command line.",
}


@dataclass(slots=True)
class _Document:
    filename: str
    asset_type: str
    description: str
    content: Any  # a JSON-like document, a text, or a diff with its code reference; `kind` says which
    original: bytes | None = None  # kept byte for byte where nothing in it is secret
    kind: str = "text"


class _Texts:
    """Files to write. All are collected first, so that a secret seen in one of them is removed from all."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.redactor = Redactor(env)
        self._documents: list[_Document] = []

    def add_json(self, filename: str, document: Any, asset_type: str, description: str) -> None:
        self._documents.append(_Document(filename, asset_type, description, document, kind="json"))

    def add_yaml(self, filename: str, path: Path, asset_type: str, description: str) -> None:
        original = path.read_bytes()
        text = original.decode("utf-8", errors="replace")
        try:
            document, kind = yaml.load(text, Loader=_YamlLoader), "yaml"  # noqa: S506 - a safe loader, see above
        except yaml.YAMLError:  # a tag that only Python knows
            document, kind = text, "text"
        self._documents.append(_Document(filename, asset_type, description, document, original, kind))

    def add_lock(self, filename: str, text: str, asset_type: str, description: str) -> None:
        self._documents.append(_Document(filename, asset_type, description, text, kind="lock"))

    def add_diff(self, filename: str, diff: Diff, code: CodeReference, asset_type: str, description: str) -> None:
        self._documents.append(_Document(filename, asset_type, description, (diff, code), kind="diff"))

    def add_contributed(self, documents: Iterable[MetadataDocument]) -> None:
        """Files of plugins; none takes the place of another."""
        for one in documents:
            if any(one.filename == other.filename for other in self._documents):
                log.warning("a plugin's metadata file %s is left out: there is one of that name", one.filename)
                continue
            name, kind = check_file_name(one.filename), "text" if isinstance(one.content, str) else "json"
            self._documents.append(_Document(name, one.asset_type, one.description, one.content, kind=kind))

    def write(self, folder: Path) -> list[MetadataFile]:
        for document in self._documents:  # the first pass learns the secrets
            if document.kind in ("json", "yaml"):
                self.redactor.document(document.content)
        return [self._write_one(folder, document) for document in self._documents]

    def _write_one(self, folder: Path, document: _Document) -> MetadataFile:
        path = folder / document.filename
        write_atomically(path, self._content(document))
        return MetadataFile(path, document.filename, document.asset_type, document.description)

    def _content(self, document: _Document) -> bytes:
        if document.kind in ("json", "yaml"):
            clean = self.redactor.document(document.content)
            if document.original is not None and clean == document.content:
                return document.original
            text = _written(clean, document.kind)
        elif document.kind == "diff":
            diff, code = document.content
            text = redacted_diff(diff, code, self.redactor)
        elif document.kind == "lock":  # thousands of lines by uv; a secret there can only be part of a URL
            text = self.redactor.prose(document.content)
        else:
            text = self.redactor.text(document.content)
        return text.encode(errors="backslashreplace")  # a path may be no UTF-8; JSON reads its own escape back


def _written(document: Any, kind: str) -> str:
    if kind == "yaml":
        text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10_000)
        return text
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside and rename: a reader sees the old file or the new one, a full disk leaves the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def redacted_diff(diff: Diff, code: CodeReference, redactor: Redactor) -> str:
    """
    The recorded form of an uncommitted diff: a heading that says how to use it, then a patch that git apply takes.

    A secret in an added line is replaced there. A change whose other lines hold a secret would no longer apply: it
    stands in the heading, for reading only.
    """
    applies: list[str] = []
    reading: list[str] = []
    for section in _file_sections(diff.text):
        clean, touched = _redact_section(section, redactor)
        (reading if touched else applies).append(clean)
    return "\n".join(_heading(diff, code, reading)) + "\n" + "".join(applies)


def _heading(diff: Diff, code: CodeReference, reading: Iterable[str]) -> list[str]:
    base = code.commit or "an empty repository"
    lines = [f"# Uncommitted changes against {base}.", "# To get back the code that ran:"]
    lines.append(
        f"#   git checkout {code.commit} && git apply FILE" if code.commit else "#   git init && git apply FILE"
    )
    lines += [f"# Left out: {path} ({reason})" for path, reason in diff.left_out]
    for section in reading:
        lines.append("# A secret stands in lines that this change needs; redacted, for reading only:")
        lines += [f"#   {line}" for line in section.rstrip("\n").split("\n")]
    return lines


def _file_sections(patch: str) -> list[str]:
    parts = patch.split("\ndiff --git ")
    return [part if n == 0 else "diff --git " + part for n, part in enumerate(_with_newlines(parts))] if patch else []


def _with_newlines(parts: list[str]) -> list[str]:
    return [part if part.endswith("\n") else part + "\n" for part in parts]


def _redact_section(section: str, redactor: Redactor) -> tuple[str, bool]:
    """One file's change without secrets, and whether a line changed that git needs to find its place."""
    head, hunk, rest = section.partition("\n@@ ")
    if not hunk:
        return section, False
    code = bool(_CODE.search(head.split("\n", 1)[0].rstrip('"')))
    lines = (hunk + rest).split("\n")
    bare = [line[1:] if line[:1] in ("+", "-", " ") else line for line in lines]
    clean = redactor.text("\n".join(bare), code=code).split("\n")
    touched = any(old != new and line[:1] != "+" for line, old, new in zip(lines, bare, clean, strict=True))
    marked = (f"{line[0]}{new}" if line[:1] in ("+", "-", " ") else new for line, new in zip(lines, clean, strict=True))
    return head + "\n".join(marked), touched


def project_around(code: CodeReference, env: Mapping[str, str]) -> CodeReference:
    """The repository that we run in, where the model's code lies in another one: a submodule, an installed library.

    The configuration is code too. Empty where both are the same, which needs no question to git.
    """
    folder = Path.cwd()
    inside = code.git_root is not None and folder.is_relative_to(code.git_root)
    return CodeReference() if inside else find_project_reference(folder, env=env)


def _add_diff(texts: _Texts, filename: str, code: CodeReference, env: Mapping[str, str]) -> None:
    if code.git_root is None or not code.dirty_paths:
        return
    diff = uncommitted_diff(code.git_root, ignored=ignored_prefixes(env))
    if diff.text or diff.left_out:
        texts.add_diff(filename, diff, code, "Execution_Config", "Changes of the code since its commit.")


def _add_lock(texts: _Texts, roots: Iterable[Path | None]) -> None:
    """The uv.lock of the project that we run in, which may lie below its repository's top; else that of the code."""
    here = Path.cwd()
    known = [root for root in roots if root is not None]
    inside = [folder for folder in (here, *here.parents) if any(folder.is_relative_to(root) for root in known)]
    for folder in (*(inside or [here]), *known):
        try:
            lock = (folder / "uv.lock").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        texts.add_lock("uv.lock", lock, "Execution_Config", "Exact versions of the project's dependencies.")
        return


def _hydra_files(output_dir: Path | str | None) -> list[tuple[str, Path]]:
    if output_dir is None:
        return []
    for name in _HYDRA_FOLDERS:
        folder = Path(output_dir, name)
        if (folder / "config.yaml").is_file():
            files = ((kind, folder / f"{kind}.yaml") for kind in HYDRA_FILES)
            return [(kind, path) for kind, path in files if path.is_file()]
    return []


def _document(configuration: Any) -> Any:
    dump = getattr(configuration, "model_dump", None)
    return dump(mode="json") if callable(dump) else configuration


def _code_document(code: CodeReference) -> dict[str, Any]:
    document = dataclasses.asdict(code)
    return document | {"git_root": str(code.git_root) if code.git_root else None, "dirty_paths": list(code.dirty_paths)}
