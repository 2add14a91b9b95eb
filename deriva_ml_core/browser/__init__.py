"""The pages that `deriva-ml-catalog serve` shows in a web browser: read-only, with the visitor's rights."""

from __future__ import annotations

from .site import MOUNTS, Site

__all__ = ["MOUNTS", "Site"]
