"""Rows in bulk, in a real catalog."""

import pytest

from deriva_ml_core.catalog import rows
from deriva_ml_core.errors import (
    CatalogError,
    DerivaMLNotFoundError,
    DerivaMLReadOnlyError,
    DerivaMLTableTypeError,
    DerivaMLValidationError,
)


@pytest.fixture
def session(image_session):
    return image_session


def image(number, **columns):
    return {"URL": f"/hatrac/Image/{number}", "Length": number, "MD5": f"{number:032x}", **columns}


def counted(session, action):
    """The action's result and how many requests it took."""
    session.model  # noqa: B018 - known before the counting
    before = session.client.requests_sent
    result = action()
    return result, session.client.requests_sent - before


def test_rows_come_back_with_rids_in_their_order(session):
    """Whoever inserts learns the RIDs of its rows, row by row, in one request."""
    stored, sent = counted(session, lambda: rows.insert(session, "Image", [image(n) for n in (3, 1, 2)]))

    assert [row["Length"] for row in stored] == [3, 1, 2]
    assert len({row["RID"] for row in stored}) == 3
    assert sent == 1


def test_missing_columns_get_their_defaults(session):
    """ERMrest would write null for a column that is not sent; a person expects the default."""
    version = rows.insert_one(session, "Dataset_Version", Description="first")
    explicit = rows.insert_one(session, "Dataset_Version", Version="2.0.0")

    assert version["Version"] == "0.1.0"
    assert explicit["Version"] == "2.0.0"


def test_rows_with_different_columns_travel_together_as_far_as_they_can(session):
    """Only where the defaults to fill differ does it take another request; the order of the answer is the input's."""
    mixed = [{"Version": "1.0.0"}, {"Description": "b"}, {"Version": "3.0.0", "Description": "c"}]

    stored, sent = counted(session, lambda: rows.insert(session, "Dataset_Version", mixed))

    assert [(row["Version"], row["Description"]) for row in stored] == [("1.0.0", None), ("0.1.0", "b"), ("3.0.0", "c")]
    assert sent == 2


def test_many_rows_are_split_by_number_and_by_size(session, monkeypatch):
    """No request grows without bound, and the answer is one list."""
    monkeypatch.setattr(rows, "MAX_ROWS", 10)
    stored, by_number = counted(session, lambda: rows.insert(session, "Image", [image(n) for n in range(25)]))
    monkeypatch.setattr(rows, "MAX_BODY_BYTES", 5_000)
    large = [image(n, Description="x" * 2_000) for n in range(100, 104)]
    _, by_size = counted(session, lambda: rows.insert(session, "Image", large))

    assert [row["Length"] for row in stored] == list(range(25))
    assert (by_number, by_size) == (3, 2)


def test_an_insert_is_all_or_nothing(session):
    """One bad row, and none of its request is stored."""
    with pytest.raises(CatalogError) as caught:
        rows.insert(session, "Image", [image(1), {**image(2), "MD5": None}])

    assert caught.value.status == 409
    assert list(rows.select(session, "Image")) == []


def test_an_unknown_column_is_refused_before_anything_is_sent(session):
    """ERMrest ignores a column that it does not know; a misspelt one would be lost in silence."""
    with pytest.raises(DerivaMLTableTypeError, match=r"no column 'Lable'; did you mean 'Label'"):
        rows.insert(session, "Image", [image(1, Lable="7")])


def test_columns_may_be_written_in_any_case(session):
    """`label=` in Python and Label in the catalog are one column, for insert and update."""
    row = rows.insert_one(session, "Image", **image(1, label="7"))
    rows.update(session, "Image", [{"RID": row["RID"], "description": "seven"}])

    stored = rows.select_by_rids(session, "Image", [row["RID"]])[row["RID"]]
    assert (stored["Label"], stored["Description"]) == ("7", "seven")


def test_existing_rows_can_be_skipped(session):
    """Repeating an insert by its key changes nothing."""
    rows.insert(session, "Image", [image(1, Label="old")])

    stored = rows.insert(session, "Image", [image(1, Label="new"), image(2)], skip_existing=True)

    assert [row["Length"] for row in stored] == [2]
    assert next(rows.select(session, "Image", {"Length": 1}))["Label"] == "old"


def test_leased_rids_are_used_and_may_be_sent_twice(session):
    """With RIDs taken beforehand an insert can be repeated safely, and its rows refer to each other at once."""
    rids, sent = counted(session, lambda: rows.lease_rids(session, 3))
    new = [{**image(n), "RID": rid} for n, rid in enumerate(rids)]

    first = rows.insert(session, "Image", new, leased=True)
    again = rows.insert(session, "Image", new, leased=True)

    assert [row["RID"] for row in first] == rids
    assert again == []
    assert sent == 1
    assert len(list(rows.select(session, "Image"))) == 3


def test_no_rows_are_no_request(session):
    """An empty list costs nothing."""
    _, sent = counted(session, lambda: (rows.insert(session, "Image", []), rows.update(session, "Image", [])))

    assert sent == 0


def test_update_changes_only_what_is_named(session):
    """Columns that a row does not name keep their values; each set of columns is one request."""
    one, two = rows.insert(session, "Image", [image(1, Label="1"), image(2, Label="2")])

    changes = [{"RID": one["RID"], "Label": "one"}, {"RID": two["RID"], "Label": "two"}]
    _, sent = counted(session, lambda: rows.update(session, "Image", changes))

    stored = rows.select_by_rids(session, "Image", [one["RID"], two["RID"]])
    assert [stored[row["RID"]]["Label"] for row in (one, two)] == ["one", "two"]
    assert stored[one["RID"]]["URL"] == "/hatrac/Image/1"
    assert sent == 1


def test_updating_a_row_that_is_not_there_is_an_error(session):
    """ERMrest ignores it in silence; the caller meant a row."""
    with pytest.raises(DerivaMLNotFoundError, match="demo:Image has no row with RID 9-ZZZZ"):
        rows.update(session, "Image", [{"RID": "9-ZZZZ", "Label": "x"}])


def test_filters_are_values_lists_and_absence(session):
    """One value, any of several, or none at all; combined they all hold."""
    rows.insert(session, "Image", [image(n, Label=label) for n, label in enumerate(["a", "b", "a", None])])

    def lengths(**filters):
        return sorted(row["Length"] for row in rows.select(session, "Image", filters))

    assert lengths(Label="a") == [0, 2]
    assert lengths(Label=["a", "b"]) == [0, 1, 2]
    assert lengths(Label=["b", None]) == [1, 3]
    assert lengths(Label=[]) == []
    assert lengths(Label=["a", None], Length=[2, 3]) == [2, 3]
    assert lengths(Label=None) == [3]
    assert lengths(Label="a", Length=2) == [2]


def test_a_list_that_is_too_long_for_a_url_is_divided(session):
    """Hundreds of checksums or RIDs in a filter are a few requests, and no server refuses a URL."""
    stored = rows.insert(session, "Image", [image(n, Label="x" if n % 2 else "y") for n in range(500)])
    checksums = [row["MD5"] for row in stored]

    found, sent = counted(session, lambda: list(rows.select(session, "Image", {"MD5": checksums, "Label": "x"})))
    few = list(rows.select(session, "Image", {"MD5": checksums}, limit=7))

    assert sorted(row["Length"] for row in found) == list(range(1, 500, 2))
    assert sent == 3
    assert len(few) == 7
    with pytest.raises(ValueError, match="can't be sorted"):
        rows.select(session, "Image", {"MD5": checksums}, sort=["RID"])


@pytest.mark.parametrize("value", ["a/b", "x=y", "any(a,b)", "a&b;c", "ü ß", "50%", "a,b", "::null::", "", "it's"])
def test_values_of_any_kind_are_found_again(session, value):
    """What is special in a URL is data in a filter."""
    rows.insert(session, "Image", [image(1, Label=value), image(2, Label="other")])

    assert [row["Length"] for row in rows.select(session, "Image", {"Label": value})] == [1]
    assert [row["Length"] for row in rows.select(session, "Image", {"Label": [value, "none"]})] == [1]


def test_columns_order_and_limit_are_the_servers_work(session):
    """Only what is asked for travels."""
    rows.insert(session, "Image", [image(n) for n in range(5)])

    found = list(rows.select(session, "Image", columns=["Length"], sort=["-Length"], limit=2))

    assert found == [{"Length": 4}, {"Length": 3}]


def test_a_selection_that_is_left_early_blocks_nothing(session):
    """Taking the first of many rows leaves the session usable and no connection behind."""
    rows.insert(session, "Image", [image(n, Description="x" * 500) for n in range(500)])

    first = next(rows.select(session, "Image", sort=["Length"]))

    assert first["Length"] == 0
    assert len(list(rows.select(session, "Image"))) == 500


def test_a_thousand_rids_are_few_requests(session, monkeypatch):
    """RIDs are asked for many at a time, in URLs that every server takes."""
    stored = rows.insert(session, "Image", [image(n) for n in range(1000)])
    rids = [row["RID"] for row in stored]

    found, sent = counted(session, lambda: rows.select_by_rids(session, "Image", rids, columns=["Length"]))

    assert {rid: row["Length"] for rid, row in found.items()} == {row["RID"]: row["Length"] for row in stored}
    assert sent <= 2


def test_rids_are_found_in_any_spelling_and_unknown_ones_are_missing(session):
    """People copy RIDs in lower case and with blanks; what no row has is simply not in the answer."""
    rid = rows.insert_one(session, "Image", **image(1))["RID"]

    assert list(rows.select_by_rids(session, "Image", [f" {rid.lower()} ", "9-ZZZZ", "not a rid"])) == [rid]


def test_the_table_of_a_rid_is_found(session):
    """One request a RID, or one for all of them where the caller knows where they probably are."""
    images = [row["RID"] for row in rows.insert(session, "Image", [image(n) for n in range(20)])]
    workflow = rows.insert_one(session, "Workflow", Name="w")["RID"]

    found, sent = counted(
        session, lambda: rows.resolve_rids(session, [*images, workflow, "9-ZZZZ", "?"], candidates=["Image"])
    )

    assert {found.pop(rid) for rid in images} == {("demo", "Image")}
    assert found == {workflow: ("deriva-ml", "Workflow")}
    assert sent == 3


def test_a_deleted_row_has_no_table(session):
    """A RID that was somebody once is not somebody now."""
    rid = rows.insert_one(session, "Image", **image(1))["RID"]
    rows.delete(session, "Image", [rid])

    assert rows.resolve_rids(session, [rid]) == {}


def test_a_leased_rid_is_a_row_once_a_row_has_it(session):
    """A RID that was reserved and never used, by a run that died, say, leads nowhere; the lease itself is no answer."""
    rid, unused = rows.lease_rids(session, 2)
    rows.insert(session, "Image", [{"RID": rid, **image(1)}], leased=True)

    assert rows.resolve_rids(session, [rid, unused]) == {rid: ("demo", "Image")}


def test_deleting_what_is_gone_is_no_error(session):
    """Cleaning up twice does no harm; a deletion without a filter is refused."""
    rid = rows.insert_one(session, "Image", **image(1))["RID"]

    assert rows.delete(session, "Image", [rid]) == 1
    assert rows.delete(session, "Image", [rid]) == 0
    assert not rows.delete_where(session, "Image", {"Label": "none"})
    with pytest.raises(ValueError, match="needs a filter"):
        rows.delete_where(session, "Image", {})


def test_a_snapshot_reads_what_was_and_writes_nothing(session):
    """Versions of datasets stand on this."""
    rid = rows.insert_one(session, "Image", **image(1), Label="then")["RID"]
    past = session.at(session.latest_snaptime())
    rows.update(session, "Image", [{"RID": rid, "Label": "now"}])

    assert rows.select_by_rids(past, "Image", [rid])[rid]["Label"] == "then"
    assert rows.select_by_rids(session, "Image", [rid])[rid]["Label"] == "now"
    with pytest.raises(DerivaMLReadOnlyError):
        rows.insert(past, "Image", [image(2)])


@pytest.mark.parametrize("rid", ["1", "ABCD", "1-ABCD", "1-abcd", "12-ABCD-EFGH", "1-ABCD@2-XYZZ"])
def test_rids_are_recognised(rid):
    """1 to 4 characters, then groups of 4; a snapshot may follow."""
    assert rows.is_rid(rid)


@pytest.mark.parametrize("text", ["", "ABCDE", "1-ABC", "a/b", "1-ABCD,2", "any(1)", "1 2"])
def test_what_is_no_rid_is_not_sent_anywhere(text):
    """Text that would mean something else in a URL never gets into one."""
    assert not rows.is_rid(text)


def test_text_that_is_no_unicode_is_refused_in_words(ml_session):
    """Half of a surrogate pair is how Python keeps a byte of a name that is no UTF-8; the message shows where it is."""
    with pytest.raises(DerivaMLValidationError, match=r"no UTF-8: .*caf\\udce9"):
        rows.insert(ml_session, "Workflow", [{"Name": "caf\udce9"}])
