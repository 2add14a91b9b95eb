"""A project in a folder, and its commands run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProjectFolder:
    """
    A project of the standard layout whose catalog is there.

    Args:
        root: its folder; write models and configuration below `src`.
    """

    root: Path

    def run(self, *arguments: str, timeout_s: float = 300, **env: str) -> subprocess.CompletedProcess[str]:
        """`deriva-ml-run` with these arguments, in a process of its own; its exit code is not judged."""
        command = [sys.executable, "-m", "deriva_ml_core.cli.run", *arguments]
        return subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
