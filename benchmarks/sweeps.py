"""
What does each job of a sweep add, and what does it ask of the server?

    python benchmarks/sweeps.py                        20 and 100 jobs, basic and joblib with 2 workers
    python benchmarks/sweeps.py --jobs 20 500 --runs 5
    python benchmarks/sweeps.py --jobs                 only the requests

The bare application has the same configuration, launcher and number of jobs, and a task that does nothing. Requests
are counted on their way to a server in another process, as one far away gets them; those for a job are what a larger
sweep asks more than a smaller one, and the rest is the parent's: its record, its end, its report.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from _harness import Figure, Sample, alternate, command, program, report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))
from meddling_proxy import MeddlingProxy

from deriva_ml_core.local_catalog.server import LocalServer

COMMANDS = Path(sys.executable).parent
LAUNCHERS = {"basic": (), "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")}
MANY = 100  # a larger sweep is measured once
MOST_ADDED_S, MOST_REQUESTS, MOST_GROWTH = 0.25, 15, 1.3

BARE = """\
from pathlib import Path
from hydra_zen import zen
from deriva_ml_core.config.project import load_project
from deriva_ml_core.config.hydra_folders import install_hydra_defaults

def task(model_config, deriva_ml):
    '''Do nothing.'''

if __name__ == "__main__":
    load_project(Path("src/configs"))
    install_hydra_defaults()
    zen(task).hydra_main(config_name="deriva_model", version_base="1.3", config_path=None)
"""
MODEL = """\
def train(epochs: int = 0, rate: float = 0.1, *, ml_instance, execution=None):
    if epochs > 0:
        execution.asset_file_path("Execution_Asset", f"rate-{rate}.txt").write_text(execution.execution_rid)
    if epochs > 1:
        execution.log_metrics(0, loss=rate)
"""
KINDS = {"no output": 0, "one output": 1, "one output and metrics": 2}
FEW, MORE = 5, 15


def make_project(folder: Path) -> tuple[Path, dict[str, str]]:
    """The project of the tests, committed, with a catalog; and the environment of its commands."""
    import project_fixture

    (folder / "home").mkdir()
    made = project_fixture.make_project(
        folder / "project",
        folder / "home",
        folder / "pycache",
        model=MODEL,
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
    command(*argv, cwd=root, env=env)()
    return time.perf_counter() - start


def measure(root: Path, env: dict[str, str], launcher: str, jobs: int, runs: int) -> list[Sample]:
    """The bare application and ours in turn."""
    sweep = ["--multirun", f"model_config.rate=range({jobs})", *LAUNCHERS[launcher]]
    bare = [sys.executable, "bare.py", *sweep, "~hydra.callbacks.deriva_ml", "hydra.sweep.dir=outputs/bare"]
    ours = [str(COMMANDS / "deriva-ml-run"), *sweep]
    applications = {f"{name}: {launcher}, {jobs} jobs": argv for name, argv in (("bare", bare), ("recorded", ours))}
    subjects = {name: command(*argv, cwd=root, env=env) for name, argv in applications.items()}
    return list(alternate(subjects, runs, warm_ups=0).values())


def requests(root: Path, env: dict[str, str], launcher: str, kinds: list[str]) -> Iterator[Figure]:
    """What a sweep of each kind asks: for each further job, and for itself."""
    with LocalServer(env["DERIVA_ML_LOCAL_ROOT"]) as server, MeddlingProxy("127.0.0.1", _port(server)) as proxy:
        logins = Path(env["HOME"], ".deriva/credential.json")
        logins.parent.mkdir(exist_ok=True)
        logins.write_text(json.dumps({proxy.url.removeprefix("http://"): server.credential}))
        served = {**env, "DERIVA_ML_LOCAL_URL": proxy.url}
        for kind in kinds:
            asked = {}
            for jobs in (FEW, MORE):
                before = proxy.requests
                overrides = [
                    f"model_config.epochs={KINDS[kind]}",
                    f"model_config.rate=range({jobs})",
                    *LAUNCHERS[launcher],
                ]
                timed([str(COMMANDS / "deriva-ml-run"), "--multirun", *overrides], root, served)
                asked[jobs] = proxy.requests - before
            each = (asked[MORE] - asked[FEW]) / (MORE - FEW)
            bound = MOST_REQUESTS if kind != "one output and metrics" else None
            yield Figure(f"requests for each job: {launcher}, {kind}", each, bound, "")
            yield Figure(f"requests of the sweep itself: {launcher}, {kind}", asked[FEW] - FEW * each, None, "")


def _port(server: LocalServer) -> int:
    return int(server.netloc.rpartition(":")[2])


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="*", default=[20, 100])
    parser.add_argument("--launchers", nargs="+", choices=LAUNCHERS, default=list(LAUNCHERS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of jobs, by what they record")
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
                bare, ours = measure(root, env, launcher, jobs, options.runs if jobs < MANY else 1)
                samples |= {ours.name: ours, bare.name: bare}
                added.append((ours.median - bare.median) / jobs)
                name = f"{launcher}, {jobs} jobs"
                figures.append(Figure(f"added time for each job: {name}", added[-1], MOST_ADDED_S, "s"))
            if len(added) > 1:
                figures.append(Figure(f"growth of the added time: {launcher}", added[-1] / added[0], MOST_GROWTH))
            figures += requests(root, env, launcher, options.kinds)
    return report("How much more does a recorded job of a sweep take?", samples, figures)


if __name__ == "__main__":
    program(main)
