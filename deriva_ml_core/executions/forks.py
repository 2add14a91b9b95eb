"""A process that a model forks has no part in the record of its run."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def forks_end_here() -> Iterator[None]:
    """
    End a process that was forked inside the block and comes to the block's end: a model that calls `os.fork()` and
    returns, raises or leaves by `sys.exit()` in the child. What follows the block is its parent's to do; done twice,
    the run would end by the child's end, and its outputs would be uploaded before the parent has written them.

    Its exit code says how it ended, as Python's would.
    """
    ours = os.getpid()
    code = 0
    try:
        yield
    except BaseException as err:
        if os.getpid() == ours:
            raise
        code = 1  # also where it can't be told
        code = _exit_code(err)
    finally:
        if os.getpid() != ours:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # the child may have closed them; it only ends
                    stream.flush()
            os._exit(code)


def _exit_code(err: BaseException) -> int:
    """That with which Python leaves; it is told of as Python does."""
    if not isinstance(err, SystemExit):
        traceback.print_exception(err)
        return 1
    if err.code is None or isinstance(err.code, int):
        return (err.code or 0) & 0xFF
    sys.stderr.write(f"{err.code}\n")
    return 1
