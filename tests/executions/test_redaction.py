"""Secrets never reach the catalog, and what is no secret stays readable."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.executions.redaction import REDACTED, Redactor, is_secret_name, redact

WORD = string.ascii_letters + string.digits
secrets = st.text(alphabet=WORD + "-_.~/+!$%^*", min_size=12, max_size=40).filter(
    lambda s: s[0] in WORD and s[-1] in WORD and not s.isdigit() and any(c.isdigit() for c in s)
)
secret_names = st.sampled_from(
    [
        "password",
        "db_password",
        "PASSWORD",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "client_secret",
        "clientSecret",
        "token",
        "api_token",
        "apiToken",
        "access_token",
        "auth-token",
        "bearer-token",
        "api_key",
        "API_KEY",
        "apiKey",
        "x-api-key",
        "aws_secret_access_key",
        "private_key",
        "credential",
        "credentials",
        "authorization",
        "webauthn_cookie",
        "connection_string",
        "GITHUB_PAT",
        "SLURM_JWT",
        "a.b.password",
    ]
)


@pytest.mark.parametrize(
    "name",
    [
        "learning_rate",
        "epochs",
        "key",
        "keys",
        "keyboard",
        "monkey",
        "tokenizer",
        "num_tokens",
        "max_tokens",
        "pad_token",
        "eos_token",
        "token_ids",
        "token_type_ids",
        "secretary",
        "password_file",
        "credential_path",
        "token_count",
        "passes",
        "pathway",
        "author",
        "primary_key",
        "PWD",
        "OLDPWD",
        "keyword",
        "sort_key",
        "hotkey",
        "compass",
    ],
)
def test_ordinary_names_are_no_secrets(name: str):
    """Words of machine learning and of programs stay in the record."""
    assert not is_secret_name(name)


@given(name=secret_names)
def test_names_of_secrets_are_known(name: str):
    """However they are spelt."""
    assert is_secret_name(name)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(name=secret_names, secret=secrets, other=documents, depth=st.integers(0, 3), as_list=st.booleans())
def test_a_secret_in_a_document_never_survives(name: str, secret: str, other, depth: int, as_list: bool):
    """By name, at any depth, as a value, a list or a dictionary of values; also where it is repeated elsewhere."""
    document: object = {name: [secret] if as_list else {"bearer": secret} if depth == 2 else secret, "other": other}
    for level in range(depth):
        document = [document] if level % 2 else {"inner": document}

    redactor = Redactor()
    clean = redactor.document(document)

    assert secret not in json.dumps(clean, default=str)
    assert secret not in json.dumps(redactor.document({"echo": f"x {secret} y"}))


@given(name=secret_names, secret=secrets)
@pytest.mark.parametrize(
    "form",
    [
        "{name}={secret}",
        "{name}: {secret}",
        "{name}: {secret}  # a comment",
        'export {name}="{secret}"',
        '"{name}": "{secret}",',
        "'{name}': '{secret}'",
        "--{name} {secret} --other 1",
        "--{name}={secret}",
        '{{"{name}": "{secret}"}}',
        "x={{{name}:{secret}}}",
    ],
)
def test_a_secret_in_text_never_survives(form: str, name: str, secret: str):
    """Command lines, .env files, YAML, JSON: by name."""
    assert secret not in redact(form.format(name=name, secret=secret))


@given(name=secret_names, secret=secrets)
@pytest.mark.parametrize("form", ["{n}={s}", "+{n}={s}", "++model.{n}='{s}'", "{n}@_global_={s}", "{n}={s},{s}"])
def test_a_secret_in_an_override_never_survives(form: str, name: str, secret: str):
    """Hydra's overrides.yaml and hydra.yaml hold them as strings of a list."""
    clean = redact({"hydra": {"overrides": {"task": [form.format(n=name.replace("-", "_"), s=secret), "a=1"]}}})

    assert secret not in str(clean)
    assert clean["hydra"]["overrides"]["task"][1] == "a=1"


@given(name=secret_names, secret=secrets)
def test_a_secret_after_its_option_never_survives(name: str, secret: str):
    """sys.argv as a list."""
    assert redact({"argv": ["run", f"--{name}", secret, "--epochs", "3"]})["argv"] == [
        "run",
        f"--{name}",
        REDACTED,
        "--epochs",
        "3",
    ]


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2_" * 8,
        "glpat-" + "a1B2" * 5,
        "xoxb-123456789012-abcdefghij",
        "sk-proj-" + "a1B2" * 10,
        "sk_live_" + "a1B2" * 6,
        "hf_" + "aBcD" * 9,
        "AIza" + "a1B2_" * 7,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123_-",
        "pypi-" + "AgEIcHlwaS5vcmc" * 4,
        "npm_" + "a1B2" * 9,
    ],
)
@pytest.mark.parametrize("form", ["{}", "x {} y", "f('{}')", "url?a={}", "key: {}", "[{}]"])
def test_tokens_of_services_are_known_by_their_form(secret: str, form: str):
    """Wherever they stand, whatever they are called."""
    assert secret not in redact(form.format(secret))


@given(user=st.text(alphabet=WORD, max_size=8), secret=secrets.filter(lambda s: "/" not in s))
@pytest.mark.parametrize("scheme", ["https", "postgresql", "ssh", "redis", "git+https"])
def test_credentials_in_urls_never_survive(scheme: str, user: str, secret: str):
    """The host stays readable."""
    clean = redact(f"see {scheme}://{user}:{secret}@host.example/path?x=1 now")

    assert secret not in clean
    assert "@host.example/path?x=1 now" in clean


@given(secret=st.text(alphabet=WORD, min_size=20, max_size=40).filter(lambda s: any(c.isdigit() for c in s)))
@pytest.mark.parametrize(
    "form",
    [
        "Authorization: Bearer {}",
        "bearer {}",
        "curl -H 'Authorization: Basic {}'",
        "Cookie: webauthn={}",
        "https://x.org/a?token={}&b=1",
        "https://x.org/a?X-Amz-Signature={}",
        "https://{}@github.com/org/repo",
    ],
)
def test_headers_and_signed_urls(form: str, secret: str):
    """What HTTP carries."""
    assert secret not in redact(form.format(secret))


@pytest.mark.parametrize("kind", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
def test_private_keys(kind: str):
    """Of many lines, or in one line of a document; the number of lines stays."""
    body = ["MIIEpAIBAAKCAQEA", "abcdefghijklmnop", "qrstuvwxyz=="]
    key = "\n".join([f"-----BEGIN {kind}-----", *body, f"-----END {kind}-----"])

    text = redact(f"before\n{key}\nafter")
    document = redact({"pem": key, "escaped": key.replace("\n", "\\n")})

    assert text.count("\n") == key.count("\n") + 2
    assert text.startswith("before\n")
    assert text.endswith("\nafter")
    assert not [line for line in body if line in text or line in str(document)]


@given(secret=secrets)
def test_secrets_of_the_environment_are_known_by_value(secret: str):
    """`${oc.env:MY_TOKEN}` in a configuration resolves to the value: it is found wherever it turns up."""
    redactor = Redactor({"MY_TOKEN": secret, "HOME": "/home/someone"})

    assert redactor.text(f"weights from {secret}?") == f"weights from {REDACTED}?"
    assert redactor.text("/home/someone") == "/home/someone"


@pytest.mark.parametrize(
    "line",
    [
        "token = get_token()",
        "self.token = tokenizer.pad_token",
        "def login(password: str | None = None):",
        "login(password=password, token=os.environ['TOKEN'])",
        "num_tokens = 512",
        'pad_token = "<pad>"',
        'if token == "the":',
        "key = jax.random.PRNGKey(0)",
        'token = "cat"',
        'ColumnDefinition("token", "text")',
        'parser.add_argument("--password", help="x")',
    ],
)
def test_source_code_that_only_speaks_of_secrets_stays(line: str):
    """A diff must give back the code: an expression is no secret."""
    assert Redactor().text(line, code=True) == line


@pytest.mark.parametrize(
    "line",
    [
        'password = "hunter2hunter2"',
        "PASSWORD: str = 'hunter2hunter2'",
        'login("me", password="hunter2hunter2")',
        'headers["authorization"] = "hunter2hunter2"',
        '{"api_key": "hunter2hunter2"}',
        'os.environ.get("API_TOKEN", "hunter2hunter2")',
        'access_token=f"hunter2hunter2"',
        '"password = \\"hunter2hunter2\\"\\n",',
    ],
)
def test_literals_in_source_code_go(line: str):
    """A secret written into code does not reach the record."""
    assert "hunter2" not in Redactor().text(line, code=True)


@given(text=st.text())
def test_lines_are_never_added_or_removed(text: str):
    """A redacted diff must still apply."""
    assert redact(text).count("\n") == text.count("\n")


@given(document=documents)
def test_redaction_is_idempotent(document):
    """What was redacted once stays as it is."""
    once = redact(document)

    assert redact(once) == once


def test_nothing_is_hidden_where_there_is_nothing():
    """None, booleans and empty values tell nothing, and readers want to see them."""
    document = {"password": None, "token": "", "credential": {}, "secrets": [], "use_password": True}

    assert redact(document) == document
