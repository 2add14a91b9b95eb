"""Overrides as the user typed them: checked before Hydra sees them, named multiruns expanded, values quoted.

What is checked here costs nothing and names what there is instead; keys inside a group need the composed
configuration and are left to Hydra (translation.py words its refusal).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, QuotedString, ValueType
from hydra.errors import HydraException

from deriva_ml_core.config.multiruns import MultirunSpec, require_multirun_config
from deriva_ml_core.config.options import project_groups
from deriva_ml_core.config.quoting import quote
from deriva_ml_core.config.translation import unreadable_override
from deriva_ml_core.errors import DerivaMLConfigurationError, nearest

MULTIRUN_KEY = "multirun"
_MANY = 12


@dataclass(frozen=True, slots=True)
class CheckedOverrides:
    """Overrides that Hydra's grammar takes, named multiruns expanded.

    Attributes:
        multirun: the named multirun that was asked for, or None.
        experiment: the chosen experiment, or None where there is none or a sweep over several.
    """

    tokens: list[str]
    multirun: MultirunSpec | None
    experiment: str | None


def in_full(tokens: Sequence[str]) -> list[str]:
    """`plugins.block=[s3]`, as messages have it, is short for a field of the connection that a project may not have."""
    return [_in_full(token) for token in tokens]


def _in_full(token: str) -> str:
    key, sign, value = token.partition("=")
    name = key.lstrip("+").removeprefix("deriva_ml.")
    return f"++deriva_ml.{name}={value}" if sign and name in ("plugins.block", "plugins.load") else token


def check_overrides(tokens: Sequence[str], *, structured_only: bool = True) -> CheckedOverrides:
    """Check what can be checked without composing.

    Args:
        structured_only: False where the project has YAML files besides: their options are Hydra's to check.

    Raises:
        DerivaMLConfigurationError: a bare word, bad syntax, an unknown group, option or multirun.
    """
    options = {group: [option.name for option in found] for group, found in project_groups().items() if group}
    parsed = [_parse(token, options) for token in tokens]
    spec, parsed = _expand_multirun(parsed, options)
    if structured_only:
        for override in parsed:
            _check_options(override, options)
    return CheckedOverrides([_text(override) for override in parsed], spec, _experiment(parsed))


def _parse(token: str, options: Mapping[str, Sequence[str]]) -> Override:
    if "=" not in token and not token.startswith("~"):
        raise DerivaMLConfigurationError(_bare_word(token, options))
    if token.startswith("="):
        raise DerivaMLConfigurationError(f"can't read the override {token!r}: nothing stands before the =")
    try:
        override = OverridesParser.create().parse_override(token)
    except HydraException as err:
        raise DerivaMLConfigurationError(unreadable_override(token, err)) from err
    return override


def _bare_word(word: str, options: Mapping[str, Sequence[str]]) -> str:
    """Say what a word without `=` may have meant."""
    homes = [group for group, names in options.items() if word in names]
    if homes:
        meant = " or ".join(f"{'+' if group == 'experiment' else ''}{group}={word}" for group in homes)
        return f"{word!r} is not an override; did you mean {meant}?"
    if "." in word:
        return f"{word!r} is not an override; write {word}=VALUE"
    if word in options:
        return f"{word!r} is a group; write {word}=NAME ({_listing(word, options[word])})"
    names = [name for found in options.values() for name in found]
    return (
        f"{word!r} is not an override{nearest(word, names)} (write +experiment={word}, GROUP={word} or KEY=VALUE; "
        "--info lists groups and options)"
    )


def _expand_multirun(
    parsed: Sequence[Override], options: Mapping[str, Sequence[str]]
) -> tuple[MultirunSpec | None, list[Override]]:
    """Put a named multirun's overrides and description first, without those that the command line gives itself."""
    asked = [override for override in parsed if override.key_or_group == MULTIRUN_KEY]
    if not asked:
        return None, list(parsed)
    if len(asked) > 1:
        raise DerivaMLConfigurationError(f"one multirun at a time: {' '.join(_text(override) for override in asked)}")
    if not asked[0].is_add():
        raise DerivaMLConfigurationError(f"write +{_text(asked[0]).lstrip('+~')} to run a named multirun")
    spec = require_multirun_config(str(asked[0].value()))
    given = [override for override in parsed if override.key_or_group != MULTIRUN_KEY]
    keys = {_key(override) for override in given}
    own = [_parse(token, options) for token in spec.overrides]
    if spec.description:
        own.append(_parse(f"description={quote(spec.description)}", options))
    return spec, [override for override in own if _key(override) not in keys] + given


def _key(override: Override) -> tuple[str, str | None]:
    return override.key_or_group, override.package


def _text(override: Override) -> str:
    return override.input_line or ""


def _check_options(override: Override, options: Mapping[str, Sequence[str]]) -> None:
    """Refuse an option that its group has not; a sweep names several. In Hydra's groups its plugins have options."""
    if override.key_or_group.startswith("hydra/"):
        return
    names = options.get(override.key_or_group)
    if names is None:
        _check_group(override, options)
        return
    if override.is_delete():
        return
    values = list(_chosen(override, names))
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP and not values:
        raise DerivaMLConfigurationError(
            f"{_text(override)} matches nothing ({_listing(override.key_or_group, names)})"
        )
    for value in values:
        if value not in names:
            if not override.is_sweep_override() and isinstance(override.value(), list) and not nearest(value, names):
                raise DerivaMLConfigurationError(_value_for_group(override, names))
            group = override.key_or_group
            raise DerivaMLConfigurationError(
                f"group {group} has no option {value!r}{nearest(value, names)} ({_listing(group, names)})"
            )


def _check_group(override: Override, options: Mapping[str, Sequence[str]]) -> None:
    """`+experimnt=name` would add a value that nothing reads; `++` says that it is meant."""
    key = override.key_or_group
    if not override.is_add() or "." in key or "/" in key or not isinstance(override.value(), str):
        return
    if close := difflib.get_close_matches(key, options, n=1, cutoff=0.8):
        raise DerivaMLConfigurationError(
            f"no group {key!r}; did you mean '+{close[0]}={override.value()}'? (groups: {', '.join(options)})"
        )


def _chosen(override: Override, names: Iterable[str]) -> Iterable[str]:
    value: Any = override._value  # noqa: SLF001  value() loses what a Glob is
    if isinstance(value, Glob):
        return value.filter(list(names))
    if override.is_discrete_sweep():
        found: list[object] = list(override.sweep_iterator())
    else:
        plain = override.value()
        found = plain if isinstance(plain, list) else [plain]
    unquoted = [item.text if isinstance(item, QuotedString) else item for item in found]
    for item in unquoted:
        if not isinstance(item, str):
            raise DerivaMLConfigurationError(_value_for_group(override, list(names)))
    return [str(item) for item in unquoted]


def _value_for_group(override: Override, names: Sequence[str]) -> str:
    """Say where values go, to somebody who gave them to a group: `datasets=[{rid: 1-ABC, version: 1.0.0}]`."""
    group, value = override.key_or_group, override.value()
    how = f"write {group}=NAME ({_listing(group, names)})"
    if not isinstance(value, list | dict):
        return f"{_text(override)} names no option; {how}"
    text = _text(override).partition("=")[2]
    if any(option.is_described_list for option in project_groups()[group]):
        items = text if isinstance(value, list) else f"[{text}]"
        other = f"or change those of an option made by with_description: '{group}.items={items}'"
    elif isinstance(value, dict):
        other = f"or set its values one by one: {group}.KEY=VALUE"
    else:
        other = "or store an option that has these values"
    return f"{_text(override)} gives values, but {group} is a group: {how}, {other}"


def _experiment(parsed: Sequence[Override]) -> str | None:
    chosen = [override for override in parsed if override.key_or_group == "experiment" and not override.is_delete()]
    if len(chosen) != 1 or chosen[0].is_sweep_override():
        return None
    value = chosen[0].value()
    return value if isinstance(value, str) else None


def _listing(group: str, names: Sequence[str]) -> str:
    more = f", … {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"{group}: {', '.join(names[:_MANY])}{more}"
