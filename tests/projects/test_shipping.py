"""The template travels in the wheel: an installed deriva-ml makes projects as a clone does."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from deriva_ml_core.projects.creation import TEMPLATES
from deriva_ml_core.projects.tools import find_uv

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.skipif(find_uv() is None, reason="the wheel is built by uv, which is not on this machine")
def test_every_file_of_the_template_is_in_the_wheel(tmp_path: Path):
    """Dot files, .in files and notebooks too."""
    build = [find_uv() or "uv", "build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")

    inside = set(zipfile.ZipFile(wheel).namelist())
    files = {p.relative_to(REPOSITORY).as_posix() for p in TEMPLATES.rglob("*") if p.is_file() and p.suffix != ".pyc"}

    assert files
    assert files <= inside
