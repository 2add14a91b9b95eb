"""
Who makes a request: nobody, or an identity with attributes.

A client's attributes are the names by which access control lists may name it: its own id first, then its groups.
`*` in a list names everybody, also nobody in particular. An administrator owns the root folder and so passes every
list. Source: webauthn2's session document and ERMrest's "Access Control" documentation.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import Forbidden, Refusal, Unauthorized

EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Client:
    """The maker of a request."""

    id: str | None = None
    display_name: str = ""
    attributes: tuple[str, ...] = ()
    admin: bool = False

    @property
    def anonymous(self) -> bool:
        """Whether the request carries no session."""
        return self.id is None

    def named_in(self, acl: Iterable[str] | None) -> bool:
        """Whether an access control list names this client or everybody."""
        return acl is not None and any(entry == EVERYBODY or entry in self.attributes for entry in acl)

    def passes(self, acl: Iterable[str] | None) -> bool:
        """Whether this client has the right that the list gives: named in it, or administrator."""
        return self.admin or self.named_in(acl)

    def refusal(self, words: str = "") -> Refusal:
        """What to raise when the right is missing: 401 without a session, 403 with one."""
        return Unauthorized(words) if self.anonymous else Forbidden(words)


ANONYMOUS = Client()


def user_client(name: str, *, admin: bool) -> Client:
    """The identity of a user of a root folder."""
    return Client(name, name, (name,), admin)
