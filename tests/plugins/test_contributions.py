"""What plugins add to the record, and what they keep out of it."""

from __future__ import annotations

import json
import logging

import pytest

from deriva_ml_core.errors import PluginError, PluginHookError
from deriva_ml_core.executions import redaction
from deriva_ml_core.executions.contributions import environment_facts, require_plugins
from deriva_ml_core.executions.redaction import redact
from deriva_ml_core.plugins import Plugins


@pytest.fixture(autouse=True)
def _rules_of_this_test(monkeypatch):
    """Rules hold for the life of a process; the next test is another."""
    monkeypatch.setattr(redaction, "_rules", [])


def metadata_of(ml, execution):
    """Names and contents of an execution's metadata files."""
    folder = execution.working_dir / "metadata"
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_hook_deriva_environment_facts(install):
    """Beside the built-in's; what is there already stays, and which plugins there were is a fact as well."""
    install("acme", "@hookimpl\ndef deriva_environment_facts():\n    return {'lab': 'north', 'sys': 'mine'}")

    facts = environment_facts(Plugins(), {"PATH": "/bin"})

    assert (facts["lab"], facts["acme.sys"]) == ("north", "mine")
    assert "version" in facts["sys"]
    assert facts["plugins"] == [{"name": "acme", "distribution": "acme", "version": "1.2", "status": "active"}]


def test_a_collector_that_fails_is_reported_and_recorded(install, caplog):
    """Whoever reads the record must know that facts are missing."""
    install("acme", "@hookimpl\ndef deriva_environment_facts():\n    raise OSError('no sensor')")

    with caplog.at_level(logging.WARNING):
        facts = environment_facts(Plugins(), {})

    assert facts["plugin_errors"] == {"acme": "plugin acme, deriva_environment_facts: OSError: no sensor"}
    assert "no sensor" in caplog.text
    assert "imports" in facts


def test_hook_deriva_allowed_variables(install):
    """More variables are recorded; none of those that were."""
    install("acme", "@hookimpl\ndef deriva_allowed_variables():\n    return ['ACME_*']")

    facts = environment_facts(Plugins(), {"ACME_LAB": "north", "OTHER": "x", "PATH": "/bin"})

    assert facts["os"]["environ"] == {"ACME_LAB": "north", "PATH": "/bin"}


def test_hook_deriva_metadata_files(install, new_ml, workflow):
    """Text or a document; redacted like all others, and uploaded before the model starts."""
    install(
        "acme",
        """
        @hookimpl
        def deriva_metadata_files(execution):
            return [
                MetadataDocument("lab.json", {"rid": execution.rid, "api_key": "abcdef123456"}, "The lab."),
                MetadataDocument("configuration.json", "mine", "Takes another's place."),
            ]
        """,
    )

    execution = new_ml.create_execution(workflow=workflow)

    files = metadata_of(new_ml, execution)
    assert json.loads(files["lab.json"]) == {"rid": execution.execution_rid, "api_key": "[redacted]"}
    assert files["configuration.json"] != "mine"
    execution.abort()


RULES = """
@hookimpl
def deriva_redaction_rules():
    return RedactionRules(names=("patient_.*",), patterns=("MRN[0-9]{6}",))
"""


def test_hook_deriva_redaction_rules(install):
    """By name and by form, in documents, text and overrides."""
    install("acme", RULES)
    require_plugins(Plugins())

    assert redact({"patient_name": "Ada L.", "note": "MRN123456 came"}) == {
        "patient_name": "[redacted]",
        "note": "[redacted] came",
    }
    assert redact("patient_name=Ada") == "patient_name=[redacted]"


@pytest.mark.parametrize("pattern", ["(", ".*"])
def test_a_rule_that_can_not_be_meant_stops_the_run(install, pattern):
    """A secret that slips through can't be taken back."""
    install("acme", f"@hookimpl\ndef deriva_redaction_rules():\n    return RedactionRules(patterns=({pattern!r},))")

    with pytest.raises(PluginError, match="plugin acme, deriva_redaction_rules"):
        require_plugins(Plugins())


def test_rules_that_can_not_be_had_stop_the_run(install, new_ml, workflow):
    """Nothing has been written; the line says how to run without the plugin."""
    install("acme", "@hookimpl\ndef deriva_redaction_rules():\n    raise OSError('no policy')")

    recorded = len(list(new_ml.find_executions()))
    with pytest.raises(PluginHookError, match=r"OSError: no policy; repair it, or set plugins.block=\[acme\]"):
        new_ml.create_execution(workflow=workflow)
    assert len(list(new_ml.find_executions())) == recorded
    assert new_ml.list_executions() == []
