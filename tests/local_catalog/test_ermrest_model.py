"""The model resources over WSGI: laws of documents, and bodies and URLs that nobody should send."""

import json
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from deriva_ml_core.local_catalog.app import Application
from deriva_ml_core.local_catalog.root import Root

SYSTEM = [
    {"name": name, "type": {"typename": f"ermrest_{name.lower()}"}} for name in ("RID", "RCT", "RMT", "RCB", "RMB")
]
TYPES = ("text", "int4", "int8", "float8", "boolean", "date", "timestamptz", "jsonb", "markdown", "text[]", "uuid")
quiet = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A catalog of its own: `ask(method, path below the catalog, document)` gives the response."""
    root = Root(tmp_path_factory.mktemp("root"))
    app = Application(root)
    client = Client(app)

    def ask(method, path, document=None, *, base=None, **options):
        url = (f"/ermrest/catalog/{catalog}" if base is None else base) + path
        if document is not None:
            options["data"] = json.dumps(document)
            options["content_type"] = "application/json"
        return client.open("/", method=method, environ_overrides={"REQUEST_URI": url}, **options)

    catalog = ask("POST", "/ermrest/catalog", base="").json["id"]
    yield SimpleNamespace(ask=ask, root=root, catalog=catalog)
    root.close()


def table(name, columns=(), **fields):
    return {
        "schema_name": "S",
        "table_name": name,
        "column_definitions": [*SYSTEM, *columns],
        "keys": [{"unique_columns": ["RID"]}],
        **fields,
    }


columns = st.lists(
    st.fixed_dictionaries(
        {"name": names, "type": st.sampled_from(TYPES).map(lambda name: {"typename": name}), "nullok": st.booleans()},
        optional={"comment": st.none() | names, "annotations": st.dictionaries(names, json_values, max_size=2)},
    ),
    max_size=5,
    unique_by=lambda column: column["name"],
).filter(lambda found: not {c["name"] for c in found} & {"RID", "RCT", "RMT", "RCB", "RMB"})


@quiet
@given(schema=names, name=names, columns=columns)
def test_a_model_comes_back_as_it_was_sent(server, schema, name, columns):
    """Whatever the names and annotations: created, read, found by its URL, renamed, deleted."""
    document = {**table(name, columns), "schema_name": schema}
    made = server.ask("POST", "/schema", {"schemas": {schema: {"tables": {name: document}}}})
    if made.status_code == 409:  # the schema public is there from the start
        assert schema == "public"
        return
    path = f"/schema/{quote(schema, safe='')}/table/{quote(name, safe='')}"
    found = server.ask("GET", path)

    assert (made.status_code, found.status_code) == (201, 200)
    assert made.json["schemas"][schema]["tables"][name] == found.json
    for sent, read in zip(columns, found.json["column_definitions"][5:], strict=True):
        assert {key: read[key] for key in ("name", "nullok")} == {key: sent[key] for key in ("name", "nullok")}
        assert read["annotations"] == sent.get("annotations", {})
        assert read["type"]["typename"] == sent["type"]["typename"]
    assert server.ask("DELETE", path).status_code == 204
    assert server.ask("DELETE", f"/schema/{quote(schema, safe='')}").status_code == 204


FIELDS = """
    schema_name table_name column_definitions keys foreign_keys kind comment annotations acls acl_bindings name type
    nullok default unique_columns names foreign_key_columns referenced_columns on_delete on_update schemas tables
    typename is_array is_domain base_type types projection projection_type scope_acl owner select id
"""
fields = st.sampled_from(FIELDS.split())
bodies = st.recursive(
    json_values | st.sampled_from(["S", "T", "RID", "text", "int4[]", "*", "CASCADE", "a", "RCB"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=25,
)
targets = st.sampled_from(
    [
        *("", "/schema", "/schema/S", "/schema/S/table", "/schema/S/table/T", "/schema/S/table/T/column"),
        *("/schema/S/table/T/column/a", "/schema/S/table/T/key", "/schema/S/table/T/key/a", "/annotation", "/acl"),
        *("/schema/S/table/T/foreignkey", "/schema/S/table/T/foreignkey/b/reference/T/RID", "/annotation/x"),
        *("/schema/S/table/T/acl", "/schema/S/table/T/acl/select", "/schema/S/acl", "/schema/S/annotation"),
        *(
            "/schema/S/table/T/acl_binding",
            "/schema/S/table/T/acl_binding/x",
            "/schema/S/table/T/column/a/acl_binding/x",
        ),
        *("/schema/S/table/T/foreignkey/b/reference/T/RID/acl/insert", "/schema/S/table/T/comment"),
    ]
)


def make_playground(server):
    fkey = {
        "foreign_key_columns": [{"schema_name": "S", "table_name": "T", "column_name": "b"}],
        "referenced_columns": [{"schema_name": "S", "table_name": "T", "column_name": "RID"}],
    }
    two = [{"name": name, "type": {"typename": "text"}} for name in "ab"]
    keys = [{"unique_columns": ["RID"]}, {"unique_columns": ["a"]}]
    server.ask("POST", "/schema/S")
    server.ask("POST", "/schema/S/table", table("T", two, keys=keys, foreign_keys=[fkey]))


def is_fine(response):
    return response.status_code < 500 or response.status_code == 501


@settings(quiet, max_examples=100)
@given(method=st.sampled_from(["POST", "PUT"]), path=targets, body=bodies)
def test_no_body_breaks_the_service(server, method, path, body):
    """Documents of any shape are made, or refused with 4xx; the model stays readable."""
    make_playground(server)

    response = server.ask(method, path, body)

    assert is_fine(response), response.text
    assert server.ask("GET", "/schema").status_code in {200, 403}


merged = st.fixed_dictionaries(
    {},
    optional={
        "table_name": names | json_values,
        "schema_name": st.just("S") | json_values,
        "column_definitions": st.lists(bodies, max_size=3).map(lambda more: SYSTEM + more) | json_values,
        "keys": st.lists(st.fixed_dictionaries({"unique_columns": bodies}, optional={"names": bodies}), max_size=3),
        "foreign_keys": st.lists(
            st.fixed_dictionaries({"foreign_key_columns": bodies, "referenced_columns": bodies}), max_size=2
        ),
        "acls": st.dictionaries(st.sampled_from(["owner", "select", "x"]), bodies, max_size=2),
        "acl_bindings": st.dictionaries(names, bodies, max_size=2),
        "annotations": bodies,
        "comment": bodies,
        "kind": bodies,
    },
)


@settings(quiet, max_examples=80)
@given(changes=merged)
def test_no_table_document_breaks_the_service(server, changes):
    """A table document of which any part is wrong is refused, or makes a table that can be read."""
    make_playground(server)

    response = server.ask("POST", "/schema/S/table", {**table("New"), **changes})

    assert is_fine(response), response.text
    if response.status_code == 201:
        path = f"/schema/S/table/{quote(response.json['table_name'], safe='')}"
        assert server.ask("GET", path).json == response.json
        assert server.ask("DELETE", path).status_code == 204


WORDS = "schema table column key foreignkey reference annotation acl acl_binding comment entity_rid history"
NAMES = ["S", "T", "a", "b", "S:T", ":S:T", "a,b", "", "%", "%ff", "%00", "..", ".", "'", "RID", ","]
pieces = st.sampled_from([*WORDS.split(), *NAMES]) | st.text(max_size=5).map(
    lambda text: quote(text, safe="!,:;=@&()$'*")
)


@settings(quiet, max_examples=100)
@given(method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]), path=st.lists(pieces, max_size=9))
def test_no_url_breaks_the_service(server, method, path):
    """Any path below a catalog is answered or refused."""
    assume(any(path))  # DELETE of the catalog itself works, and would end the test
    make_playground(server)

    assert is_fine(server.ask(method, "/" + "/".join(path), {}))


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"schemas":'])
@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_documents_are_refused(server, opening, depth):
    """Depth is refused before it can exhaust the stack."""
    for path in ("/schema", "/annotation/deep", "/acl"):
        data = (opening * depth).encode()
        response = server.ask("PUT" if path != "/schema" else "POST", path, data=data, content_type="application/json")

        assert response.status_code == 400


@pytest.mark.parametrize("depth", [400, 950])
def test_a_deep_annotation_is_kept_or_refused(server, depth):
    """What is stored can be read again: no document may make /schema fail."""
    document = "[" * depth + "]" * depth
    answer = server.ask("PUT", "/annotation/deep", data=document.encode(), content_type="application/json")

    assert answer.status_code in {201, 204, 400}
    assert server.ask("GET", "/schema").status_code == 200


def test_refusals_leave_nothing(server):
    """A bulk request of which one part is refused makes nothing and no snapshot."""
    before = server.ask("GET", "").json["snaptime"]
    bad = table("Bad", keys=[{"unique_columns": ["nope"]}])
    refused = server.ask("POST", "/schema", [{"schema_name": "Whole"}, {**table("Good"), "schema_name": "Whole"}, bad])

    assert refused.status_code in {400, 409}
    assert server.ask("GET", "/schema/Whole").status_code == 404
    assert server.ask("GET", "").json["snaptime"] == before


def test_the_system_keeps_its_tables(server):
    """What the service itself needs can be neither dropped nor renamed."""
    path = "/schema/public/table/ERMrest_Client"

    assert server.ask("DELETE", path).status_code == 409
    assert server.ask("PUT", path, {"table_name": "x"}).status_code == 409
    assert server.ask("PUT", "/schema/public", {"schema_name": "x"}).status_code == 409
    assert server.ask("DELETE", f"{path}/column/RID").status_code == 409
    assert server.ask("PUT", f"{path}/column/RMT", {"name": "x"}).status_code == 409


@pytest.mark.parametrize(
    ("typename", "sent", "shown"),
    [
        *(("int4", "12", 12), ("text", 5, "5"), ("boolean", 1, True), ("float8", "1.50", 1.5), ("text", None, None)),
        *(
            ("jsonb", {"b": 1, "a": None}, {"b": 1, "a": None}),
            ("text[]", ["x"], ["x"]),
            ("date", "2024-02-29", "2024-02-29"),
        ),
    ],
)
def test_a_default_is_shown_in_the_form_of_its_type(server, typename, sent, shown):
    """As it would read in a row."""
    make_playground(server)
    column = {"name": "d", "type": {"typename": typename}, "default": sent}

    assert server.ask("POST", "/schema/S/table/T/column", column).json["default"] == shown
    assert server.ask("DELETE", "/schema/S/table/T/column/d").status_code == 204


@pytest.mark.parametrize("typename", ["timestamptz", "timestamp", "date", "time", "timetz"])
@pytest.mark.parametrize("word", ["now", "now()", " NOW "])
def test_a_default_of_now_is_when_the_column_was_made(server, typename, word):
    """PostgreSQL reads a literal default once: rows that come later get the same moment."""
    make_playground(server)
    column = {"name": "d", "type": {"typename": typename}, "default": word}
    made = server.ask("POST", "/schema/S/table/T/column", column).json
    rows = [server.ask("POST", "/entity/S:T?defaults=d", [{"b": None}]).json[0]["d"] for _ in range(2)]
    server.ask("DELETE", "/schema/S/table/T/column/d")

    assert "now" not in made["default"].lower()
    assert rows == [made["default"]] * 2


@pytest.mark.parametrize(
    ("typename", "default"), [("int4", "x"), ("int2", 40000), ("date", "2023-02-29"), ("color_rgb_hex", "red")]
)
def test_a_default_must_be_a_value(server, typename, default):
    """A default that no row could have is refused."""
    make_playground(server)
    column = {"name": "d", "type": {"typename": typename}, "default": default}

    assert server.ask("POST", "/schema/S/table/T/column", column).status_code in {400, 409}


@pytest.mark.parametrize("text", ['{"k": 1e400}', '{"k": "\\ud800"}', '{"\\ud800": 1}', '{"k": NaN}'])
def test_what_json_cannot_say_again_is_refused(server, text):
    """An annotation that could not be written into /schema is not taken."""
    for path in ("/annotation", "/annotation/x"):
        assert server.ask("PUT", path, data=text.encode(), content_type="application/json").status_code == 400


@pytest.mark.parametrize("path", ["/annotation/x", "/annotation", "/acl/select", "/acl"])
def test_a_missing_body_is_not_null(server, path):
    """A client that forgets its body is told so; null must be sent."""
    assert server.ask("PUT", path).status_code == 400
    assert server.ask("PUT", path, data=" \n", content_type="application/json").status_code == 400


def test_null_is_an_annotation(server):
    """What is sent comes back, null too."""
    assert server.ask("PUT", "/annotation/nothing", data="null", content_type="application/json").status_code == 201
    assert server.ask("GET", "/annotation/nothing").json is None


@pytest.mark.parametrize(("method", "name"), [("GET", ""), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x")])
def test_indexes_are_left_out(server, method, name):
    """ERMrest manages PostgreSQL's indexes there; the answer says that this service does not."""
    assert server.ask(method, f"/schema/public/table/ERMrest_Client/index{name}").status_code == 501


@pytest.mark.parametrize("form", ["foreignkey", "foreignkey/", "foreignkey/p", "foreignkey/p/reference/{to}"])
def test_foreign_keys_are_deleted_by_every_form_of_their_url(rows, form):
    """Source: ERMrest docs, "Foreign Key Deletion": all that match the URL go; 404 when there are none."""
    parent = rows.table({"k": "text"}, [["k"]])
    child = rows.table({"p": "text"}, references=[("p", parent, "k")])
    table = f"{rows.catalog}/schema/{child.partition(':')[0]}/table/T"
    url = f"{table}/{form.format(to=parent)}"

    first, second = rows.ask("DELETE", url).status_code, rows.ask("DELETE", url).status_code

    assert (first, second) == (204, 404)
    assert rows.ask("GET", table).json["foreign_keys"] == []
