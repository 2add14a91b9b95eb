"""What executions have recorded of themselves: choices, parameters, metrics, code, environment. Read in bulk."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deriva_ml_core.analysis.documents import Recorded, fetch_recorded, find_recorded
from deriva_ml_core.analysis.metrics import Metrics, read_metrics

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

Kind = Literal["configuration", "hydra", "environment", "metrics"]

_METRICS_TYPE = "Metrics_File"
_NAMES: Mapping[str, str] = {
    "configuration": r"^configuration\.json$",
    "hydra": r"^hydra-.*-config\.yaml$",
    "environment": r"^environment_snapshot_.*\.txt$",
    "metrics": r"metrics?[^/]*\.(jsonl?|ndjson)$",
}
_MODEL_NODES = ("script_config", "model_config")
_NOT_PARAMETERS = frozenset({"ml_instance", "execution", "description"})


@dataclass(slots=True)
class Facts:
    """
    One execution's own words about itself. What it did not record is empty.

    Args:
        choices: Hydra's groups and the option chosen of each, Hydra's own groups left out.
        configuration: the recorded ExecutionConfiguration.
        parameters: the values of the model's configuration, nested names joined by dots.
        environment: the snapshot of packages, Python and machine.
    """

    choices: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)


def read_facts(
    session: CatalogSession, cache_dir: Path, executions: Iterable[str], kinds: Collection[Kind]
) -> dict[str, Facts]:
    """
    The facts of executions, by RID; one to four requests, and one for each file that is not in the cache yet.

    Args:
        kinds: only these; each costs its files.
    """
    rids = list(executions)
    facts = {rid: Facts() for rid in rids}
    found = list(_find(session, rids, kinds)) if rids and kinds else []
    contents = fetch_recorded(session, cache_dir, (one for _, one in found))
    parsed: dict[tuple[str, str], Any] = {}  # runs of a sweep share files: each is read once
    for kind, one in sorted(found, key=lambda pair: (pair[1].name, pair[1].rid)):
        if one.md5 in contents:
            key = (kind, one.md5)
            if key not in parsed:
                parsed[key] = _read(kind, one.name, contents[one.md5])
            _take(facts[one.execution], kind, parsed[key])
    return facts


def _find(session: CatalogSession, rids: list[str], kinds: Collection[Kind]) -> Iterator[tuple[Kind, Recorded]]:
    plain: list[Kind] = [kind for kind in ("configuration", "hydra", "environment") if kind in kinds]
    if plain:
        names = "|".join(_NAMES[kind] for kind in plain)
        for one in find_recorded(session, rids, names):
            yield _kind_of(one.name), one
    if "metrics" in kinds:
        tables = ("Execution_Metadata", "Execution_Asset")
        for one in find_recorded(session, rids, _NAMES["metrics"], tables=tables, asset_type=_METRICS_TYPE):
            yield "metrics", one


def _kind_of(name: str) -> Kind:
    return "configuration" if name == "configuration.json" else "hydra" if name.endswith(".yaml") else "environment"


def _read(kind: Kind, name: str, content: bytes) -> Any:
    if kind == "metrics":
        return read_metrics(name, content)
    try:
        document = _load_yaml(content) if kind == "hydra" else json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _load_yaml(content: bytes) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
    try:
        return yaml.load(content, Loader=loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as err:  # a tag that only Python knows
        raise ValueError(str(err)) from err


def _take(facts: Facts, kind: Kind, document: Any) -> None:
    if kind == "metrics":
        facts.metrics.merge(document)
    elif kind == "environment":
        facts.environment = document
    elif kind == "hydra":
        facts.parameters = dict(_parameters(document))
    else:
        facts.configuration = document
        choices = document.get("config_choices") or {}
        facts.choices = {str(k): str(v) for k, v in choices.items() if not str(k).startswith("hydra/")}


def _parameters(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The model's arguments under their own names; what a project adds beside the groups under its top-level name."""
    node: Mapping[str, Any] = next(
        (document[name] for name in _MODEL_NODES if isinstance(document.get(name), Mapping)), {}
    )
    yield from flatten({name: value for name, value in node.items() if name not in _NOT_PARAMETERS})


def flatten(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values under dotted names; Hydra's own keys (_target_, _zen_…) are no values, and lists are one."""
    for name, value in document.items():
        if str(name).startswith("_"):
            continue
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
