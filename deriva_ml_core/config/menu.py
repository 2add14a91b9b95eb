"""The menu that a bare `--info` shows: groups, options and what each is for, the chosen one marked."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.config.multiruns import get_all_multirun_configs
from deriva_ml_core.config.options import Option, default_choices, first_line, project_groups

CHOSEN, OTHER = "*", " "
EXPERIMENTS = "experiment"


@dataclass(frozen=True, slots=True)
class Section:
    """One group: its heading, how it is chosen, its options, and which of them are chosen."""

    title: str
    usage: str
    options: Sequence[Option]
    chosen: str | None = None


@dataclass(frozen=True, slots=True)
class Menu:
    """All that a project offers, ready to be printed."""

    title: str
    sections: Sequence[Section]
    usage: Sequence[str]

    def document(self) -> list[dict[str, Any]]:
        """The sections as JSON can say them."""
        return [
            {
                "group": section.title,
                "usage": section.usage,
                "chosen": section.chosen,
                "options": [{"name": option.name, "summary": option.summary} for option in section.options],
            }
            for section in self.sections
        ]


def build_menu(
    config_name: str, *, command: str, choices: Mapping[str, str] | None = None, multiruns: bool = True
) -> Menu:
    """Read the menu from what the project's modules registered.

    Args:
        config_name: the top-level configuration whose defaults are marked.
        command: as the user types it, for the usage lines.
        choices: option by group where overrides changed them; the defaults of `config_name` where None.
        multiruns: whether the command can run named multiruns.
    """
    chosen = default_choices(config_name) if choices is None else choices
    groups = project_groups()
    top_level = groups.pop("", [])
    sections = [
        Section(group, _group_usage(group, group in chosen), options, chosen.get(group))
        for group, options in groups.items()
    ]
    if multiruns and (named := _multirun_options()):
        sections.append(Section("multirun", "+multirun=NAME", named))
    sections.append(Section("configurations", "--config-name NAME", top_level, config_name))
    return Menu(f"Options of {config_name}", sections, _usage(command, groups, chosen, multiruns=bool(multiruns)))


def plain_lines(menu: Menu, width: int) -> Iterator[str]:
    """The menu as text, no line longer than `width` where words allow."""
    yield f"{menu.title} ({CHOSEN} = chosen)"
    for section in menu.sections:
        yield ""
        yield f"{section.title}  ({section.usage})"
        yield from _option_lines(section, width)
    yield ""
    yield "Usage"
    yield from (f"  {line}" for line in menu.usage)


def _option_lines(section: Section, width: int) -> Iterator[str]:
    column = max((len(option.name) for option in section.options), default=0)
    indent = " " * (column + 6)
    for option in section.options:
        mark = CHOSEN if option.name == section.chosen else OTHER
        head = f"  {mark} {option.name:<{column}}  "
        if width - len(indent) < 20:  # too narrow for two columns
            yield head.rstrip()
            yield from textwrap.wrap(
                option.summary, max(width - 6, 20), initial_indent=" " * 6, subsequent_indent=" " * 6
            )
        else:
            lines = textwrap.wrap(option.summary, width, initial_indent=head, subsequent_indent=indent)
            yield from lines or [head.rstrip()]


def _group_usage(group: str, is_default: bool) -> str:
    return f"{'' if is_default or group.startswith('hydra/') else '+'}{group}=NAME"


def _multirun_options() -> list[Option]:
    specs = get_all_multirun_configs()
    return [
        Option(name, first_line(specs[name].description) or " ".join(specs[name].overrides)) for name in sorted(specs)
    ]


def _usage(
    command: str, groups: Mapping[str, Sequence[Option]], chosen: Mapping[str, str], *, multiruns: bool
) -> list[str]:
    lines = [command]
    if other := _an_option(groups, "model_config", chosen.get("model_config")):
        lines.append(f"{command} model_config={other}")
    if experiment := _an_option(groups, EXPERIMENTS, None):
        lines.append(f"{command} +{EXPERIMENTS}={experiment}")
    lines.append(f"{command} dry_run=true")
    if multiruns and (names := sorted(get_all_multirun_configs())):
        lines.append(f"{command} +multirun={names[0]}")
    return [*lines, f"{command} --cfg job"]


def _an_option(groups: Mapping[str, Sequence[Option]], group: str, besides: str | None) -> str | None:
    return next((option.name for option in groups.get(group, ()) if option.name != besides), None)
