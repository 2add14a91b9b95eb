"""
The users of a root folder. A token is shown once, when its user is added; the registry keeps its SHA-256.

A token has 256 random bits, so that a plain hash is as safe as a slow one; the lookup is by hash, which says nothing
about how much of a wrong token was right.
"""

import re
import secrets
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from .auth import Client, user_client
from .errors import Conflict, NotFound
from .registry import Registry

_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,128}")


@dataclass(frozen=True, slots=True)
class User:
    """A user; `created` in seconds since 1970."""

    name: str
    admin: bool
    created: float


class Users:
    """The users in a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, name: str, *, admin: bool = False) -> str:
        """
        Add a user.

        Returns:
            The new user's token.

        Raises:
            Conflict: the name is taken, or is no name.
        """
        if not _NAME.fullmatch(name):
            raise Conflict(f"{name!r} is no user name: use letters, digits and . _ @ + - (at most 128).")
        token = secrets.token_hex(32)  # no "-" at its head, which a command line would take for an option
        with self._registry.writing() as db:
            if db.execute("SELECT 1 FROM user WHERE name = ?", (name,)).fetchone():
                raise Conflict(f"There is a user {name!r} already: remove it first for a new token.")
            row = (name, int(admin), _hash(token), time.time())
            db.execute("INSERT INTO user (name, admin, token_hash, created) VALUES (?, ?, ?, ?)", row)
        return token

    def remove(self, name: str) -> None:
        """
        Remove a user, whose token is worthless from then on.

        Raises:
            NotFound: no such user.
        """
        with self._registry.writing() as db:
            db.execute("DELETE FROM user WHERE name = ?", (name,))
            if not db.changes():
                known = ", ".join(row[0] for row in db.execute("SELECT name FROM user ORDER BY name LIMIT 20"))
                raise NotFound(f"There is no user {name!r}; there are: {known or 'none'}.")

    def all(self) -> list[User]:
        """Every user, by name."""
        with self._registry.reading() as db:
            rows: list[Any] = db.execute("SELECT name, admin, created FROM user ORDER BY name").fetchall()
        return [User(name, bool(admin), created) for name, admin, created in rows]

    def any(self) -> bool:
        """Whether the root has a user, so that whoever brings no token is anonymous."""
        with self._registry.reading() as db:
            return db.execute("SELECT 1 FROM user LIMIT 1").fetchone() is not None

    def by_token(self, token: str) -> Client | None:
        """Whose token this is."""
        with self._registry.reading() as db:
            row: Any = db.execute("SELECT name, admin FROM user WHERE token_hash = ?", (_hash(token),)).fetchone()
        return user_client(row[0], admin=bool(row[1])) if row else None


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
