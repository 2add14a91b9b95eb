"""The suites that we ship to plugin authors hold the built-in as well, and find what is wrong with a bad one."""

from __future__ import annotations

import subprocess
import sys

from deriva_ml.testing import AssetHandlerSuite, deriva_catalog, deriva_execution, deriva_home  # noqa: F401  # fixtures
from deriva_ml_core.assets import hatrac


class TestHatrac(AssetHandlerSuite):
    """The built-in handler is held to what a third party's is."""

    handler = hatrac


AUTHOR = """
pytest_plugins = ["deriva_ml.testing"]
"""
AUTHORS_TEST = """
from deriva_ml.plugins import Prepared, hookimpl
from deriva_ml.testing import AssetHandlerSuite, ObserverSuite, OutputPreparerSuite

class Forgetful:
    @hookimpl
    def deriva_store_asset(self, output):
        from deriva_ml.plugins import StoredObject
        return StoredObject("acme://file.bin", output.size_bytes, output.md5)

class TestForgetful(AssetHandlerSuite):
    handler = Forgetful()

class Counting:
    @hookimpl
    def deriva_prepare_output(self, output):
        return Prepared(columns={"Length_In_Words": len(output.path.read_bytes().split())})

class TestCounting(OutputPreparerSuite):
    handler = Counting()
    expected_columns = {"Length_In_Words": 2}
    def sample(self, folder):
        (folder / "x.txt").write_text("two words")
        return folder / "x.txt"

class Listening:
    @hookimpl
    def deriva_execution_ended(self, execution, error):
        assert error is None

class TestListening(ObserverSuite):
    handler = Listening()

def test_project(deriva_project):
    assert "default_model" in deriva_project.run("--info").stdout
"""


def test_an_authors_tests_run_by_one_line_in_conftest(tmp_path):
    """In a pytest of their own, in which nothing else of ours is loaded."""
    (tmp_path / "conftest.py").write_text(AUTHOR)
    (tmp_path / "test_it.py").write_text(AUTHORS_TEST)

    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    result = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, check=False)

    outcome = {
        line.split("::", 1)[1].split(" ")[0]: line.split()[0] for line in result.stdout.splitlines() if "::" in line
    }
    assert outcome["TestForgetful::test_what_is_stored_comes_back[1]"] == "FAILED"
    assert outcome["TestForgetful::test_other_content_under_the_same_name_has_another_url"] == "FAILED"
    assert outcome["TestForgetful::test_the_same_stored_again_has_the_same_url"] == "PASSED"
    assert {state for name, state in outcome.items() if name.startswith(("TestListening", "test_project"))} == {
        "PASSED"
    }
    assert outcome["TestCounting::test_the_sample_is_known"] == "PASSED"
    # It counts words in what is no text: the suite says so.
    assert outcome["TestCounting::test_a_damaged_file_is_refused_or_left_alone[]"] == "FAILED"
