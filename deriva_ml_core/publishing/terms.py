"""Terms of one catalog's vocabularies in another's: added where it lacks them, found by name or synonym where not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import ForeignKey, Table
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.catalog.vocabulary import Term


class TermCopier:
    """The terms that were needed so far, and what they are called in the target."""

    def __init__(self, source: CatalogSession, target: CatalogSession) -> None:
        self._source, self._target = source, target
        self._there: dict[tuple[str, str], Term] = {}
        self._values: dict[tuple[str, str, str], str] = {}

    def add(self, there: Table, vocabulary: Table, names: Iterable[str]) -> None:
        """
        See to it that the target has these.

        Args:
            there: the target's vocabulary; `vocabulary` is the source's.
        """
        known = self._source.vocabularies.terms(vocabulary)
        for name in sorted(set(names)):
            if (str(there), name) not in self._there and (term := known.get(name)) is not None:
                added = self._target.vocabularies.add(there, name, term.description, synonyms=term.synonyms)
                self._there[str(there), name] = added

    def name(self, there: Table, name: str) -> str:
        """What the target calls this one."""
        found = self._there.get((str(there), name))
        return found.name if found else name

    def copy(self, there: Table, key: ForeignKey, values: Iterable[str]) -> None:
        """The terms that a foreign key refers to with these values: names, or whatever of a term it refers to."""
        vocabulary = self._source.model.table((key.schema, key.table))
        wanted = {value: term for value in values if (term := self._referred(vocabulary, key, value)) is not None}
        self.add(there, vocabulary, (term.name for term in wanted.values()))
        for value, term in wanted.items():
            found = self._there[str(there), term.name]
            self._values[key.schema, key.table, value] = _part(found, key)

    def value(self, key: ForeignKey, value: str) -> str:
        """What refers to the same term in the target."""
        return self._values.get((key.schema, key.table, value), value)

    def _referred(self, vocabulary: Table, key: ForeignKey, value: str) -> Term | None:
        terms = self._source.vocabularies.terms(vocabulary)
        return terms.get(value) or next((term for term in terms.values() if _part(term, key) == value), None)


def _part(term: Term, key: ForeignKey) -> str:
    """What a foreign key's column holds of a term."""
    parts = {"RID": term.rid, "ID": term.id, "URI": term.uri}
    return parts.get(key.referenced_columns[0].upper(), term.name)
