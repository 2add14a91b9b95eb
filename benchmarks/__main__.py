"""
All benchmarks, or those that are named: runs them one after the other and writes docs/benchmarks.md.

    python benchmarks [NAME...]
    python benchmarks --page      the page alone, from what is kept

Each is a program of its own. What it found is kept in benchmarks/results when it has run to its end, and the page is
made of all that is kept there, so that a benchmark that isn't run, that fails or is interrupted keeps its tables; one
that fails and has none keeps what it came to. What a benchmark leaves running is ended with it, and all of it with the
process that has started this one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import _page
from _harness import MISSED, PR_SET_PDEATHSIG, adopt_orphans, end_what_is_left, machine, prctl

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
ORDER = (
    "peers", "startup", "sweeps", "slurm", "notebooks", "insight", "transfer", "datasets", "catalog", "plugins",
)  # fmt: skip


def main() -> int:
    """Measure, write the page, and return 1 when a benchmark failed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.splitlines()[1])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all by default")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the page from what is kept")
    args = parser.parse_args()
    chosen = [] if args.page else args.names or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job would ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)
    adopt_orphans()
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        with tempfile.TemporaryDirectory(prefix="deriva-ml-bench-") as folder:
            failed = [name for name in chosen if not measure(name, Path(folder))]
    except KeyboardInterrupt:
        print(
            "interrupted; the page is as it was. `python benchmarks --page` adds what had run to its end",
            file=sys.stderr,
        )
        return 130
    _page.write(PAGE, HERE, names())
    print(f"{PAGE} is written" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


def names() -> list[str]:
    """The benchmarks, in the order of the page."""
    found = {path.stem for path in HERE.glob("[!_]*.py")}
    return [name for name in ORDER if name in found] + sorted(found - set(ORDER))


def measure(name: str, folder: Path) -> bool:
    """Run one benchmark and keep what it found; whether it came to its end."""
    kept = folder / f"{name}.jsonl"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env |= {"BENCH_RESULTS": str(kept), "TMPDIR": str(folder)}
    print(f"== {name} at {datetime.now():%H:%M:%S}", flush=True)  # noqa: DTZ005 - for who waits for it
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, HERE / f"{name}.py"],
        env=env,
        start_new_session=True,  # Ctrl-C is ours to pass on, once
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGINT),  # noqa: PLW1509 - no threads; ends with us, killed too
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)  # it stops its servers
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    finally:
        end_what_is_left()
    minutes = (time.monotonic() - start) / 60
    print(f"== {name} took {minutes:.1f} minutes, exit code {code}", flush=True)
    ended = code in (0, MISSED)
    if not kept.exists() or (not ended and _page.results(HERE, name)):
        return False  # an earlier run came to its end
    parts = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    when = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", "minutes": round(minutes, 1), "commit": commit()}
    _page.keep(HERE, name, {**when, "machine": machine(), "parts": parts, "ended": ended})
    return ended


def commit() -> str:
    """What has been measured; empty outside of a repository."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
