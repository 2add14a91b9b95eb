"""How a configuration names its input datasets: RID, version, and how to bring them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from deriva_ml_core.assets.specs import RID, describe_invalid
from deriva_ml_core.datasets.versions import DatasetVersion
from deriva_ml_core.errors import DerivaMLValidationError


class DatasetSpec(BaseModel):
    """
    One input dataset.

    Args:
        rid: of the dataset.
        version: a release; None is the dataset's current version, fixed when the execution is created.
        materialize: whether the files of its assets come with it.
        description: for people; it is not recorded.
        exclude_tables: names of tables that are left out, with all that is reached through them only.
        timeout: seconds to connect and seconds to wait for an answer, or for more of it.
        fetch_concurrency: files fetched at a time.
        reachability_concurrency: table queries at a time.

    Example:
        >>> DatasetSpec(rid="1-ABCD", version="1.0.0", exclude_tables={"Image"}).version
        <DatasetVersion('1.0.0')>
        >>> str(DatasetSpec.from_shorthand("1-ABCD@1.0.0"))
        '1-ABCD@1.0.0'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rid: RID
    version: DatasetVersion | None = None
    materialize: bool = True
    description: str = ""
    exclude_tables: frozenset[str] | None = None
    timeout: tuple[PositiveFloat, PositiveFloat] | None = None
    fetch_concurrency: PositiveInt = Field(default=8, le=64)
    reachability_concurrency: PositiveInt = Field(default=8, le=64)

    @model_validator(mode="before")
    @classmethod
    def _from_bare_string(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            return {"rid": value}
        return _parts(value) if isinstance(value, str) else value

    @field_validator("exclude_tables", mode="before")
    @classmethod
    def _from_one_name(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("timeout", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> Any:
        if isinstance(value, int | float | str):
            msg = f"{value!r}: give two numbers of seconds, to connect and to wait for an answer, as in [6, 120]"
            raise ValueError(msg)  # noqa: TRY004  # pydantic makes an error of its own of this kind only
        return value

    @classmethod
    def from_shorthand(cls, text: str) -> DatasetSpec:
        """
        The dataset that "RID" or "RID@version" names.

        Raises:
            DerivaMLValidationError: it names none.
        """
        return as_dataset_spec(text)

    def __str__(self) -> str:
        return self.rid if self.version is None else f"{self.rid}@{self.version}"


def _parts(text: str) -> dict[str, str]:
    rid, at, version = text.strip().partition("@")
    return {"rid": rid, "version": version} if at else {"rid": rid}


@dataclass
class DatasetSpecConfig:
    """A DatasetSpec in a hydra-zen store: a plain dataclass, for the reason given in assets/specs.py."""

    rid: str
    version: str | None = None
    materialize: bool = True
    description: str = ""
    exclude_tables: list[str] | None = None
    timeout: list[float] | None = None
    fetch_concurrency: int = 8
    reachability_concurrency: int = 8
    _target_: str = field(init=False, repr=False, default="deriva_ml_core.datasets.specs.DatasetSpec")


def as_dataset_spec(value: object) -> DatasetSpec:
    """
    One entry of a `datasets` list: a spec, its configuration, a mapping, "RID" or "RID@version".

    Raises:
        DerivaMLValidationError: it is none of them; the text names the entry.
    """
    if isinstance(value, DatasetSpec):
        return value
    if isinstance(value, DatasetSpecConfig):
        value = {name: item for name, item in vars(value).items() if name != "_target_"}
    try:
        return DatasetSpec.model_validate(dict(value) if isinstance(value, Mapping) else value)
    except ValueError as err:
        raise DerivaMLValidationError(f"datasets: {describe_invalid(value, err, DatasetSpec.model_fields)}") from err
