"""Markdown and HTML of an executed notebook, as a reader sees them: real outputs, a real browser."""

from __future__ import annotations

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest

from deriva_ml_notebook.documents import read_notebook
from deriva_ml_notebook.executing import Setting, execute
from deriva_ml_notebook.kernels import own_kernel
from deriva_ml_notebook.rendering import write_html, write_markdown
from deriva_ml_notebook.tables import html_to_markdown

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CELLS = [
    "import pandas as pd\nimport numpy as np\npd.DataFrame({'a|b': [1.5, -2], 'name': ['x_1', '<b>']})",
    "index = pd.MultiIndex.from_product([['top'], ['one', 'two']], names=['A', 'B'])\n"
    "columns = pd.MultiIndex.from_tuples([('m', 'x'), ('m', 'y'), ('n', 'z')])\n"
    "pd.DataFrame(np.arange(6).reshape(2, 3), index=index, columns=columns)",
    "pd.DataFrame(np.arange(4000).reshape(100, 40))",
    "pd.DataFrame({'v': [1, 2]}).style.set_caption('A caption').background_gradient()",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4])\nplt.show()",
    "from IPython.display import SVG, HTML, Markdown, display\n"
    'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><circle r="9"/></svg>\'))',
    "display(Markdown('**bold** words'))\ndisplay(HTML('<script>window.ran = 1</script>'))",
    "print('\\x1b[31mred\\x1b[0m plain')",
    "raise ValueError('told')",
]


class _Silent:
    def started(self, total): ...
    def cell_started(self, number, source): ...
    def output(self, output): ...
    def cell_ended(self, number, source, seconds): ...
    def ended(self): ...


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    """A folder with page.ipynb, page.md and page.html: executed by a real kernel."""
    folder = tmp_path_factory.mktemp("rendering")
    (folder / "beside.png").write_bytes(__import__("base64").b64decode(PNG))
    text = nbformat.v4.new_markdown_cell("# Title\n\n![linked](beside.png) ![attached](attachment:a.png)")
    text.attachments = {"a.png": {"image/png": PNG}}
    document = nbformat.v4.new_notebook(cells=[text, *map(nbformat.v4.new_code_cell, CELLS)])
    nbformat.write(document, folder / "source.ipynb")
    document = read_notebook(folder / "source.ipynb")
    env = {**os.environ, "HOME": str(folder), "MPLCONFIGDIR": str(folder)}
    failure = execute(document, Setting(own_kernel(folder), folder / "page.ipynb", folder, env), _Silent())
    write_markdown(document, folder / "page.md", folder=folder, failure=failure)
    write_html(document, folder / "page.html", folder=folder, failure=failure)
    return folder


def table_after(markdown: str, code: str) -> list[str]:
    """The lines of the first Markdown table after a cell."""
    lines = markdown[markdown.index(code) + len(code) :].splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append(line)
    return table


def test_a_data_frame_is_a_markdown_table(rendered):
    """Its index is a column without a name; numbers stand right; what Markdown would read is escaped."""
    table = table_after((rendered / "page.md").read_text(), CELLS[0])

    assert table == [
        r"|     | a\|b | name   |",
        "| --: | ---: | ------ |",
        r"|   0 |  1.5 | x\_1   |",
        "|   1 | -2.0 | &lt;b> |",
    ]


def test_levels_of_index_and_columns_are_one_header(rendered):
    """Markdown has one row of headings."""
    table = table_after((rendered / "page.md").read_text(), CELLS[1])

    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0] == ["A", "B", "m / x", "m / y", "n / z"]
    assert cells[2:] == [["top", "one", "0", "1", "2"], ["", "two", "3", "4", "5"]]


def test_a_truncated_frame_says_what_it_is_part_of(rendered):
    """Wide and long: the dots stay, and the words below."""
    markdown = (rendered / "page.md").read_text()
    table = table_after(markdown, CELLS[2])

    assert "..." in table[0]
    assert any(set(re.findall(r"[^|\s]+", line)) == {"..."} for line in table)
    assert re.search(r"100 rows \S 40 columns", markdown)


def test_a_styled_frame_is_a_table_with_its_caption(rendered):
    """Styles are for HTML; what they style is not."""
    markdown = (rendered / "page.md").read_text()

    assert "**A caption**" in markdown
    assert "background-color" not in markdown
    assert [line.split("|")[-2].strip() for line in table_after(markdown, CELLS[3])] == ["v", "--:", "1", "2"]


def test_what_is_only_for_other_eyes_is_left_out_of_the_markdown(rendered):
    """Colours of terminals and programs; errors and what they say stay."""
    markdown = (rendered / "page.md").read_text()

    assert "\x1b" not in markdown
    assert "red plain" in markdown
    assert "<script>window" not in markdown.replace(CELLS[6], "")
    assert "**bold** words" in markdown
    assert "> **This notebook did not come to its end.** cell 9 of 9: ValueError: told" in markdown
    assert "> **Error here.**" in markdown
    assert "ValueError: told" in markdown


def test_the_page_loads_nothing_from_anywhere(rendered):
    """A record must look the same when other hosts are gone."""
    html = (rendered / "page.html").read_text()

    assert re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?https?:", html) == []
    assert re.findall(r"url\(\s*[\"']?https?:", html) == []


@pytest.fixture
def asked():
    """A web server's address, and what it has been asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


def test_what_outputs_refer_to_on_other_hosts_is_not_fetched(tmp_path, browser, asked):
    """Pictures, programs, frames of another server: the page does without; its own programs run."""
    address, paths = asked
    elements = (
        f'<img src="{address}/img"><iframe src="{address}/frame"></iframe><script src="{address}/script"></script>'
        f'<link rel="stylesheet" href="{address}/style">'
        f'<script>window.ran = 1; fetch("{address}/fetch").catch(() => 0)</script>'
    )
    output = nbformat.v4.new_output("display_data", data={"text/html": elements})
    cell = nbformat.v4.new_code_cell("x", outputs=[output])
    write_html(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "page.html", folder=tmp_path)
    (tmp_path / "bare.html").write_text(f'<img src="{address}/bare">')

    browser.get(f"file://{tmp_path / 'page.html'}")
    assert browser.execute_script("return window.ran") == 1
    browser.get(f"file://{tmp_path / 'bare.html'}")

    assert paths == ["/bare"]


FORMULAS = {
    "Inline $e^{i\\pi}+1$ here": ["inline"],
    "$$\\sum_{i=1}^n x_i \\le \\frac{a}{b}$$": ["block"],
    "\\begin{equation}\nE = mc^2\n\\end{equation}": ["block"],
    "\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}": ["block"],
    "between $5 and $6, `$x$`": [],
    "unknown $\\mymacro{x}$": [],
}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_drawn_without_any_program(tmp_path, browser, text):
    """As MathML, whether in a text cell or put out by a code cell; what can't be translated stays as it was written."""
    output = nbformat.v4.new_output("display_data", data={"text/latex": text, "text/plain": "<Latex>"})
    cells = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell("x", outputs=[output])]
    write_html(nbformat.v4.new_notebook(cells=cells), tmp_path / "page.html", folder=tmp_path)

    browser.get(f"file://{tmp_path / 'page.html'}")

    drawn = browser.execute_script(
        "return [...document.querySelectorAll('math')].map(m => [m.getAttribute('display'), m.clientHeight])"
    )
    assert [display for display, _ in drawn] == FORMULAS[text] * 2
    assert all(height > 0 for _, height in drawn)
    assert not FORMULAS[text] or "\\" not in browser.execute_script("return document.body.innerText")
    assert FORMULAS[text] or text.replace("`", "") in browser.execute_script("return document.body.innerText")


def test_what_needs_a_kernel_is_its_text(tmp_path, browser):
    """A widget without its state, and what only a program could draw."""
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "IntSlider(value=3)"}
    plot = {"application/vnd.plotly.v1+json": {}, "text/html": "<div><script>draw()</script></div>"}
    outputs = [nbformat.v4.new_output("display_data", data=data) for data in (widget, plot)]
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])
    write_html(document, tmp_path / "page.html", folder=tmp_path)
    write_markdown(document, tmp_path / "page.md", folder=tmp_path)

    browser.get(f"file://{tmp_path / 'page.html'}")

    markdown = (tmp_path / "page.md").read_text()
    assert "IntSlider(value=3)" in browser.execute_script("return document.body.innerText")
    assert "IntSlider(value=3)" in markdown
    assert "draw()" not in markdown
    assert "an interactive output" in markdown


@pytest.mark.parametrize("name", ["page.html", "page.md"])
def test_a_reader_sees_images_and_tables(rendered, browser, name):
    """Every image has come to be one; tables are tables."""
    file = rendered / name
    if name == "page.md":
        import mistune

        renderer = mistune.HTMLRenderer(escape=False, allow_harmful_protocols=True)  # it takes SVG for such
        to_html = mistune.create_markdown(renderer=renderer, plugins=["table"])
        file = rendered / "markdown.html"
        file.write_text(f"<meta charset='utf-8'>{to_html((rendered / name).read_text())}")

    browser.get(f"file://{file}")

    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    drawn = browser.execute_script("return [...document.querySelectorAll('svg circle')].length")
    tables = browser.execute_script("return [...document.querySelectorAll('table')].map(table => table.rows.length)")
    assert len(widths) + drawn == 4
    assert all(width > 0 for width in widths)
    assert len(tables) == 4
    assert all(rows > 2 for rows in tables)


@pytest.mark.parametrize(
    "html",
    [
        "<p>no table</p>",
        "<table><tr><td><table><tr><td>1</td></tr></table></td></tr></table>",
        "<table><img src=x></table>",
    ],
)
def test_what_is_no_plain_table_is_left_as_it_is(html):
    """Better HTML in Markdown than a table that lost what it held."""
    assert html_to_markdown(html) is None


def test_large_outputs_are_rendered_in_parts(tmp_path):
    """The parts make one page and one text, in order."""
    cells = []
    for number in range(4):
        cell = nbformat.v4.new_code_cell(f"part {number}")
        cell.outputs = [nbformat.v4.new_output("display_data", data={"image/png": "A" * 3_000_000, "text/plain": "x"})]
        cells.append(cell)
    document = nbformat.v4.new_notebook(cells=cells)

    write_html(document, tmp_path / "page.html", folder=tmp_path)
    write_markdown(document, tmp_path / "page.md", folder=tmp_path)

    html, markdown = (tmp_path / "page.html").read_text(), (tmp_path / "page.md").read_text()
    assert html.count("<main>") == html.count("</main>") == html.count("</html>") == 1
    assert html.count("A" * 3_000_000) == markdown.count("A" * 3_000_000) == 4
    assert [int(n) for n in re.findall(r"^part (\d)$", markdown, re.MULTILINE)] == [0, 1, 2, 3]
