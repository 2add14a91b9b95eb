"""The language of data URLs: what is a sentence, what it means, and that nothing else breaks the parser."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.local_catalog.ermrest import urltables
from deriva_ml_core.local_catalog.ermrest.syntax import (
    Call,
    ColumnLink,
    Comparison,
    Context,
    DataName,
    Filter,
    Item,
    Logical,
    Not,
    Reference,
    SortKey,
    TableLink,
    ValueList,
)
from deriva_ml_core.local_catalog.ermrest.urlgrammar import MAX_NESTING, parse_name, parse_query, unescape
from deriva_ml_core.local_catalog.errors import BadRequest

APIS = ["entity", "attribute", "attributegroup", "aggregate"]


def column(*parts):
    return Reference(parts)


def equals(name, value):
    return Comparison(column(name), "=", value)


def condition(text):
    """The condition of one filter element."""
    [_, element] = parse_name("entity", f"T/{text}").elements
    return element.condition


def test_tables_belong_to_the_grammar():
    """The committed tables are those that lark makes of the committed grammar."""
    assert urltables.TABLES.read_text(encoding="utf-8") == urltables.build()


def test_a_whole_url():
    """Every part of a URL is found where the documentation puts it."""
    name = parse_name(
        "attributegroup", "A:=S:T/x=1/B:=left(c)=(S:U:d)/$A/k:=x,B:e;n:=cnt(*)@sort(n::desc::,k)@after(3,a)"
    )

    assert name == DataName(
        (
            TableLink(column("S", "T"), "A"),
            Filter(equals("x", "1")),
            ColumnLink((column("c"),), (column("S", "U", "d"),), "left", "B"),
            Context("A"),
        ),
        (Item(column("x"), "k"), Item(column("B", "e"))),
        (Item(Call("cnt", (Reference((), star=True),)), "n"),),
        (SortKey("n", descending=True), SortKey("k")),
        ("3", "a"),
    )


def test_precedence():
    """Negation binds closest, then &, then ;."""
    parsed = condition("!a=1&b=2;c=3")

    assert parsed == Logical("OR", (Logical("AND", (Not(equals("a", "1")), equals("b", "2"))), equals("c", "3")))


def test_parentheses_override_precedence():
    """What is in parentheses is one operand, however many of them there are."""
    parsed = condition("((a=1;b=2))&!(!c=3)")

    assert parsed == Logical("AND", (Logical("OR", (equals("a", "1"), equals("b", "2"))), Not(Not(equals("c", "3")))))


@pytest.mark.parametrize("word", ["sort", "any", "left", "cnt", "null", "desc", "before", "entity", "bin"])
def test_words_of_the_grammar_are_ordinary_names(word):
    """Tables, columns, aliases and values may be called like words of the language."""
    name = parse_name("attribute", f"{word}:={word}:{word}/{word}={word}/{word}:={word}@sort({word})")

    assert name.elements == (TableLink(column(word, word), word), Filter(equals(word, word)))
    assert name.items == (Item(column(word), word),)
    assert name.sort == (SortKey(word),)


def test_values_may_be_empty():
    """A missing value is the empty string, also in lists and page keys; ::null:: is no value."""
    assert condition("a=") == equals("a", "")
    assert condition("a=any(,x)") == equals("a", ValueList("any", ("", "x")))
    assert condition("a=any()") == equals("a", ValueList("any", ("",)))
    assert parse_name("entity", "T@sort(a,b)@after(::null::,)").after == (None, "")


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "raw",
    [
        *(
            "",
            "/",
            "T/",
            "T//x=1",
            "A:B:C:=T",
            "T@sort()",
            "T@sort(a::asc::)",
            "T@after(1)",
            "T@sort(a)@sort(b)",
        ),
        *("T/!!a=1", "T/a!=1", "T/a=1)", "T/(a=1", "T/&a=1", "T/a=b=c", "T/a=b:c", "T/a::ne::1", "T/a::null::1"),
        *("T/a=O'Neil", "T/a=b+c", 'T/a="b"', "T/a=[b]", "T/a=%", "T/a=%zz", "T/a=%ff", "T/a=%00", "T/a=é", "T/a=\n"),
        *(
            "T/outer(a)=(S:U:b)",
            "T/(a,b)=(S:U:c)",
            "T/a=some(x)",
            "T/a=(x)",
            "T@limit(1)",
            "T@sort(a)@after(1,2)",
        ),
    ],
)
def test_what_is_no_sentence_is_refused(api, raw):
    """A malformed URL is a bad request, in whatever position the fault is."""
    with pytest.raises(BadRequest):
        parse_name(api, raw)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)))
def test_escaped_text_arrives_unchanged(text):
    """Whatever is percent-encoded is a name or a value and nothing else."""
    escaped = quote(text, safe="")

    name = parse_name("attribute", f"{escaped}/{escaped}={escaped}/{escaped}@sort({escaped})")

    assert name == DataName(
        (TableLink(column(text)), Filter(equals(text, text))), (Item(column(text)),), sort=(SortKey(text),)
    )


PIECES = st.sampled_from(["T", "a", "any", "%41", "%", "/", "=", "::", ":=", ":", "lt", ";", "&", "!", "(", ")", "@"])
MORE = st.sampled_from(["sort", ",", "$", "*", "?", "'", " ", "null", "::null::", "left(", "cnt(", "\0", "ÿ"])


@given(st.sampled_from([*APIS, "query"]), st.lists(st.one_of(PIECES, PIECES, MORE), max_size=30).map("".join))
def test_any_text_is_a_sentence_or_a_bad_request(api, raw):
    """No input raises anything else than BadRequest."""
    try:
        parsed = parse_query(raw) if api == "query" else parse_name(api, raw)
    except BadRequest:
        return

    assert isinstance(parsed, (DataName, dict))


def test_a_hundred_thousand_terms():
    """Long filters are parsed without recursion."""
    parsed = condition(";".join(f"a={i}" for i in range(100_000)))

    assert len(parsed.conditions) == 100_000


def test_deep_nesting_is_refused():
    """Nesting is bounded, so that nothing that walks the tree can run out of stack."""
    assert condition("!(" * MAX_NESTING + "a=1" + ")" * MAX_NESTING)

    with pytest.raises(BadRequest, match="nested"):
        condition("!(" * (MAX_NESTING + 1) + "a=1" + ")" * (MAX_NESTING + 1))
    with pytest.raises(BadRequest, match="nested"):
        condition("(" * 200_000)


def test_query_parameters():
    """Parameters are split at & and ;, their values at commas, and unescaped after that."""
    parsed = parse_query("limit=1;accept=text%2Fcsv&defaults=a%2Cb,c&defaults=d&flag&x=a=b")

    assert parsed == {
        "limit": (("1",),),
        "accept": (("text/csv",),),
        "defaults": (("a,b", "c"), ("d",)),
        "flag": (("",),),
        "x": (("a=b",),),
    }


def test_complaints_name_the_place():
    """A refusal shows the character that does not fit and what came before it."""
    with pytest.raises(BadRequest, match=r"Unexpected .=. after .T/a=b."):
        parse_name("entity", "T/a=b=c")


@given(st.text())
def test_unescape_gives_text_or_refuses(text):
    """Escapes are either whole UTF-8 or refused."""
    try:
        unescaped = unescape(text)
    except BadRequest:
        return

    assert json.dumps(unescaped)
