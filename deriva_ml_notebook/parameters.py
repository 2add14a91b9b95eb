"""Parameters of a notebook: what its cell tagged `parameters` declares, and values for them from a command line."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deriva_ml_core.errors import DerivaMLConfigurationError, nearest

TAG = "parameters"
_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "list": (list,),
    "tuple": (list,),
    "dict": (dict,),
}
_NAMES = {list: "a list", dict: "a mapping", bool: "a boolean", int: "an integer", float: "a number", str: "a string"}


class _Loader(yaml.SafeLoader):
    """YAML's core schema, version 1.2: `no` is a word, 1e-3 is a number, a date is a string."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # yaml's own attribute


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|None|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    """YAML 1.1, which the base class reads, takes 012 for octal."""
    text = str(loader.construct_scalar(node))
    return int(text, 0 if text.startswith(("0x", "0o")) else 10)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    One parameter that a notebook declares.

    Args:
        type: as annotated, or that of the default; "" where neither tells.
        default: its source text.
        help: the comment beside it.
    """

    name: str
    type: str
    default: str
    help: str = ""

    @property
    def takes_null(self) -> bool:
        """Whether None is a value of its type."""
        return self.default == "None" or self.type in ("", "Any") or bool(re.search(r"\b(None|Optional)\b", self.type))

    @property
    def kinds(self) -> set[str]:
        """The kinds of values that its type takes; empty where any may do."""
        outer = re.sub(
            r"\[[^\[\]]*(\[[^\[\]]*\][^\[\]]*)*\]", "", re.sub(r"^(?:typing\.)?Optional\[(.*)\]$", r"\1", self.type)
        )
        words = [word.strip().rpartition(".")[2].lower() for word in outer.split("|")]
        words = [word for word in words if word not in ("none", "")]
        return set(words) if all(word in _KINDS for word in words) else set()


def declared_parameters(document: Any) -> dict[str, Parameter] | None:
    """What the cell tagged `parameters` declares, by name; None where there is no such cell."""
    cell = next((cell for cell in document.cells if TAG in cell.metadata.get("tags", ())), None)
    if cell is None:
        return None
    from papermill.translators import PythonTranslator

    found = PythonTranslator.inspect(cell)
    return {one.name: Parameter(one.name, _type_of(one), str(one.default).strip(), str(one.help)) for one in found}


def _type_of(found: Any) -> str:
    named = str(found.inferred_type_name)
    if named not in ("None", ""):
        return named
    try:
        default = ast.literal_eval(str(found.default).strip())
    except (ValueError, SyntaxError):
        return ""
    return "" if default is None else type(default).__name__


def read_file(path: Path) -> dict[str, Any]:
    """
    Parameters from a JSON, YAML or TOML file.

    Raises:
        DerivaMLConfigurationError: no such file, another kind, or no mapping in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "it is not text"
        raise DerivaMLConfigurationError(f"can't read the parameters file {path}: {reason}") from err
    values = _parsed(path, text)
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise DerivaMLConfigurationError(f"{path} holds no parameters: it must map names to values")
    return values


def _parsed(path: Path, text: str) -> Any:
    import tomllib

    try:
        match path.suffix.lower():
            case ".json":
                return json.loads(text)
            case ".yaml" | ".yml":
                return yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader
            case ".toml":
                return json.loads(json.dumps(tomllib.loads(text), default=str))  # a date is a string, as in YAML
    except (ValueError, yaml.YAMLError) as err:
        raise DerivaMLConfigurationError(
            f"can't read the parameters file {path}: {' '.join(str(err).split())}"
        ) from err
    raise DerivaMLConfigurationError(f"{path}: a parameters file is .json, .yaml, .yml or .toml")


def chosen_parameters(
    notebook: Path, document: Any, from_file: Mapping[str, Any], given: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """
    The values to inject: those of a file, then those of the command line, which win.

    Args:
        given: names, and values as typed: YAML, or the very text where the parameter is a string.

    Raises:
        DerivaMLConfigurationError: the notebook declares no parameters or not this one, or the type is wrong.
    """
    if not from_file and not given:
        return {}
    declared = declared_parameters(document)
    if declared is None:
        raise DerivaMLConfigurationError(
            f"{notebook} takes no parameters: no cell has the tag {TAG!r} (JupyterLab: Property Inspector)"
        )
    chosen = {name: _checked(notebook, declared, name, value) for name, value in from_file.items()}
    for name, text in given:
        parameter = declared.get(name)
        typed = text if parameter is not None and parameter.kinds == {"str"} else _value(name, text)
        chosen[name] = _checked(notebook, declared, name, typed)
    return chosen


def _value(name: str, text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader
    except yaml.YAMLError as err:
        raise DerivaMLConfigurationError(
            f"can't read the value of parameter {name}: {' '.join(str(err).split())}"
        ) from err


def _checked(notebook: Path, declared: Mapping[str, Parameter], name: str, value: Any) -> Any:
    parameter = declared.get(name)
    if parameter is None:
        known = ", ".join(declared) or "none"
        raise DerivaMLConfigurationError(
            f"{notebook} has no parameter {name!r}{nearest(name, declared)} (parameters: {known})"
        )
    kinds = parameter.kinds
    fits = parameter.takes_null if value is None else not kinds or any(_fits(value, kind) for kind in kinds)
    if not fits:
        shown = "null" if value is None else f"{value!r}, {_NAMES.get(type(value), type(value).__name__)}"
        raise DerivaMLConfigurationError(f"parameter {name} of {notebook} is of type {parameter.type}, not {shown}")
    return value


def _fits(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))
