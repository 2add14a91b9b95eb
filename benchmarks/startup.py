"""
How soon does a command answer?

    python benchmarks/startup.py [--runs N]

Whole processes. deriva-ml-run and the bare Hydra application compose the same groups and options with hydra-zen and
call the same model, which writes one small file. The bare application is `zen(run).hydra_main(...)`; ours records the
run in an embedded catalog. Requests are counted where the embedded server answers them. The other commands tell their
help, and those that list something list it, in a catalog where there is little.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

from _harness import Figure, alternate, command, program, report

ENVIRONMENT = Path(sys.executable).parent
TOLD = {  # what each command of ours is asked, besides a run
    "deriva-ml-run --info": ("--info",),
    "deriva-ml-run-notebook --help": ("--help",),
    "deriva-ml-install-kernel --help": ("--help",),
    "deriva-ml-init --help": ("--help",),
    "deriva-ml-catalog list": ("list",),
    "deriva-ml-executions list": ("list", "--host", "local", "--catalog", "bench"),
    "deriva-ml-upload --help": ("--help",),
    "deriva-ml-storage --help": ("--help",),
    "deriva-ml-split-dataset --help": ("--help",),
    "deriva-ml-load-dataset --help": ("--help",),
    "bump-version --help": ("--help",),
}

MODEL = """\
import json

def train(learning_rate=1e-3, epochs=10, batch_size=32, *, ml_instance=None, execution=None):
    path = execution.asset_file_path("Execution_Asset", "metrics.json")
    path.write_text(json.dumps({"epochs": epochs}))
"""
# What the groups share; `connection`, `workflow` and the top-level configuration differ.
GROUPS = """\
from hydra_zen import builds, make_config, store
from model import train
store([], group="datasets", name="default_dataset")
store(["1-ABCD"], group="datasets", name="training")
store([], group="assets", name="default_asset")
store(["6-EPNR"], group="assets", name="weights")
Model = builds(train, populate_full_signature=True, zen_partial=True)
store(Model, group="model_config", name="default_model")
store(Model, group="model_config", name="quick", epochs=3, learning_rate=1e-2)
store(Model, group="model_config", name="long_training", epochs=100, learning_rate=1e-4)
Connection = builds(Config, populate_full_signature=True)
store(Connection(hostname="local", catalog_id="bench"), group="deriva_ml", name="default_deriva")
store(Connection(hostname="prod.example.org", catalog_id="100"), group="deriva_ml", name="production")
Flow = builds(Workflow, name="Benchmark", workflow_type="Training", populate_full_signature=True)
store(Flow, group="workflow", name="default_workflow")
store(Top, name="deriva_model")
store(
    make_config(hydra_defaults=["_self_", {"override /model_config": "quick"}], description="Quick", bases=(Top,)),
    group="experiment", package="_global_", name="quick_training",
)
"""
OURS = """\
from deriva_ml import DerivaML, DerivaMLConfig as Config
from deriva_ml.execution import Workflow, create_model_config
Top = create_model_config(DerivaML, description="Benchmark")
"""
BARE = """\
import functools, pathlib, types
from hydra.core.hydra_config import HydraConfig
from hydra_zen import builds, make_config, store, zen

class Config:
    def __init__(self, hostname, catalog_id=1, domain_schemas=None, default_schema=None, project_name=None,
                 cache_dir=None, working_dir=None, hydra_runtime_output_dir=None, ml_schema="deriva-ml",
                 logging_level=30, deriva_logging_level=30, credential=None, s3_bucket=None, use_minid=None,
                 check_auth=True, clean_execution_dir=True, mode="online"):
        pass

class Workflow:
    def __init__(self, name, workflow_type, description=None, url=None, version=None, workflow_rid=None,
                 checksum=None, is_notebook=False, git_root=None, allow_dirty=False):
        pass

class Execution:
    def asset_file_path(self, table, name):
        return pathlib.Path(HydraConfig.get().runtime.output_dir, name)

def run(deriva_ml, datasets, assets, description, workflow, model_config, dry_run=False, ml_class=None,
        script_config=None):
    model_config(ml_instance=deriva_ml, execution=Execution())

Top = builds(run, populate_full_signature=True, description="Benchmark", hydra_defaults=[
    "_self_", {"deriva_ml": "default_deriva"}, {"datasets": "default_dataset"}, {"assets": "default_asset"},
    {"workflow": "default_workflow"}, {"model_config": "default_model"}])
"""
BARE_MAIN = """
if __name__ == "__main__":
    store.add_to_hydra_store()
    zen(run).hydra_main(config_name="deriva_model", version_base="1.3", config_path=None)
"""
COUNTER = """\
import atexit, os, threading
from deriva_ml_core.local_catalog.app import Application

answer, lock, seen = Application.__call__, threading.Lock(), []

def counted(self, environ, start_response):
    with lock:
        seen.append(environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"])
    return answer(self, environ, start_response)

Application.__call__ = counted
atexit.register(lambda: open(os.environ["REQUESTS_FILE"], "w").write("\\n".join(seen)))
"""


def make_projects(folder: Path) -> tuple[Path, Path]:
    """The two applications: (ours, bare)."""
    ours, bare = folder / "ours", folder / "bare"
    _write(ours / "src/configs/__init__.py", "")
    _write(ours / "src/configs/everything.py", OURS + GROUPS)
    _write(ours / "src/model.py", MODEL)
    _write(bare / "app.py", BARE + GROUPS + BARE_MAIN)
    _write(bare / "model.py", MODEL)
    _write(folder / "count/sitecustomize.py", COUNTER)
    for project in (ours, bare):
        subprocess.run(["git", "init", "-q"], cwd=project, check=True)
        subprocess.run(["git", "add", "."], cwd=project, check=True)
        identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        subprocess.run(["git", *identity, "commit", "-qm", "Benchmark"], cwd=project, check=True)
    return ours, bare


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")


def user_environment(folder: Path) -> dict[str, str]:
    """A new home, an embedded catalog of its own, and compiled modules kept as a user's Python keeps them."""
    (folder / "home").mkdir()
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **env,
        "HOME": str(folder / "home"),
        "DERIVA_ML_LOCAL_ROOT": str(folder / "catalogs"),
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
    }


def count_requests(ours: Path, env: dict[str, str]) -> list[str]:
    """The requests of one run, in order, as the embedded server got them."""
    seen = ours.parent / "requests"
    counting = {**env, "PYTHONPATH": str(ours.parent / "count"), "REQUESTS_FILE": str(seen)}
    command(str(ENVIRONMENT / "deriva-ml-run"), cwd=ours, env=counting)()
    return seen.read_text(encoding="utf-8").splitlines()


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = user_environment(folder)
        ours, bare = make_projects(folder)
        for arguments in (["create", "bench"], ["schema", "install", "bench"]):
            command(str(ENVIRONMENT / "deriva-ml-catalog"), *arguments, env=env)()
        subjects = {
            "bare Hydra": command(sys.executable, "app.py", cwd=bare, env=env),
            "deriva-ml-run": command(str(ENVIRONMENT / "deriva-ml-run"), cwd=ours, env=env),
            "python -c pass": command(sys.executable, "-c", "pass", cwd=bare, env=env),
            "import deriva_ml": command(sys.executable, "-c", "import deriva_ml", cwd=bare, env=env),
        }
        for told, arguments in TOLD.items():
            subjects[told] = command(str(ENVIRONMENT / told.split()[0]), *arguments, cwd=ours, env=env)
        samples = alternate(subjects, options.runs)
        requests = count_requests(ours, env)
    base = samples["bare Hydra"].median
    import_ms = 1000 * (samples["import deriva_ml"].median - samples["python -c pass"].median)
    print("\n".join(requests))
    return report(
        "How long does each command take?",
        samples,
        [
            Figure("deriva-ml-run over bare Hydra", samples["deriva-ml-run"].median / base, 3.0),
            Figure("deriva-ml-run --info over bare Hydra", samples["deriva-ml-run --info"].median / base, 1.3),
            Figure("import deriva_ml over bare Python", import_ms, 60, "ms"),
            Figure("requests of a run, at the server", len(requests), 30, ""),
        ],
    )


if __name__ == "__main__":
    program(main)
