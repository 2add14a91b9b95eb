"""Terms of controlled vocabularies: read once per session and vocabulary, found by name or synonym."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.catalog.model import Table, TableName
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import DerivaMLInvalidTerm, DerivaMLTableTypeError, DerivaMLValidationError, nearest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Term:
    """One term; `rid`, `id` (a CURIE) and `uri` are the catalog's."""

    name: str
    description: str
    synonyms: tuple[str, ...]
    rid: str
    id: str
    uri: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Term:
        """A term from its row; vocabularies of older projects name their columns in lower case."""
        value = {name.upper(): content for name, content in row.items()}
        return cls(
            name=value["NAME"],
            description=value.get("DESCRIPTION") or "",
            synonyms=tuple(value.get("SYNONYMS") or ()),
            rid=value["RID"],
            id=value.get("ID") or "",
            uri=value.get("URI") or "",
        )


class Vocabularies:
    """The vocabularies of one session (`session.vocabularies`). Safe in threads."""

    def __init__(self, session: CatalogSession) -> None:
        self._session = session
        self._known: dict[tuple[str, str], dict[str, Term]] = {}
        self._learnt: set[tuple[str, str]] = set()
        self._lock = threading.RLock()

    def terms(self, table: TableName) -> Mapping[str, Term]:
        """
        All terms of a vocabulary by name; one request the first time.

        Raises:
            DerivaMLTableNotFound: no such table; DerivaMLTableTypeError: it is no vocabulary.
        """
        vocabulary = self._vocabulary(table)
        identity = (vocabulary.schema, vocabulary.name)
        with self._lock:
            if identity not in self._known:
                read = (Term.from_row(row) for row in rows.select(self._session, vocabulary))
                self._known[identity] = {term.name: term for term in sorted(read, key=lambda term: term.name)}
            return self._known[identity]

    @property
    def known(self) -> dict[tuple[str, str], dict[str, Term]]:
        """The vocabularies that were read: (schema, table) to terms; what another process may `learn`."""
        with self._lock:
            return dict(self._known)

    def learn(self, known: Mapping[tuple[str, str], Mapping[str, Term]]) -> None:
        """Take over what another session with the same catalog has read; it is asked for a term that is not there."""
        with self._lock:
            new = {identity: dict(terms) for identity, terms in known.items() if identity not in self._known}
            self._known |= new
            self._learnt |= new.keys()

    def lookup(self, table: TableName, name: str) -> Term:
        """
        The term with this name or synonym; in a catalog of the former generation, the nearest of its own for one that
        only the newer one starts with (Metrics_File).

        Raises:
            DerivaMLInvalidTerm: neither a term nor a synonym; the message offers the nearest.
        """
        terms = self.terms(table)
        term = self._find(table, name) or self._substitute(table, name, terms)
        if term is None:
            words = [*terms, *(synonym for term in terms.values() for synonym in term.synonyms)]
            raise DerivaMLInvalidTerm(
                f"'{name}' is not a term of {self._vocabulary(table).name}{nearest(name, words)}{_listing(terms)}"
            )
        return term

    def lookup_all(self, table: TableName, names: Iterable[str]) -> list[Term]:
        """
        The terms with these names or synonyms, in their order.

        Raises:
            DerivaMLInvalidTerm: one of them is unknown. DerivaMLValidationError: several are, all in one message.
        """
        found: list[Term] = []
        problems: list[DerivaMLInvalidTerm] = []
        for name in names:
            try:
                found.append(self.lookup(table, name))
            except DerivaMLInvalidTerm as err:
                problems.append(err)
        if len(problems) == 1:
            raise problems[0]
        if problems:
            raise DerivaMLValidationError("unknown terms", [str(problem) for problem in problems])
        return found

    def add(
        self, table: TableName, name: str, description: str, *, synonyms: Iterable[str] = (), exists_ok: bool = True
    ) -> Term:
        """
        Add a term; one that is there already (by name or synonym) is returned as it is.

        Raises:
            DerivaMLInvalidTerm: it is there, and `exists_ok` is false.
        """
        vocabulary = self._vocabulary(table)
        known = self._find(vocabulary, name)
        if known is None:
            row = _row(vocabulary, name, description, synonyms)
            stored = rows.insert(self._session, vocabulary, [row], skip_existing=True)
            # Nothing stored: somebody else has added it since we read the terms.
            self.forget(vocabulary) if not stored else self._remember(vocabulary, Term.from_row(stored[0]))
            if stored or exists_ok:
                return self.lookup(vocabulary, name)
        elif exists_ok:
            return known
        raise DerivaMLInvalidTerm(f"{vocabulary.name} has a term '{name}' already")

    def forget(self, table: TableName | None = None) -> None:
        """Read the terms of this vocabulary (of all) again at the next use."""
        with self._lock:
            if table is None:
                self._known.clear()
            else:
                found = self._session.model.table(table)
                self._known.pop((found.schema, found.name), None)

    # --- inside ---

    def _vocabulary(self, table: TableName) -> Table:
        found = self._session.model.table(table)
        if not found.is_vocabulary:
            names = [vocabulary.name for vocabulary in self._session.model.vocabularies()]
            raise DerivaMLTableTypeError(
                f"table {found} is not a vocabulary{nearest(found.name, names)} (vocabularies here: {', '.join(names)})"
            )
        return found

    def _substitute(self, table: TableName, name: str, terms: Mapping[str, Term]) -> Term | None:
        vocabulary, model = self._vocabulary(table), self._session.model
        if vocabulary.schema != model.ml_schema:
            return None
        other = terms.get(model.generation.substitute(vocabulary.name, name) or "")
        if other is not None:
            log.warning("%s has no term %s in this older catalog: using %s", vocabulary.name, name, other.name)
        return other

    def _find(self, table: TableName, name: str) -> Term | None:
        terms = self.terms(table)
        term = terms.get(name) or next((term for term in terms.values() if name in term.synonyms), None)
        vocabulary = self._vocabulary(table)
        if term is not None or (vocabulary.schema, vocabulary.name) not in self._learnt:
            return term
        self._learnt.discard((vocabulary.schema, vocabulary.name))
        self.forget(table)
        return self._find(table, name)

    def _remember(self, vocabulary: Table, term: Term) -> None:
        with self._lock:
            self._known[vocabulary.schema, vocabulary.name][term.name] = term


def terms(session: CatalogSession, table: TableName) -> Mapping[str, Term]:
    """All terms of a vocabulary by name; see Vocabularies.terms."""
    return session.vocabularies.terms(table)


def lookup(session: CatalogSession, table: TableName, name: str) -> Term:
    """The term with this name or synonym; see Vocabularies.lookup."""
    return session.vocabularies.lookup(table, name)


def add_term(
    session: CatalogSession,
    table: TableName,
    name: str,
    description: str,
    *,
    synonyms: Iterable[str] = (),
    exists_ok: bool = True,
) -> Term:
    """Add a term; see Vocabularies.add."""
    return session.vocabularies.add(table, name, description, synonyms=synonyms, exists_ok=exists_ok)


def delete_term(session: CatalogSession, table: TableName, name: str) -> None:
    """
    Delete a term that no row uses.

    Raises:
        DerivaMLInvalidTerm: no such term.
        DerivaMLValidationError: a row uses it. Asked first, since many references cascade: the rows would go too.
    """
    term = lookup(session, table, name)
    vocabulary = session.model.table(table)
    for user in session.model.tables.values():
        for reference in user.references(vocabulary):
            value = term.rid if reference.referenced_columns == ("RID",) else term.name
            if any(rows.select(session, user, {reference.columns[0]: value}, limit=1)):
                raise DerivaMLValidationError(f"term '{term.name}' of {vocabulary.name} is used by {user}; not deleted")
    rows.delete(session, vocabulary, [term.rid])
    session.vocabularies.forget(vocabulary)


def _row(vocabulary: Table, name: str, description: str, synonyms: Iterable[str]) -> dict[str, Any]:
    """A term's row in the spelling of the vocabulary's own columns."""
    values: dict[str, Any] = {"Name": name, "Description": description, "Synonyms": list(synonyms)}
    return {vocabulary.column(column).name: value for column, value in values.items()}


def _listing(terms: Mapping[str, Term]) -> str:
    if not terms:
        return " (it has no terms)"
    shown = sorted(terms)[:20]
    return f" (its terms: {', '.join(shown)}{', …' if len(terms) > len(shown) else ''})"
