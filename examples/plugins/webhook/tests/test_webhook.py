"""A real receiver on loopback hears how runs end, and no secret."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import deriva_ml_webhook
import pytest

from deriva_ml.testing import ObserverSuite

SECRET = "sign-with-this-7351"
TOKEN = "tok-of-the-run-9924"


@pytest.fixture
def received(monkeypatch):
    """[(headers, body)] of a server that the environment names."""
    heard = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("DERIVA_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/hook")
        monkeypatch.setenv("DERIVA_WEBHOOK_SECRET", SECRET)
        yield heard
        server.shutdown()
        thread.join()


class TestWebhook(ObserverSuite):
    handler = deriva_ml_webhook


def test_an_end_is_told_and_signed(received, deriva_execution):
    """Which, where, how it ended; the receiver can tell that it came from us."""
    deriva_execution.execution_stop()
    deriva_execution.commit_output_assets()

    ((headers, body),) = received
    document = json.loads(body)
    assert (document["event"], document["status"]) == ("execution_ended", "Uploaded")
    assert document["rid"] == deriva_execution.execution_rid
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Deriva-Signature"] == f"sha256={expected}"


def test_no_secret_is_sent(received, deriva_execution, monkeypatch):
    """Neither that of the run, nor that which signs."""
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    with pytest.raises(ValueError, match="refused"), deriva_execution:
        raise ValueError(f"refused: {TOKEN}, password=hunter2222")

    ((headers, body),) = received
    text = body.decode() + json.dumps(headers)
    assert json.loads(body)["error"].startswith("ValueError: refused")
    assert not [secret for secret in (TOKEN, SECRET, "hunter2222") if secret in text]


def test_a_receiver_that_is_away_changes_nothing(deriva_execution, monkeypatch, caplog):
    """The run is Uploaded; a warning says what was not told, without the URL."""
    monkeypatch.setenv("DERIVA_WEBHOOK_URL", "http://127.0.0.1:9/secret-path")
    with caplog.at_level(logging.WARNING):
        deriva_execution.commit_output_assets()

    assert deriva_execution.status.value == "Uploaded"
    assert "plugin webhook, deriva_execution_ended" in caplog.text
    assert "secret-path" not in caplog.text


def test_a_sweep_is_told(received):
    """With its children, and without their overrides."""
    from deriva_ml.plugins import ChildEnd, SweepOutline

    sweep = SweepOutline("1-P", "local", "1", {0: (f"token={TOKEN}",)})
    deriva_ml_webhook.deriva_sweep_ended(sweep, "Failed", "1 of 1", [ChildEnd("1-C", 0, "Failed")])

    ((_, body),) = received
    assert json.loads(body)["children"] == [{"rid": "1-C", "sequence": 0, "status": "Failed"}]
    assert TOKEN not in body.decode()
