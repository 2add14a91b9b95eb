"""A wrong command costs nothing: one line, exit code 2, no kernel started, nothing recorded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from notebook_fixture import COMMAND, FIRST_CELL

PARAMETERS = "rate: float = 0.1\nepochs = 3\nname = 'x'"


@pytest.fixture(scope="module")
def project(guide_project, tmp_path_factory):
    """The guide's project, whose catalog is on a host that nobody can reach: what asks it fails otherwise."""
    import nbformat

    folder = guide_project.root / "notebooks"
    folder.mkdir(exist_ok=True)
    guide_project.write(
        "src/configs/analysis.py", 'from deriva_ml.execution import notebook_config\nnotebook_config("analysis")\n'
    )
    for name, parameters in (("analysis", PARAMETERS), ("bare", None)):
        document = nbformat.v4.new_notebook()
        if parameters:
            document.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        document.cells.append(nbformat.v4.new_code_cell(FIRST_CELL))
        nbformat.write(document, folder / f"{name}.ipynb")
    (folder / "text.ipynb").write_text("not json")
    (folder / "other.txt").write_text("")
    (folder / "damaged.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]})
    )
    (folder / "old.ipynb").write_text(
        json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []})
    )
    r_notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}})
    nbformat.write(r_notebook, folder / "r.ipynb")
    unknown = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('run_notebook("anlysis")')])
    nbformat.write(unknown, folder / "unknown.ipynb")
    return guide_project


NOTEBOOK = "notebooks/analysis.ipynb"
CASES = {
    "no notebook": ([], "name a notebook"),
    "no such file": (["notebooks/anlysis.ipynb"], "did you mean"),
    "no notebook's name": (["notebooks/other.txt"], "does not end in .ipynb"),
    "a folder": (["notebooks"], "is a folder"),
    "not JSON": (["notebooks/text.ipynb"], "is not a notebook: Notebook does not appear to be JSON"),
    "damaged": (["notebooks/damaged.ipynb"], "is a damaged notebook"),
    "old": (["notebooks/old.ipynb"], "jupyter nbconvert --to notebook --nbformat 4"),
    "another language": (["notebooks/r.ipynb"], "is a notebook in R"),
    "unknown configuration": (["notebooks/unknown.ipynb"], "'analysis'"),
    "unknown parameter": ([NOTEBOOK, "-p", "rat", "1"], "no parameter 'rat'; did you mean 'rate'?"),
    "wrong type": ([NOTEBOOK, "-p", "epochs", "many"], "parameter epochs"),
    "no parameters cell": (["notebooks/bare.ipynb", "-p", "rate", "1"], "no cell has the tag 'parameters'"),
    "no such file of parameters": ([NOTEBOOK, "--file", "none.yaml"], "can't read the parameters file"),
    "half a parameter": ([NOTEBOOK, "-p", "rate"], "-p KEY VALUE"),
    "unknown override": ([NOTEBOOK, "treshold=1"], "treshold"),
    "unknown option of a group": ([NOTEBOOK, "assets=resnet"], "did you mean 'resnet_weights'?"),
    "bare word": ([NOTEBOOK, "resnet_weights"], "did you mean assets=resnet_weights?"),
    "unknown multirun": ([NOTEBOOK, "+multirun=rate"], "did you mean 'rates'?"),
    "unknown kernel": ([NOTEBOOK, "--kernel", "no-such"], "Kernel not found: 'no-such'"),
    "unknown option": ([NOTEBOOK, "--log-outptu"], "did you mean '--log-output' or"),
    "no time": ([NOTEBOOK, "--timeout", "0"], "a number of seconds above 0"),
    "over itself": ([NOTEBOOK, "--output", NOTEBOOK], "never written to"),
    "JSON of nothing": ([NOTEBOOK, "--json"], "--json only goes with"),
    "two modes": ([NOTEBOOK, "--inspect", "--info"], "only one of"),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_is_one_line(project, case):
    """It says what is wrong and what there is instead, and nothing has been started or written."""
    arguments, expected = CASES[case]
    before = project.files()

    done = project.run(*arguments, command=COMMAND)

    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert project.files() == before


def test_an_unknown_kernel_is_told_with_those_there_are(project):
    """Troubleshooting in the guide: "Kernel not found" names the command that makes one."""
    done = project.run(NOTEBOOK, "--kernel", "pyton3", command=COMMAND)

    assert "did you mean 'python3'?" in done.stderr
    assert "kernels: " in done.stderr
    assert "deriva-ml-install-kernel" in done.stderr


def test_a_kernel_without_deriva_ml_is_refused(project, tmp_path):
    """It is asked before anything is recorded, not found out by the first cell."""
    folder = tmp_path / "kernels" / "bare"
    folder.mkdir(parents=True)
    (tmp_path / "python").write_text(
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'deriva_ml'\" >&2\nexit 1\n"
    )
    (tmp_path / "python").chmod(0o755)
    spec = {"argv": [str(tmp_path / "python"), "-f", "{connection_file}"], "display_name": "Bare", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))

    done = project.run(NOTEBOOK, "--kernel", "bare", command=COMMAND, JUPYTER_PATH=str(tmp_path))

    assert done.returncode == 2
    assert "can't import deriva_ml: ModuleNotFoundError: No module named 'deriva_ml'" in done.stderr


def test_inspect_lists_the_parameters(project):
    """Name, type, default and help, from the cell tagged parameters; no kernel runs."""
    done = project.run(NOTEBOOK, "--inspect", command=COMMAND)

    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[:2] == [["Parameter", "Type", "Default", "Help"], ["rate", "float", "0.1"]]
    assert ["epochs", "int", "3"] in rows
    listed = json.loads(project.run(NOTEBOOK, "--inspect", "--json", command=COMMAND).stdout)
    assert listed[0] == {"name": "rate", "type": "float", "default": "0.1", "help": ""}


def test_info_and_cfg_show_what_there_is(project):
    """The same menu and the same YAML as deriva-ml-run's, for the notebook's configuration."""
    menu = project.run(NOTEBOOK, "--info", command=COMMAND).stdout
    composed = project.run("--cfg", NOTEBOOK, "description=mine", command=COMMAND).stdout

    assert "Options of analysis" in menu
    assert "* default_asset" in menu
    assert "+multirun=rates" in menu
    assert "description: mine" in composed
    listed = json.loads(project.run(NOTEBOOK, "--info", "--json", command=COMMAND).stdout)
    assert {"assets", "multirun"} <= {section["group"] for section in listed}
    assert "hostname: dev.example.org" in composed


def test_reading_a_notebook_loads_no_grammar_of_addresses(project):
    """JupyterLab brings one along, and jsonschema would take longer to load it than the command to start."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom deriva_ml_notebook.documents import read_notebook\n"
        f"read_notebook(Path({str(project.root / NOTEBOOK)!r}))\n"
        "assert 'jsonschema' in sys.modules\nprint('rfc3987_syntax' in sys.modules)\nimport rfc3987_syntax"
    )

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "False\n"
