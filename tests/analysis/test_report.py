"""A sweep's report, looked at in a real browser."""

from __future__ import annotations

import re

import pytest
from recorded_runs import Run, record_runs

from deriva_ml_core.analysis.metrics import Series
from deriva_ml_core.analysis.report import report_page
from deriva_ml_core.analysis.report_storage import FILE_NAME, keep_report, store_report
from deriva_ml_core.analysis.thinning import thin
from deriva_ml_core.cli.executions import main
from deriva_ml_core.executions.record import lookup_execution

ATTACK = "</script><script>window.attacked = 1</script><img src=x onerror='window.attacked = 1'>"


@pytest.fixture
def sweep(new_ml, tmp_path):
    """Four children: three with metrics over steps, one that failed and wrote nothing."""
    runs = [
        Run(
            {"model_config": "quick"},
            {"rate": 10.0**-n, "kind": ATTACK if n == 1 else "plain"},
            lines=[{"step": step, "loss": (n + 1) / (step + 1)} for step in range(50)],
            outputs={"weights.bin": b"w" * (n + 1)},
        )
        for n in range(3)
    ]
    runs.append(Run({"model_config": "quick"}, {"rate": 5.0}, status="Failed", detail=f"ValueError: {ATTACK}"))
    return record_runs(new_ml.session, tmp_path / "files", runs, parent=True)


@pytest.fixture
def page(new_ml, sweep, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(report_page(new_ml.session, new_ml.cache_dir, sweep[0]), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, console, page):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page.as_uri())
    WebDriverWait(browser, 120).until(lambda it: it.execute_script("return document.documentElement.dataset.ready"))
    return browser


def _cells(browser, column):
    return browser.execute_script(
        "return [...document.querySelectorAll('#runs tbody tr')].filter(r => !r.hidden)"
        ".map(r => r.cells[arguments[0]].textContent.trim())",
        column,
    )


def test_every_child_is_a_row_with_its_parameters_metrics_and_end(opened, sweep):
    """In the order of the jobs; what failed says why."""
    assert _cells(opened, 1) == sweep[1]
    assert _cells(opened, 2) == ["Uploaded", "Uploaded", "Uploaded", "Failed"]
    assert "ValueError" in opened.find_element("css selector", "td.reason:not(:empty)").text
    heads = [head.text for head in opened.find_elements("css selector", "#runs thead th")]
    assert any(head.endswith("rate") for head in heads)
    assert any(head.endswith("loss") for head in heads)


def test_charts_are_drawn_and_follow_their_controls(opened, console):
    """A dot for each execution that has the metric, a line for each that has steps; both say in words what they are."""
    from selenium.webdriver.support.ui import Select

    dots = "#by-parameter circle.dot"
    assert len(opened.find_elements("css selector", dots)) == 3
    assert len(opened.find_elements("css selector", "#by-step path.line")) == 3
    for name in ("by-parameter", "by-step"):
        label = opened.find_element("css selector", f"#{name} svg[role=img]").get_attribute("aria-label")
        assert "loss" in label
    Select(opened.find_element("id", "parameter")).select_by_value("kind")
    assert len(opened.find_elements("css selector", dots)) == 3
    assert "against kind" in opened.find_element("css selector", "#by-parameter svg[role=img]").get_attribute(
        "aria-label"
    )
    assert console() == []


def test_a_description_is_markdown_and_its_html_is_text(new_ml, sweep):
    """The parent's description is where a sweep is explained, often by a table; HTML in it is somebody's text."""
    record = lookup_execution(new_ml.session, sweep[0])
    record.description = f"# Rates\n\n| rate | why |\n|---|---|\n| 0.1 | {ATTACK} |\n\n[here](javascript:attack)"

    page = report_page(new_ml.session, new_ml.cache_dir, sweep[0])

    assert "<td>0.1</td>" in page
    assert "<script>window.attacked" not in page
    assert 'href="javascript' not in page


def test_rows_are_sorted_and_filtered_by_keyboard(opened, sweep):
    """Heads are buttons; what is sorted by is told to a screen reader; a missing value is last both ways."""
    from selenium.webdriver.common.keys import Keys

    button = opened.find_element("xpath", "//table[@id='runs']//th[contains(., 'loss')]/button")
    button.send_keys(Keys.ENTER)
    head = button.find_element("xpath", "..")
    assert head.get_attribute("aria-sort") == "ascending"
    assert _cells(opened, 1) == sweep[1]
    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert _cells(opened, 1) == [*reversed(sweep[1][:3]), sweep[1][3]]
    opened.find_element("id", "filter").send_keys("failed")
    assert _cells(opened, 1) == [sweep[1][3]]
    assert opened.find_element("id", "count").text == "1 of 4"


def test_what_runs_recorded_is_text_and_never_code(opened, page, console):
    """Names, values and reasons come from anybody; only the page's own scripts may run, and nothing is fetched."""
    assert opened.execute_script("return window.attacked") is None
    assert "script-src &#39;sha256-" in page.read_text()
    assert "default-src 'none'" in page.read_text()
    assert not re.findall(r"""(?:src|href)=["']https?://(?!example\.org)""", page.read_text().split("<script")[0])
    assert console() == []


@pytest.mark.parametrize("name", ["dark", "light"])
def test_text_can_be_read_in_both_schemes(opened, scheme, name):
    """WCAG AA: 4.5 to 1 for every text color that the page uses, on the ground that it stands on."""
    scheme(name)
    colors = opened.execute_script(
        """
        const style = getComputedStyle(document.documentElement);
        const named = (name) => style.getPropertyValue(name).trim();
        return Object.fromEntries(["--ground", "--raised", "--text", "--soft", "--link", "--good", "--bad", "--warn"]
          .map((one) => [one, named(one)]));
        """
    )
    for ground in ("--ground", "--raised"):
        for text in ("--text", "--soft", "--link", "--good", "--bad", "--warn"):
            assert _contrast(colors[ground], colors[text]) >= 4.5, (name, ground, text)


def test_every_control_has_a_name_and_every_head_a_scope(opened):
    """What a screen reader says of it."""
    unnamed = opened.execute_script(
        "return [...document.querySelectorAll('select, input')].filter(e => !e.labels.length).length"
        " + [...document.querySelectorAll('th')].filter(e => !e.scope).length"
        " + [...document.querySelectorAll('.scroll')].filter(e => !e.ariaLabel).length"
    )

    assert unnamed == 0


def test_the_command_writes_the_page(new_ml, sweep, tmp_path, capsys):
    """And says where; an execution without children has a page of its own; a wrong RID is a line."""
    place = ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]
    target = tmp_path / "new" / "r.html"

    assert main(["report", sweep[0], "--to", str(target), *place]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert "4 executions" in target.read_text()
    assert main(["report", sweep[1][0], "--to", str(target), *place]) == 0
    assert "1 execution<" in target.read_text()
    assert main(["report", "9-ZZZZ", *place]) == 2


def test_a_kept_report_is_an_output_and_touches_no_status(new_ml, sweep):
    """Kept again, there is still what there was."""
    parent = sweep[0]
    first = keep_report(new_ml.session, new_ml.cache_dir, parent)

    assert first is not None
    assert FILE_NAME in {asset.filename for asset in lookup_execution(new_ml.session, parent).list_assets("Output")}
    assert lookup_execution(new_ml.session, parent).status.value == "Uploaded"


def test_a_newer_report_takes_the_place_of_the_older(new_ml, sweep, tmp_path):
    """A sweep that is resumed has one page, of all its jobs: nobody has to find out which of two is the newer."""
    parent = sweep[0]
    first = store_report(new_ml.session, parent, "<p>two of four jobs</p>")
    other = store_report(new_ml.session, sweep[1][0], "<p>of a job alone</p>")

    second = store_report(new_ml.session, parent, "<p>four of four jobs</p>")

    assert second == first != other
    outputs = lookup_execution(new_ml.session, parent).list_assets("Output")
    (asset,) = [asset for asset in outputs if asset.filename == FILE_NAME]
    assert asset.download(tmp_path).read_text() == "<p>four of four jobs</p>"
    (alone,) = [a for a in lookup_execution(new_ml.session, sweep[1][0]).list_assets("Output") if a.asset_rid == other]
    assert alone.download(tmp_path / "alone").read_text() == "<p>of a job alone</p>"


def test_a_report_that_can_not_be_made_is_a_warning(new_ml, sweep, caplog, monkeypatch):
    """A sweep has ended by then: nothing may change how."""
    monkeypatch.setattr("deriva_ml_core.analysis.report_storage.report_page", lambda *_: 1 / 0)

    assert keep_report(new_ml.session, new_ml.cache_dir, sweep[0]) is None
    assert f"deriva-ml-executions report {sweep[0]}" in caplog.text


def test_thinning_keeps_the_ends_and_the_extremes():
    """A spike of one step is what a person looks for."""
    values = [1.0] * 1000
    values[500], values[700] = 9.0, -9.0
    thinned = thin(Series([float(n) for n in range(1000)], values), 100)

    assert len(thinned.values) <= 100
    assert (thinned.steps[0], thinned.steps[-1]) == (0, 999)
    assert {9.0, -9.0} <= set(thinned.values)
    assert thinned.steps == sorted(thinned.steps)


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
