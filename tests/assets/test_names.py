"""Which names files of assets may have, from users and from catalogs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.assets.names import (
    MAX_ASSET_NAME_BYTES,
    check_file_name,
    check_relative_path,
    hatrac_path,
    object_name,
    safe_file_name,
)
from deriva_ml_core.errors import DerivaMLValidationError

HOSTILE = ["", ".", "..", "a/b", "a\\b", "a\nb", "a\x00b", "\x1b[31m", "x" * 256, "é" * 200, "a\u2028b", "\ud800"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_in_one_line(name):
    """An empty, escaping, unprintable or too long name is refused, and shown without its control characters."""
    with pytest.raises(DerivaMLValidationError) as error:
        check_file_name(name)

    assert str(error.value).isprintable()
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("name", ["model.pt", "Größe (1) 日本.png", ".hidden", "a b", "100%.txt", "a:b#c?d"])
def test_an_ordinary_name_stays(name):
    """Unicode, blanks and characters that URLs reserve are ordinary in names."""
    assert check_file_name(name) == name
    assert safe_file_name(name, "x") == name


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a/b\nc", ""])
def test_a_path_cannot_leave_its_folder(path):
    """A new output's path is relative and stays below the folder."""
    with pytest.raises(DerivaMLValidationError):
        check_relative_path(path)


@given(st.text(max_size=400))
def test_every_name_of_a_catalog_becomes_one_safe_name(name):
    """Whatever a catalog calls a file, its name on disk is one safe path component, and not empty."""
    safe = safe_file_name(name, "1-ABCD")

    assert check_file_name(safe) == safe
    assert len(safe.encode()) <= MAX_ASSET_NAME_BYTES
    assert Path("folder", safe).parent == Path("folder")


def test_two_hostile_names_stay_two():
    """Cleaning never makes one name of two."""
    assert safe_file_name("../x", "f") != safe_file_name("..\\x", "f")
    assert safe_file_name("a" * 300 + ".png", "f").endswith(".png")


def test_the_place_of_an_object():
    """The store's path carries table, checksum and name, percent-encoded; its version is not part of the name."""
    path = hatrac_path("Image", "0" * 32, "a b:c/ü.png")

    assert path == "/hatrac/Image/" + "0" * 32 + ".a%20b%3Ac%2F%C3%BC.png"
    assert object_name(path + ":3XYZ") == path == object_name(path)
