"""
One run and a sweep beside what users would use instead, with the same work: a Hydra application whose model takes three
parameters, notes a metric and keeps one small file.

    python benchmarks/peers.py [--runs 5] [--jobs 50] [--listed 1000] [--only mlflow,wandb,sacred,dvclive]

| | code | configuration | inputs with versions | uncommitted diff | outputs with checksums | true end after kill -9 |
|---|---|---|---|---|---|---|
| bare Hydra | no | yes | no | no | no | no |
| mlflow | commit | by hand | by hand | no | no | no (stays RUNNING) |
| wandb offline | commit | by hand | by hand | yes | yes | no |
| sacred | sources, commit | yes | no | no | MD5 of sources | heartbeat only |
| dvclive | commit | by hand | through DVC | through DVC | through DVC | no |
| deriva-ml | commit and blob | yes | yes | yes | yes | yes |

The whole process is timed, start-up included. mlflow writes to SQLite and a folder, and to its own server on this
machine; wandb offline and dvclive write files; sacred uses its FileStorageObserver. Each peer has an environment of its
own, with the same Hydra. A cold run finds no module compiled. Under joblib (two workers) and submitit_local only
deriva-ml, Hydra alone and mlflow's server sweep, to keep this short. Runs are listed by a condition on a metric, and
sorted by it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from textwrap import dedent

from _harness import Figure, Sample, alternate, command, report
from startup import make_projects, user_environment
from transfer import mlflow_server

HYDRA = ("hydra-core>=1.3.2,<1.4", "hydra-zen>=0.17,<0.18", "hydra-joblib-launcher", "hydra-submitit-launcher")
LAUNCHERS = {
    "basic": (),
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("hydra/launcher=submitit_local",),
}
SIDE_BY_SIDE = ("deriva-ml", "bare Hydra", "mlflow, server")
PEERS = {"mlflow": "mlflow>=3,<4", "wandb": "wandb>=0.19", "sacred": "sacred>=0.8.7", "dvclive": "dvclive>=3.48"}

APP = """\
import json, pathlib, sys
from hydra_zen import builds, store, zen
from hydra.core.hydra_config import HydraConfig

def train(learning_rate=1e-3, epochs=10, batch_size=32):
    path = pathlib.Path(HydraConfig.get().runtime.output_dir, "metrics.json")
    path.write_text(json.dumps({"epochs": epochs}))
    return path

def run(model_config):
    parameters = {"learning_rate": model_config.keywords["learning_rate"], "epochs": model_config.keywords["epochs"]}
    record(parameters, model_config)

__RECORD__

store(builds(train, populate_full_signature=True, zen_partial=True), group="model_config", name="default_model")
DEFAULTS = ["_self_", {"model_config": "default_model"}]
store(builds(run, populate_full_signature=True, hydra_defaults=DEFAULTS), name="top")
def main():
    store.add_to_hydra_store()
    zen(run).hydra_main(config_name="top", version_base="1.3", config_path=None)
"""
START = "from work import main  # jobs in other processes import it, too\n\nmain()\n"
RECORDS = {
    "bare Hydra": """
        def record(parameters, model):
            model()
    """,
    "mlflow": """
        def record(parameters, model):
            import mlflow, os
            mlflow.set_tracking_uri(os.environ["TRACKING"])
            with mlflow.start_run():
                mlflow.log_params(parameters)
                path = model()
                mlflow.log_metric("accuracy", 0.9)
                mlflow.log_artifact(str(path))
    """,
    "wandb": """
        def record(parameters, model):
            import wandb
            with wandb.init(project="bench", mode="offline", config=parameters, dir=".") as run:
                path = model()
                run.log({"accuracy": 0.9})
                run.save(str(path), base_path=str(path.parent))
    """,
    "sacred": """
        def record(parameters, model):
            from sacred import Experiment
            from sacred.observers import FileStorageObserver
            experiment = Experiment("bench", save_git_info=False)
            experiment.observers.append(FileStorageObserver("runs"))
            experiment.add_config(parameters)
            @experiment.main
            def main(_run):
                path = model()
                _run.log_scalar("accuracy", 0.9)
                _run.add_artifact(str(path))
            experiment.run()
    """,
    "dvclive": """
        def record(parameters, model):
            from dvclive import Live
            with Live(str(HydraConfig.get().runtime.output_dir) + "/live", save_dvc_exp=False) as live:
                live.log_params(parameters)
                path = model()
                live.log_metric("accuracy", 0.9)
                live.log_artifact(str(path))
    """,
}


MLFLOW_RECORDS = """
import sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
client, now = MlflowClient(sys.argv[1]), int(time.time() * 1000)
experiment = client.create_experiment("listed")
for number in range(int(sys.argv[2])):
    run = client.create_run(experiment).info.run_id
    metrics = [Metric("accuracy", number / 1000, now, 0), Metric("loss", 1 - number / 1000, now, 0)]
    client.log_batch(run, metrics, [Param("learning_rate", str(number)), Param("epochs", "5")])
"""
MLFLOW_LISTS = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
print(mlflow.search_runs(experiment_names=["listed"], filter_string="metrics.accuracy > 0.5",
                         order_by=["metrics.accuracy DESC"]))
"""


def environment(folder: Path, peer: str) -> Path:
    """The Python of a new environment with Hydra and one peer."""
    python = folder / peer / "bin" / "python"
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, folder / peer], check=True)
    subprocess.run(["uv", "pip", "install", "-q", "--python", python, *HYDRA, PEERS[peer], "setuptools<81"], check=True)
    return python


def application(folder: Path, peer: str) -> Path:
    """The Hydra application that records by a peer, in a committed repository; its file."""
    file = folder / "app.py"
    folder.mkdir(parents=True)
    file.write_text(START, encoding="utf-8")
    (folder / "work.py").write_text(APP.replace("__RECORD__", dedent(RECORDS[peer]).strip()), encoding="utf-8")
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "Benchmark"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return file


def subjects(folder: Path, peers: list[str], running: ExitStack) -> Iterator[tuple[str, partial[object]]]:
    """Name and call of each application; a call takes further arguments of the command line."""
    env = user_environment(folder)
    ours, _ = make_projects(folder / "startup")
    catalog = str(Path(sys.executable).parent / "deriva-ml-catalog")
    for words in (["create", "bench"], ["schema", "install", "bench"]):
        _call([catalog], ours, env, *words)
    yield "deriva-ml", partial(_call, [str(Path(sys.executable).parent / "deriva-ml-run")], ours, env)
    bare = application(folder / "bare", "bare Hydra")
    yield "bare Hydra", partial(_call, [sys.executable, str(bare)], bare.parent, env)
    for peer in peers:
        python = environment(folder / "environments", peer)
        file = application(folder / "apps" / peer, peer)
        if peer != "mlflow":
            yield peer, partial(_call, [str(python), str(file)], file.parent, env)
            continue
        stores = {"mlflow, SQLite": f"sqlite:///{file.parent}/store.db"}
        stores["mlflow, server"] = running.enter_context(mlflow_server(python, folder))
        for name, url in stores.items():
            yield name, partial(_call, [str(python), str(file)], file.parent, {**env, "TRACKING": url})


def _call(argv: list[str], cwd: Path, env: Mapping[str, str], *arguments: str) -> object:
    return command(*argv, *arguments, cwd=cwd, env=env)()


def _cold(call: partial[object]) -> object:
    """The same, where no module has been compiled."""
    argv, cwd, env = call.args
    with tempfile.TemporaryDirectory() as compiled:
        return _call(argv, cwd, {**env, "PYTHONPYCACHEPREFIX": compiled})


def _sweeps(calls: Mapping[str, Callable[..., object]], jobs: int) -> None:
    """One sweep of each subject under each launcher."""
    rates = ",".join(str(number) for number in range(1, jobs + 1))
    for launcher, overrides in LAUNCHERS.items():
        subjects = {
            name: partial(call, "--multirun", f"model_config.epochs={rates}", *overrides)
            for name, call in calls.items()
            if launcher == "basic" or name in SIDE_BY_SIDE
        }
        _tell(f"A sweep of {jobs} jobs, {launcher}", alternate(subjects, 1, warm_ups=0))


def _lists(folder: Path, count: int, runs: int) -> None:
    """Runs in a list, ours and mlflow's, each in a process of its own."""
    from insight import Place, record_many

    place, python = Place(folder / "listed"), folder / "environments" / "mlflow" / "bin" / "python"
    place.folder.mkdir(exist_ok=True)
    record_many(place, count)
    store = f"sqlite:///{folder}/listed/mlflow.db"
    command(str(python), "-c", MLFLOW_RECORDS, store, str(count))()
    subjects = {
        "deriva-ml": place.executions("list", "--all", "--metric", "accuracy>0.5", "--sort", "accuracy", "--desc"),
        "mlflow, SQLite": command(str(python), "-c", MLFLOW_LISTS, store),
    }
    listed = alternate(subjects, runs)
    ratio = listed["deriva-ml"].median / listed["mlflow, SQLite"].median
    report(f"{count} runs, listed by a metric", listed, [Figure("deriva-ml / mlflow", ratio, None)])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=50, help="of the sweep")
    parser.add_argument("--listed", type=int, default=1000, help="runs in the list")
    parser.add_argument("--only", default=",".join(PEERS), help="peers, with commas between (%(default)s)")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled is kept, as a user's Python does
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        calls = dict(subjects(Path(name), [peer for peer in args.only.split(",") if peer], running))
        _tell("One run, whole process", alternate(calls, args.runs))
        cold = {name: partial(_cold, call) for name, call in calls.items()}
        _tell("One run, whole process, cold", alternate(cold, min(args.runs, 2), warm_ups=0))
        _sweeps(calls, args.jobs)
        if "mlflow" in args.only:
            _lists(Path(name), args.listed, args.runs)
    return 0


def _tell(title: str, samples: Mapping[str, Sample]) -> None:
    """With each subject over bare Hydra; no issue sets a bound for a peer."""
    bare = samples["bare Hydra"].median
    report(
        title,
        samples,
        [
            Figure(f"{name} / bare Hydra", one.median / bare, None)
            for name, one in samples.items()
            if name != "bare Hydra"
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
