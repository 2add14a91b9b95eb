"""
The page of an executed notebook: JupyterLab's, but whole in itself.

Nothing of it is loaded from another host, neither what nbconvert would refer to nor what a notebook's outputs do: the
page's own policy forbids it, so that a record looks the same wherever and whenever it is read. Formulas are MathML,
which browsers draw by themselves; one that can't be translated stays as TeX.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

# Content Security Policy, level 3: what the page brings along may be shown and run, nothing is fetched.
_POLICY = "; ".join([
    "default-src 'none'",
    "script-src 'unsafe-inline' 'unsafe-eval' data: blob:",
    "style-src 'unsafe-inline' data:",
    *(f"{kind}-src data: blob:" for kind in ("img", "media", "font", "frame", "worker")),
])  # fmt: skip
_TEMPLATE = f"""\
{{%- extends 'lab/index.html.j2' -%}}
{{%- block html_head_js -%}}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">{{%- endblock -%}}
{{%- block jupyter_widgets -%}}{{%- endblock -%}}
{{%- block html_head_js_mathjax -%}}{{%- endblock -%}}
{{%- block html_head_js_mermaidjs -%}}{{%- endblock -%}}
"""
_NOT_TRANSLATED = re.compile(r"\\[a-zA-Z]|>&<")  # a command or a column that latex2mathml has passed on as it is


class PageExporter(HTMLExporter):
    """nbconvert's exporter with our template and formulas."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__(raw_template=_TEMPLATE, log=log)  # type: ignore[no-untyped-call]  # nbconvert is typed in part

    def default_filters(self) -> Any:
        """All of nbconvert's, but for what turns Markdown into HTML."""
        yield from super().default_filters()  # type: ignore[no-untyped-call]  # likewise
        yield ("markdown2html", self._to_html)

    def _to_html(self, source: str) -> str:
        renderer = _Renderer(escape=False, anchor_link_text=self.anchor_link_text)
        return str(MarkdownWithMath(renderer=renderer).render(source))


class _Renderer(IPythonRenderer):
    """Text cells as HTML: formulas are what nbconvert takes for them."""

    def block_math(self, body: str) -> str:
        """`$$...$$`."""
        return formula(body, display="block") or str(super().block_math(body))

    def inline_math(self, body: str) -> str:
        """`$...$`, but not the text between two prices: a space before the closing sign makes it none."""
        made = "" if body != body.strip() else formula(body, display="inline")
        return made or str(super().inline_math(body))

    def latex_environment(self, name: str, body: str) -> str:
        r"""`\begin{equation}` and the like."""
        made = formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", display="block")
        return made or str(super().latex_environment(name, body))


def formula(tex: str, *, display: str) -> str:
    """TeX as MathML; "" where it can't be translated whole."""
    try:
        from latex2mathml.converter import convert

        made = str(convert(tex, display=display))
    except Exception:  # noqa: BLE001  # its errors have no common class; whatever it is, the TeX itself is readable
        return ""
    return "" if _NOT_TRANSLATED.search(made) else made
