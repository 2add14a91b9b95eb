"""
How long does a person wait who looks at many executions?

    python benchmarks/insight.py [--runs N] [--executions N]

The whole process of each command, against the embedded catalog. The executions are written in bulk beforehand; each has
the files that a run leaves. What is called cold has an empty cache, the rest has been asked before.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from _harness import Figure, alternate, command, each, program, report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))
BIN = Path(sys.executable).parent
CATALOG = "insight"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--executions", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="insight-bench-") as name:
        place = Place(Path(name))
        return each(
            {
                "How long do lists and comparisons take?": partial(_lists, place, options.runs, options.executions),
                "How long does the report of a sweep take?": partial(_reports, place, options.runs),
                "How long does it take to publish a sweep?": partial(_publishing, place, options.runs),
            }
        )


class Place:
    """A home with an embedded catalog of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.target = folder, ""
        self.env = {
            **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
            "HOME": str(folder),
            "DERIVA_ML_LOCAL_ROOT": str(folder / "catalogs"),
        }
        os.environ.update(self.env)
        for arguments in (("create", CATALOG), ("schema", "install", CATALOG)):
            subprocess.run([BIN / "deriva-ml-catalog", *arguments], check=True, env=self.env, capture_output=True)

    def executions(self, *arguments: str):
        """A subject: deriva-ml-executions with these arguments."""
        where = ("--host", "local", "--catalog", CATALOG)
        return command(str(BIN / "deriva-ml-executions"), *arguments, *where, env=self.env)

    def cold(self, *arguments: str):
        """The same, with nothing in the cache."""
        elsewhere = self.folder / "cold"  # whose cache is nobody else's
        call = self.executions(*arguments, "--working-dir", str(elsewhere))

        def forget_first() -> object:
            shutil.rmtree(elsewhere, ignore_errors=True)
            return call()

        return forget_first

    def record(self, runs, *, parent: bool) -> str | None:
        from recorded_runs import record_runs

        from deriva_ml_core.connection import DerivaML

        with DerivaML("local", CATALOG) as ml:
            return record_runs(ml.session, self.folder / "files", runs, parent=parent)[0]


def record_many(place: Place, executions: int) -> None:
    """Executions with two metrics and two parameters, a third of them Failed."""
    from recorded_runs import Run

    chance = random.Random(0)
    place.record(
        [
            Run(
                {"model_config": chance.choice(["quick", "deep", "long"])},
                {"learning_rate": chance.random(), "epochs": number},
                {"accuracy": chance.random(), "loss": chance.random()},
                status=chance.choice(["Uploaded", "Uploaded", "Failed"]),
            )
            for number in range(executions)
        ],
        parent=False,
    )


def record_sweep(place: Place) -> str:
    """A sweep of 50 with 20 metrics each; its RID."""
    from recorded_runs import Run

    chance = random.Random(0)
    return place.record(
        [
            Run(
                {"model_config": "quick"},
                {"learning_rate": 0.001 * number},
                {f"metric_{name}": chance.random() for name in range(20)},
                environment={"imports": {f"package-{n}": "1.0" for n in range(100)}, "code": {"commit": "a" * 40}},
            )
            for number in range(50)
        ],
        parent=True,
    )


def _lists(place: Place, runs: int, executions: int, title: str) -> int:
    record_many(place, executions)
    parent = record_sweep(place)
    by_metric = ("list", "--all", "--metric", "accuracy>0.5", "--sort", "accuracy", "--desc")
    by_choice = ("list", "--all", "--choice", "model_config=quick", "--status", "Uploaded")
    subjects = {
        "list all": place.executions("list", "--all"),
        "list by status and date": place.executions("list", "--all", "--status", "Uploaded", "--since", "1d"),
        "list by metric, sorted": place.executions(*by_metric),
        "list by choice and status": place.executions(*by_choice),
        "list by metric, sorted, cold cache": place.cold(*by_metric),
        "compare 50 children, 20 metrics": place.executions("compare", parent),
        "compare 50 children, 20 metrics, cold cache": place.cold("compare", parent),
    }
    samples = alternate(subjects, runs)
    figures = [
        Figure(name, sample.median, 1.5 if name.startswith("compare") else 1.0, "s")
        for name, sample in samples.items()
        if "cold" not in name
    ]
    about = f"{executions:,} executions with two metrics, and a sweep of 50 with 20 metrics."
    return report(title, samples, figures, about)


def _publishing(place: Place, runs: int, title: str) -> int:
    from recorded_runs import Run

    parent = place.record(
        [
            Run(
                {"model_config": "quick"},
                {"learning_rate": number},
                {"accuracy": number},
                outputs={f"output-{name}.bin": os.urandom(100_000) for name in range(10)},
            )
            for number in range(50)
        ],
        parent=True,
    )
    names = iter(range(100))

    def publish(*, again: bool) -> object:
        if not again:
            place.target = f"target{next(names)}"
            for arguments in (("create", place.target), ("schema", "install", place.target)):
                subprocess.run([BIN / "deriva-ml-catalog", *arguments], check=True, env=place.env, capture_output=True)
        return place.executions("publish", parent, "--to", f"local/{place.target}")()

    subjects = {
        "publish, with the making of its catalog": lambda: publish(again=False),
        "publish again": lambda: publish(again=True),
    }
    samples = alternate(subjects, runs, warm_ups=0)
    figures = [Figure("publish", samples["publish, with the making of its catalog"].median, 30, "s")]
    about = "A sweep of 50 with 500 outputs of 100 kB and 200 files of metadata, from one embedded catalog to another."
    return report(title, samples, figures, about)


def _reports(place: Place, runs: int, title: str) -> int:
    from recorded_runs import Run

    chance = random.Random(0)
    parent = place.record(
        [
            Run(
                {"model_config": "quick"},
                {"learning_rate": 10 ** -chance.uniform(1, 5), "layers": chance.randint(1, 5)},
                lines=[
                    {"step": step, "loss": 1 / (step + 1) + chance.random() / 10, "accuracy": chance.random()}
                    for step in range(1000)
                ],
            )
            for _ in range(200)
        ],
        parent=True,
    )
    page = place.folder / "report.html"
    arguments = ("report", parent, "--to", str(page))
    samples = alternate({"report": place.executions(*arguments), "report, cold cache": place.cold(*arguments)}, runs)
    figures = [Figure("report", samples["report"].median, 5, "s"), Figure("page", page.stat().st_size / 1e6, 5, "MB")]
    return report(title, samples, figures, "200 children, two metrics over 1,000 steps.")


if __name__ == "__main__":
    program(main)
