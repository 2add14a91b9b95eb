"""`.deriva-context.json`: a folder's own answer to which catalog its commands mean (COMPAT.md section 4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deriva_ml_core.errors import DerivaMLConfigurationError

CONTEXT_FILE = ".deriva-context.json"
_FIELDS = ("hostname", "catalog_id", "default_schema", "working_dir")


def read_context(folder: Path) -> dict[str, Any] | None:
    """
    The nearest context from a folder upwards, None where there is none.

    Raises:
        DerivaMLConfigurationError: the file is there and can't be read, or names no hostname and catalog.
    """
    start = folder.expanduser().absolute()
    for place in (start, *start.parents):
        file = place / CONTEXT_FILE
        if file.is_file():
            return _read(file)
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        found = {name: document[name] for name in _FIELDS if document.get(name) is not None}
    except (OSError, ValueError, TypeError, AttributeError) as err:
        raise DerivaMLConfigurationError(f"{file} can't be read: {err}") from err
    if missing := [name for name in ("hostname", "catalog_id") if name not in found]:
        raise DerivaMLConfigurationError(f"{file} names no {' and no '.join(missing)}")
    return found
