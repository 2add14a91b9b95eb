"""Where a project's own modules are imported from."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def extend_import_path(folder: Path) -> None:
    """
    Let `from configs.base import …`, `from models.x import …` and `from src.…` work.

    Args:
        folder: the project's configuration package; its parent and grandparent go on sys.path.
    """
    for entry in (str(folder.parent.parent), str(folder.parent)):
        if entry not in sys.path:
            sys.path.insert(0, entry)
    importlib.invalidate_caches()
