"""PostgreSQL's regular expressions: same meaning, same refusals, and no pattern that hangs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.local_catalog.ermrest import regexps
from deriva_ml_core.local_catalog.ermrest.regexps import Matcher
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        *(("^A", "Ada"), ("^.{2}$", "Bo"), (r"\mfoo\M", "a foo b"), (r"\yfoo\y", "a foo b"), ("a.b", "a\nb")),
        *(("[[:alpha:]]+", "x"), ("[[:<:]]foo[[:>:]]", "a foo b"), ("[]a]", "]"), ("[^]a]", "b"), (r"[\d-]", "-")),
        *(("a{,2}", "a{,2}"), ("a{b", "a{b"), ("***=a.b", "xa.b"), ("(?i)A", "a"), (r"\\", "a\\b"), (r"\x41", "A")),
        *(
            ("", ""),
            ("a|", "x"),
            ("()", ""),
            (r"(a)\1", "aa"),
            ("a(?=b)", "ab"),
            ("(?n)^b$", "a\nb\nc"),
            (r"\u0041", "A"),
        ),
        *(("a-b#c&d~e", "a-b#c&d~e"), ("[a[b]", "["), (r"\Aa\Z", "a"), ("(?x)a b # x", "ab"), ("a(?#note)b", "ab")),
    ],
)
def test_matches(pattern, text):
    """These match in PostgreSQL."""
    assert Matcher(pattern, ignore_case=False)(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        *(("a$", "a\n"), ("^b", "a\nb"), ("***=a.b", "axb"), (r"\Ya", "a"), ("A", "a"), ("(?n)a.b", "a\nb")),
        *((r"\mfoo\M", "afoo"), ("[^[:alpha:]]", "x"), ("a{2}", "a"), ("(?!a)a", "a"), ("a{e<=1}", "b")),
    ],
)
def test_does_not_match(pattern, text):
    """These do not match in PostgreSQL, though some would in Python."""
    assert not Matcher(pattern, ignore_case=False)(text)


def test_case_may_be_ignored():
    """The operator ciregexp ignores case beyond ASCII too."""
    assert Matcher("É", ignore_case=True)("café")


@pytest.mark.parametrize(
    "pattern",
    [
        *("[", "(", ")", "*a", "a**", "a++", "a{300}", "a{2,1}", "a{1", "\\", r"\k<a>", "[[:foo:]]", "[[.xx.]]"),
        *(
            "(?P<x>a)",
            "(?>a)",
            "(?R)",
            "(?z)a",
            "(?<x>a)",
            r"\p{L}",
            "a" * (regexps.MAX_LENGTH + 1),
            "((a{255}){255}){255}",
        ),
    ],
)
def test_refused(pattern):
    """An invalid expression is a conflict, also one that only Python knows, or that takes too long to compile."""
    with pytest.raises(Conflict, match="Invalid regular expression"):
        Matcher(pattern, ignore_case=False)


@given(st.text("ab\\[](){}*+?|^$.-:=<>!#&,0123456789dwyPimxnq \n", max_size=20), st.text("ab0 \n", max_size=5))
def test_any_pattern_is_searched_or_refused(pattern, text):
    """No pattern raises anything else than a conflict."""
    try:
        found = Matcher(pattern, ignore_case=False)(text)
    except Conflict:
        return

    assert found in {True, False}


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+b"])
def test_hostile_patterns_are_stopped(pattern, monkeypatch):
    """What would search for years is stopped with words."""
    monkeypatch.setattr(regexps, "SECONDS_PER_SEARCH", 0.2)
    start = time.monotonic()

    with pytest.raises(BadRequest, match="takes too long"):
        Matcher(pattern, ignore_case=False)("a" * 4000 + "c")

    assert time.monotonic() - start < 30
