"""Plugins on the nodes of a real SLURM cluster: each job loads them from its own environment."""

import json

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", "rate.txt").write_text(str(rate))
"""

PLUGIN = """\
import json, os
from deriva_ml.plugins import hookimpl

def hear(**facts):
    with open(os.environ["HEARD"], "a") as file:
        file.write(json.dumps({**facts, "node": os.environ.get("SLURMD_NODENAME")}) + "\\n")

@hookimpl
def deriva_execution_ended(execution):
    hear(rid=execution.rid, parent=execution.parent)

@hookimpl
def deriva_sweep_ended(sweep):
    hear(sweep=sweep.rid)
"""


def test_a_job_on_a_node_has_the_plugins_and_the_sweep_is_heard_of_where_it_was_launched(slurm_project, tmp_path):
    """A distribution that its environment names, found by its entry point."""
    site, heard = tmp_path / "site", tmp_path / "heard.jsonl"
    info = site / "acme-1.2.dist-info"
    info.mkdir(parents=True)
    (site / "acme.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[deriva_ml]\nacme = acme\n")
    made = slurm_project(MODEL)

    result = made.run(
        *["--multirun", "hydra/launcher=deriva_slurm", "model_config.rate=0.1,0.2"],
        PYTHONPATH=str(site),
        HEARD=str(heard),
    )

    assert result.returncode == 0, result.stderr
    parent, children = made.tree()
    lines = [json.loads(line) for line in heard.read_text().splitlines()]
    on_nodes = {line["rid"]: line["parent"] for line in lines if line["node"]}
    assert on_nodes == {child["RID"]: parent["RID"] for child in children}
    assert [line["sweep"] for line in lines if "sweep" in line and not line["node"]] == [parent["RID"]]
