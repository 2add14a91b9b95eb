"""Small jobs in a few threads."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from deriva_ml_core.assets.transfer import one_ahead
from deriva_ml_core.errors import CatalogError

AT_THE_END = """
import atexit, concurrent.futures
from deriva_ml_core.assets.transfer import in_parallel, one_ahead

atexit.register(lambda: print(sorted(one.answer for one in in_parallel(range(5), lambda job: job * job, workers=2))))
atexit.register(lambda: print(list(one_ahead(range(3)))))
"""


def test_an_interpreter_that_ends_does_them_in_turn():
    """It starts no threads any more; the report of a sweep whose sweeper failed is written then."""
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=120, check=False)

    assert (done.stdout, done.stderr) == ("[0, 1, 2]\n[0, 1, 4, 9, 16]\n", "")


def test_the_next_is_made_while_one_is_used():
    """The server looks for the next files while these are copied."""
    begun = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number in one_ahead(items()):
        assert begun[min(number + 1, 2)].wait(60)


def test_an_error_in_the_making_reaches_the_user_of_the_items():
    """Whatever was made before it is used first."""

    def items() -> Iterator[int]:
        yield 1
        raise CatalogError("no answer")

    used = []
    with pytest.raises(CatalogError, match="no answer"):
        used.extend(one_ahead(items()))
    assert used == [1]
