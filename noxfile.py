"""The one way to check deriva-ml: `uv run nox -s tests` and its sisters."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.error_on_missing_interpreters = False

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT, max_version="3.13")
CONSTRAINTS = "constraints.txt"
EXTRAS = ("-e", ".[all]")
COVERAGE_FLOOR = 93  # percent of lines and branches; raise it, never lower it


def group(name: str) -> list[str]:
    """The requirements of a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(PYPROJECT, name)


def run_tests(session: nox.Session, *, report: bool = True) -> None:
    """Run the test suite in the session's environment, under coverage when all of it runs and is reported.

    Two workers, as many as CI has cores. The suite starts hundreds of Python processes; they may keep what they
    compile.
    """
    workers = [] if {"-n", "-x", "--pdb"} & set(session.posargs) else ["-n", os.environ.get("PYTEST_WORKERS", "2")]
    pytest = ["pytest", *workers, "--dist", "loadgroup", "--durations", "15", *session.posargs]
    env = {"PYTHONDONTWRITEBYTECODE": None}
    if not report or session.posargs:
        session.run(*pytest, env=env)
        return
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", *pytest, env=env)
    session.run("coverage", "combine", "--quiet")
    session.log("percent of lines and branches; `.nox/tests/bin/coverage report` says which are missing:")
    session.run("coverage", "report", "--format=total", f"--fail-under={COVERAGE_FLOOR}")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite, with the tested versions of constraints.txt, on the Python that runs nox."""
    session.install(*EXTRAS, *group("test"), "-c", CONSTRAINTS)
    run_tests(session)


@nox.session
def newest(session: nox.Session) -> None:
    """The whole suite with the newest releases that pyproject.toml allows: an upstream change shows here first."""
    session.install("--upgrade", *EXTRAS, *group("test"))
    run_tests(session, report=False)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """The whole suite on every supported Python that this machine has."""
    session.install(*EXTRAS, *group("test"), "-c", CONSTRAINTS)
    run_tests(session, report=False)


@nox.session
def minimums(session: nox.Session) -> None:
    """The whole suite with the oldest versions of our direct dependencies that pyproject.toml allows."""
    session.install("--resolution", "lowest-direct", *EXTRAS, *group("test"))
    run_tests(session, report=False)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, style, and the import contracts of the rooms."""
    session.install(*EXTRAS, *group("lint"), "-c", CONSTRAINTS)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports", "--no-cache", "--config", "pyproject.toml")


@nox.session
def types(session: nox.Session) -> None:
    """Strict type checking of the packages, and of the public API as users type it."""
    session.install(*EXTRAS, *group("types"), *group("test"), "-c", CONSTRAINTS)
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, and try its links; a warning or a link that leads nowhere is an error."""
    session.install(*EXTRAS, *group("docs"), "-c", CONSTRAINTS)
    session.run("sphinx-build", "-E", "-W", "--keep-going", "-q", "-b", "html", "docs", "site")
    session.run("python", "docs/extensions/links.py", "site")
    session.log("open site/index.html")


@nox.session
def screens(session: nox.Session) -> None:
    """Draw the pictures of the documentation anew, from real runs in a terminal. Look at them, then commit them."""
    session.install(*EXTRAS, *group("docs"), "-c", CONSTRAINTS)
    session.run("python", "docs/screens.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, and write docs/benchmarks.md; nox -s bench -- startup measures that alone and leaves the rest as it is.

    A missed bound is told on the page; only a benchmark that fails fails the session.
    """
    session.install(*EXTRAS, *group("test"), "-c", CONSTRAINTS)
    session.run("python", "benchmarks", *session.posargs, env={"PYTHONDONTWRITEBYTECODE": None})


@nox.session(venv_backend="venv")
def torch(session: nox.Session) -> None:
    """The tests that need PyTorch, which is as large as all that the others install, in the release they ran with."""
    session.install("torch==2.13.0", *EXTRAS, *group("test"), "-c", CONSTRAINTS)
    session.run("pytest", "-q", "tests/datasets/test_bag_views.py", "-k", "torch or framework", *session.posargs)


@nox.session
def endurance(session: nox.Session) -> None:
    """The embedded catalog's worst hours at full length: a minute of eight processes, 200 kills of each kind of writer.

    DERIVA_ML_STRESS_S and DERIVA_ML_KILLS say otherwise; the suite has the same tests in seconds.
    """
    session.install(*EXTRAS, *group("test"), "-c", CONSTRAINTS)
    env = {"DERIVA_ML_STRESS_S": "60", "DERIVA_ML_KILLS": "200", "PYTHONDONTWRITEBYTECODE": None}
    env |= {name: os.environ[name] for name in ("DERIVA_ML_STRESS_S", "DERIVA_ML_KILLS") if name in os.environ}
    chosen = "endurance or survives_kill_9 or survive_kill or at_once"
    session.run("pytest", "-q", "tests/local_catalog", "-k", chosen, *session.posargs, env=env)


@nox.session
def remote(session: nox.Session) -> None:
    """The contract suites against a real Deriva host: DERIVA_ML_TEST_HOST names it; deriva's own login is used."""
    if not os.environ.get("DERIVA_ML_TEST_HOST"):
        session.error("set DERIVA_ML_TEST_HOST to a Deriva host where you may create catalogs")
    session.install(*EXTRAS, *group("test"), "-c", CONSTRAINTS)
    session.run("pytest", "-m", "remote", *session.posargs, env={"DERIVA_ML_REMOTE": "1"})


@nox.session(name="constraints", python=False)
def freeze(session: nox.Session) -> None:
    """Write constraints.txt anew: the newest versions that pyproject.toml allows. Run the tests, then commit it."""
    groups = [flag for name in ("dev", "test", "lint", "types", "docs") for flag in ("--group", name)]
    text = session.run(
        "uv", "pip", "compile", "-q", "--universal", "--no-header", "--no-annotate", "--no-emit-index-url",
        "--all-extras", *groups, "pyproject.toml", "--python-version", PYTHONS[0], silent=True, external=True,
    )  # fmt: skip
    lines = [line for line in str(text).splitlines() if re.match(r"[A-Za-z0-9]", line)]
    header = "# Exact versions that the tests ran with; `nox -s constraints` writes this file.\n"
    (ROOT / CONSTRAINTS).write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    session.log(f"{len(lines)} versions; Python {sys.version.split()[0]}")
