"""A bag as what training frameworks take; each loads its framework only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.datasets.restructure import Grouping, asset_table_of, group_values
from deriva_ml_core.errors import DerivaMLException

if TYPE_CHECKING:
    from deriva_ml_core.datasets.bag import DatasetBag


class Samples(Sequence[tuple[Any, Any]]):
    """
    (file, label) of each asset of a dataset, sorted by RID: a sequence, as PyTorch's DataLoader takes one.

    Attributes:
        rids: of the assets, in the same order. paths, labels: likewise; a label has its column's type, or is None.

    Args:
        loader: makes of a path what a model takes; the path itself without it.
        transform, target_transform: applied to that, and to the label.
    """

    def __init__(
        self,
        rows: Iterable[tuple[str, Path, Any]],
        loader: Callable[[Path], Any] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        found = list(rows)
        self.rids, self.paths = [rid for rid, _, _ in found], [path for _, path, _ in found]
        self.labels = [label for _, _, label in found]
        self._steps = [step for step in (loader, transform) if step is not None]
        self._target_transform = target_transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        sample: Any = self.paths[index]
        for step in self._steps:
            sample = step(sample)
        label = self.labels[index]
        return sample, label if self._target_transform is None else self._target_transform(label)


def samples(bag: DatasetBag, asset_table: str | None, label: str | None, grouping: Grouping, **options: Any) -> Samples:
    """The files of a dataset with their labels; see BagViews.as_samples."""
    return Samples(_rows(bag, asset_table, label, grouping), **options)


def torch_samples(
    bag: DatasetBag, asset_table: str | None, label: str | None, grouping: Grouping, **options: Any
) -> Any:
    """
    The same as a torch.utils.data.Dataset.

    Raises:
        DerivaMLException: torch is not installed.
    """
    return _torch_class()(_rows(bag, asset_table, label, grouping), **options)


@cache
def _torch_class() -> Any:
    """Samples that are torch's too, and that a loader can send to its worker processes."""
    data = _load("torch.utils.data", "torch", "as_torch_dataset")
    reduce = lambda made: (_torch_again, (made.__dict__,))  # noqa: E731  # a method of a class that is made here
    return type("TorchSamples", (Samples, data.Dataset), {"__doc__": Samples.__doc__, "__reduce__": reduce})


def _torch_again(state: dict[str, Any]) -> Any:
    made = object.__new__(_torch_class())
    made.__dict__.update(state)
    return made


def columns_of(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Rows as lists of values, by column."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        for name in names:
            found[name].append(row[name])
    return found


def as_arrays(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """
    Rows as NumPy arrays, by column.

    Raises:
        DerivaMLException: NumPy is not installed.
    """
    numpy = _load("numpy", "numpy", "as_numpy")
    return {name: numpy.asarray(values) for name, values in columns_of(rows, names).items()}


def as_hf_dataset(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Any:
    """
    Rows as a Dataset of the library `datasets`.

    Raises:
        DerivaMLException: it is not installed.
    """
    library = _load("datasets", "datasets", "as_hf_dataset")
    return library.Dataset.from_dict(columns_of(rows, names))


def _rows(
    bag: DatasetBag, asset_table: str | None, label: str | None, grouping: Grouping
) -> Iterable[tuple[str, Path, Any]]:
    table = asset_table_of(bag, asset_table)
    values = group_values(bag, table, grouping)
    for row in bag.reached_rows(table, recurse=True):
        if not Path(str(row["Filename"])).is_file():
            raise DerivaMLException(
                f"dataset {bag.dataset_rid}: the file of {table} {row['RID']} is not in this bag: "
                "download it with materialize=True"
            )
        yield row["RID"], Path(str(row["Filename"])), values(row)[0] if label is not None else None


def _load(module: str, package: str, what: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise DerivaMLException(f"{what} needs {package}: type `uv add {package}`") from err
