"""
Sweeps: what a recorded job costs beyond Hydra's own cost for it, and what it asks of the server.

    python benchmarks/sweeps.py                        20 and 100 jobs, basic and joblib with 2 workers
    python benchmarks/sweeps.py --jobs 20 100 500

The bare application has the same configuration, launcher and number of jobs, and a task that does nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from _harness import Figure, Sample, report

HERE = Path(__file__).resolve().parent
COMMANDS = Path(sys.executable).parent
LAUNCHERS = {"basic": (), "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")}
MOST_ADDED_S, MOST_REQUESTS, MOST_GROWTH = 0.25, 15, 1.3

BARE = """\
from pathlib import Path
from hydra_zen import zen
from deriva_ml_core.config.discovery import load_project
from deriva_ml_core.config.hydra_folders import install_hydra_defaults

def task(model_config, deriva_ml):
    '''Do nothing.'''

if __name__ == "__main__":
    load_project(Path("src/configs"))
    install_hydra_defaults()
    zen(task).hydra_main(config_name="deriva_model", version_base="1.3", config_path=None)
"""
COUNTER = """\
import os
if file := os.environ.get("COUNT_REQUESTS"):
    from deriva_ml_core.catalog.http import HttpClient
    sent = HttpClient.request
    def request(self, *args, **options):
        with open(file, "a") as stream:
            stream.write(".")
        return sent(self, *args, **options)
    HttpClient.request = request
"""


def make_project(folder: Path) -> tuple[Path, dict[str, str]]:
    """The project of the tests, committed, with a catalog; and the environment of its commands."""
    sys.path.insert(0, str(HERE.parent / "tests" / "fixtures"))
    import project_fixture

    (folder / "home").mkdir()
    made = project_fixture.make_project(
        folder / "project",
        folder / "home",
        folder / "pycache",
        model=COUNTER + project_fixture.NO_OP_MODEL,
        hostname="local",
        catalog_id="demo",
    )
    made.write("bare.py", BARE)
    made.write(".gitignore", "__pycache__/\noutputs/\nmultirun/\n")
    env = made.environment(DERIVA_ML_LOCAL_ROOT=str(folder / "catalogs"))
    env |= dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "bench")
    env |= dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "bench@example.org")
    for argv in (["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "project"]):
        subprocess.run(argv, cwd=made.root, env=env, check=True)
    for arguments in (["create", "demo"], ["schema", "install", "demo"]):
        subprocess.run([COMMANDS / "deriva-ml-catalog", *arguments], env=env, check=True, capture_output=True)
    return made.root, env


def timed(argv: list[str], root: Path, env: Mapping[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, cwd=root, env=env, check=True, capture_output=True)
    return time.perf_counter() - start


def measure(root: Path, env: dict[str, str], launcher: str, jobs: int, runs: int) -> tuple[Sample, Sample, float]:
    """Ours and the bare application in turn, and the requests for each job."""
    sweep = ["--multirun", f"model_config.rate=range({jobs})", *LAUNCHERS[launcher]]
    ours = [str(COMMANDS / "deriva-ml-run"), *sweep]
    bare = [sys.executable, "bare.py", *sweep, "~hydra.callbacks.deriva_ml", "hydra.sweep.dir=outputs/bare"]
    count = root.parent / f"requests-{launcher}-{jobs}"
    counted = {**env, "COUNT_REQUESTS": str(count)}
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(runs):
        times["bare"].append(timed(bare, root, env))
        count.unlink(missing_ok=True)
        times["ours"].append(timed(ours, root, counted))
    names = f"{launcher}, {jobs} jobs"
    return (
        Sample(f"recorded: {names}", tuple(times["ours"])),
        Sample(f"bare: {names}", tuple(times["bare"])),
        count.stat().st_size / jobs,
    )


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--launchers", nargs="+", choices=LAUNCHERS, default=list(LAUNCHERS))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    samples: dict[str, Sample] = {}
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        root, env = make_project(Path(folder))
        timed([str(COMMANDS / "deriva-ml-run")], root, env)
        for launcher in options.launchers:
            added: list[float] = []
            for jobs in options.jobs:
                ours, bare, requests = measure(root, env, launcher, jobs, options.runs)
                samples |= {ours.name: ours, bare.name: bare}
                added.append((ours.median - bare.median) / jobs)
                name = f"{launcher}, {jobs} jobs"
                figures.append(Figure(f"added time for each job: {name}", added[-1], MOST_ADDED_S, "s"))
                figures.append(Figure(f"requests for each job: {name}", requests, MOST_REQUESTS, ""))
            if len(added) > 1:
                figures.append(Figure(f"growth of the added time: {launcher}", added[-1] / added[0], MOST_GROWTH))
    return report("Sweeps", samples, figures)


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
