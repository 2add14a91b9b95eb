"""The page of measurements: what `nox -s bench` makes of the benchmarks, and what it leaves when they don't end."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = "import sys\nfrom _harness import Figure, Sample, cannot, report\n"
FAST = f'''"""How fast is it?\n\n    python benchmarks/fast.py\n\nAs fast as can be.\n"""
{HEAD}
samples = {{"ours": Sample("ours", (1.0, 2.0, 4.0)), "theirs": Sample("theirs", (0.01, 0.02))}}
figures = [Figure("ours / theirs", 133.3, 2), Figure.median("rate", (1500.0, 2500.0), 1000, "/s", at_least=True)]
figures.append(Figure("ours --fast / theirs", 2, None))
sys.exit(report("How fast is one?", samples, figures, "Three | at a time."))
'''
LACKING = f'"""What of a cluster?"""\n{HEAD}sys.exit(cannot("How slow is a cluster?", "no sbatch."))\n'
FAILING = '"""What of trouble?"""\nraise SystemExit(1)\n'
LASTING = f'''"""What lasts?"""
import subprocess, pathlib
{HEAD}
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
try:
    print("serving", server.pid, flush=True)
    server.wait()
finally:
    server.kill()
'''
PARTS = '''"""Which parts are told?"""
from _harness import Figure, LackingError, each, program, report

def part(value, title):
    if value == "lacking":
        raise LackingError("no cluster.")
    return report(title, {}, [Figure(title.split()[1], 6 / value, None, "")])

def main():
    questions = {"The first": 3, "What fails?": 0, "What lacks?": "lacking", "The last": 2}
    return each({title: lambda title, value=value: part(value, title) for title, value in questions.items()})

program(main)
'''
ALONE = '''"""What is left?"""
import subprocess, sys, time
from _harness import program

def main():
    code = "import subprocess, sys; daemon = [sys.executable, '-c', 'import time; time.sleep(600)']"
    code += "; print(subprocess.Popen(daemon, start_new_session=True).pid, flush=True)"
    subprocess.run([sys.executable, "-c", code], check=True)
    time.sleep(600)

program(main)
'''
SMALL = [
    ("plugins", "--runs", "1"),
    ("startup", "--runs", "1"),
    ("sweeps", "--jobs", "2", "--runs", "1", "--launchers", "basic", "--kinds", "no output"),
    ("datasets", "--images", "20", "--rows", "1000"),
]


@pytest.fixture(scope="module")
def program() -> tuple[ModuleType, ModuleType]:
    """The program of the benchmarks, and its page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        spec = importlib.util.spec_from_file_location("all_benchmarks", ROOT / "benchmarks" / "__main__.py")
        assert spec
        assert spec.loader
        main = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(main)
        return main, importlib.import_module("_page")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The program, with benchmarks that end at once and a page of earlier ones."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.md").write_text("# As it was\n")
    (tmp_path / "benchmarks").mkdir()
    for name in ("__main__.py", "_harness.py", "_page.py"):
        shutil.copy(ROOT / "benchmarks" / name, tmp_path / "benchmarks")
    for name, text in {"fast": FAST, "lacking": LACKING}.items():
        (tmp_path / "benchmarks" / f"{name}.py").write_text(text)
    return tmp_path


def run(project: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks", *names], cwd=project, capture_output=True, text=True, timeout=300, check=False
    )


def page(project: Path) -> str:
    return (project / "docs" / "benchmarks.md").read_text()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)  # processes end when they do; nobody tells


def test_the_page_is_what_the_benchmarks_have_found(program: tuple[ModuleType, ModuleType]):
    """`python benchmarks --page` writes it anew, where a benchmark's docstring has changed."""
    main, pages = program

    assert PAGE.read_text() == pages.render(main.HERE, main.names())


def test_every_benchmark_has_its_place_on_the_page(program: tuple[ModuleType, ModuleType]):
    """A new benchmark is told in which order it stands; a heading is a question that is linked to once."""
    main, _ = program
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    headings = [line.lstrip("# ") for line in PAGE.read_text().splitlines() if line.startswith("#")][1:]

    assert scripts == set(main.ORDER)
    assert len([line for line in PAGE.read_text().splitlines() if line.startswith("## ") and line[-1] == "?"]) == len(
        scripts
    )
    assert [one for one in headings if not one.endswith("?") and one != "In short"] == []
    assert len(headings) == len(set(headings))


def test_a_run_writes_every_question_with_its_answer(project: Path):
    """The summary names the bound that is missed; what this machine lacks is a line, and no error."""
    done = run(project)

    assert done.returncode == 0, done.stderr
    text = page(project)
    assert "| [How fast is one?](#how-fast-is-one) | ours / theirs: 133 x | at most 2 x | **missed** | 1 of 2 |" in text
    assert "- ours / theirs: 133 x, where at most 2 x is wanted" in text
    assert "| ours | 2 | 1 to 4 | 3 |" in text
    assert "| rate | 2,000 /s | 1,500 to 2,500 | at least 1,000 /s | held |" in text
    assert "| `ours --fast` / theirs | 2 x |" in text  # whose dashes the site would join otherwise
    assert "## What of a cluster?" in text
    assert "Not measured: no sbatch." in text


def test_a_part_leaves_the_other_tables_as_they_are(project: Path):
    """`nox -s bench -- fast` after a run of all."""
    run(project)
    kept = (project / "benchmarks" / "results" / "lacking.json").read_text()
    (project / "benchmarks" / "fast.py").write_text(FAST.replace("133.3", "1.5"))
    (project / "benchmarks" / "results" / "lacking.json").write_text(kept.replace("no sbatch", "no cluster"))
    done = run(project, "fast")

    assert done.returncode == 0, done.stderr
    assert "1.50 x | at most 2 x | held | 2 of 2 |" in page(project)
    assert "no cluster" in page(project)


def test_a_benchmark_that_fails_keeps_what_it_found_before(project: Path):
    """The others are measured; the program says which has failed."""
    run(project)
    (project / "benchmarks" / "fast.py").write_text(FAST.replace("sys.exit(report", "print(report") + FAILING)
    (project / "benchmarks" / "new.py").write_text(FAILING)
    done = run(project)

    assert done.returncode == 1
    assert "failed: fast, new" in done.stdout
    assert "133 x" in page(project)
    assert "Not measured for this checkout: `uv run nox -s bench -- new` does it." in page(project)


def test_a_part_that_fails_leaves_the_others_their_tables(project: Path):
    """Twelve minutes of a benchmark are not lost for one peer that can't do the thirteenth."""
    (project / "benchmarks" / "fast.py").write_text(PARTS)
    done = run(project, "fast")

    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "It failed on its way: what stands here is right, and not all." in page(project)
    assert "| first | 2 |" in page(project)
    assert "### What fails?\n\nNot measured: it failed; what the benchmark has printed says why." in page(project)
    assert "### What lacks?\n\nNot measured: no cluster." in page(project)
    assert "| last | 3 |" in page(project)


def test_the_page_can_be_written_anew_without_measuring(project: Path):
    """After a change to what a benchmark says of itself."""
    run(project)
    text = FAST.replace("As fast as can be.", "Faster.").replace("133.3", "1.5")
    (project / "benchmarks" / "fast.py").write_text(text)
    done = run(project, "--page")

    assert done.returncode == 0, done.stderr
    assert "Faster." in page(project)
    assert "133 x" in page(project)


def test_an_unknown_benchmark_is_refused_before_anything_is_measured(project: Path):
    """With those that there are."""
    done = run(project, "fast", "slow")

    assert done.returncode == 2
    assert "no benchmark slow; there are fast, lacking" in done.stderr
    assert page(project) == "# As it was\n"


@pytest.mark.parametrize("arguments", SMALL, ids=lambda arguments: arguments[0])
def test_a_benchmark_comes_to_its_end(arguments: tuple[str, ...]):
    """In small sizes, so that a change which breaks one is seen before somebody waits an hour for it."""
    name, *options = arguments
    done = subprocess.run(
        [sys.executable, f"benchmarks/{name}.py", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip

    assert done.returncode in (0, 3), done.stderr  # 3: a bound is missed, of which a test says nothing


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_benchmark_that_is_ended_leaves_no_process(project: Path, number: signal.Signals):
    """Run alone, too, and a daemon as well: mlflow's server has sessions of its own."""
    (project / "benchmarks" / "alone.py").write_text(ALONE)
    with subprocess.Popen(
        [sys.executable, "benchmarks/alone.py"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        daemon = psutil.Process(int(process.stdout.readline()))
        process.send_signal(number)
        process.wait(120)

    assert not daemon.is_running()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_ended_leaves_neither_half_a_page_nor_a_server(project: Path, number: signal.Signals):
    """Whoever gives up after twenty minutes has what was found, and a machine on which nothing runs."""
    (project / "benchmarks" / "lasting.py").write_text(LASTING)
    with subprocess.Popen(
        [sys.executable, "-u", "benchmarks"],
        cwd=project,
        env={**os.environ, "TMPDIR": str(project)},  # which kill -9 leaves files in
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509 - as a shell's background job
        text=True,
    ) as process:
        assert process.stdout
        server = psutil.Process(int(next(line.split()[1] for line in process.stdout if line.startswith("serving "))))
        process.send_signal(number)
        process.wait(120)
    until(lambda: not server.is_running())

    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert page(project) == "# As it was\n"
    assert sorted(path.name for path in (project / "benchmarks" / "results").iterdir()) == ["fast.json", "lacking.json"]
