"""Values: what is read, how it is stored, and that stored values sort as PostgreSQL's do."""

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.local_catalog.ermrest import arrays, functions, intervals, jsonb, times
from deriva_ml_core.local_catalog.ermrest.sqlforms import Form, csv_form, json_form, order_form
from deriva_ml_core.local_catalog.ermrest.typenames import type_named
from deriva_ml_core.local_catalog.ermrest.types import kind_of, parse_literal, parser, reader
from deriva_ml_core.local_catalog.errors import BadRequest, Conflict

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
ZONES = [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-12))]
MOMENTS = st.datetimes(timezones=st.sampled_from(ZONES))
# SQLite keeps no negative zero.
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.floats(-1e9, 1e9), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=10,
)
VALUES = {
    "text": TEXT,
    "markdown": TEXT,
    "int2": st.integers(-(2**15), 2**15 - 1),
    "int4": st.integers(-(2**31), 2**31 - 1),
    "serial8": st.integers(-(2**63), 2**63 - 1),
    "float8": FLOATS,
    "boolean": st.booleans(),
    "date": st.dates().map(date.isoformat),
    "uuid": st.uuids().map(str),
    "json": DOCUMENTS,
    "jsonb": DOCUMENTS,
    "text[]": st.lists(st.one_of(st.none(), TEXT)),
    "int4[]": st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))),
    "float8[]": st.lists(FLOATS),
    "boolean[]": st.lists(st.booleans()),
    "jsonb[]": st.lists(DOCUMENTS.filter(lambda document: document is not None)),
}


@pytest.fixture(scope="module")
def db():
    with apsw.Connection(":memory:") as connection:
        functions.install(connection)
        yield connection


def form(typename):
    column_type = type_named(typename)
    return Form(kind_of(column_type).name, column_type.array)


def sent_back(db, typename, stored):
    """A stored value as JSON answers have it."""
    sql = f"SELECT json_object('v', {json_form('?1', form(typename))})"
    return json.loads(db.execute(sql, (stored,)).get)["v"]


def written(db, typename, stored):
    """A stored value as CSV answers have it, but for quotes."""
    sql = f"SELECT CAST({csv_form('?1', form(typename))} AS BLOB)"
    text = db.execute(sql, (stored,)).get
    return None if text is None else text.replace(b"\xfc", b"").decode()


@pytest.mark.parametrize("typename", VALUES)
def test_json_comes_back(db, typename):
    """What JSON can say of a type comes back as it was sent."""

    @given(VALUES[typename])
    def check(value):
        assert sent_back(db, typename, reader(type_named(typename))(value)) == value

    check()


@pytest.mark.parametrize("typename", [name for name in VALUES if name != "json"])
def test_csv_text_is_read_as_the_same_value(db, typename):
    """The text form of a value, as CSV has it, is read as that value."""

    @given(VALUES[typename])
    def check(value):
        stored = reader(type_named(typename))(value)
        assert parser(type_named(typename))(written(db, typename, stored)) == stored

    check()


@given(st.lists(MOMENTS, min_size=2))
def test_stored_times_sort_as_time(moments):
    """The text of timestamps has the order of time, whatever zone they came with."""
    stored = [times.read_timestamp(moment.isoformat(), zoned=True) for moment in moments if _in_range(moment)]

    assert sorted(stored) == [
        times.read_timestamp(moment.isoformat(), zoned=True) for moment in sorted(filter(_in_range, moments))
    ]


def _in_range(moment):
    return 2 < moment.year < 9998


@given(MOMENTS.filter(_in_range))
def test_timestamps_keep_their_moment(moment):
    """A stored timestamptz is the same moment, in UTC."""
    stored = times.read_timestamp(moment.isoformat(), zoned=True)

    assert datetime.fromisoformat(f"{stored}:00") == moment


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02 03:04:05+00"),
        ("2024-01-02 03:04:05.500-08", "2024-01-02 11:04:05.5+00"),
        ("2024-01-02", "2024-01-02 00:00:00+00"),
        ("20240102T030405", "2024-01-02 03:04:05+00"),
        ("January 8, 1999 3:04 PM", "1999-01-08 15:04:00+00"),
        ("2024-01-02 24:00", "2024-01-03 00:00:00+00"),
        ("2024-07-01 12:00 Europe/Berlin", "2024-07-01 10:00:00+00"),
        ("2024-01-02 03:04:05 PST", "2024-01-02 11:04:05+00"),
        ("2024-01-02 03:04:05 UTC+3", "2024-01-02 06:04:05+00"),
        ("Tue, 02 Jan 2024 03:04:05 GMT", "2024-01-02 03:04:05+00"),
        ("Tue Jan 02 03:04:05 2024 EST", "2024-01-02 08:04:05+00"),
        ("2024-01-02 23:59:60", "2024-01-03 00:00:00+00"),
        ("2024-01-02 allballs", "2024-01-02 00:00:00+00"),
        ("2024.032", "2024-02-01 00:00:00+00"),
        ("20240102T0304", "2024-01-02 03:04:00+00"),
        ("Infinity", "infinity"),
        ("-infinity", "-infinity"),
    ],
)
def test_spellings_of_timestamps(text, stored):
    """The spellings that PostgreSQL documents are read; input without a zone is UTC."""
    assert times.read_timestamp(text, zoned=True) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        *(
            ("01/02/03", "2003-01-02"),
            ("08-Jan-99", "1999-01-08"),
            ("990108", "1999-01-08"),
            ("1999.008", "1999-01-08"),
        ),
        *(("Monday, January 8, 1999", "1999-01-08"), ("jan8 1999", "1999-01-08"), ("-infinity", "-infinity")),
    ],
)
def test_spellings_of_dates(text, stored):
    """So are those of dates, month first."""
    assert times.read_date(text) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        *(("0304", "03:04:00+00"), ("T03:04", "03:04:00+00"), ("allballs", "00:00:00+00"), ("3:4 pm", "15:04:00+00")),
        *(("03:04:05+02:30:15", "03:04:05+02:30:15"), ("03:04 PST", "03:04:00-08")),
        *(("2024-01-02 03:04:05", "03:04:05+00"), ("2024-07-02 03:04 America/New_York", "03:04:00-04")),
    ],
)
def test_spellings_of_times(text, stored):
    """A time of day may come with its date, which tells what a zone's offset is."""
    assert times.read_time(text, zoned=True) == stored


@pytest.mark.parametrize(
    ("typename", "value"),
    [
        *(
            ("date", text)
            for text in (
                "2023-02-29",
                "soon",
                "",
                "2024-13-01",
                "10000-01-01",
                "0000-01-01",
                "2024-01-02 25:00",
                "2024-400",
            )
        ),
        *(("timestamptz", text) for text in ("2024-01-02 25:00", "2024-01-02 03:04:05 ../etc", "2024-01-02 1:99")),
        *(("int4", value) for value in ("many", 1.5, 2**31, "1_000", "", True, 10**4000)),
        *(("float8", value) for value in ("dear", "1e999", "1_0", [], {})),
        *(("boolean", value) for value in ("perhaps", "o", "", 2)),
        *(("text", value) for value in ("a\0b", "\ud800")),
        *(("uuid", value) for value in ("nope", "a0eebc99-9c0b-4ef8-bb6d", 5, "{a0eebc999c0b4ef8bb6d6bb9bd380a11")),
        *(("float8", "1e-400"), ("float4", "1e-46"), ("int4", "\u0663"), ("timestamp", "2024-01-02 03:04+16")),
        *(("int4[]", value) for value in (5, ["x"], {"a": 1}, "plain", [[1], [2]], "{1,{2}}", "{1", "{1}x", '{"1}')),
        ("time", "25:00"),
        *(("interval", text) for text in ("3 parsecs", "1 day 1 day", "1 hour 2:00", "1:99:99:99")),
        ("float4", 1e300),
    ],
)
def test_bad_values_are_bad_requests(typename, value):
    """A value that does not fit is refused in words that show it."""
    with pytest.raises(BadRequest, match="is no value of type"):
        reader(type_named(typename))(value)


@given(st.sampled_from(sorted(VALUES)), DOCUMENTS)
def test_any_json_is_a_value_or_a_bad_request(typename, document):
    """No JSON value makes anything else than a stored value or a refusal."""
    try:
        stored = reader(type_named(typename))(document)
    except BadRequest:
        return

    assert stored is None or isinstance(stored, (str, int, float))


@given(st.sampled_from(sorted(VALUES)), st.text())
def test_any_literal_is_a_value_or_refused(typename, text):
    """No literal of a URL makes anything else than a value or a refusal."""
    try:
        parse_literal(type_named(typename), text)
    except (BadRequest, Conflict):
        return


def test_a_domain_refuses():
    """A colour that is none is a conflict, as the domain's check makes it, not a bad value."""
    with pytest.raises(Conflict):
        reader(type_named("color_rgb_hex"))("red")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0.30000000000000004, "0.30000000000000004"), (99999999999999.9, "99999999999999.9"), (-2.5, "-2.5")),
        *((1e15, "1e+15"), (1e-05, "1e-05"), (0.0001, "0.0001"), (2.0, "2"), (0.1, "0.1"), (1e100, "1e+100")),
        *((1234567890123456.5, "1.2345678901234565e+15"), (-1.5e-10, "-1.5e-10"), (math.inf, "Infinity")),
        *((123456789012345.6, "123456789012345.6"), (5e-324, "5e-324"), ("NaN", "NaN")),
    ],
)
def test_floats_are_written_as_postgresql_writes_them(db, number, text):
    """Shortest digits, exponents from 1e15 and below 1e-4, in SQL and in Python alike."""
    assert written(db, "float8", number) == text
    assert functions.pg_float8(number) == text


@given(FLOATS)
def test_sql_and_python_write_floats_alike(db, number):
    """The fast way in SQL and the general way agree, and lose nothing."""
    text = written(db, "float8", number)

    assert text == functions.pg_float8(number)
    assert float(text) == number


@pytest.mark.parametrize(
    ("total", "count", "text"),
    [
        *((160, 5, "32.0000000000000000"), (3, 2, "1.5000000000000000"), (1, 3, "0.33333333333333333333")),
        *((-5, 3, "-1.6666666666666667"), (0, 2, "0.00000000000000000000"), (None, 0, None)),
    ],
)
def test_averages_of_integers_are_numeric(total, count, text):
    """avg() of integers has PostgreSQL's number of digits."""
    assert functions.pg_numeric_avg(total, count) == text


def test_jsonb_has_one_spelling():
    """Keys by length and bytes, the last of equal ones, numbers without exponent."""
    spelled = jsonb.write(jsonb.parse('{"bb":1.50,"a":[1,2.5e3,null],"a":{"x":"é\\n"}}'))

    assert spelled == '{"a": {"x": "é\\n"}, "bb": 1.50}'


def test_jsonb_sorts_by_kind():
    """Object > Array > Boolean > Number > String > null."""
    texts = ['{"a": 1}', "[1, 2]", "[1]", "true", "false", "10", "2", '"b"', '"a"', "null"]

    assert sorted(texts, key=jsonb.order_of, reverse=True) == texts


def test_deep_documents_are_refused():
    """Nesting beyond what SQLite and Python bear is a bad value."""
    deep = "[" * 5000 + "]" * 5000
    for typename in ("json", "jsonb"):
        with pytest.raises(BadRequest):
            parser(type_named(typename))(deep)


@given(st.lists(st.one_of(st.none(), TEXT)))
def test_array_text_is_read_back(members):
    """PostgreSQL's text form of an array quotes whatever it must."""
    assert arrays.split(arrays.join(members)) == members


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)), max_size=4), max_size=6))
def test_arrays_sort_member_by_member(db, lists):
    """Arrays compare member by member, null last, the shorter first."""
    stored = [json.dumps(members) for members in lists]
    sql = f"SELECT value FROM json_each(?) ORDER BY {order_form('value', Form('int4', array=True))}"
    by_sql = [json.loads(text) for (text,) in db.execute(sql, (json.dumps(stored),))]

    assert by_sql == sorted(lists, key=lambda members: [(m is None, m or 0) for m in members])


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        *(("1 day", "1 day"), ("2 hours 30 minutes", "02:30:00"), ("P1DT2H", "1 day 02:00:00"), ("90", "00:01:30")),
        *(("1 year 2 mons 3 days 04:05:06.5",) * 2, ("1 day ago", "-1 days"), ("1.5 days", "1 day 12:00:00")),
        *(
            ("1-2 3 4:05:06", "1 year 2 mons 3 days 04:05:06"),
            ("P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"),
        ),
        *(
            ("500 ms", "00:00:00.5"),
            ("1 us", "00:00:00.000001"),
            ("1:30.5", "00:01:30.5"),
            ("1 millennium", "1000 years"),
        ),
        *(
            ("-1 mon +1 day", "-1 mons +1 day"),
            ("-1 day 2:03", "-1 days +02:03:00"),
            ("1 day -2 hours", "1 day -02:00:00"),
        ),
    ],
)
def test_intervals(text, stored):
    """Intervals are stored in PostgreSQL's own style, which is read back."""
    assert intervals.read_interval(text) == stored
    assert intervals.read_interval(stored) == stored


def test_infinite_times_leave_as_they_came(db):
    """Infinity is a time like others: it sorts last and leaves as a word, which Python's datetime does not know."""
    stored = [parser(type_named("timestamptz"))(text) for text in ("infinity", "2024-01-02", "-infinity")]

    assert sorted(stored) == ["-infinity", "2024-01-02 00:00:00+00", "infinity"]
    assert sent_back(db, "timestamptz", stored[0]) == written(db, "timestamptz", stored[0]) == "infinity"


@pytest.mark.parametrize(
    ("number", "text"), [(1e-07, "{1e-07}"), (1e20, "{1e+20}"), (0.1, "{0.1}"), (9.99e-05, "{9.99e-05}")]
)
def test_floats_in_arrays_are_written_as_floats(db, number, text):
    """The exponent is that of the shortest digits, not of the binary number behind them."""
    assert written(db, "float8[]", reader(type_named("float8[]"))([number])) == text


def test_intervals_sort_by_length():
    """A month has thirty days when intervals are compared."""
    texts = ["1 year", "-1 days", "31 days", "00:00:01", "29 days", "1 mon", "1 day"]

    in_order = ["-1 days", "00:00:01", "1 day", "29 days", "1 mon", "31 days", "1 year"]
    assert sorted(texts, key=intervals.order_of) == in_order
