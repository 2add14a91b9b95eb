"""What a run writes into rows of the catalog holds no secrets either: its description, the reason why it failed."""

from __future__ import annotations

import pytest

from deriva_ml_core.executions.ending import failure_text
from deriva_ml_core.executions.hydra_facts import HydraFacts

SECRET = "hunter2-and-3-more"


def test_overrides_in_the_description(monkeypatch: pytest.MonkeyPatch):
    """The description lists the overrides: a password among them is not."""
    facts = HydraFacts(
        overrides=("model_config.lr=0.1", f"+model_config.api_key={SECRET}", f"x={SECRET}"), job_number=3
    )

    described = facts.described("Runs token: byte pairs")

    assert described.startswith(
        "[Job 3] Runs token: byte pairs [overrides: model_config.lr=0.1, +model_config.api_key="
    )
    assert SECRET not in described


def test_a_secret_of_the_environment_in_the_description(monkeypatch: pytest.MonkeyPatch):
    """`description=${oc.env:MY_TOKEN}` was resolved before it came here."""
    monkeypatch.setenv("MY_TOKEN", SECRET)

    assert SECRET not in HydraFacts().described(f"uses {SECRET}")


def test_the_reason_of_a_failure(monkeypatch: pytest.MonkeyPatch):
    """Exceptions of database and HTTP clients carry URLs with passwords."""
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    error = ConnectionError(f"postgresql://me:other-secret-1@db/x refused; tried {SECRET}; token=zzz-secret-9")

    text = failure_text(error)

    assert text.startswith("ConnectionError: postgresql://[redacted]@db/x refused")
    assert not [secret for secret in (SECRET, "other-secret-1", "zzz-secret-9") if secret in text]


def test_a_description_in_markdown_stays_markdown():
    """A word before its heading, or behind the last row of its table, would spoil it."""
    facts = HydraFacts(overrides=("rate=0.1",), job_number=3)

    assert (
        facts.described("# Rates\n\n| rate |\n|---|") == "[Job 3] [overrides: rate=0.1]\n\n# Rates\n\n| rate |\n|---|"
    )
