"""Environments of their own for what is measured beside deriva-ml."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from _harness import LackingError

PEERS = {"mlflow": "mlflow>=3,<4", "wandb": "wandb>=0.19", "sacred": "sacred>=0.8.7", "dvclive": "dvclive>=3.48"}


def environment(folder: Path, peer: str, *more: str) -> Path:
    """
    The Python of a new environment with one peer.

    Raises:
        LackingError: it can't be installed here.
    """
    if shutil.which("uv") is None:
        raise LackingError(f"{peer} is installed with uv, which is not here.")
    python = folder / peer / "bin" / "python"
    requirements = (PEERS[peer], *more, "setuptools<81")  # sacred imports its pkg_resources
    for words in (
        ["venv", "-q", "--python", sys.executable, folder / peer],
        ["pip", "install", "-q", "--python", python, *requirements],
    ):
        done = subprocess.run(["uv", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            raise LackingError(f"{peer} can't be installed here.")
    return python
