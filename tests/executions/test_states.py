"""Which status may follow which."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.errors import InvalidTransitionError
from deriva_ml_core.executions.states import TRANSITIONS, Status, as_status, check_transition

STATUSES = st.sampled_from(list(Status))
# COMPAT.md section 10, word for word.
DOCUMENTED = [
    ("Created", "Running"),
    ("Running", "Stopped"),
    ("Running", "Failed"),
    ("Running", "Pending_Upload"),
    ("Stopped", "Pending_Upload"),
    ("Pending_Upload", "Uploaded"),
    ("Pending_Upload", "Failed"),
    ("Failed", "Pending_Upload"),
    ("Uploaded", "Pending_Upload"),
    ("Created", "Aborted"),
    ("Running", "Aborted"),
    ("Stopped", "Aborted"),
    ("Failed", "Aborted"),
]


@pytest.mark.parametrize(("current", "target"), DOCUMENTED)
def test_every_documented_transition_is_allowed(current, target):
    """What the existing implementation allows, projects may rely on."""
    check_transition("1-A", Status(current), Status(target))


@given(STATUSES, STATUSES)
def test_a_transition_is_either_in_the_table_or_refused(current, target):
    """There is no third way, and a refusal names the execution and what may follow."""
    if target in TRANSITIONS[current]:
        check_transition("1-A", current, target)
        return
    with pytest.raises(InvalidTransitionError, match=f"1-A is {current.value}.*{target.value} does not follow"):
        check_transition("1-A", current, target)


@given(STATUSES)
def test_nothing_follows_itself_and_nothing_becomes_created(status):
    """A record is made once, and a change is a change."""
    assert status not in TRANSITIONS[status]
    assert all(Status.created not in following for following in TRANSITIONS.values())


@given(st.lists(STATUSES, min_size=1, max_size=12))
def test_uploaded_is_only_reached_through_pending_upload(path):
    """Uploaded is never said of outputs that nobody has tried to upload."""
    current = Status.created
    seen = [current]
    for target in path:
        if target in TRANSITIONS[current]:
            seen.append(target)
            current = target

    for before, after in pairwise(seen):
        assert after is not Status.uploaded or before is Status.pending_upload


@pytest.mark.parametrize(
    "current", [s for s in Status if s not in (Status.failed, Status.aborted, Status.uploaded)], ids=str
)
def test_a_run_can_fail_or_be_stopped_at_any_moment_before_its_outputs_are_safe(current):
    """Also while its inputs arrive and between two steps: the record must be able to say so."""
    assert TRANSITIONS[current] >= {Status.failed, Status.aborted}


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Running", Status.running),
        ("Initializing", Status.running),
        ("Pending", Status.pending_upload),
        ("Completed", Status.uploaded),
        (Status.Failed, Status.failed),
    ],
)
def test_words_of_both_generations_are_read(word, status):
    """Scripts of the older generation say Initializing, Pending and Completed."""
    assert status is as_status(word)


def test_a_word_that_is_no_status_is_refused_with_those_there_are():
    """A misspelt status is said at once, not stored."""
    with pytest.raises(InvalidTransitionError, match=r"'Runing' is no status.*Running"):
        as_status("Runing")
