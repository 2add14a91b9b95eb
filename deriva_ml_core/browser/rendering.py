"""Templates into answers, with the headers that let a browser trust nothing but this server's own parts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "templates"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Vary": "Cookie, Authorization",
}


def html(template: str, code: int = 200, **values: Any) -> Response:
    """A page. Whatever the values hold is text: the templates escape it."""
    text = _environment().get_template(template).render(**values)
    headers = {**HEADERS, "Content-Security-Policy": _POLICY}
    return Response(text, code, headers, content_type="text/html; charset=utf-8")


def refusal(status: int, title: str, text: str, *, login: bool = False) -> Response:
    """A page that says what is wrong."""
    return html("refusal.html", status, title=title, text=text, login=login, catalog=None)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from deriva_ml_core.analysis.prose import markdown_html
    from deriva_ml_core.executions.durations import duration_words

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": _size,
        "segment": lambda text: quote(str(text), safe=""),
        "short": lambda value: f"{value:.6g}" if isinstance(value, float) else value,
        "when": lambda text: (text or "")[:19].replace("T", " "),
        "duration": duration_words,
        "markdown": markdown_html,
        "first_line": lambda text: ((text or "").strip().splitlines() or [""])[0].lstrip("# "),
    }
    return environment


def _size(size_bytes: int | None) -> str:
    size = float(size_bytes or 0)
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} bytes"
