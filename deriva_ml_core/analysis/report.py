"""
A sweep in one page that needs nothing else: what its children were given, what they measured, how they ended.

The page holds its data, charts and styles; opened from disk or from an object store it asks nobody.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.analysis.comparison import SECTIONS, Compared, Comparison, read_executions, side_by_side
from deriva_ml_core.analysis.links import AssetLink, asset_links
from deriva_ml_core.analysis.metrics import Series
from deriva_ml_core.analysis.prose import markdown_html
from deriva_ml_core.analysis.thinning import thin
from deriva_ml_core.catalog import rows
from deriva_ml_core.executions import nesting
from deriva_ml_core.executions.durations import duration_words
from deriva_ml_core.executions.record import ExecutionRecord, lookup_execution

if TYPE_CHECKING:
    from jinja2 import Environment

    from deriva_ml_core.catalog.session import CatalogSession

PAGE_FOLDER = Path(__file__).parent / "page"
MOST_POINTS = 120_000
"""Of all series together: the page stays below 5 MB, and a browser draws it in a second."""
_LEAST_POINTS = 40  # of one series, however many there are
_METADATA = "deriva-ml:Execution_Metadata"
_SCRIPTS = ("charts.js", "report.js")
_SIGNIFICANT = 6


@dataclass(frozen=True, slots=True)
class Report:
    """What a page is made of."""

    record: ExecutionRecord
    comparison: Comparison
    outputs: Mapping[str, Sequence[AssetLink]]
    place: CatalogSession


def report_page(session: CatalogSession, cache_dir: Path, rid: str) -> str:
    """
    The page of a sweep, named by its parent; of an execution without children, its own.

    Raises:
        DerivaMLExecutionNotFound: there is no such execution.
    """
    return render(read_report(session, cache_dir, rid))


def read_report(session: CatalogSession, cache_dir: Path, rid: str) -> Report:
    """What the page tells, in about twenty requests however many children, and their files."""
    record = lookup_execution(session, rid)
    links = nesting.neighbours(session, [record.execution_rid], "children")
    wanted: dict[str, int | None] = {link.child: link.sequence for link in links} or {record.execution_rid: None}
    comparison = side_by_side(read_executions(session, cache_dir, wanted))
    outputs: dict[str, list[AssetLink]] = {}
    for link_ in asset_links(session, executions=wanted, role="Output"):
        if link_.table != _METADATA:
            outputs.setdefault(link_.execution, []).append(link_)
    return Report(record, comparison, outputs, session)


def render(report: Report) -> str:
    """The page."""
    data, thinned = _data(report)
    runs = [_run(one, report, data) for one in report.comparison.executions]
    lines = (report.record.description or "").strip().splitlines()
    scripts = [_trusted(name) for name in _SCRIPTS]
    return _environment().get_template("report.html").render(
        title=(lines[0].lstrip("# ") if lines else "") or f"Execution {report.record.execution_rid}",
        more=markdown_html("\n".join(lines[1:])),
        page={
            "rid": report.record.execution_rid,
            "status": report.record.status.value,
            "detail": report.record.status_detail,
            "catalog": report.place.catalog_id,
            "host": report.place.hostname,
        },
        facts=list(_facts(report)),
        data=data,
        data_json=_safe_json(data),
        thinned=thinned,
        runs=runs,
        numbered=any(run["sequence"] is not None for run in runs),
        any_detail=any(run["detail"] for run in runs),
        sections=list(_sections(report.comparison)),
        css=_trusted("theme.css") + _trusted("report.css"),
        scripts=scripts,
        script_hashes=" ".join(map(_csp_hash, scripts)),
        version=_version(),
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip


# --- the data of charts and table -----------------------------------------------------------------------------------


def _data(report: Report) -> tuple[dict[str, Any], int | None]:
    """What the page's script reads, and to how many points long series were thinned."""
    comparison = report.comparison
    parameters = _columns(comparison)
    metrics = {name: values for name, values in comparison.metrics.items() if len(set(values.values())) > 1}
    metrics = metrics or dict(comparison.metrics)
    count = sum(len(one.facts.metrics.series) for one in comparison.executions)
    most = max(_LEAST_POINTS, MOST_POINTS // max(1, count))
    steps: dict[tuple[float, ...], int] = {}
    runs = [_run_data(one, parameters, metrics, most, steps) for one in comparison.executions]
    names = sorted({name for one in comparison.executions for name in one.facts.metrics.series})
    longest = max((len(s.steps) for one in comparison.executions for s in one.facts.metrics.series.values()), default=0)
    data = {
        "catalog": report.place.catalog_id,
        "parameters": list(parameters),
        "metrics": list(metrics),
        "series": names,
        "chosen": next(iter(metrics), None),
        "steps": [list(one) for one in steps],
        "runs": runs,
    }
    return data, most if longest > most else None


def _columns(comparison: Comparison) -> dict[str, Mapping[str, Any]]:
    """Parameters that differ, then choices that do."""
    differing = comparison.differences["configuration"]
    return dict(sorted(differing.items(), key=lambda pair: pair[0].endswith("(choice)")))


def _run_data(
    one: Compared,
    parameters: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Mapping[str, Any]],
    most: int,
    steps: dict[tuple[float, ...], int],
) -> dict[str, Any]:
    """One run; series with the same steps share them."""
    return {
        "rid": one.rid,
        "sequence": one.sequence,
        "parameters": {name: _plain(values[one.rid]) for name, values in parameters.items()},
        "metrics": {name: _plain(values[one.rid]) for name, values in metrics.items()},
        "series": {name: _series_data(thin(series, most), steps) for name, series in one.facts.metrics.series.items()},
    }


def _series_data(series: Series, steps: dict[tuple[float, ...], int]) -> dict[str, Any]:
    shared = steps.setdefault(tuple(map(_short, series.steps)), len(steps))
    return {"steps": shared, "values": [_short(value) for value in series.values]}


def _short(number: float) -> Any:
    """As many digits as a chart shows."""
    if isinstance(number, int) or not math.isfinite(number):
        return _plain(number)
    short = float(f"{number:.{_SIGNIFICANT}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _plain(value: Any) -> Any:
    """JSON has no word for what is no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


# --- what the template shows ----------------------------------------------------------------------------------------


def _run(one: Compared, report: Report, data: Mapping[str, Any]) -> dict[str, Any]:
    seconds = one.record.durations.get("execution")
    own = next(run for run in data["runs"] if run["rid"] == one.rid)
    return {
        "rid": one.rid,
        "url": _row_url(report.place, one.rid),
        "sequence": one.sequence,
        "status": one.record.status.value,
        "detail": one.record.status_detail,
        "seconds": seconds,
        "time": duration_words(seconds),
        "parameters": own["parameters"],
        "metrics": own["metrics"],
        "outputs": [
            {"rid": file.rid, "url": _row_url(report.place, file.rid), "name": file.name, "size": _size(file)}
            for file in report.outputs.get(one.rid, ())
        ],
    }


def _facts(report: Report) -> Iterator[tuple[str, Any]]:
    """Of the sweep: where it is, what code ran, what it used, how its children ended."""
    rid, durations = report.record.execution_rid, report.record.durations
    executions = report.comparison.executions
    yield "Execution", {"rid": rid, "url": _row_url(report.place, rid), "text": ""}
    yield "Created", (report.record.created or "")[:19].replace("T", " ")
    if seconds := durations.get("execution"):
        yield "Time", duration_words(seconds)
    ended = Counter(one.record.status.value for one in executions)
    yield "Executions", ", ".join(f"{count} {status}" for status, count in ended.most_common())
    code = _common(report.comparison, "code")
    for name, title in (("workflow", "Workflow"), ("url", "Code"), ("commit", "Commit"), ("version", "Version")):
        if value := code.get(name):
            is_link = str(value).startswith(("https://", "http://"))
            yield title, {"url": value, "text": value} if is_link else value
    if changed := code.get("uncommitted changes"):
        yield "Uncommitted changes", changed
    for name, value in _common(report.comparison, "inputs").items():
        what, _, which = name.partition(" ")
        yield f"Input {what}", {"rid": which, "url": _row_url(report.place, which), "text": value}


def _sections(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for section in SECTIONS:
        yield {
            "title": section.capitalize(),
            "differs": [(name, _grouped(values)) for name, values in comparison.differences[section].items()],
            "same": sorted(_common(comparison, section).items()),
        }


def _common(comparison: Comparison, section: str) -> dict[str, Any]:
    first = comparison.executions[0].sections[section]
    return {name: value for name, value in first.items() if name not in comparison.differences[section]}


def _grouped(values: Mapping[str, Any]) -> str:
    counts = Counter(_words(value) for value in values.values())
    shown = "; ".join(f"{value} ({count})" for value, count in counts.most_common(12))
    return shown + (f"; … {len(counts)} different" if len(counts) > 12 else "")


def _words(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _size(file: AssetLink) -> str:
    size = float(file.size_bytes or 0)
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} bytes"


def _row_url(session: CatalogSession, rid: str) -> str | None:
    """None in an embedded catalog, whose rows have an address only while it is served."""
    return None if session.is_embedded or not rows.is_rid(rid) else session.record_url(rid)


# --- parts of the page ----------------------------------------------------------------------------------------------


@cache
def _trusted(name: str) -> Any:
    from markupsafe import Markup

    return Markup(PAGE_FOLDER.joinpath(name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this package


@cache
def _csp_hash(script: str) -> str:
    """The only scripts that the page may run are those that it was written with."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _safe_json(data: Any) -> Any:
    """JSON inside a script element: nothing in it may end the element."""
    from markupsafe import Markup

    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - no character that HTML knows is left in it


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGE_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["value"] = _words
    return environment


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("deriva-ml")
    except PackageNotFoundError:
        return ""
