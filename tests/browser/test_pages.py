"""What `deriva-ml-catalog serve` shows to a person with a web browser."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from recorded_runs import Run, record_runs

from deriva_ml import DerivaML
from deriva_ml_core.cli.catalog import main as catalog_main
from deriva_ml_core.cli.executions import main
from deriva_ml_core.connection.local import where_to_look
from deriva_ml_core.schema.elements import ColumnDef
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema

ATTACK = "<script>window.attacked = 1</script>"


@pytest.fixture
def serve():
    """Call it with a root for the URL at which it is served, by the command in a process of its own."""
    running = []

    def start(root: Path) -> str:
        command = [sys.executable, "-m", "deriva_ml_core.cli.catalog", "serve", "--root", str(root)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process.stdout.readline().split()[-1]

    yield start
    for process in running:
        process.terminate()
        process.wait(60)
        process.stdout.close()


@pytest.fixture
def get():
    """Call it with a URL for status, headers and text."""

    def ask(url: str, *, data: bytes | None = None, **headers: str) -> tuple[int, dict, str]:
        request = urllib.request.Request(url, data=data, headers=headers)
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=120) as answer:
                return answer.status, dict(answer.headers), answer.read().decode(errors="replace")
        except urllib.error.HTTPError as err:
            with err:
                return err.code, dict(err.headers), err.read().decode(errors="replace")

    return ask


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


@pytest.fixture
def place(new_ml):
    return ["--host", "local", "--catalog", new_ml.catalog_id, "--working-dir", str(new_ml.working_dir)]


@pytest.fixture
def story(new_ml, workflow, tmp_path):
    """A dataset of two pictures, an execution that used it, and a sweep: RIDs by name."""
    create_domain_schema(new_ml.session, "demo")
    create_asset_table(new_ml.session, "demo", "Image", columns=[ColumnDef("Label", "text", True)], comment="Images")
    new_ml.session.forget_model()
    new_ml.add_dataset_element_type("Image")
    with new_ml.create_execution(workflow=workflow, description=f"load {ATTACK}") as load:
        for name in ("a", "b"):
            content = BytesIO()
            Image.new("RGB", (8, 8), "navy" if name == "a" else "tomato").save(content, "png")
            load.asset_file_path("Image", f"{name}.png", Label=ATTACK).write_bytes(content.getvalue())
    images = [path.asset_rid for path in load.upload_execution_outputs()["demo/Image"]]
    dataset = load.create_dataset(dataset_types=["Complete"], description="pictures")
    dataset.add_dataset_members(images)
    with new_ml.create_execution(workflow=workflow, description="train", datasets=[dataset.dataset_rid]) as train:
        train.asset_file_path("Execution_Asset", "weights.bin").write_text("w")
    train.upload_execution_outputs()
    runs = [Run({}, {"rate": n / 10}, {"accuracy": n / 3}) for n in range(3)]
    parent, children = record_runs(new_ml.session, tmp_path / "files", runs, parent=True)
    return {
        "load": load.execution_rid,
        "image": images[0],
        "dataset": dataset.dataset_rid,
        "train": train.execution_rid,
        "parent": parent,
        "child": children[0],
    }


@pytest.fixture
def site(serve, local_server):
    return serve(local_server.path)


def test_a_person_finds_the_way_from_the_list_to_a_picture(site, new_ml, story, browser, console):
    """By links alone: executions, one execution, the dataset that it used, a member, what it came from."""
    browser.get(f"{site}/browse/{new_ml.catalog_id}")
    browser.find_element("link text", story["train"]).click()
    assert browser.find_element("tag name", "h1").text == f"Execution {story['train']}"
    browser.find_element("link text", story["dataset"]).click()
    pictures = browser.find_elements("css selector", "ul.members img")
    assert len(pictures) == 2
    assert browser.execute_script("return arguments[0].complete && arguments[0].naturalWidth", pictures[0]) == 8
    pictures[0].click()
    assert browser.find_element("tag name", "h1").text in ("a.png", "b.png")
    browser.find_element("link text", "Lineage").click()
    assert browser.find_elements("link text", story["load"])
    assert browser.find_elements("link text", story["train"])
    assert console() == []


def test_a_catalog_without_executions_is_told_from_a_choice_that_finds_none(site, new_ml, browser):
    """Nobody who opens a new catalog has asked for a certain execution."""
    for query, said in (("", "There are no executions yet."), ("?status=Failed", "There is no such execution.")):
        browser.get(f"{site}/browse/{new_ml.catalog_id}{query}")
        assert said in browser.find_element("tag name", "main").text


def test_a_rid_is_searched_for_in_any_case(site, new_ml, story, browser):
    """The field stands on every page."""
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"{site}/browse/{new_ml.catalog_id}/datasets")
    field = browser.find_element("name", "rid")
    field.send_keys(story["child"].lower())
    field.submit()

    page = WebDriverWait(browser, 180, ignored_exceptions=[WebDriverException])  # submit() does not wait for the next
    page.until(lambda it: it.find_element("tag name", "h1").text == f"Execution {story['child']}")
    assert browser.current_url == f"{site}/id/{new_ml.catalog_id}/{story['child']}"


def test_a_sweep_is_shown_with_its_charts(site, new_ml, story, browser, console):
    """The report of its parent, whose RIDs are links here."""
    browser.get(f"{site}/id/{new_ml.catalog_id}/{story['parent']}")
    browser.find_element("link text", "Report of its children").click()

    assert len(browser.find_elements("css selector", "#by-parameter circle.dot")) == 3
    browser.find_element("link text", story["child"]).click()
    assert browser.find_element("tag name", "h1").text == f"Execution {story['child']}"
    assert console() == []


def test_every_rid_that_we_print_is_a_page(site, new_ml, story, place, capsys, get):
    """Of executions, datasets, assets, versions, workflows, whatever `show` and `lineage` print."""
    main(["show", story["train"], "--json", *place])
    main(["lineage", story["train"], "--json", *place])
    text = capsys.readouterr().out
    printed = {*re.findall(r'"(?:rid|source|target)": "([0-9A-Z-]+)"', text), *story.values()}

    assert len(printed) > 8
    for rid in sorted(printed):
        assert get(f"{site}/id/{new_ml.catalog_id}/{rid}")[0] in (200, 303), rid


def test_a_run_on_a_served_catalog_ends_with_the_address_of_its_page(site, new_ml, story, get, monkeypatch):
    """Where a server is there to be looked at, no command has to be typed."""
    monkeypatch.setenv("DERIVA_ML_LOCAL_URL", site)
    with DerivaML("local", new_ml.catalog_id) as ml:
        place = where_to_look(ml.session, story["train"])
    status, _, text = get(place)

    assert place.startswith(f"{site}/id/")
    assert status == 200
    assert f"Execution {story['train']}" in text


def test_members_are_those_of_the_chosen_version(site, new_ml, story, get):
    """A version is the catalog at its snapshot."""
    first = get(f"{site}/id/{new_ml.catalog_id}/{story['dataset']}?version=0.1.0")[2]

    assert "It has no members in version 0.1.0" in first
    assert "2 Image in version 0.2.0" in get(f"{site}/id/{new_ml.catalog_id}/{story['dataset']}")[2]
    assert get(f"{site}/id/{new_ml.catalog_id}/{story['dataset']}?version=9.9.9")[0] == 404


def test_what_runs_recorded_is_text_and_no_script_may_run(site, new_ml, story, browser, get):
    """Descriptions, file names and values come from anybody."""
    for rid in (story["load"], story["image"]):
        browser.get(f"{site}/id/{new_ml.catalog_id}/{rid}")
        assert ATTACK in browser.find_element("tag name", "main").text
        assert browser.execute_script("return window.attacked") is None
    _, headers, _ = get(f"{site}/id/{new_ml.catalog_id}/{story['load']}")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_description_is_read_as_markdown_and_brings_nothing_of_its_own(
    site, new_ml, workflow, story, browser, console
):
    """A table is one; a script, a handler, a style and a link that runs something are not."""
    text = (
        "# Rates\n\n| rate | expected |\n|---:|---|\n| 0.1 | *fast* |\n\n"
        f"{ATTACK}<img src=x onerror='window.attacked=1'> [run](javascript:window.attacked=1) "
        "[read](https://example.org/a?b=1&c=2) <style>body{display:none}</style>"
    )
    described = new_ml.create_execution(workflow=workflow, description=text).execution_rid
    browser.get(f"{site}/id/{new_ml.catalog_id}/{described}")
    shown = browser.find_element("css selector", ".description")

    assert shown.find_element("tag name", "h2").text == "Rates"
    assert [cell.text for cell in shown.find_elements("css selector", "td")] == ["0.1", "fast"]
    links = [link.get_attribute("href") for link in shown.find_elements("tag name", "a")]
    assert links == ["https://example.org/a?b=1&c=2"]
    assert shown.find_elements("css selector", "script, style, img, [style], [onerror]") == []
    assert ATTACK in shown.text
    assert browser.execute_script("return window.attacked") is None
    assert console() == [], "the page's own policy has nothing to refuse"


def test_the_page_of_a_sweep_tells_its_jobs_apart(site, new_ml, workflow, story, browser):
    """By their overrides, as the description has them; each with its state."""
    parent = new_ml.create_execution(workflow=workflow, description="Rates")
    for number, rate in enumerate(("0.1", "0.2")):
        job = new_ml.create_execution(workflow=workflow, description=f"[Job {number}] Rates [overrides: rate={rate}]")
        parent.add_nested_execution(job.execution_rid, sequence=number)
    browser.get(f"{site}/id/{new_ml.catalog_id}/{parent.execution_rid}")
    rows = browser.find_elements("css selector", "[aria-label=Children] tbody tr")

    assert [row.find_elements("tag name", "td")[-1].text for row in rows] == ["rate=0.1", "rate=0.2"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/id/CATALOG/9-ZZZZ", 404),
        ("/id/none/1-AAAA", 404),
        ("/browse/CATALOG/find?rid=a%20b", 404),
        ("/browse/x/y/z", 404),
    ],
)
def test_what_is_not_there_has_a_page_that_says_so(site, new_ml, get, path, status):
    """HTML, with the way back."""
    found, headers, text = get(site + path.replace("CATALOG", new_ml.catalog_id))

    assert found == status
    assert headers["Content-Type"].startswith("text/html")
    assert 'href="/"' in text


@pytest.mark.parametrize("preferred", ["light", "dark"])
def test_every_page_is_accessible(site, new_ml, workflow, story, browser, scheme, accessible, preferred):
    """Names, landmarks, order of headings, contrast: as axe judges them, in both colour schemes."""
    text = "## Rates\n\n| rate | expected |\n|---|---|\n| 0.1 | fast |\n\n### Why\n\nTo see."
    described = new_ml.create_execution(workflow=workflow, description=text).execution_rid
    scheme(preferred)
    browse, row = f"browse/{new_ml.catalog_id}", f"id/{new_ml.catalog_id}"
    rows = [f"{row}/{story[name]}" for name in ("train", "parent", "child", "dataset", "image")]
    sweep = [f"{browse}/report/{story['parent']}", f"{browse}/lineage/{story['train']}"]
    for path in ["", browse, f"{browse}/datasets", *rows, *sweep, f"{row}/{described}", f"{row}/ZZZZ", "browse/login"]:
        browser.get(f"{site}/{path}")
        assert accessible() == [], path


def test_pages_change_nothing(site, new_ml, story, get):
    """Another method is refused."""
    assert get(f"{site}/id/{new_ml.catalog_id}/{story['train']}", data=b"x")[0] == 405


def test_a_visitor_sees_what_the_visitor_may(serve, get, tmp_path, capsys, monkeypatch):
    """Of a server with users: nothing without a login, all that is theirs with one, nothing after the logout."""
    root = tmp_path / "root"
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(root))
    catalog_main(["create", "lab", "--root", str(root)])
    catalog_main(["schema", "install", "lab", "--root", str(root)])
    capsys.readouterr()
    catalog_main(["user", "add", "ada", "--admin", "--root", str(root)])
    token = capsys.readouterr().out.strip()
    url = serve(root)

    assert "Log in" in get(url + "/")[2]
    assert "/browse/lab" not in get(url + "/")[2]
    assert get(url + "/browse/lab")[0] in (401, 403, 404)
    wrong = urllib.parse.urlencode({"username": "ada", "password": "x"}).encode()
    assert get(url + "/browse/login", data=wrong)[0] == 401
    right = urllib.parse.urlencode({"username": "ada", "password": token}).encode()
    status, headers, _ = get(url + "/browse/login", data=right)
    assert status == 303
    assert "HttpOnly" in headers["Set-Cookie"]
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert "/browse/lab" in get(url + "/", Cookie=cookie)[2]
    assert get(url + "/browse/lab", Cookie=cookie)[0] == 200
    status, headers, _ = get(url + "/browse/logout", data=b"", Cookie=cookie)
    assert (status, "Max-Age=0" in headers["Set-Cookie"]) == (303, True)
    assert get(url + "/browse/lab")[0] != 200, "another visitor's session is not theirs"
