"""What do plugins cost a run that has none?

    python benchmarks/plugins.py [--runs N]

The search for entry points, pluggy, and the built-in, each time in a fresh process. The built-in's own modules are
imported by every run anyway, so they are loaded before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from _harness import Figure, program, report

CODE = """
import json, time
import deriva_ml_core.assets.upload, deriva_ml_core.executions.opening, deriva_ml_core.executions.reporting
from deriva_ml_core.plugin_loading import find_entry_points
from deriva_ml_core.plugins import Plugins
started = time.perf_counter(); find_entry_points(); searched = time.perf_counter()
plugins = Plugins(); plugins.infos; loaded = time.perf_counter()
for _ in range(1000):
    plugins.gather("deriva_allowed_variables")
print(json.dumps([loaded - searched, searched - started, (time.perf_counter() - loaded) / 1000]))
"""


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    measured = [json.loads(subprocess.check_output([sys.executable, "-c", CODE], text=True)) for _ in range(runs)]
    told = ("search for plugins, and load the built-in", "the search alone", "a hook that nobody implements")
    columns = ([1000 * seconds for seconds in column] for column in zip(*measured, strict=True))
    figures = [Figure.median(name, values, None, "ms") for name, values in zip(told, columns, strict=True)]
    return report("How long does it take to find no plugin?", {}, figures)


if __name__ == "__main__":
    program(main)
