"""Metrics as models write them."""

from deriva_ml_core.analysis.metrics import read_metrics


def test_numbers_of_a_document_are_final_values_and_lists_are_steps():
    """As the templates of this project write metrics.json."""
    metrics = read_metrics(
        "metrics.json", b'{"accuracy": 0.9, "test": {"f1": 1}, "loss": [3, 2, 1], "name": "a", "ok": true}'
    )

    assert metrics.final == {"accuracy": 0.9, "test.f1": 1, "loss": 1}
    assert metrics.series["loss"].steps == [1, 2, 3]
    assert list(metrics.series) == ["loss"]


def test_a_line_is_a_step_and_the_last_value_counts():
    """As `log_metrics` appends them; a clock is no metric, and a metric may be logged less often than others."""
    text = b'{"step": 0, "loss": 2.0, "time": 1}\n{"step": 10, "loss": 1.0, "val": 0.5}\n\n{"step": 20, "loss": 0.5}\n'
    metrics = read_metrics("metrics.jsonl", text)

    assert metrics.final == {"loss": 0.5, "val": 0.5}
    assert (metrics.series["loss"].steps, metrics.series["loss"].values) == ([0, 10, 20], [2.0, 1.0, 0.5])
    assert "val" not in metrics.series


def test_lines_without_a_step_are_numbered():
    """Whoever writes the file by hand may leave it out."""
    metrics = read_metrics("metrics.jsonl", b'{"loss": 2}\n{"loss": 1}\n')

    assert metrics.series["loss"].steps == [0, 1]


def test_half_a_line_costs_itself_only():
    """A run that is killed while it writes leaves one."""
    metrics = read_metrics("metrics.jsonl", b'{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\n{"step": 3, "lo')

    assert metrics.final == {"loss": 1}


def test_what_is_no_metrics_file_has_none():
    """Any file may be called so."""
    for name, content in (("metrics.json", b"\xff\x00"), ("metrics.json", b"3"), ("metrics.jsonl", b"[1]\nx\n")):
        assert read_metrics(name, content).final == {}
