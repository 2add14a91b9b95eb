"""
Posts to a URL when an execution or a sweep ends.

    DERIVA_WEBHOOK_URL      where to; without it nothing is sent
    DERIVA_WEBHOOK_SECRET   signs what is sent, and is never sent itself

The body is JSON. Whoever has the secret checks the header X-Deriva-Signature: "sha256=" and the HMAC of the body.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from deriva_ml.plugins import ChildEnd, ExecutionFacts, SweepOutline, hookimpl

TIMEOUT_S = 5.0
"""A run waits for no receiver longer than that."""


@hookimpl
def deriva_execution_ended(execution: ExecutionFacts, error: str | None) -> None:
    """Tell of an execution; its texts are free of secrets when they come here."""
    _post(
        {
            "event": "execution_ended",
            "rid": execution.rid,
            "hostname": execution.hostname,
            "catalog_id": execution.catalog_id,
            "status": execution.status,
            "error": error,
            "description": execution.description,
            "workflow": execution.workflow_name,
            "parent": execution.parent,
            "seconds": dict(execution.durations),
        }
    )


@hookimpl
def deriva_sweep_ended(sweep: SweepOutline, status: str, detail: str | None, children: Sequence[ChildEnd]) -> None:
    """Tell of a sweep; not of its overrides, which may hold anything."""
    _post(
        {
            "event": "sweep_ended",
            "rid": sweep.rid,
            "hostname": sweep.hostname,
            "catalog_id": sweep.catalog_id,
            "status": status,
            "detail": detail,
            "children": [{"rid": child.rid, "sequence": child.sequence, "status": child.status} for child in children],
        }
    )


def _post(document: dict[str, Any]) -> None:
    """
    Send one document.

    Raises:
        OSError: it was not taken; the URL, which may be a secret itself, is not in the message.
    """
    url = os.environ.get("DERIVA_WEBHOOK_URL")
    if not url:
        return
    if urlsplit(url).scheme not in ("http", "https"):
        raise OSError("DERIVA_WEBHOOK_URL is no http or https URL")
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json"}
    if secret := os.environ.get("DERIVA_WEBHOOK_SECRET"):
        headers["X-Deriva-Signature"] = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    request = urllib.request.Request(url, body, headers)  # noqa: S310  # its scheme was looked at
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            pass
    except urllib.error.URLError as err:
        why = f"HTTP {err.code}" if isinstance(err, urllib.error.HTTPError) else err.reason
        raise OSError(f"{urlsplit(url).hostname} did not take the message: {why}") from None
