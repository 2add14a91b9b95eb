"""The same work, recorded by each peer: a Hydra application in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from textwrap import dedent

from _environments import LackingError, environment
from _harness import command
from _servers import mlflow_server
from startup import make_projects, user_environment

HYDRA = ("hydra-core>=1.3.2,<1.4", "hydra-zen>=0.17,<0.18", "hydra-joblib-launcher", "hydra-submitit-launcher")
IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")

DVC = {"DVC_NO_ANALYTICS": "1"} | {
    f"GIT_{who}_{what}": f"bench{at}"  # its experiments are commits
    for who in ("AUTHOR", "COMMITTER")
    for what, at in (("NAME", ""), ("EMAIL", "@localhost"))
}

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
            with wandb.init(project="bench", mode="offline", config=parameters) as run:
                path = model()
                run.log({"accuracy": 0.9})
                run.log_artifact(str(path), name="metrics", type="result")
    """,
    "sacred": """
        def record(parameters, model):
            from sacred import Experiment
            from sacred.observers import FileStorageObserver
            experiment = Experiment("bench")
            experiment.observers.append(FileStorageObserver("runs"))
            experiment.add_config(parameters)
            @experiment.main
            def main(_run):
                path = model()
                _run.log_scalar("accuracy", 0.9)
                _run.add_artifact(str(path), name="result.json")  # metrics.json is a file of its own
            experiment.run()
    """,
    "dvclive": """
        def record(parameters, model):
            from dvclive import Live
            hydra = HydraConfig.get()
            alone = "BasicLauncher" in hydra.launcher._target_  # DVC saves an experiment by stashing the workspace
            with Live(f"{hydra.runtime.output_dir}/live", save_dvc_exp=alone) as live:
                live.log_params(parameters)
                path = model()
                live.log_metric("accuracy", 0.9)
                live.log_artifact(str(path))
    """,
}


def application(folder: Path, peer: str, python: str | Path = sys.executable) -> Path:
    """The Hydra application that records by a peer, in a committed repository; its file."""
    file = folder / "app.py"
    folder.mkdir(parents=True)
    file.write_text(START, encoding="utf-8")
    (folder / "work.py").write_text(APP.replace("__RECORD__", dedent(RECORDS[peer]).strip()), encoding="utf-8")
    commands = [["git", "init", "-q"], ["git", "add", "."], ["git", *IDENTITY, "commit", "-qm", "Benchmark"]]
    if peer == "dvclive":
        commands.insert(1, [str(python), "-m", "dvc", "init", "-q"])  # it keeps runs as experiments of DVC
    for command_line in commands:
        subprocess.run(command_line, cwd=folder, check=True, env={**os.environ, **DVC})
    return file


def own_application(folder: Path) -> Path:
    """Ours, whose model notes a metric as the others do; the project."""
    project, _ = make_projects(folder / "own")
    model = project / "src" / "model.py"
    model.write_text(
        model.read_text(encoding="utf-8") + "    execution.log_metrics(0, accuracy=0.9)\n", encoding="utf-8"
    )
    subprocess.run(["git", *IDENTITY, "commit", "-qam", "Note a metric"], cwd=project, check=True)
    return project


def install(folder: Path, peers: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """The Python of each peer, and why there is none of others."""
    pythons: dict[str, Path] = {}
    lacking: list[str] = []
    for peer in peers:
        try:
            pythons[peer] = environment(folder, peer, *HYDRA)
        except LackingError as why:
            lacking.append(str(why))
    return pythons, lacking


def subjects(folder: Path, peers: Mapping[str, Path], running: ExitStack) -> Iterator[tuple[str, partial[object]]]:
    """Name and call of each application; a call takes further arguments of the command line."""
    env = user_environment(folder) | DVC
    ours = own_application(folder)
    catalog = str(Path(sys.executable).parent / "deriva-ml-catalog")
    for words in (["create", "bench"], ["schema", "install", "bench"]):
        call([catalog], ours, env, *words)
    yield "deriva-ml", partial(call, [str(Path(sys.executable).parent / "deriva-ml-run")], ours, env)
    bare = application(folder / "bare", "bare Hydra")
    yield "bare Hydra", partial(call, [sys.executable, str(bare)], bare.parent, env)
    for peer, python in peers.items():
        file = application(folder / "apps" / peer, peer, python)
        if peer != "mlflow":
            yield peer, partial(call, [str(python), str(file)], file.parent, env)
            continue
        stores = {"mlflow, SQLite": f"sqlite:///{file.parent}/store.db"}
        stores["mlflow, server"] = running.enter_context(mlflow_server(python, folder))
        for name, url in stores.items():
            yield name, partial(call, [str(python), str(file)], file.parent, {**env, "TRACKING": url})


def call(argv: list[str], cwd: Path, env: Mapping[str, str], *arguments: str) -> object:
    """Run an application to its end."""
    return command(*argv, *arguments, cwd=cwd, env=env)()


def versions(pythons: Mapping[str, Path]) -> str:
    """What has been installed of each peer."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    told = [
        f"{peer} {subprocess.check_output([python, '-c', code, peer], text=True).strip()}"
        for peer, python in pythons.items()
    ]
    return ", ".join(told)
