"""How members are divided: sizes as scikit-learn takes them, repeatable, in proportion."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.datasets.selection import (
    Sizes,
    apply_selection,
    divide,
    divide_classes,
    random_split,
    stratified_split,
)
from deriva_ml_core.errors import DerivaMLValidationError


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"test_size": 0.2}, {"Training": 8, "Testing": 2}),
        ({"test_size": 0.25}, {"Training": 7, "Testing": 3}),
        ({"test_size": 3, "train_size": 4}, {"Training": 4, "Testing": 3}),
        ({"test_size": 0.2, "val_size": 0.1}, {"Training": 7, "Validation": 1, "Testing": 2}),
        ({"test_size": 0.3, "train_size": 0.55}, {"Training": 5, "Testing": 3}),
    ],
)
def test_sizes_are_fractions_or_numbers(sizes, expected):
    """Testing is rounded up, training down; what is left is for training."""
    assert Sizes.of(10, **sizes).parts == expected


@pytest.mark.parametrize(
    "sizes",
    [
        {"test_size": 0.0},
        {"test_size": 1.0},
        {"test_size": 11},
        {"test_size": 10},
        {"test_size": True},
        {"test_size": 5, "train_size": 6},
        {"test_size": 0.5, "val_size": 0.5},
    ],
)
def test_impossible_sizes_are_refused(sizes):
    """Nothing is divided into empty parts, nor into more than there is."""
    with pytest.raises(DerivaMLValidationError):
        Sizes.of(10, **sizes)


@given(st.integers(3, 200), st.integers(0, 5))
def test_parts_are_disjoint_and_repeatable(total, seed):
    """Each member is in one part; the same seed says the same, another one (nearly always) something else."""
    sizes = Sizes.of(total, 1, val_size=1)
    chosen = divide(total, sizes, seed)

    assert sorted(index for part in chosen.values() for index in part) == list(range(total))
    assert chosen == divide(total, sizes, seed)


def test_another_seed_divides_otherwise():
    """A split is by chance."""
    sizes = Sizes.of(100, 0.5)

    assert divide(100, sizes, 1) != divide(100, sizes, 2)
    assert divide(4, Sizes.of(4, 1), 1, shuffle=False) == {"Training": [0, 1, 2], "Testing": [3]}


@given(st.lists(st.sampled_from("abc"), min_size=20, max_size=200), st.integers(0, 3))
def test_classes_keep_their_proportions(labels, seed):
    """Each part is off by less than two members a class."""
    if min(Counter(labels).values()) < 2:
        return
    sizes = Sizes.of(len(labels), 0.25, val_size=0.25)
    chosen = divide_classes(labels, sizes, seed)

    assert {part: len(members) for part, members in chosen.items()} == sizes.parts
    assert len({index for part in chosen.values() for index in part}) == len(labels)
    for part, members in chosen.items():
        for label, there in Counter(labels).items():
            wanted = there * sizes.parts[part] / len(labels)
            assert abs(Counter(labels[index] for index in members)[label] - wanted) < 2
    assert chosen == divide_classes(labels, sizes, seed)


def test_a_class_of_one_is_refused():
    """It can't be in two parts."""
    with pytest.raises(DerivaMLValidationError, match="only one member is b"):
        divide_classes(list("aab"), Sizes.of(3, 1), 1)


def test_functions_of_the_users_are_checked():
    """Both forms are taken; positions twice, out of range, and unknown parts are refused."""
    frame = pd.DataFrame({"Image.Label": list("aabb")})
    two, three = Sizes.of(4, 2), Sizes.of(4, 1, val_size=1)

    assert apply_selection(lambda df, train, test, seed: ([0, 1], [2]), frame, two, 1) == {
        "Training": [0, 1],
        "Testing": [2],
    }
    given_sizes = apply_selection(lambda df, sizes, seed: {name: [n] for n, name in enumerate(sizes)}, frame, three, 1)
    assert given_sizes == {"Training": [0], "Validation": [1], "Testing": [2]}
    assert {len(part) for part in apply_selection(random_split, frame, two, 1).values()} == {2}
    by_label = apply_selection(stratified_split("Image_Label"), frame, two, 1)
    assert all(sorted(frame["Image.Label"].iloc[part]) == ["a", "b"] for part in by_label.values())
    for wrong in (([0, 0], [1]), ([0], [9]), {"Train": [0], "Testing": [1]}):
        with pytest.raises(DerivaMLValidationError, match="selection_fn"):
            apply_selection(lambda df, train, test, seed, answer=wrong: answer, frame, two, 1)
    with pytest.raises(DerivaMLValidationError, match=r"'Image.Label'"):
        stratified_split("Image_Lable")(frame, 2, 2, 1)
