"""Whether work can be given to threads."""

from __future__ import annotations

import threading


def threads_start() -> bool:
    """Whether this process still starts threads: an interpreter that ends does not, and has things done in turn."""
    return threading.main_thread().is_alive()
