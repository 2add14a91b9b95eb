"""What a project chooses in its configuration holds for its sweeps: launchers, descriptions, callbacks of its own."""

from __future__ import annotations

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"{epochs}-{rate}.txt").write_text("done")
"""
ON_JOBLIB = """\
from hydra_zen import make_config, store
from configs.base import DerivaModelConfig
from deriva_ml.execution import multirun_config
store(
    make_config(
        hydra_defaults=["_self_", {"override /hydra/launcher": "joblib"}],
        description="In workers.",
        bases=(DerivaModelConfig,),
    ),
    group="experiment", package="_global_", name="in_workers",
)
TABLE = "# Rates\\n\\n| rate | expected |\\n|---|---|\\n| 0.1 | slow, \\"sure\\" |"
multirun_config("by_experiment", overrides=["+experiment=in_workers", "model_config.rate=0.1,0.2"], description=TABLE)
multirun_config("by_multirun", overrides=["hydra/launcher=joblib", "model_config.rate=0.1,0.2"], description=TABLE)
"""
CALLBACKS = """\
from pathlib import Path
from hydra.conf import HydraConf
from hydra.experimental.callback import Callback
from hydra_zen import builds, store

class Diary(Callback):
    def _write(self, line):
        with open(Path("diary"), "a") as file:
            file.write(line + "\\n")
    def on_multirun_start(self, config, **kwargs):
        self._write(f"start {config.hydra.launcher._target_.rpartition('.')[2]}")
    def on_job_start(self, config, **kwargs):
        self._write(f"job {config.hydra.job.num}")
    def on_job_end(self, config, job_return, **kwargs):
        self._write(f"done {job_return.status.name}")
    def on_multirun_end(self, config, **kwargs):
        self._write("end")

store(
    HydraConf(callbacks={"diary": builds(Diary)}, job_logging={"version": 1, "disable_existing_loggers": False}),
    group="hydra", name="config",
)
"""


def test_an_experiment_or_a_named_multirun_chooses_the_launcher(demo_project, demo_rows):
    """Without a word on the command line; the parent has the multirun's description as it was written, a table too."""
    made = demo_project(MODEL)
    made.write("src/configs/on_joblib.py", ON_JOBLIB)

    for name in ("by_experiment", "by_multirun"):
        result = made.run(f"+multirun={name}")
        assert result.returncode == 0, result.stderr
        assert "Joblib.Parallel(" in result.stdout + result.stderr

    links = demo_rows("Execution_Execution")
    runs = {row["RID"]: row for row in demo_rows("Execution")}
    parents = {link["Execution"] for link in links}
    assert len(parents) == 2
    for parent in parents:
        assert (runs[parent]["Status"], runs[parent]["Description"].count("\n")) == ("Uploaded", 4)
        assert runs[parent]["Description"].endswith('| 0.1 | slow, "sure" |')
        assert sorted(link["Sequence"] for link in links if link["Execution"] == parent) == [0, 1]


def test_a_projects_own_callbacks_and_hydra_configuration_stay(demo_project, tree):
    """They hear of the sweep and of each job, in Hydra's order; the sweep is recorded beside them."""
    made = demo_project(MODEL)
    made.write("src/configs/hydra_settings.py", CALLBACKS)

    result = made.run("--multirun", "model_config.rate=0.1,0.2")

    assert result.returncode == 0, result.stderr
    parent, children = tree()
    assert [one["Status"] for one in (parent, *children)] == ["Uploaded"] * 3
    told = (made.root / "diary").read_text().splitlines()
    assert told[0].startswith("start ")
    assert told[1:] == ["job 0", "done COMPLETED", "job 1", "done COMPLETED", "end"]
