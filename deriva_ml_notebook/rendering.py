"""
An executed notebook as Markdown and as a page of HTML, each one file with all that it shows.

nbconvert renders a few cells at a time, so that a notebook with hundreds of megabytes of images needs the memory of
its largest cells, not of several copies of all of them.
"""

from __future__ import annotations

import base64
import logging
import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote

from deriva_ml_notebook.failures import Failure, without_ansi
from deriva_ml_notebook.tables import html_to_markdown

_BATCH_BYTES = 4_000_000
_MOST_LINKED_BYTES = 20_000_000
"""A larger picture beside the notebook stays a link."""
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_LINKED = re.compile(r"(!\[[^\]]*\]\()\s*<?([^)\s>]+)>?((?:\s+\"[^\"]*\")?\s*\))")
_MAIN, _END_OF_MAIN = "<main>", "</main>"
_ONLY_LIVE = "application/vnd.jupyter.widget-view+json"
"""What shows nothing without a kernel; its text says what was there."""
_NO_TEXT = "*(an interactive output: see the notebook)*"


def write_markdown(document: Any, path: Path, *, folder: Path, failure: Failure | None = None) -> None:
    """
    Write the notebook as Markdown: images as data URIs, tables as tables, no colours of terminals, errors shown.

    Args:
        folder: the notebook's own, for pictures that it links to.
        failure: how it ended before its last cell; said at the top and at that cell.
    """
    from nbconvert.exporters import MarkdownExporter

    exporter = MarkdownExporter(preprocessors=[], default_preprocessors=[], log=_exporter_log())
    prepared = (_for_markdown(cell, folder) for cell in _marked(document, failure))
    with path.open("w", encoding="utf-8") as file:
        for batch in _batches(document, prepared):
            body, _ = exporter.from_notebook_node(batch)
            file.write(_tidy(body))


def write_html(document: Any, path: Path, *, folder: Path, failure: Failure | None = None) -> None:
    """Write the notebook as one page, as JupyterLab would print it; it loads nothing from anywhere."""
    from deriva_ml_notebook.page import PageExporter

    exporter = PageExporter(_exporter_log())
    resources = {"metadata": {"name": path.stem, "path": str(folder)}}

    def render(batch: Any) -> str:
        return str(exporter.from_notebook_node(batch, resources=resources)[0])

    with path.open("w", encoding="utf-8") as file:
        _write_page(file, render, _batches(document, (_for_html(c, folder) for c in _marked(document, failure))))


def _exporter_log() -> logging.Logger:
    """Of nbconvert's remarks on a notebook (pictures without alternative text) none is on the run."""
    log = logging.getLogger(f"{__name__}.nbconvert")
    log.setLevel(logging.ERROR)
    return log


def _write_page(file: TextIO, render: Callable[[Any], str], batches: Iterator[Any]) -> None:
    foot = ""
    for number, batch in enumerate(batches):
        page = render(batch)
        head, _, rest = page.partition(_MAIN)
        main, _, foot = rest.rpartition(_END_OF_MAIN)
        file.write(f"{head}{_MAIN}{main}" if number == 0 else main)
    file.write(f"{_END_OF_MAIN}{foot}")


def _batches(document: Any, cells: Iterator[Any]) -> Iterator[Any]:
    """Notebooks of a few cells each, with the metadata of the whole; at least one, which may be empty."""
    from nbformat.v4 import new_notebook

    def notebook() -> Any:
        metadata = {key: value for key, value in document.metadata.items() if key != "widgets"}
        return new_notebook(cells=held, metadata=metadata)

    held: list[Any] = []
    size, made = 0, False
    for cell in cells:
        own = _size(cell)
        if held and size + own > _BATCH_BYTES:
            yield notebook()
            held, size, made = [], 0, True
        held.append(cell)
        size += own
    if held or not made:
        yield notebook()


def _size(cell: Any) -> int:
    outputs = cell.get("outputs", ())
    return len(cell.source) + sum(
        len(output.get("text", "")) + sum(len(value) for value in output.get("data", {}).values()) for output in outputs
    )


def _marked(document: Any, failure: Failure | None) -> Iterator[Any]:
    """The cells, and where it failed what happened, before the first cell and before that one."""
    from nbformat.v4 import new_markdown_cell

    if failure is not None:
        yield new_markdown_cell(f"> **This notebook did not come to its end.** {_quoted(failure.text)}")
    for index, cell in enumerate(document.cells):
        if failure is not None and index == failure.index:
            yield new_markdown_cell(f"> **Error here.** {_quoted(failure.text)}")
        yield cell


def _quoted(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


# --- one cell -------------------------------------------------------------------------------------------------------


def _copy(cell: Any, **changes: Any) -> Any:
    return type(cell)({**cell, **changes})


def _for_html(cell: Any, folder: Path) -> Any:
    if cell.cell_type == "markdown":
        return _copy(cell, source=_with_pictures(cell, folder), attachments={})
    if cell.cell_type != "code":
        return cell
    return _copy(cell, outputs=[_shown_output(output) for output in cell.outputs])


def _shown_output(output: Any) -> Any:
    """An output as what a page without a kernel can show; formulas by the way that they have in text cells."""
    data = output.get("data", {})
    if "text/latex" in data and not any(kind in data for kind in ("text/html", *_IMAGES)):
        return _copy(output, data={"text/markdown": _text(data["text/latex"])})
    if _ONLY_LIVE in data:
        return _copy(output, data={kind: value for kind, value in data.items() if kind != _ONLY_LIVE})
    return output


def _for_markdown(cell: Any, folder: Path) -> Any:
    if cell.cell_type == "markdown":
        return _copy(cell, source=_with_pictures(cell, folder), attachments={})
    if cell.cell_type != "code":
        return cell
    return _copy(cell, outputs=[_plain_output(output) for output in cell.outputs])


def _plain_output(output: Any) -> Any:
    """An output as what Markdown can show."""
    if output.output_type == "stream":
        return _copy(output, text=without_ansi(_text(output.text)))
    if output.output_type == "error":
        return _copy(output, traceback=[without_ansi(line) for line in output.traceback])
    if "data" not in output:
        return output
    markdown = _as_markdown(output.data)
    if markdown is not None:
        return _copy(output, data={"text/markdown": markdown})
    data = {kind: value for kind, value in output.data.items() if kind in ("text/html", "text/latex", "text/plain")}
    if "<script" in _text(data.get("text/html", "")):  # a program is nothing to read
        del data["text/html"]
        data = data or {"text/markdown": _NO_TEXT}
    if "text/plain" in data:
        data["text/plain"] = without_ansi(_text(data["text/plain"]))
    return _copy(output, data=data)


def _as_markdown(data: Any) -> str | None:
    for kind in _IMAGES:
        if kind in data:
            return f"![{kind.partition('/')[2].partition('+')[0]}]({_data_uri(kind, _text(data[kind]))})"
    if "text/markdown" in data:
        return _text(data["text/markdown"])
    return html_to_markdown(_text(data["text/html"])) if "text/html" in data else None


def _data_uri(kind: str, content: str) -> str:
    """Of an output's data: SVG is text there, all other images are base64."""
    encoded = base64.b64encode(content.encode()).decode() if kind == "image/svg+xml" else "".join(content.split())
    return f"data:{kind};base64,{encoded}"


def _with_pictures(cell: Any, folder: Path) -> str:
    """A text cell with the pictures in it that it carries or links to."""
    attachments = cell.get("attachments", {})

    def replace(match: re.Match[str]) -> str:
        uri = _picture(match[2], attachments, folder)
        return f"{match[1]}{uri}{match[3]}" if uri else match[0]

    return _LINKED.sub(replace, cell.source)


def _picture(target: str, attachments: Any, folder: Path) -> str | None:
    if target.startswith("attachment:"):
        found = attachments.get(unquote(target.removeprefix("attachment:")), {})
        return next((_data_uri(kind, _text(content)) for kind, content in found.items()), None)
    kind = mimetypes.guess_type(target)[0] or ""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", target) or not kind.startswith("image/"):
        return None
    file = folder / unquote(target)
    try:
        if file.stat().st_size > _MOST_LINKED_BYTES:
            return None
        return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
    except OSError:
        return None


def _tidy(body: str) -> str:
    """At most one empty line between two parts, as people write it; none in code is touched."""
    pieces = re.split(r"(^```.*?^```$)", body, flags=re.MULTILINE | re.DOTALL)
    return "".join(piece if number % 2 else re.sub(r"\n{3,}", "\n\n", piece) for number, piece in enumerate(pieces))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value)
