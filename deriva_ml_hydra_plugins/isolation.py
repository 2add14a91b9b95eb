"""Launchers whose processes would take other jobs with them when they die: each job's fate is made its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.plugins.launcher import Launcher


@contextmanager
def isolated(launcher: Launcher) -> Iterator[None]:
    """Nothing for a launcher that runs its jobs in this process, or that we don't know."""
    del launcher
    yield
