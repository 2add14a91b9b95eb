"""Metrics are appended while a model runs, and can be read meanwhile."""

import json
import math
import threading

import numpy as np
import pytest

from deriva_ml_core.errors import DerivaMLValidationError
from deriva_ml_core.executions.metrics import append_metrics, read_metrics


def test_metrics_can_be_read_while_the_run_goes_on(new_ml, workflow):
    """Each call is one line of JSON on disk at once; the file is uploaded as the run's Metrics_File."""
    execution = new_ml.create_execution(description="x", workflow=workflow)
    with execution:
        execution.log_metrics(0, loss=0.5, name="a")
        lines = execution.metrics_file().read_text().splitlines()
        execution.log_metrics(1, loss=np.float32(0.25))
        execution.log_metrics(accuracy=1)

        assert [json.loads(line)["loss"] for line in lines] == [0.5]
        assert [(line["step"], line.get("loss")) for line in execution.metrics] == [(0, 0.5), (1, 0.25), (None, None)]
    uploaded = execution.upload_execution_outputs(clean_folder=False)

    (path,) = uploaded["deriva-ml/Execution_Metadata"]
    assert (path.file_name, path.asset_types) == ("metrics.jsonl", ("Metrics_File",))


def test_no_metrics_is_an_empty_list(new_ml, workflow):
    """Nobody has to log."""
    assert new_ml.create_execution(description="x", workflow=workflow).metrics == []


def test_a_loss_that_diverges_is_kept(tmp_path):
    """NaN and infinity are what a person looks for; every line stays JSON for every reader."""
    file = tmp_path / "m.jsonl"
    append_metrics(file, 1, {"a": math.nan, "b": -math.inf, "c": float("inf")})
    (line,) = read_metrics(file)

    json.loads(file.read_text(), parse_constant=pytest.fail)
    assert math.isnan(line["a"])
    assert (line["b"], line["c"]) == (-math.inf, math.inf)


def test_a_torn_line_costs_itself_only(tmp_path):
    """A process that is killed while it writes leaves half a line; the next one begins a new one."""
    file = tmp_path / "m.jsonl"
    append_metrics(file, 1, {"a": 1})
    with file.open("a") as stream:
        stream.write('{"step": 2, "a"')
    append_metrics(file, 3, {"a": 3})

    assert [line["step"] for line in read_metrics(file)] == [1, 3]


def test_threads_do_not_mix_their_lines(tmp_path):
    """Workers of a data loader log at the same time."""
    file = tmp_path / "m.jsonl"

    def log(worker):
        for step in range(200):
            append_metrics(file, step, {"worker": worker, "text": "x" * 200})

    threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 800


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no value"),
        ({"step": 1}, "can't be called 'step'"),
        ({"a": [1, 2]}, "metric a: list"),
        ({"a": object()}, "metric a"),
    ],
)
def test_what_is_no_metric_is_refused(tmp_path, values, words):
    """Said at the call, and nothing is written."""
    with pytest.raises(DerivaMLValidationError, match=words):
        append_metrics(tmp_path / "m.jsonl", 1, values)

    assert not (tmp_path / "m.jsonl").exists()
