"""What the tests of the catalog's client share."""

import pytest


@pytest.fixture
def make_file(tmp_path):
    """Call it for a file with this content."""

    def make(content: bytes, name: str = "file.bin"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make
