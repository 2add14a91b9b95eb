"""
What does a run cost, beside what users would use instead?

    python benchmarks/peers.py [--runs 5] [--jobs 50] [--sweeps 2] [--listed 1000] [--only mlflow,wandb,sacred,dvclive]

The same work for each: a Hydra application whose model takes three parameters, notes a metric and keeps one small file.
The whole process is timed, start-up included. mlflow writes to SQLite and a folder, and to its own server on this
machine; wandb offline and dvclive write files; sacred uses its FileStorageObserver; deriva-ml an embedded catalog. Each
peer has an environment of its own, with the same Hydra.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from _applications import call, install, subjects, versions
from _environments import PEERS
from _harness import Figure, LackingError, Sample, alternate, command, each, program, report
from _records import BATCH, records
from _servers import server_store

LAUNCHERS = {
    "basic": (),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra/launcher=submitit_local",),
}
MLFLOW_RECORDS = """
import random, sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
client, now, chance = MlflowClient(sys.argv[1]), int(time.time() * 1000), random.Random(0)
experiment = client.create_experiment("listed")
def record(names, parent=None):
    run = client.create_run(experiment, tags={"mlflow.parentRunId": parent} if parent else {}).info.run_id
    metrics = [Metric(name, chance.random(), now, 0) for name in names]
    client.log_batch(run, metrics, [Param("learning_rate", str(chance.random())), Param("epochs", "5")])
    return run
for _ in range(int(sys.argv[2])):
    record(["accuracy", "loss"])
parent = record([])
for _ in range(50):
    record([f"metric_{number}" for number in range(20)], parent)
print("parent", parent)
"""
MLFLOW_LISTS = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
print(mlflow.search_runs(experiment_names=["listed"], filter_string="metrics.accuracy > 0.5",
                         order_by=["metrics.accuracy DESC"]))
"""
MLFLOW_COMPARES = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
found = mlflow.search_runs(experiment_names=["listed"], filter_string=f"tags.mlflow.parentRunId = '{sys.argv[2]}'")
print(found.filter(regex="metrics|params").to_string())
"""
UNLISTED = """\
{count:,} runs with two metrics each, listed by a condition on one and sorted by it; then a sweep of 50 whose jobs have
20 metrics, side by side. Ours are `deriva-ml-executions list` and `compare`, which also says what differs in code,
inputs and environment; mlflow's are `mlflow.search_runs`, which gives parameters and metrics. The others can't be
asked: wandb offline lists nothing before it is synchronised with a server, sacred's FileStorageObserver has no list,
and dvclive leaves that to the experiments of DVC, which are not made here."""
RECORDED = """\
Each has run once more in a repository with a change that is not committed, with {batch} as the batch size, which no
application logs by itself. The table says what was then found in the files that it had left: in its store, in commits
of DVC's, and for the bare application in Hydra's output folder, which the others have besides.

{table}

What a search can't tell, by their documentation:

| | parameters and metrics | inputs | a sweep | after kill -9 |
|---|---|---|---|---|
| bare Hydra | no metrics | no | folders | nothing is told |
| mlflow | by hand | by hand | by hand | RUNNING for ever |
| wandb offline | by hand | by hand | by hand, as a group | nothing is told |
| sacred | by hand | by hand | no | RUNNING for ever |
| dvclive | by hand | through DVC | no | nothing is told |
| papermill | parameters | no | no | the cells so far |
| deriva-ml | parameters; metrics by hand | RIDs, versions | parent, children | Failed, resumable |
"""


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=50, help="of a sweep")
    parser.add_argument("--sweeps", type=int, default=2, help="of each subject; one under submitit_local")
    parser.add_argument("--listed", type=int, default=1000, help="runs in the list")
    parser.add_argument("--only", default=",".join(PEERS), help="peers, with commas between (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        peers, lacking = install(folder / "environments", [peer for peer in args.only.split(",") if peer])
        calls = dict(subjects(folder, peers, running))
        about = " ".join([*([f"With {versions(peers)}."] if peers else []), *lacking])
        parts = {
            "How long does one run take?": lambda title: tell(title, alternate(calls, args.runs), about),
            "How long does one run take, cold?": partial(cold, calls),
            "What does each of them record?": lambda title: report(
                title, {}, [], RECORDED.format(batch=BATCH, table=records(folder, calls))
            ),
        }
        for launcher in LAUNCHERS:
            runs = 1 if launcher == "submitit_local" else args.sweeps  # each of its jobs starts a Python
            question = f"How long does a sweep of {args.jobs} jobs take, {launcher}?"
            parts[question] = partial(sweep, calls, args.jobs, runs, launcher)
        parts["How long does it take to list and compare runs?"] = partial(lists, folder, calls, peers, args)
        return each(parts)


def cold(calls: Mapping[str, partial[object]], title: str) -> int:
    """The first run after an installation, when Python has compiled none of the modules."""
    subjects = {name: partial(without_compiled, *one.args) for name, one in calls.items()}
    about = "As the first run after an installation, when Python has compiled none of the modules."
    return tell(title, alternate(subjects, 2, warm_ups=0), about)


def without_compiled(argv: list[str], cwd: Path, env: Mapping[str, str]) -> object:
    """A call where no module has been compiled."""
    with tempfile.TemporaryDirectory() as compiled:
        return call(argv, cwd, {**env, "PYTHONPYCACHEPREFIX": compiled})


def sweep(calls: Mapping[str, partial[object]], jobs: int, runs: int, launcher: str, title: str) -> int:
    """Sweeps of each subject under one launcher."""
    numbers = ",".join(str(number) for number in range(1, jobs + 1))
    chosen = ("--multirun", f"model_config.epochs={numbers}", *LAUNCHERS[launcher])
    samples = alternate({name: partial(one, *chosen) for name, one in calls.items()}, runs, warm_ups=0)
    return tell(title, samples, jobs=jobs)


def lists(
    folder: Path,
    calls: Mapping[str, partial[object]],
    peers: Mapping[str, Path],
    args: argparse.Namespace,
    title: str,
) -> int:
    """Runs in a list, and side by side: ours and mlflow's, each in a process of its own."""
    from insight import Place, record_many, record_sweep

    if "mlflow" not in peers:
        raise LackingError("mlflow is not among the peers; `insight` has the times of deriva-ml.")
    python, url = str(peers["mlflow"]), calls["mlflow, server"].args[2]["TRACKING"]
    tracking = {"mlflow, SQLite": server_store(folder), "mlflow, server": url}
    (folder / "listed").mkdir()
    place = Place(folder / "listed")
    record_many(place, args.listed)
    ours = record_sweep(place)
    done = command(python, "-c", MLFLOW_RECORDS, tracking["mlflow, SQLite"], str(args.listed))()
    theirs = next(line for line in done.stdout.splitlines() if line.startswith("parent ")).split()[1]
    words = ("list", "--all", "--metric", "accuracy>0.5", "--sort", "accuracy", "--desc")
    asked = {"deriva-ml, list": place.executions(*words), "deriva-ml, compare": place.executions("compare", ours)}
    for name, url in tracking.items():
        asked[f"{name}, list"] = command(python, "-c", MLFLOW_LISTS, url)
        asked[f"{name}, compare"] = command(python, "-c", MLFLOW_COMPARES, url, theirs)
    samples = alternate(asked, min(args.runs, 3))
    figures = [
        Figure(
            f"deriva-ml / {name}, {what}",
            samples[f"deriva-ml, {what}"].median / samples[f"{name}, {what}"].median,
            None,
        )
        for what in ("list", "compare")
        for name in tracking
    ]
    return report(title, samples, figures, UNLISTED.format(count=args.listed))


def tell(title: str, samples: Mapping[str, Sample], about: str = "", jobs: int = 0) -> int:
    """With each subject over bare Hydra, and what it adds to a job; no issue sets a bound for a peer."""
    bare = samples["bare Hydra"].median
    others = {name: one.median for name, one in samples.items() if name != "bare Hydra"}
    figures = [Figure(f"{name} / bare Hydra", seconds / bare, None) for name, seconds in others.items()]
    if jobs:
        figures += [Figure(f"{name} adds to a job", (one - bare) / jobs, None, "s") for name, one in others.items()]
    return report(title, samples, figures, about)


if __name__ == "__main__":
    program(main)
