"""Whatever Hydra's syntax and applications give: one parent, and a child for each job."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    '''One output.'''
    execution.asset_file_path("Execution_Asset", f"{epochs}-{rate}.txt").write_text("done")
    return rate
"""
LOAD = """\
from pathlib import Path
from deriva_ml.execution import run_model
from deriva_ml_core.config.project import load_project
load_project(Path("src/configs"))
"""
HYDRA_MAIN = """\
from hydra_zen import zen
if __name__ == "__main__":
    zen(run_model).hydra_main(config_name="deriva_model", version_base="1.3", config_path=None)
"""
LAUNCH = """\
from hydra_zen import launch, store, zen
from configs.base import DerivaModelConfig
if __name__ == "__main__":
    store.add_to_hydra_store(overwrite_ok=True)
    jobs = launch(DerivaModelConfig, zen(run_model), multirun=True, overrides=["model_config.rate=0.1,0.2"],
                  version_base="1.3")
    assert [job.return_value for batch in jobs for job in batch] == [0.1, 0.2]
"""


@pytest.mark.parametrize(
    ("arguments", "outputs"),
    [
        (["model_config.epochs=range(1,4)"], {"1-0.1", "2-0.1", "3-0.1"}),
        (["model_config.epochs=1,2", "model_config.rate=0.5,0.25"], {"1-0.5", "1-0.25", "2-0.5", "2-0.25"}),
        (["model_config=glob(*)"], {"1-0.1", "3-0.1"}),
        (["+experiment=glob(quick*)", "model_config.rate=choice(0.5,0.25)"], {"3-0.5", "3-0.25"}),
        (["model_config.epochs=5", "+multirun=rates"], {"5-0.1", "5-0.2"}),
        (["+multirun=rates", "model_config.rate=0.7,0.8", "hydra/launcher=joblib"], {"3-0.7", "3-0.8"}),
    ],
    ids=["range", "product", "glob", "experiments", "multirun-last", "multirun-overridden"],
)
def test_what_hydras_syntax_gives_is_recorded(demo_project, demo_rows, tree, arguments, outputs):
    """Ranges, products, globs, experiments; +multirun anywhere, further overrides winning."""
    flag = [] if any("+multirun" in one for one in arguments) else ["--multirun"]

    result = demo_project(MODEL).run(*flag, *arguments)

    assert result.returncode == 0, result.stderr
    parent, children = tree()
    assert [child["Sequence"] for child in children] == list(range(len(outputs)))
    assert {parent["Status"], *(child["Status"] for child in children)} == {"Uploaded"}
    assert {f"{name}.txt" for name in outputs} == {row["Filename"] for row in demo_rows("Execution_Asset")}


@pytest.mark.parametrize(
    ("application", "arguments"),
    [(HYDRA_MAIN, ["--multirun", "model_config.rate=0.1,0.2"]), (LAUNCH, [])],
    ids=["zen-hydra_main", "hydra_zen-launch"],
)
def test_an_application_of_the_projects_own_is_recorded_without_a_word_about_us(
    demo_project, tree, application, arguments
):
    """The callback is found by Hydra, not named by the user."""
    made = demo_project(MODEL)
    made.write("application.py", LOAD + application)

    done = subprocess.run(
        [sys.executable, "application.py", *arguments],
        cwd=made.root,
        env=made.environment(PYTHONPATH="src"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    parent, children = tree()
    assert [(child["Sequence"], child["Status"]) for child in children] == [(0, "Uploaded"), (1, "Uploaded")]
    assert parent["Status"] == "Uploaded"
