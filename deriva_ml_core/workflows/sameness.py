"""Whether the code that is here is the code that ran: what a sweep keeps of it, to be resumed with the same."""

from __future__ import annotations

import hashlib
import os

from .diff import uncommitted_diff
from .provenance import CodeReference, ignored_prefixes


def code_facts(code: CodeReference) -> dict[str, str]:
    """
    What must be equal: the commit and a digest of the uncommitted changes; without a commit, the file's checksum.

    Results and compiled files are no changes of the code; see `ignored_prefixes`.
    """
    if not code.commit or code.git_root is None:
        return {"checksum": code.checksum}
    facts = {"commit": code.commit, "changes": ""}
    if code.dirty_paths:
        diff = uncommitted_diff(code.git_root, ignored=ignored_prefixes(os.environ))
        text = "\n".join((diff.text, *(f"{path} {reason}" for path, reason in diff.left_out)))
        facts["changes"] = hashlib.sha256(text.encode()).hexdigest()
    return facts
