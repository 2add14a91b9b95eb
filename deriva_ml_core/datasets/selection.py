"""
How the members of a dataset are divided: by chance, by chance within each class, or by a function of the user's.

Sizes are as scikit-learn's train_test_split takes them: a fraction (a float between 0 and 1) of all, or a number (an
int); what is left is for training, unless its size is given too. The same seed divides the same members the same way.
"""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deriva_ml_core.errors import DerivaMLException, DerivaMLValidationError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Indexes = np.ndarray[Any, Any]

TRAINING, VALIDATION, TESTING = "Training", "Validation", "Testing"
# (frame, train size, test size, seed) -> (training, testing), or (frame, name -> size, seed) -> name -> indexes.
SelectionFunction = Callable[..., Any]
Size = float | int


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many members each part gets: name -> number, in the order Training, Validation, Testing."""

    parts: Mapping[str, int]

    @classmethod
    def of(cls, total: int, test_size: Size, train_size: Size | None = None, val_size: Size | None = None) -> Sizes:
        """
        Numbers for `total` members.

        Raises:
            DerivaMLValidationError: a size is neither a fraction nor a number, together they are more than there are,
                or a part would be empty.
        """
        testing = _number("test_size", test_size, total, math.ceil)
        validation = 0 if val_size is None else _number("val_size", val_size, total, math.ceil)
        rest = total - testing - validation
        training = rest if train_size is None else _number("train_size", train_size, total, math.floor)
        if training > rest or min(training, testing) < 1 or (val_size is not None and validation < 1):
            raise DerivaMLValidationError(
                f"{total} members can't be divided into {training} for training, {testing} for testing"
                + (f" and {validation} for validation" if val_size is not None else "")
            )
        parts = {TRAINING: training, VALIDATION: validation, TESTING: testing}
        return cls({name: number for name, number in parts.items() if name != VALIDATION or val_size is not None})


def divide(count: int, sizes: Sizes, seed: int, *, shuffle: bool = True) -> dict[str, list[int]]:
    """Indexes of `count` members by part, by chance; without `shuffle` in their order."""
    order = list(range(count))
    if shuffle:
        random.Random(seed).shuffle(order)  # noqa: S311  # a split must be repeatable, not secret
    return _cut(order, sizes.parts)


def divide_classes(labels: Sequence[Hashable], sizes: Sizes, seed: int) -> dict[str, list[int]]:
    """
    Indexes by part, by chance, so that each part has the classes in the proportions of the whole.

    Raises:
        DerivaMLValidationError: a class has only one member.
    """
    classes: dict[Hashable, list[int]] = {}
    for index, label in enumerate(labels):
        classes.setdefault(label, []).append(index)
    alone = sorted(str(label) for label, members in classes.items() if len(members) < 2)
    if alone:
        raise DerivaMLValidationError(f"can't stratify: only one member is {', '.join(alone[:5])}; it takes two")
    chance = random.Random(seed)  # noqa: S311  # a split must be repeatable, not secret
    left = {label: chance.sample(members, len(members)) for label, members in _sorted(classes)}
    chosen: dict[str, list[int]] = {}
    for name, number in sorted(sizes.parts.items(), key=lambda part: part[0] == TRAINING):  # training takes the rest
        shares = _shares({label: len(members) for label, members in left.items()}, number)
        chosen[name] = [left[label].pop() for label, share in shares.items() for _ in range(share)]
        chance.shuffle(chosen[name])
    return {name: chosen[name] for name in sizes.parts}


def apply_selection(function: SelectionFunction, frame: pd.DataFrame, sizes: Sizes, seed: int) -> dict[str, list[int]]:
    """
    What a user's function chooses.

    Args:
        function: (frame, train size, test size, seed) -> (training, testing), or (frame, name -> size, seed) -> name
            -> indexes; indexes are positions of rows of `frame`.

    Raises:
        DerivaMLValidationError: parts are missing or unknown, a position is not there, or twice.
    """
    given = inspect.signature(function).parameters.values()
    required = [parameter for parameter in given if parameter.default is inspect.Parameter.empty]
    if len(required) == 4 and VALIDATION not in sizes.parts:
        answer = function(frame, sizes.parts[TRAINING], sizes.parts[TESTING], seed)
    else:
        answer = function(frame, dict(sizes.parts), seed)
    named = answer if isinstance(answer, Mapping) else dict(zip((TRAINING, TESTING), answer, strict=True))
    if named.keys() != sizes.parts.keys():
        raise DerivaMLValidationError(f"selection_fn gave {', '.join(named)}, not {', '.join(sizes.parts)}")
    chosen = {name: [int(index) for index in named[name]] for name in sizes.parts}
    every = [index for indexes in chosen.values() for index in indexes]
    if len(set(every)) < len(every) or not all(0 <= index < len(frame) for index in every):
        raise DerivaMLValidationError(f"selection_fn must give each of the {len(frame)} positions at most once")
    return chosen


def random_split(df: pd.DataFrame, train_size: int, test_size: int, seed: int) -> tuple[Indexes, Indexes]:
    """A SelectionFunction: positions of rows for training and testing, by chance."""
    numpy = _numpy()
    chosen = divide(len(df), Sizes({TRAINING: train_size, TESTING: test_size}), seed)
    return numpy.asarray(chosen[TRAINING]), numpy.asarray(chosen[TESTING])


def stratified_split(stratify_column: str) -> SelectionFunction:
    """A SelectionFunction that keeps the proportions of the classes in a column."""

    def select(df: pd.DataFrame, train_size: int, test_size: int, seed: int) -> tuple[Indexes, Indexes]:
        numpy = _numpy()
        labels = list(df[find_column(stratify_column, list(df.columns))])
        chosen = divide_classes(labels, Sizes({TRAINING: train_size, TESTING: test_size}), seed)
        return numpy.asarray(chosen[TRAINING]), numpy.asarray(chosen[TESTING])

    return select


def find_column(name: str, columns: Sequence[str]) -> str:
    """
    The column called Table.Column, which projects also write Table_Column.

    Raises:
        DerivaMLValidationError: there is none; the text has the nearest.
    """
    for column in columns:
        if name in (column, column.replace(".", "_")):
            return column
    hint = nearest(name, columns) or "; include_tables joins others"
    raise DerivaMLValidationError(f"no column {name!r} in the joined tables{hint}")


# --- inside ---


def _number(what: str, size: Size, total: int, rounded: Callable[[float], int]) -> int:
    if isinstance(size, float) and 0 < size < 1:
        return rounded(round(size * total, 9))  # 0.1 * 30 is a little more than 3
    if isinstance(size, int) and not isinstance(size, bool) and 0 < size <= total:
        return size
    raise DerivaMLValidationError(
        f"{what}={size!r}: give a fraction between 0 and 1, or a number from 1 to {total} (the members there are)"
    )


def _cut(order: Sequence[int], parts: Mapping[str, int]) -> dict[str, list[int]]:
    cut, start = {}, 0
    for name, number in parts.items():
        cut[name] = list(order[start : start + number])
        start += number
    return cut


def _shares(classes: Mapping[Hashable, int], number: int) -> dict[Hashable, int]:
    """`number` over the classes, in proportion to their sizes: the largest remainders are rounded up."""
    total = sum(classes.values())
    exact = {label: number * size / total for label, size in classes.items()}
    shares = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (shares[label] - exact[label], str(label)))
    for label in by_remainder[: number - sum(shares.values())]:
        shares[label] += 1
    return shares


def _sorted(classes: Mapping[Hashable, list[int]]) -> list[tuple[Hashable, list[int]]]:
    return sorted(classes.items(), key=lambda item: str(item[0]))


def _numpy() -> Any:
    try:
        import numpy as np  # who splits by RIDs does not need it
    except ImportError as err:
        raise DerivaMLException("splits of frames need NumPy: type `uv add numpy`") from err
    return np
