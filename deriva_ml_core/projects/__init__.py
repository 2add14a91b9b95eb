"""New projects: the standard layout, ready to run, and the demo that runs at once."""

from __future__ import annotations

from .creation import NewProject, create_project
from .demo import create_demo

__all__ = ["NewProject", "create_demo", "create_project"]
