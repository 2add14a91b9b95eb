"""Secrets never reach the catalog: every recorded file goes through here.

Three rules, each enough on its own:

- **By name.** The value of a key, option or variable that is named like a secret (password, token, api_key,
  credential, ...) is replaced, whatever it looks like: in documents of any depth, in overrides (`a.password=x`), in
  command lines (`--token x`), in `NAME=value` text and in quoted literals of source code.
- **By form.** What looks like a credential is replaced wherever it stands: user and password in a URL, bearer and
  basic authorization, private key blocks, the tokens of the well-known services.
- **By value.** A secret that was seen once (by name, in a document or in the environment) is replaced in every text
  that is recorded with it.

Lines are never added or removed, so that a redacted diff still applies.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from deriva_ml_core.errors import DerivaMLConfigurationError
from deriva_ml_core.hookvalues import RedactionRules

REDACTED = "[redacted]"
_SHORTEST_KNOWN = 6  # a shorter value would be found in innocent words

_STRONG = re.compile(
    r"password|passwd|passphrase|passcode|pwd|secrets?|credentials?|apikeys?|authorization|bearer|cookies?|privatekey"
    r"|secretkey|accesskey|jwt|netrc"
)
_PAIRS = re.compile(
    r"(?:api|access|private|secret|account|signing|encryption|master|session|shared|service|deploy|sas|ssh|storage"
    r"|auth|license)_keys?|(?:api|access|auth|bearer|refresh|sas|session)_tokens|connection_string|webhook_url"
    r"|(?:github|gitlab|azure|gh)_pat"
)
# "token" is also a word of language models.
_TOKEN_OF_TEXT = re.compile(
    r"pad|eos|bos|sos|mask|unk|cls|sep|special|image|start|end|stop|num|n|max|min|per|count|ids?|index|types?|lengths?"
    r"|len|size|limit|budget|embedding|dim|text|vocab|class|register|positional|new|first|last|next|prev"
)
# `password_file: ~/.pw` names where a secret is, not the secret.
_WHERE = re.compile(r"file|path|dir|folder|name|env|var|field|column|required|enabled|ttl|expiry|expires|lifetime")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_FOLDERS = frozenset({"PWD", "OLDPWD"})  # of the shell


class _Form(NamedTuple):
    """What a credential looks like; `hints`: without one of these no match is possible, and `in` is fast.

    Patterns are compiled when they are first needed (re keeps them): most runs need few, and all start faster.
    """

    hints: tuple[str, ...]
    pattern: str
    flags: int = 0


_FORMS = (
    # scheme://user:password@host, and https://token@host
    _Form(("://",), r"(?P<keep>://)[^/\s:@'\"]*:[^/\s'\"]*(?=@)"),
    _Form(("://",), r"(?P<keep>https?://)(?!\[redacted)[^/\s:@'\"?#]+(?=@)"),
    _Form(
        ("?", "&"),
        r"(?P<keep>[?&](?:[\w.-]*(?:token|secret|passw(?:or)?d|api_?-?key|signature|credential|access_?-?key)"
        r"|sig|key|auth|code)=)[^&#\s'\"]+",
        re.IGNORECASE,
    ),
    _Form(
        ("earer ", "asic ", "igest ", "oken ", "EARER ", "ASIC "),
        r"(?P<keep>\b(?:bearer|basic|digest|token)\s+)(?=\S*\d)[\w.~+/=-]{12,}",
        re.IGNORECASE,
    ),
    _Form(("webauthn=", "session"), r"(?P<keep>\b(?:webauthn|session|sessionid)=)[\w.~+/%=-]{12,}"),
    _Form(("AKIA", "ASIA"), r"(?P<keep>(?<![A-Za-z0-9]))(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _Form(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"(?P<keep>\b)gh[pousr]_[A-Za-z0-9]{20,}"),
    _Form(("github_pat_",), r"(?P<keep>\b)github_pat_[A-Za-z0-9_]{20,}"),
    _Form(("glpat-", "gldt-", "glrt-", "glcbt-"), r"(?P<keep>\b)gl(?:pat|dt|rt|cbt)-[A-Za-z0-9_.-]{16,}"),
    _Form(("xox",), r"(?P<keep>\b)xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    _Form(("_live_", "_test_"), r"(?P<keep>\b)(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"),
    _Form(("sk-",), r"(?P<keep>\b)sk-(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{20,}"),
    _Form(("hf_",), r"(?P<keep>\b)hf_[A-Za-z0-9]{20,}"),
    _Form(("AIza",), r"(?P<keep>\b)AIza[A-Za-z0-9_-]{30,}"),
    _Form(("ya29.",), r"(?P<keep>\b)ya29\.[A-Za-z0-9_-]{20,}"),
    _Form(("npm_",), r"(?P<keep>\b)npm_[A-Za-z0-9]{30,}"),
    _Form(("pypi-",), r"(?P<keep>\b)pypi-[A-Za-z0-9_-]{50,}"),
    _Form(("dop_v1_",), r"(?P<keep>\b)dop_v1_[a-f0-9]{40,}"),
    _Form(("SG.",), r"(?P<keep>\b)SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    _Form(("eyJ",), r"(?P<keep>\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    # A whole key in one line, its line breaks escaped. A key of many lines: see Redactor.lines.
    _Form(("PRIVATE KEY",), r"(?P<keep>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)[^\n'\"]+"),
)
_KEY_BEGIN = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
_KEY_END = r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"

# A line without one of these holds no secret by name.
_TRIGGERS = (
    "pass",
    "pwd",
    "secret",
    "cred",
    "key",
    "token",
    "auth",
    "bearer",
    "cookie",
    "jwt",
    "_pat",
    "netrc",
    "connect",
    "webhook",
)
_NAME = r"(?P<name>[A-Za-z_][\w.-]*)"
# name = "literal", name: str = "literal", "name": "literal", x["name"] = "literal": source code, JSON, TOML, YAML
_QUOTED = (
    rf"(?P<before>(?P<q1>\\?[\"']?){_NAME}(?P=q1)\]?\s*(?::\s*[\w.\[\]| ]+?\s*=|[:=]|=>)\s*[rbufRBUF]?)"
    r"(?P<q>\\?[\"'])(?P<value>(?:(?!(?P=q)).)+)(?P=q)"
)
# os.environ.get("NAME", "literal")
_LOOKED_UP = (
    r"(?P<before>\b(?:getenv|get|setdefault|setenv|putenv)\(\s*[\"'](?P<name>[\w.-]+)[\"']\s*,\s*)"
    r"(?P<q>[\"'])(?P<value>[^\"']+)(?P=q)"
)
# NAME=value and name: value without quotes: overrides, .env files, YAML
_BARE = (
    rf"(?P<before>(?<![\w.$-]){_NAME}[\"']?\s*(?:=|:(?!//))[ \t]*)"
    r"(?P<value>(?![{\[(])[^\s'\",]+?)(?=[}\])]*(?:[\s'\",]|$))"
)
_OPTION = r"(?P<before>(?<!\S)--?(?P<name>[A-Za-z][\w.-]*)(?:=|[ \t]+))(?P<value>(?!-)[^\s'\"]+|\"[^\"]*\"|'[^']*')"
_OVERRIDE = r"(?s)^(?P<before>[+~]{0,2}(?P<name>[\w./-]+)(?:@[\w.:]+)?=)(?P<value>.+)$"
_TELLS_NOTHING = re.compile(
    r"(?i:none|null|true|false|yes|no|str|int|bool|bytes|any|optional|\?\?\?|~|\.{3}|-?\d{1,3})$"
)


def is_secret_name(name: str) -> bool:
    """Whether a key, option or variable of this name holds a secret."""
    if _rules and _named_by_rules(name):
        return True
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or name in _FOLDERS or _WHERE.fullmatch(words[-1]):
        return False
    pairs = (f"{first}_{second}" for first, second in itertools.pairwise(words))
    if any(map(_STRONG.fullmatch, words)) or any(map(_PAIRS.fullmatch, pairs)):
        return True
    return _is_token(words)


def _is_token(words: list[str]) -> bool:
    return "token" in words and not any(map(_TOKEN_OF_TEXT.fullmatch, words))


# Of plugins. Of the process, not of a connection: what is secret for one is recorded by none, whoever redacts.
_rules: list[RedactionRules] = []


def add_rules(rules: RedactionRules) -> None:
    """
    Call more secret from now on, in this process.

    Raises:
        DerivaMLConfigurationError: a rule is no regular expression, or one that matches nothing at all.
    """
    for pattern in (*rules.names, *rules.patterns):
        try:
            if re.compile(pattern).fullmatch(""):
                raise DerivaMLConfigurationError(f"{pattern!r} matches an empty text")
        except re.error as err:
            raise DerivaMLConfigurationError(f"{pattern!r} is no regular expression: {err}") from err
    if rules not in _rules:
        _rules.append(rules)


def _named_by_rules(name: str) -> bool:
    return any(re.fullmatch(pattern, name) for rules in _rules for pattern in rules.names)


class Redactor:
    """Removes secrets from what one run records, and remembers those that it saw.

    Args:
        environment: variables of the process; the values of those named like secrets are known from the start.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._known: set[str] = set()
        for name, value in (environment or {}).items():
            if is_secret_name(name):
                self._learn(value)

    def document(self, document: Any, *, name: str = "") -> Any:
        """A copy of a JSON-like document without secrets.

        Args:
            document: dicts, lists and tuples of any depth; other values pass, strings are redacted as text.
            name: the key under which it stands.
        """
        if name and is_secret_name(name):
            return self._hidden(document)
        if isinstance(document, Mapping):
            return {key: self.document(value, name=str(key)) for key, value in document.items()}
        if isinstance(document, list | tuple):
            return self.arguments(document)
        return self._string(document) if isinstance(document, str) else document

    def arguments(self, arguments: Iterable[Any]) -> list[Any]:
        """A list without secrets; after `--token`, the next string is one."""
        result: list[Any] = []
        secret_follows = False
        for argument in arguments:
            if secret_follows and isinstance(argument, str) and not argument.startswith("-"):
                result.append(self._hidden(argument))
            else:
                result.append(self.document(argument))
            option = isinstance(argument, str) and argument.startswith("-") and "=" not in argument
            secret_follows = option and is_secret_name(str(argument).lstrip("-"))
        return result

    def text(self, text: str, *, code: bool = False) -> str:
        """Text without secrets; it keeps its number of lines.

        Args:
            text: any text.
            code: source code: a value without quotes is an expression there, not a secret.
        """
        return "\n".join(self.lines(self._by_form(self._by_value(text)).split("\n"), code=code))

    def prose(self, text: str) -> str:
        """A description for people: by value and by form only, for `token: byte pairs` is no secret there."""
        return self._by_form(self._by_value(text))

    def lines(self, lines: Sequence[str], *, code: bool = False) -> list[str]:
        """The rules that go by line: secrets by name, and private keys of many lines."""
        result, in_key = [], False
        for line in lines:
            if in_key:
                result.append(REDACTED)
                in_key = not re.search(_KEY_END, line)
            else:
                low = line.lower()
                told = any(word in low for word in _TRIGGERS) or any(rules.names for rules in _rules)
                result.append(self._by_name(line, code=code) if told else line)
                in_key = "PRIVATE KEY" in line and _opens_a_key(line)
        return result

    def _by_value(self, text: str) -> str:
        for known in sorted(self._known, key=len, reverse=True):
            text = text.replace(known, REDACTED)
        return text

    @staticmethod
    def _by_form(text: str) -> str:
        for form in _FORMS:
            if any(hint in text for hint in form.hints):
                text = re.sub(form.pattern, rf"\g<keep>{REDACTED}", text, flags=form.flags)
        for pattern in (pattern for rules in _rules for pattern in rules.patterns):
            text = re.sub(pattern, REDACTED, text)
        return text

    def _by_name(self, line: str, *, code: bool) -> str:
        line = re.sub(_QUOTED, self._literal_in_code if code else self._literal, line)
        line = re.sub(_LOOKED_UP, self._literal, line)
        return line if code else re.sub(_BARE, self._named, re.sub(_OPTION, self._named, line))

    def _string(self, text: str) -> str:
        """A string of a document; it may be a whole Hydra override."""
        match = re.match(_OVERRIDE, text)
        if match and is_secret_name(match["name"]):
            return match["before"] + str(self._hidden(match["value"]))
        return self.text(text)

    @staticmethod
    def _named(match: re.Match[str]) -> str:
        value = match["value"]
        if not is_secret_name(match["name"]) or _TELLS_NOTHING.match(value) or value.startswith(("${", REDACTED)):
            return match[0]
        return match["before"] + REDACTED

    @staticmethod
    def _literal(match: re.Match[str]) -> str:
        if not is_secret_name(match["name"]) or match["value"].startswith(("${", REDACTED)):
            return match[0]
        return f"{match['before']}{match['q']}{REDACTED}{match['q']}"

    @classmethod
    def _literal_in_code(cls, match: re.Match[str]) -> str:
        """In code `token = "cat"` is language modelling; a real token is long and has no blanks."""
        value = match["value"]
        words = [word.lower() for word in _WORDS.findall(match["name"])]
        only_token = _is_token(words) and not any(map(_STRONG.fullmatch, words))
        return match[0] if only_token and (len(value) < 10 or re.search(r"[\s<>\[\]]", value)) else cls._literal(match)

    def _hidden(self, value: Any) -> Any:
        """What stands in the place of a secret value; None, booleans and empty values tell nothing and stay."""
        if value is None or value in ("", False, True) or (isinstance(value, list | tuple | dict) and not value):
            return value
        if isinstance(value, Mapping):
            return {key: self._hidden(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._hidden(inner) for inner in value]
        self._learn(str(value))
        return REDACTED

    def _learn(self, value: str) -> None:
        bare = value.strip().strip("'\"")
        if len(bare) >= _SHORTEST_KNOWN and not _TELLS_NOTHING.match(bare) and not bare.startswith("${"):
            self._known.update(line for line in (bare, *bare.splitlines()) if len(line) >= _SHORTEST_KNOWN)


def _opens_a_key(line: str) -> bool:
    return bool(re.search(_KEY_BEGIN, line)) and not re.search(_KEY_END, line) and REDACTED not in line


def redact(value: Any, *, environment: Mapping[str, str] | None = None) -> Any:
    """A text or a JSON-like document without its secrets."""
    redactor = Redactor(environment)
    return redactor.text(value) if isinstance(value, str) else redactor.document(value)
