"""How a duration is written."""

from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.executions.durations import duration_text, duration_words, parse_duration


def test_the_text_is_that_of_the_catalog_columns():
    """COMPAT.md section 10 gives the form."""
    assert duration_text(62.5) == "0.0H 1.0min 2.5sec"


@given(st.floats(0, 10_000_000))
def test_a_duration_comes_back_to_a_tenth_of_a_second(seconds):
    """What is read back is what was measured, and seconds never show as 60."""
    text = duration_text(seconds)

    assert abs(parse_duration(text) - seconds) <= 0.051
    assert "60.0sec" not in text


@given(st.text(max_size=30))
def test_other_text_is_no_duration(text):
    """Older catalogs hold anything in this column; reading one must not fail."""
    parsed = parse_duration(text)

    assert parsed is None or "H" in text


def test_words_for_a_person():
    """The largest two units are enough."""
    assert [duration_words(s) for s in (2.5, 62.6, 7200, None)] == ["2.5 s", "1 min 3 s", "2 h 0 min", ""]
