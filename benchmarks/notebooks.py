"""
What does a recorded notebook cost beside papermill?

    python benchmarks/notebooks.py [--runs N]

Whole commands on the same notebook, whose first cell calls run_notebook, in an embedded catalog. papermill keeps the
executed notebook as a file and no more. Ours records code, configuration, inputs and environment, converts the executed
notebook to Markdown and HTML and uploads all of it. Then a notebook with 200 MB of image outputs is run; its memory is
the highest of our process, kernel not counted, as the kernel's is the notebook's own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from _harness import Figure, alternate, command, program, report
from startup import ENVIRONMENT, _write, user_environment

CONFIGS = """\
from hydra_zen import builds, store
from deriva_ml import DerivaMLConfig
from deriva_ml.execution import notebook_config
store([], group="datasets", name="default_dataset")
store([], group="assets", name="default_asset")
Connection = builds(DerivaMLConfig, populate_full_signature=True)
store(Connection(hostname="local", catalog_id="bench"), group="deriva_ml", name="default_deriva")
for name in ("one", "fifty", "large"):
    notebook_config(name, description="Benchmark")
"""
FIRST = 'from deriva_ml.execution import run_notebook\nml, execution, config = run_notebook("{name}")'
LAST = "execution.upload_execution_outputs()"
IMAGES = """\
import os
from IPython.display import Image, display
for _ in range(5):
    display(Image(data=b"\\x89PNG\\r\\n\\x1a\\n" + os.urandom(6_000_000), format="png"))
"""
MEASURE = """\
import resource, sys
from deriva_ml_notebook.cli.run_notebook import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
raise SystemExit(code)
"""


def notebook(path: Path, cells: list[str]) -> None:
    """A notebook of code cells."""
    import nbformat

    document = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    document.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(document, path)


def make_project(folder: Path) -> Path:
    """A project with three notebooks."""
    project = folder / "project"
    _write(project / "src/configs/__init__.py", "")
    _write(project / "src/configs/everything.py", CONFIGS)
    one = FIRST.format(name="one") + "\n" + LAST
    notebook(project / "notebooks/one.ipynb", [one])
    fifty = [FIRST.format(name="fifty"), *(f"value_{n} = {n}\nprint(value_{n})" for n in range(48)), LAST]
    notebook(project / "notebooks/fifty.ipynb", fifty)
    # 5 cells of 5 images of 6 MB, which are 8 MB each in base64
    notebook(project / "notebooks/large.ipynb", [FIRST.format(name="large"), *([IMAGES] * 5), LAST])
    _write(folder / "measure.py", MEASURE)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "add", "."], cwd=project, check=True)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run(["git", *identity, "commit", "-qm", "Benchmark"], cwd=project, check=True)
    return project


def peak_mb(folder: Path, project: Path, env: dict[str, str]) -> float:
    """The most memory that our command takes for the large notebook."""
    done = subprocess.run(
        [sys.executable, str(folder / "measure.py"), "notebooks/large.ipynb"],
        cwd=project, env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    kilobytes = next(int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("peak "))
    return kilobytes * 1024 / 1e6


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = user_environment(folder)
        project = make_project(folder)
        for arguments in (["create", "bench"], ["schema", "install", "bench"]):
            command(str(ENVIRONMENT / "deriva-ml-catalog"), *arguments, env=env)()
        papermill, ours = str(ENVIRONMENT / "papermill"), str(ENVIRONMENT / "deriva-ml-run-notebook")
        subjects = {}
        for which in ("one", "fifty"):
            path = f"notebooks/{which}.ipynb"
            out = str(folder / "out.ipynb")
            subjects[f"papermill, {which}"] = command(
                papermill, "-k", "python3", "--cwd", "notebooks", path, out, cwd=project, env=env
            )
            subjects[f"deriva-ml-run-notebook, {which}"] = command(ours, path, cwd=project, env=env)
        samples = alternate(subjects, options.runs)
        memory = peak_mb(folder, project, env)
    figures = [
        Figure(
            f"{label} more than papermill",
            samples[f"deriva-ml-run-notebook, {which}"].median - samples[f"papermill, {which}"].median,
            1.5,
            "s",
        )
        for which, label in (("one", "a notebook of 1 cell takes"), ("fifty", "one of 50 cells takes"))
    ]
    figures.append(Figure("200 MB of images, peak memory", memory, 1000, "MB"))
    for which, label in (("one", "1 cell"), ("fifty", "50 cells")):
        ratio = samples[f"deriva-ml-run-notebook, {which}"].median / samples[f"papermill, {which}"].median
        figures.append(Figure(f"deriva-ml-run-notebook / papermill, {label}", ratio, None))
    return report("How much longer does a notebook take?", samples, figures)


if __name__ == "__main__":
    program(main)
