"""Versions of datasets: released MAJOR.MINOR.PATCH, and the development labels of the newer generation of catalogs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from packaging.version import Version
from pydantic_core import CoreSchema, core_schema

from deriva_ml_core.errors import DerivaMLValidationError

_LABEL = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(\.post[0-9]+\.dev[0-9]+)?")


class VersionPart(Enum):
    """The part of a version that an increment changes; the parts after it become 0."""

    major = "major"
    minor = "minor"
    patch = "patch"


class DatasetVersion(Version):
    """
    A version of a dataset, ordered as versions are.

    Args:
        major: the number, or the whole text ("1.2.3", "1.2.3.post1.dev4").

    Raises:
        ValueError: the text is neither a release nor a development label.

    Example:
        >>> DatasetVersion("1.2.3") < DatasetVersion(1, 10)
        True
        >>> str(DatasetVersion("1.2.3").increment(VersionPart.minor))
        '1.3.0'
    """

    def __init__(self, major: int | str = 0, minor: int = 0, patch: int = 0) -> None:
        text = major.strip() if isinstance(major, str) else f"{major}.{minor}.{patch}"
        if _LABEL.fullmatch(text) is None:
            msg = f"{text!r} is not a dataset version: give MAJOR.MINOR.PATCH, as in '1.0.0'"
            raise ValueError(msg)
        super().__init__(text)

    @classmethod
    def parse(cls, value: object) -> DatasetVersion:
        """
        A version from text, three numbers or a mapping of parts; a version is itself.

        Raises:
            ValueError: it is none of them.
        """
        match value:
            case DatasetVersion():
                return value
            case str():
                return cls(value)
            case Mapping():
                return cls(*(int(value.get(part.value, 0)) for part in VersionPart))
            case Sequence() if len(value) == 3:
                return cls(*(int(number) for number in value))
        msg = f"{value!r} is not a dataset version: give MAJOR.MINOR.PATCH, as in '1.0.0'"
        raise ValueError(msg)

    @property
    def patch(self) -> int:
        """The third number."""
        return self.micro

    @property
    def is_released(self) -> bool:
        """Whether this is a release, tied to a snapshot, and not a label of the live state."""
        return not self.is_devrelease

    def increment(self, part: VersionPart) -> DatasetVersion:
        """The next release: `part` one up, the parts after it 0."""
        match part:
            case VersionPart.major:
                return DatasetVersion(self.major + 1)
            case VersionPart.minor:
                return DatasetVersion(self.major, self.minor + 1)
            case VersionPart.patch:
                return DatasetVersion(self.major, self.minor, self.patch + 1)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def read_version(value: object) -> DatasetVersion:
    """
    A version that a person names.

    Raises:
        DerivaMLValidationError: it is none.
    """
    try:
        return DatasetVersion.parse(value)
    except (TypeError, ValueError) as err:
        raise DerivaMLValidationError(str(err)) from err


def as_release(value: object) -> DatasetVersion:
    """
    The same, where a development label would mean nothing.

    Raises:
        DerivaMLValidationError: it is no release.
    """
    version = read_version(value)
    if not version.is_released:
        raise DerivaMLValidationError(f"{version} is a development label: a release is MAJOR.MINOR.PATCH")
    return version


def as_part(value: VersionPart | str) -> VersionPart:
    """
    The part of a version that a person names.

    Raises:
        DerivaMLValidationError: it is none.
    """
    try:
        return VersionPart(value)
    except ValueError as err:
        raise DerivaMLValidationError(f"{value!r} is no part of a version: major, minor or patch") from err
