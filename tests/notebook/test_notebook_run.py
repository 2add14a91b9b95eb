"""deriva-ml-run-notebook: a notebook's run is as good a record as a model's."""

from __future__ import annotations

import subprocess

from notebook_fixture import FIRST_CELL, LAST_CELL

from deriva_ml_core.workflows.provenance import find_code_reference

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = f'import base64\nfrom IPython.display import Image, display\ndisplay(Image(base64.b64decode("{PNG}")))'


def test_the_executed_notebook_and_its_renderings_are_outputs_of_its_execution(notebooks, committed):
    """One run, all of it: outputs of the notebook's own, the .ipynb, .md and .html, code, configuration, metadata."""
    project = notebooks()
    path = project.write(
        ("markdown", "# An analysis"),
        "print(config.threshold, config.label)",
        PICTURE,
        'execution.asset_file_path("Execution_Asset", "table.csv").write_text("a,b\\n1,2\\n")',
        LAST_CELL,
    )
    committed(project)
    source = path.read_bytes()

    done = project.run("notebooks/analysis.ipynb", "threshold=0.75")

    record = project.record()
    run = record.only
    workflow = record.workflows[run["Workflow"]]
    assert (run["Status"], run["Description"]) == ("Uploaded", "An analysis [overrides: threshold=0.75]")
    assert {"analysis.ipynb", "analysis.md", "analysis.html", "table.csv", "configuration.json"} <= record.names()
    assert record.kinds[run["RID"]]["analysis.md"] == {"Notebook_Output", "Output_File"}
    assert "0.75 first" in record.text("analysis.md")
    assert f"data:image/png;base64,{PNG}" in record.text("analysis.md")
    assert f"data:image/png;base64,{PNG}" in record.text("analysis.html").replace("\n", "")
    assert record.notebook().cells[2].outputs[0].text == "0.75 first\n"
    assert record.types[run["Workflow"]] == {"Analysis"}
    assert workflow["Name"] == "Analysis"
    assert workflow["URL"].endswith("path=/notebooks/analysis.ipynb")
    assert any("threshold: 0.75" in record.text(name) for name in record.names() if name.endswith("config.yaml"))
    assert f"Execution {run['RID']}: Uploaded" in done.stderr
    assert f"deriva-ml-executions show {run['RID']}" in done.stderr
    assert path.read_bytes() == source
    assert run["Execution_Duration"]


def test_a_notebook_need_not_upload_its_outputs(notebooks):
    """The command ends what the notebook began: outputs in the catalog, duration known."""
    project = notebooks()
    project.write('execution.asset_file_path("Execution_Asset", "note.txt").write_text("kept")')

    project.run("notebooks/analysis.ipynb")

    record = project.record()
    assert record.only["Status"] == "Uploaded"
    assert record.text("note.txt") == "kept"
    assert record.only["Execution_Duration"]


def test_running_a_notebook_does_not_change_its_checksum(notebooks, committed):
    """The code is the notebook without outputs: whether it was saved with some makes no other workflow."""
    project = notebooks()
    path = project.write("1 + 1")
    committed(project)
    project.run("notebooks/analysis.ipynb", "--output", "executed.ipynb")
    path.write_bytes((project.project.root / "executed.ipynb").read_bytes())
    subprocess.run(["git", "checkout", "-q", "."], cwd=project.project.root, check=True)
    path.write_text(path.read_text().replace('"execution_count": null', '"execution_count": 7'))

    project.run("notebooks/analysis.ipynb")

    first, second = project.record().executions
    assert first["Workflow"] == second["Workflow"]


def test_the_code_is_the_notebook_that_was_read(notebooks):
    """Who saves it while it runs changes nothing: those cells are not the ones that ran."""
    project = notebooks()
    edit = (
        "from pathlib import Path\nfile = Path('analysis.ipynb')\n"
        "file.write_text(file.read_text().replace('1 + 1', '2'))"
    )
    path = project.write("1 + 1", first=f"{edit}\n{FIRST_CELL}")
    before = find_code_reference(path)

    project.run("notebooks/analysis.ipynb")

    record = project.record()
    assert record.workflows[record.only["Workflow"]]["Checksum"] == before.checksum
    assert find_code_reference(path).checksum != before.checksum


def test_parameters_are_injected_typed_and_recorded(notebooks, tmp_path):
    """YAML on the command line, which wins over the file; a string parameter takes its text as it stands."""
    project = notebooks()
    project.write(
        "print([rate, epochs, flag, items, name, nothing, day])",
        parameters='rate = 0.1\nepochs: int = 1\nflag = False\nitems = [1]\nname = "a"\nnothing = None\nday = "x"',
    )
    (tmp_path / "values.toml").write_text("epochs = 7\nrate = 2.5\n")

    given = ["-p", "rate", "1e-3", "-p", "flag", "true", "-p", "items", "[1, b]", "-p", "name", "12"]
    project.run("notebooks/analysis.ipynb", *given, "-p", "day", "2024-01-01", "--file", str(tmp_path / "values.toml"))

    record = project.record()
    assert "[0.001, 7, True, [1, 'b'], '12', None, '2024-01-01']" in record.text("analysis.md")
    assert '"epochs": 7' in record.text("notebook_parameters.json")
    assert record.notebook().cells[1].metadata.tags == ["injected-parameters"]


def test_a_dry_run_records_nothing(notebooks):
    """The notebook runs, the catalog hears of nothing."""
    project = notebooks()
    project.write("print('ran')", LAST_CELL)

    done = project.run("notebooks/analysis.ipynb", "dry_run=true", "--output", "dry.ipynb")

    assert "nothing was written to the catalog" in done.stderr
    assert "ran" in (project.project.root / "dry.ipynb").read_text()
    assert project.record().executions == []


def test_a_notebook_that_never_calls_run_notebook_is_recorded_by_the_command(notebooks):
    """With a warning: it has no inputs and no configuration of its own."""
    project = notebooks()
    project.write("print('plain')", name="plain", first=None)

    done = project.run("notebooks/plain.ipynb")

    record = project.record()
    assert "warning: plain.ipynb does not call run_notebook" in done.stderr
    assert record.only["Status"] == "Uploaded"
    assert {"plain.ipynb", "plain.md", "plain.html"} <= record.names()


def test_overrides_that_no_cell_takes_are_told(notebooks):
    """Troubleshooting in the guide: "Notebook ignores Hydra overrides"."""
    project = notebooks()
    project.write("print('plain')", name="plain", first=None)

    done = project.run("notebooks/plain.ipynb", "assets=default_asset", "dry_run=true")
    refused = project.run("notebooks/plain.ipynb", "most_runs=3", code=2)

    cure = 'plain.ipynb does not call run_notebook("CONFIGURATION"), which takes the overrides'
    assert f"warning: no cell sees assets=default_asset: {cure}" in done.stderr
    assert refused.stderr.strip().endswith(cure)


def test_a_notebook_that_composes_its_own_configuration_is_given_the_overrides(notebooks):
    """As notebooks of the guide's warning do: with us they are not ignored there either."""
    project = notebooks()
    cell = (
        "from deriva_ml.execution import BaseConfig, get_notebook_configuration, load_configs\n"
        'import sys\nsys.path.insert(0, "../src")\nload_configs()\n'
        'print(get_notebook_configuration(BaseConfig, "analysis").threshold)'
    )
    project.write(cell, name="own", first=None)

    done = project.run("notebooks/own.ipynb", "threshold=0.75", "--log-output")

    assert "0.75" in done.stderr + done.stdout
    assert "no cell sees" not in done.stderr


def test_what_a_run_has_put_in_the_working_folder_is_gone_after_it(notebooks):
    """Neither kernel specifications nor half-written notebooks pile up."""
    project = notebooks()
    project.write(LAST_CELL)

    project.run("notebooks/analysis.ipynb")

    assert not [path for path in project.project.home.rglob("*") if path.name.startswith("analysis-") and path.is_dir()]
    assert not list(project.project.home.rglob("kernelspecs")) + list(
        project.project.home.rglob("share/jupyter/kernels")
    )


def test_output_is_streamed_when_asked_for(notebooks):
    """stdout, stderr and the text of rich outputs; a progress bar is one line."""
    project = notebooks()
    project.write(
        "import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)",
        "for i in range(5):\n    print(f'\\rbar {i + 1}/5', end='', flush=True)",
        "{'rich': 1}",
    )

    done = project.run("notebooks/analysis.ipynb", "--log-output")

    assert "to stdout\n" in done.stdout
    assert "to stderr\n" in done.stderr
    assert "{'rich': 1}" in done.stdout
    assert "bar 5/5\n" in done.stdout
    assert "bar 2/5" not in done.stdout
    assert "bar 5/5" in project.record().text("analysis.md")
    assert "bar 2/5" not in project.record().text("analysis.md")


def test_progress_is_told_by_cell(notebooks):
    """Which of how many, and its first line; the second time also how long it is expected to take."""
    project = notebooks()
    project.write(("markdown", "Text"), "# a comment\nvalue = 1")

    first, second = (project.run("notebooks/analysis.ipynb").stderr for _ in range(2))

    assert "cell 2 of 2: value = 1  (elapsed " in first
    assert "expected" not in first
    assert "expected" in second


def test_run_again_in_one_kernel_the_first_cell_ends_the_execution_of_before(notebooks):
    """What it had staged is kept."""
    project = notebooks()
    project.write(
        'execution.asset_file_path("Execution_Asset", "first.txt").write_text("1")',
        FIRST_CELL + "\nml.close",
        LAST_CELL,
    )

    project.run("notebooks/analysis.ipynb")

    record = project.record()
    assert [one["Status"] for one in record.executions] == ["Aborted", "Uploaded"]
    assert "run_notebook was called again" in record.executions[0]["Status_Detail"]
    assert record.text("first.txt", record.executions[0]) == "1"
    assert "analysis.md" in record.names(record.executions[1])


def test_a_notebook_runs_with_the_plugins_that_its_command_names(notebooks):
    """`plugins.load` and `plugins.block`, as messages have them: the hooks are called in the kernel, which runs it."""
    project = notebooks()
    project.project.write(
        "src/watcher.py",
        """
        import os
        from pathlib import Path
        from deriva_ml.plugins import hookimpl

        @hookimpl
        def deriva_inputs_ready(execution):
            (Path(__file__).parent / "heard.txt").write_text(f"{execution.rid} {os.getpid()}")
        """,
    )
    project.write("import os\nprint(os.getpid())")

    project.run("notebooks/analysis.ipynb", "plugins.load=[watcher]", "plugins.block=[]")

    record = project.record()
    rid, pid = (project.project.root / "src" / "heard.txt").read_text().split()
    assert rid == record.only["RID"]
    assert pid in record.text("analysis.md")
