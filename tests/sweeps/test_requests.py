"""What a job of a sweep asks of the server: a figure that is published, counted where the requests arrive."""

from __future__ import annotations

from counted_run import requests_of_a_run

from deriva_ml_core.executions.recorder import parse_times

MODEL = """\
def train(epochs: int = 1, rate: float = 0.1, *, ml_instance, execution=None):
    execution.asset_file_path("Execution_Asset", f"rate-{rate}.txt").write_text(execution.execution_rid)
"""
MOST_FOR_A_JOB = 14


def requests_of_a_sweep(project, jobs: int) -> int:
    return requests_of_a_run(project, "--multirun", f"model_config.rate=range({jobs})")


def test_a_job_with_an_output_makes_few_requests(demo_project, demo_rows):
    """So many more for each further job; when each model started and stopped is told for all in one request."""
    project = demo_project(MODEL)

    two, six = requests_of_a_sweep(project, 2), requests_of_a_sweep(project, 6)

    assert (six - two) / 4 <= MOST_FOR_A_JOB
    snapshots = [row for row in demo_rows("Execution_Metadata") if row["Filename"].startswith("environment_snapshot")]
    assert len(snapshots) == 2 + 2 + 6
    assert all(parse_times(row["Description"]) for row in snapshots)
