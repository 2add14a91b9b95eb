"""A person opens the demo's notebook in JupyterLab and runs its first cell: a real server, kernel and browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from demo_fixture import DEMO, Demo

from deriva_ml_core.connection import DerivaML

pytestmark = [*DEMO]
NOTEBOOK = "notebooks/digits_results.ipynb"
FIRST_CODE_CELL = ".jp-Notebook .jp-CodeCell:not(.jp-mod-placeholder) .jp-InputArea-editor .cm-line"
PATIENCE_S = 180


@pytest.fixture
def jupyterlab(demo_copy: Demo, tmp_path: Path):
    """The address of a JupyterLab in the demo's folder, and the token that opens it."""
    runtime = tmp_path / "runtime"
    env = {
        **demo_copy.env,
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "PYTHONWARNINGS": "",
    }
    options = ["--no-browser", "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token=secret"]
    options += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (tmp_path / "jupyterlab.log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, cwd=demo_copy.folder, env=env, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_S
        while not (found := list(runtime.glob("jpserver-*.json"))):
            assert server.poll() is None, (tmp_path / "jupyterlab.log").read_text()
            assert time.monotonic() < until, (tmp_path / "jupyterlab.log").read_text()
            time.sleep(0.2)  # the server tells of its port by this file only
        yield json.loads(found[0].read_text())["url"]
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_the_first_cell_shows_the_execution_that_it_opens(jupyterlab, demo_copy: Demo, browser, monkeypatch):
    """It is in the catalog, running, with the notebook as its code; it is ended when the kernel is shut down."""
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    # What is found may still be being drawn, or be drawn again.
    wait = WebDriverWait(browser, PATIENCE_S, ignored_exceptions=[WebDriverException])
    browser.get(f"{jupyterlab}lab/tree/{NOTEBOOK}?token=secret&reset")
    words = (By.CSS_SELECTOR, ".jp-StatusBar-TextItem")
    wait.until(lambda b: any(item.text.endswith("| Idle") for item in b.find_elements(*words)))
    wait.until(lambda b: b.find_element(By.CSS_SELECTOR, FIRST_CODE_CELL).click() or True)
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()

    output = wait.until(
        lambda b: next(
            (
                area.text
                for area in b.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .jp-OutputArea-output")
                if "look at it:" in area.text or "Error" in area.text
            ),
            None,
        )
    )

    rid = re.search(r"Execution (\S+)", output)
    assert rid, output
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", demo_copy.env["DERIVA_ML_LOCAL_ROOT"])
    monkeypatch.setenv("HOME", demo_copy.env["HOME"])
    with DerivaML("local", "digits") as ml:
        running = ml.lookup_execution(rid[1])
        assert running.status.value == "Running"
        assert running.workflow.url.partition(";path=")[2] == f"/{NOTEBOOK}"
        shut_down_kernels(jupyterlab)
        assert ml.lookup_execution(rid[1]).status.value == "Aborted"


def shut_down_kernels(address: str) -> None:
    """As the menu does."""
    headers = {"Authorization": "token secret"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}api/kernels", headers=headers)) as answer:
        kernels = json.load(answer)
    for kernel in kernels:
        request = urllib.request.Request(f"{address}api/kernels/{kernel['id']}", headers=headers, method="DELETE")
        urllib.request.urlopen(request).close()
