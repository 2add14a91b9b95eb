"""RIDs, snapshot identifiers and stored times. Source of the examples: NOTES.md, "Identifiers and time"."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.local_catalog.ermrest.identifiers import canonical, decode, encode, microseconds_of, time_text

numbers = st.integers(min_value=0, max_value=2**63 - 1)
moments = st.integers(min_value=0, max_value=4 * 10**15)


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (1, "2"), (31, "1Y"), (32, "20"), (2**20, "2-0000")])
def test_numbers_are_doubled_and_grouped(number, text):
    """The observed spellings, with a dash before every four symbols from the right."""
    assert encode(number) == text


@given(numbers)
def test_decode_undoes_encode(number):
    """No number is lost on the way to its identifier and back."""
    assert decode(encode(number)) == number


@given(numbers)
def test_every_spelling_is_the_same_rid(number):
    """Case, dashes, and the letters O, I and L for digits make no difference."""
    text = encode(number)
    spelled = text.lower().replace("-", "").replace("0", "o").replace("1", "l")

    assert canonical(spelled) == text


@given(numbers)
def test_the_last_symbol_is_even(number):
    """The lowest of the 65 bits that 13 symbols carry is always 0."""
    assert encode(number)[-1] in "02468ACEGJMPRTWY"


@pytest.mark.parametrize("text", ["", "-", "U", "1U", "é", "1 2", "Z" * 14, "1/2", "\0"])
def test_what_is_no_rid_has_no_number(text):
    """U is not in the alphabet, and 64 bits are the most."""
    assert decode(text) is None


@given(moments)
def test_time_text_is_exact(microseconds):
    """A stored time stands for its microsecond."""
    assert microseconds_of(time_text(microseconds)) == microseconds


@given(moments, moments)
def test_time_text_sorts_as_time(one, other):
    """SQLite compares stored times as text: history depends on it."""
    assert (time_text(one) < time_text(other)) == (one < other)


def test_time_text_has_no_trailing_zeros():
    """As PostgreSQL writes a timestamptz in UTC."""
    moment = int(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 10**6

    assert time_text(moment) == "2024-01-02 03:04:05+00"
    assert time_text(moment + 500_000) == "2024-01-02 03:04:05.5+00"
