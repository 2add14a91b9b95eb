"""Repeats, time-outs and chunks are what the caller says, and what can't be meant is refused."""

import pytest

from deriva_ml_core.assets.manner import Manner, may_pass
from deriva_ml_core.errors import CatalogError, CatalogUnreachable, ChecksumMismatch, DerivaMLConfigurationError


def test_pauses_grow_and_differ():
    """Each pause is about twice the one before, never exactly: the runs of a sweep must not come back together."""
    pauses = list(Manner(max_retries=4, retry_delay_s=2).pauses_s())

    assert len(pauses) == 4
    assert all(2 * 2**n * 0.75 <= pause <= 2 * 2**n * 1.25 for n, pause in enumerate(pauses))
    assert max(Manner(max_retries=20, retry_delay_s=30).pauses_s()) <= 150
    assert pauses != list(Manner(max_retries=4, retry_delay_s=2).pauses_s())


@pytest.mark.parametrize(
    "options",
    [{"max_retries": -1}, {"retry_delay_s": -0.1}, {"chunk_size": 0}, {"timeout_s": (0, 5)}, {"timeout_s": (1, 2, 3)}],
)
def test_values_that_cannot_be_meant_are_refused(options):
    """Before anything is sent."""
    with pytest.raises(DerivaMLConfigurationError, match=next(iter(options)).removesuffix("_s")):
        Manner(**options)


def test_only_trouble_of_the_server_or_the_way_is_tried_again():
    """A refusal would be refused again."""
    assert may_pass(CatalogUnreachable("away"))
    assert may_pass(CatalogError("busy", status=503))
    assert not may_pass(CatalogError("no", status=409))
    assert not may_pass(ChecksumMismatch("other bytes"))
