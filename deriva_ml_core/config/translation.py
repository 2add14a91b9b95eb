"""Hydra's and OmegaConf's errors as one line for a user: what is wrong, what is there instead, what to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.errors import (
    CompactHydraException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from deriva_ml_core.config.options import project_groups
from deriva_ml_core.config.quoting import quote
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException, WorkingFolderError, nearest

_OWN_MARKS = ("'", '"', "[", "{", "$")  # of values that are no plain text
_FROM_JOB = "_deriva_ml_raised_by_job"
_REFUSED_KEY = re.compile(r"Could not override '(?P<key>[^'=]+)'")
_AMBIGUOUS = re.compile(r"(?:Ambiguous value for argument|Sweep parameters) '(.+)'")
_TWICE = re.compile(r"Multiple values for (\S+)\. To override a value use 'override")
_ADD_GROUP = re.compile(r"To append to your default list use (\S+)")
_ITEM = re.compile(r"^(datasets|assets)(\d+)")  # Hydra writes the key of a list's item without brackets
_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
_SWEEPERS = {"optuna": "hydra-optuna-sweeper", "ax": "hydra-ax-sweeper", "nevergrad": "hydra-nevergrad-sweeper"}
_NOISE = re.compile(r"^(See https?://|full_key:|object_type=|reference_type=|For further information|Search path)")


@contextmanager
def hydra_errors(config_name: str, near: Callable[[str], str] = lambda _: "") -> Iterator[None]:
    """Turn what Hydra raises inside the block into DerivaMLConfigurationError.

    What a job itself raised passes as it is (see mark_as_from_job).

    Args:
        near: given a key that is not in the configuration, the text to append: the nearest keys that are.

    Raises:
        DerivaMLConfigurationError: the configuration or an override is wrong.
        WorkingFolderError: Hydra's output folder can't be made.
    """
    try:
        yield
    except DerivaMLException:
        raise
    except Exception as err:
        if is_from_job(err):
            raise
        if (translated := _translate(err, config_name, near)) is None:
            raise
        raise translated from err


def mark_as_from_job(err: BaseException) -> None:
    """Say that a job raised this, so that it is not taken for Hydra's; the mark survives pickling."""
    setattr(err, _FROM_JOB, True)


def is_from_job(err: BaseException) -> bool:
    """Whether a job raised this."""
    return getattr(err, _FROM_JOB, False)


def is_known(err: Exception) -> bool:
    """Whether it has an owner who is told of it: a job, the user whose error `hydra_errors` makes of it."""
    return is_from_job(err) or isinstance(err, DerivaMLException) or _translate(err, "", lambda _: "") is not None


def _translate(err: Exception, config_name: str, near: Callable[[str], str]) -> DerivaMLException | None:
    """The user's error that Hydra's error is; None where it is none of Hydra's."""
    match err:
        case MissingConfigException():
            return DerivaMLConfigurationError(_missing_config(config_name, err))
        case OverrideParseException():
            return DerivaMLConfigurationError(unreadable_override(err.override, err))
        case InstantiationException():
            return DerivaMLConfigurationError(instantiation_failure(err))
        case HydraException() | OmegaConfBaseException():
            return DerivaMLConfigurationError(_refusal(err, near))
        case OSError() if err.filename:
            return WorkingFolderError(
                f"can't write to {err.filename}: {err.strerror}; "
                "make room there, or name another folder with deriva_ml.working_dir=DIR"
            )
        case _:
            return None


def unreadable_override(override: str, err: Exception) -> str:
    """One line for an override that Hydra's grammar refuses."""
    reason = _lines(str(err))[0]
    key, equals, value = override.partition("=")
    if equals and value.strip() and not value.strip().startswith(_OWN_MARKS):
        quoted = f"{key}={quote(value)}"
        typed = shlex.quote(quoted) if re.search(r'[$`"!\\]', quoted) else f'"{quoted}"'
        hint = f"a text with other than plain letters needs quotes of its own: {typed}"
    else:
        hint = f"in a shell, quote it as a whole: '{override}'"
    return f"can't read the override {override!r}: {reason} ({hint})"


def instantiation_failure(err: BaseException) -> str:
    """One line for a value that its class refused: where it stands in the configuration, and why."""
    text = str(err)
    key = re.search(r"full_key: (.+)", text)
    where = "in " + _ITEM.sub(r"\1[\2]", key.group(1)) + ": " if key else ""
    cause = root_cause(err)
    if reasons := _pydantic_reasons(cause):
        return where + reasons
    if cause is not err:
        return f"{where}{type(cause).__name__}: {' '.join(str(cause).split())}"
    return where + " ".join(_lines(text))


def root_cause(err: BaseException) -> BaseException:
    """The first of a chain of causes."""
    while err.__cause__ is not None:
        err = err.__cause__
    return err


def _pydantic_reasons(err: BaseException) -> str:
    """The complaints of a pydantic model, without importing pydantic."""
    if type(err).__name__ != "ValidationError" or not hasattr(err, "errors"):
        return ""
    complaints: list[dict[str, Any]] = err.errors()
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'value'}: {str(item['msg']).removeprefix('Value error, ')}"
        for item in complaints
    )


def _missing_config(config_name: str, err: MissingConfigException) -> str:
    missing = str(err.missing_cfg_file or "")
    if missing == config_name:
        names = [option.name for option in project_groups().get("", ())]
        known = (
            f"(there are: {', '.join(names)})" if names else "(store one with store(create_model_config(...), name=…))"
        )
        return f"no configuration named {config_name!r}{nearest(config_name, names)} {known}"
    group, _, option = missing.rpartition("/")
    if group == "hydra/launcher" and option in _EXTRAS:
        extra = _EXTRAS[option]
        return f"hydra/launcher={option} needs the extra {extra!r}: install deriva-ml[{extra}]"
    if group == "hydra/sweeper" and option in _SWEEPERS:
        return f"hydra/sweeper={option} needs the package {_SWEEPERS[option]}: uv add {_SWEEPERS[option]}"
    options = list(err.options or ())
    if not group or not options:
        return " ".join(_lines(str(err)))
    listing = f"({group}: {', '.join(options)})"
    return f"{config_name}: group {group} has no option {option!r}{nearest(option, options)} {listing}"


def _refusal(err: Exception, near: Callable[[str], str]) -> str:
    """Hydra's message without addresses and hints for programmers, with OmegaConf's reason behind it."""
    if isinstance(root_cause(err), MissingMandatoryValue):
        return _missing_value(root_cause(err))
    if ambiguous := _AMBIGUOUS.search(str(err)):
        return f"{ambiguous[1]} gives several values: add --multirun to run a job for each (a list is KEY=[A,B])"
    if twice := _TWICE.search(str(err)):
        group = twice[1]
        return (
            f"{group!r} is a group that has its option already: write {group}=… without the +, "
            f'and in the defaults of an experiment {{"override /{group}": …}}'
        )
    if refused := _REFUSED_KEY.search(str(err)):
        return _refused_key(str(err), refused["key"], near)
    lines = _lines(str(err))
    cause = err.__cause__
    if isinstance(cause, OmegaConfBaseException):
        lines += _lines(str(cause))[:1]
    if not lines and isinstance(err, CompactHydraException):
        lines = [type(err).__name__]
    return ": ".join(dict.fromkeys(line.rstrip(".:") for line in lines))


def _refused_key(message: str, key: str, near: Callable[[str], str]) -> str:
    """An override of a key, or of a group, that the configuration does not have."""
    if added := _ADD_GROUP.search(message):
        return f"{key!r} is a group that is not chosen by default: write {added[1]}"
    if "Multiple values" in message or "already in" in message:
        return ": ".join(_lines(message))
    return f"the configuration has no key {key!r}{near(key)} (to add it, write +{key}=…)"


def _missing_value(err: BaseException) -> str:
    key = getattr(err, "full_key", None) or "a value"
    return f"{key} has no value; choose one with {key}=…"


def _lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not _NOISE.match(line)] or [text.strip()]
