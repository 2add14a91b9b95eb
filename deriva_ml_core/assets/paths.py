"""AssetFilePath: a path on disk that knows which asset it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

_ConcretePath = type(Path())  # Path itself cannot be subclassed before Python 3.12

MetadataChange = Callable[["AssetFilePath", Mapping[str, Any], tuple[str, ...]], None]


class AssetFilePath(_ConcretePath):  # type: ignore[misc, valid-type]  # mypy cannot follow type(Path())
    """
    The place of one asset's file: a `Path` that any library takes, with the asset's facts.

    Paths derived from it (`parent`, `with_suffix`, `/`) are plain places: they carry no facts.

    Attributes:
        asset_table: name of the asset table.
        file_name: the asset's name in the catalog.
        asset_metadata: values of the table's own columns.
        asset_types: terms of Asset_Type.
        asset_rid: RID of the asset's row, None until it has one.
    """

    asset_table: str = ""
    file_name: str = ""
    asset_metadata: Mapping[str, Any] = {}
    asset_types: tuple[str, ...] = ()
    asset_rid: str | None = None
    _on_change: MetadataChange | None = None

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        asset_table: str,
        file_name: str,
        asset_metadata: Mapping[str, Any] | None = None,
        asset_types: Iterable[str] = (),
        asset_rid: str | None = None,
        on_change: MetadataChange | None = None,
    ) -> AssetFilePath:
        """The path of an asset; `on_change` hears, and may refuse, new metadata and types before they are kept."""
        self = cls(path)
        self.asset_table, self.file_name, self.asset_rid = asset_table, file_name, asset_rid
        self.asset_metadata, self.asset_types = dict(asset_metadata or {}), tuple(asset_types)
        self._on_change = on_change
        return self

    @property
    def metadata(self) -> dict[str, Any]:
        """Values of the table's own columns; assigning replaces them all."""
        return dict(self.asset_metadata)

    @metadata.setter
    def metadata(self, values: Mapping[str, Any]) -> None:
        if self._on_change is not None:
            self._on_change(self, values, self.asset_types)
        self.asset_metadata = dict(values)

    def set_asset_types(self, asset_types: Iterable[str]) -> None:
        """Replace the types; an unknown one is refused with the nearest terms."""
        types = (asset_types,) if isinstance(asset_types, str) else tuple(asset_types)
        if self._on_change is not None:
            self._on_change(self, self.asset_metadata, types)
        self.asset_types = types

    def with_segments(self, *segments: str | Path) -> Path:
        """Derived paths are plain (Python 3.12 and later ask here)."""
        return Path(*segments)

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {
            "asset_table": self.asset_table,
            "file_name": self.file_name,
            "asset_metadata": dict(self.asset_metadata),
            "asset_types": self.asset_types,
            "asset_rid": self.asset_rid,
        }
        return (_rebuild, (str(self), facts))


def _rebuild(path: str, facts: dict[str, Any]) -> AssetFilePath:
    """A copy in another process: the facts, without the tie to its staging."""
    return AssetFilePath.of(Path(path), **facts)
