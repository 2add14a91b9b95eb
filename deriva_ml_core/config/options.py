"""What a project offers: groups, their options and descriptions, read from Hydra's configuration store."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import DictConfig, ListConfig

# Hydra and its plugins store their own nodes; these providers are the project's (hydra-zen's, or none).
_PROJECT_PROVIDERS = (None, "", "hydra_zen", "main")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a group, or one top-level configuration; the summary is one line or empty."""

    name: str
    summary: str
    is_described_list: bool = False  # with_description(...): its values are under `items`


def project_groups() -> dict[str, list[Option]]:
    """Options by group, both sorted; the top-level configurations are under ""."""
    groups: dict[str, list[Option]] = {}
    for group, name, node in _walk(ConfigStore.instance().repo):
        if node.provider in _PROJECT_PROVIDERS and not name.startswith("_") and (group, name) != ("hydra", "config"):
            groups.setdefault(group, []).append(Option(name, summary(node.node), _has_items(node.node)))
    return {group: sorted(groups[group], key=lambda option: option.name) for group in sorted(groups)}


def default_choices(config_name: str) -> dict[str, str]:
    """Option by group in the defaults list of a top-level configuration; empty where there is no such one."""
    node = ConfigStore.instance().repo.get(f"{config_name}.yaml")
    defaults = node.node.get("defaults") if isinstance(node, ConfigNode) else None
    choices = {}
    for entry in defaults or ():
        if isinstance(entry, Mapping | DictConfig):
            choices.update({_group_of(str(key)): str(option) for key, option in entry.items()})
    return choices


def summary(node: Any) -> str:
    """One line about an option: its description; else what can be said from its values; else its target's docstring."""
    if isinstance(node, ListConfig):
        return _list_summary(node)
    if not isinstance(node, DictConfig):
        return ""
    description = _raw(node, "description")
    if isinstance(description, str) and description.strip():
        return first_line(description)
    if hostname := _raw(node, "hostname"):
        return f"{hostname}, catalog {_raw(node, 'catalog_id') or 1}"
    if workflow_type := _raw(node, "workflow_type"):
        return f"{_raw(node, 'name') or 'workflow'} ({_words(workflow_type)})"
    items = _raw(node, "items")
    return _list_summary(items) if isinstance(items, ListConfig) else _docstring_line(node)


def first_line(markdown: str) -> str:
    """The first line of a Markdown text that holds words, without heading marks."""
    lines = (line.strip().lstrip("#").strip() for line in markdown.splitlines())
    return next((line for line in lines if line), "")


def _walk(repo: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, str, ConfigNode]]:
    for name, entry in repo.items():
        if isinstance(entry, ConfigNode):
            yield group, name.removesuffix(".yaml"), entry
        else:
            yield from _walk(entry, f"{group}/{name}" if group else name)


def _group_of(key: str) -> str:
    """`override /model_config@pkg` names the group model_config."""
    return key.removeprefix("override ").removeprefix("optional ").strip().lstrip("/").partition("@")[0]


def _raw(node: DictConfig, key: str) -> Any:
    """A value as written: no interpolation is resolved, a missing value is None."""
    child = node._get_node(key) if key in node else None  # noqa: SLF001  get() would resolve
    if child is None or isinstance(child, ListConfig | DictConfig):
        return child
    value = child._value()  # noqa: SLF001
    return None if value == "???" else value


def _list_summary(items: ListConfig) -> str:
    if not len(items):
        return "(none)"
    names = [_entry_summary(item) for item in items]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _entry_summary(item: Any) -> str:
    if not isinstance(item, DictConfig):
        return str(item)
    name, about = str(_raw(item, "rid") or _raw(item, "path")), str(_raw(item, "description") or "")
    return f"{name} ({first_line(about)})" if about.strip() else name


def _has_items(node: Any) -> bool:
    return isinstance(node, DictConfig) and isinstance(_raw(node, "items"), ListConfig)


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, ListConfig) else str(value)


def _docstring_line(node: DictConfig) -> str:
    """The first line of what the target's own docstring says; only of modules that are imported already."""
    target = _raw(node, "_zen_target") or _raw(node, "_target_")
    module, _, name = str(target or "").rpartition(".")
    found = getattr(sys.modules.get(module), name, None) if module else None
    if not callable(found) or (is_dataclass(found) and (found.__doc__ or "").startswith(f"{name}(")):
        return ""  # a dataclass that nobody described has its signature for a docstring
    return first_line(found.__doc__ or "")
