"""What each one's store holds after a run: searched for, not believed."""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from _page import table

CHANGE = "# a change that is not committed: 5f0c1e77"
BATCH, EPOCHS = 8675309, 1234567
OUTPUT = f'{{"epochs": {EPOCHS}}}'
HEAD = ("", "commit", "uncommitted change", "whole configuration", "copy of the output", "its checksum", "packages")


def records(folder: Path, calls: Mapping[str, partial[object]]) -> str:
    """
    A table: what is found of a run in the files that it has left.

    Each runs once more with a change in its code that is not committed. Hydra's own output folder is no store, except
    of the bare application, which has no other.
    """
    rows = []
    for name, one in calls.items():
        _, project, _ = one.args
        code = next(file for file in (project / "work.py", project / "src" / "model.py") if file.exists())
        text = code.read_text(encoding="utf-8")
        code.write_text(f"{text}{CHANGE}\n", encoding="utf-8")
        try:
            before = _state(folder)
            one(f"model_config.batch_size={BATCH}", f"model_config.epochs={EPOCHS}")
            kept = "\n".join(_new_text(folder, before, project, bare=name == "bare Hydra"))
        finally:
            code.write_text(text, encoding="utf-8")
        rows.append((name, *("yes" if re.search(pattern, kept) else "no" for pattern in _patterns(project))))
    return "\n".join(table(HEAD, rows)).strip()


def _patterns(project: Path) -> tuple[str, ...]:
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=project, text=True).strip()
    md5, sha256 = (hashlib.new(name, OUTPUT.encode()) for name in ("md5", "sha256"))
    sums = (md5.hexdigest(), sha256.hexdigest(), base64.b64encode(md5.digest()).decode())
    return (
        commit,
        re.escape(CHANGE),
        rf"batch_size[\"': ]+{BATCH}",  # no argument of a command line, whose name ends with =
        re.escape(OUTPUT),
        "|".join(re.escape(one) for one in sums),
        "antlr4-python3-runtime",  # which comes with Hydra: who names it has listed what is installed
    )


def _state(folder: Path) -> dict[Path, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file() and not {"pycache", "environments"} & set(path.parts))
    return {path: ((stat := path.stat()).st_mtime_ns, stat.st_size) for path in files}


def _new_text(folder: Path, before: Mapping[Path, object], project: Path, *, bare: bool) -> Iterator[str]:
    """What is in the files that are new or changed, and in the commits of no branch."""
    for path, state in _state(folder).items():
        hydras = "outputs" in path.parts and "live" not in path.parts
        if state != before.get(path) and (bare or not hydras) and ".deriva-ml" not in path.parts:
            yield _text(path)
    yield subprocess.check_output(
        ["git", "log", "-p", "--format=%H%n%P", "--all", "--not", "HEAD"], cwd=project, text=True
    )


def _text(path: Path) -> str:
    content = path.read_bytes()
    if not content.startswith(b"SQLite format 3"):
        return content.decode("utf-8", "replace")
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(
            str(row)
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for row in connection.execute(f'SELECT * FROM "{name}"')
        )
