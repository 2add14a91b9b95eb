"""
Fixtures for plugins.

    install   writes a distribution (a module and its .dist-info) where imports find it, as an installer does
"""

from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path

import pytest

from deriva_ml_core.plugins import _warn_once

HEADER = "from deriva_ml.plugins import *\n"


@pytest.fixture
def install(tmp_path, monkeypatch):
    _warn_once.cache_clear()  # what an earlier test of this process has heard
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    modules: list[str] = []

    def write(module: str, code: str, *, name: str | None = None, version: str = "1.2") -> Path:
        """Install a plugin of this module's name; its code may use all of deriva_ml.plugins."""
        (site / f"{module}.py").write_text(HEADER + textwrap.dedent(code))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name or module}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[deriva_ml]\n{module} = {module}\n")
        importlib.invalidate_caches()
        modules.append(module)
        return site

    yield write
    for module in modules:
        sys.modules.pop(module, None)
