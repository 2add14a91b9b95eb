"""How a configuration names its input assets: by RID, or by the path of a local file.

The `...Config` classes are what a project stores in its `assets` group. They are plain dataclasses with a `_target_`,
which is all that Hydra asks of a structured configuration: importing them costs nothing, hydra-zen takes half a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from deriva_ml_core.errors import DerivaMLValidationError, nearest

# COMPAT section 4: 1-4 characters, hyphen groups of exactly four, an optional snapshot.
_RID = re.compile(r"(?P<rid>[A-Z0-9]{1,4}(?:-[A-Z0-9]{4})*)(?:@(?P<snapshot>[A-Z0-9]{1,4}(?:-[A-Z0-9]{4})*))?")

DRY_RUN_RID = "0000"


def check_rid(rid: str) -> str:
    """
    The RID itself, if it is written as RIDs are.

    Raises:
        ValueError: it is not; the text names it.
    """
    if _RID.fullmatch(rid) is None:
        msg = f"{rid!r} is not a RID (upper-case letters and digits in groups of four, as in '1-ABCD')"
        raise ValueError(msg)
    return rid


def _refuse_number(rid: object) -> object:
    """YAML and Hydra read some RIDs as numbers, and what they were can't be told from these."""
    if isinstance(rid, int | float):
        msg = f'{rid!r} is a number, not a RID: write it in quotes, as in "1E5"'
        raise ValueError(msg)  # noqa: TRY004  # pydantic makes an error of its own of this kind only
    return rid


RID = Annotated[str, BeforeValidator(_refuse_number), AfterValidator(check_rid)]


class AssetSpec(BaseModel):
    """
    One input asset.

    Args:
        rid: of the asset, in any asset table.
        cache: keep its bytes for later executions.

    Example:
        >>> AssetSpec("1-ABCD", cache=True)
        AssetSpec(rid='1-ABCD', cache=True)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rid: RID
    cache: bool = False

    def __init__(self, rid: str | None = None, **fields: Any) -> None:
        super().__init__(**(fields if rid is None else {"rid": rid, **fields}))

    @model_validator(mode="before")
    @classmethod
    def _from_bare_string(cls, value: Any) -> Any:
        if isinstance(value, str | int | float):
            return {"rid": str(value) if isinstance(value, str) else value}
        if isinstance(value, Mapping):  # configurations of an older generation carry the role, which is always Input
            return {name: item for name, item in value.items() if name != "asset_role"}
        return value


class LocalFile(BaseModel):
    """
    One input that is a file of this machine: recorded as a File row and linked as Input, never uploaded.

    Args:
        path: the file.
        cache: without effect; it stands where AssetSpec has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    cache: bool = False

    def __init__(self, path: str | Path | None = None, **fields: Any) -> None:
        super().__init__(**(fields if path is None else {"path": path, **fields}))


class AssetRID(str):
    """A RID that remembers what it is for; everywhere else it is the bare string."""

    __slots__ = ("description",)
    description: str

    def __new__(cls, rid: str, description: str = "") -> AssetRID:
        """Check the RID; ValueError where it is none."""
        self = super().__new__(cls, check_rid(rid))
        self.description = description
        return self

    @property
    def rid(self) -> str:
        """The RID as a plain string."""
        return str(self)


@dataclass
class AssetSpecConfig:
    """An AssetSpec in a hydra-zen store."""

    rid: str
    cache: bool = False
    _target_: str = field(init=False, repr=False, default="deriva_ml_core.assets.specs.AssetSpec")


@dataclass
class LocalFileConfig:
    """A LocalFile in a hydra-zen store."""

    path: str
    cache: bool = False
    _target_: str = field(init=False, repr=False, default="deriva_ml_core.assets.specs.LocalFile")


@dataclass
class AssetRIDConfig:
    """
    A RID with its description in a hydra-zen store.

    Args:
        rid: of the asset.
        description: for people, in the menu.
    """

    rid: str
    description: str = ""
    _target_: str = field(init=False, repr=False, default="deriva_ml_core.assets.specs.AssetRID")


def as_input(value: object) -> AssetSpec | LocalFile:
    """
    One entry of an `assets` list as what it stands for.

    A bare string is always a RID; a mapping with `path` is a local file, any other an asset.

    Raises:
        DerivaMLValidationError: it is neither; the text names the entry.
    """
    if isinstance(value, AssetSpec | LocalFile):
        return value
    if isinstance(value, AssetSpecConfig | LocalFileConfig | AssetRIDConfig):
        value = {name: item for name, item in vars(value).items() if name not in ("_target_", "description")}
    kind = LocalFile if isinstance(value, Mapping) and "path" in value else AssetSpec
    try:
        return kind.model_validate(dict(value) if isinstance(value, Mapping) else value)
    except ValueError as err:
        raise DerivaMLValidationError(f"assets: {describe_invalid(value, err, kind.model_fields)}") from err


def describe_invalid(value: object, error: ValueError, fields: Iterable[str]) -> str:
    """
    One line for a value that a model refused: the value and the first reason, without pydantic's decoration.

    Args:
        fields: those of the model; the nearest is offered for one that is none of them.
    """
    reasons = getattr(error, "errors", None)
    if reasons is None:
        return f"{value!r}: {error}"
    first = reasons()[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = str(first["msg"]).removeprefix("Value error, ")
    hint = nearest(where, fields) if first["type"] == "extra_forbidden" else ""
    return f"{value!r}: {where + ': ' if where else ''}{reason}{hint}"
