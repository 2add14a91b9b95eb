"""
What plugins cost a run that has none of a third party: the search, pluggy, and the built-in, in a fresh process.

The built-in's own modules are imported by every run anyway, so they are loaded before the clock starts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

CODE = """
import time
import deriva_ml_core.assets.upload, deriva_ml_core.executions.opening, deriva_ml_core.executions.reporting
from deriva_ml_core.plugin_loading import find_entry_points
from deriva_ml_core.plugins import Plugins
started = time.perf_counter(); find_entry_points(); searched = time.perf_counter()
plugins = Plugins(); plugins.infos; loaded = time.perf_counter()
for _ in range(1000):
    plugins.gather("deriva_allowed_variables")
print(searched - started, loaded - searched, (time.perf_counter() - loaded) / 1000)
"""


def main(runs: int = 7) -> None:
    """Print medians in milliseconds."""
    measured = [
        [float(word) for word in subprocess.check_output([sys.executable, "-c", CODE], text=True).split()]
        for _ in range(runs)
    ]
    search, load, call = (statistics.median(column) * 1000 for column in zip(*measured, strict=True))
    print(f"search {search:.1f} ms, search and load {load:.1f} ms, a hook that nobody implements {call:.4f} ms")


if __name__ == "__main__":
    main()
