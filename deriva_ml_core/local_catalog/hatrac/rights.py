"""
Who may do what to a namespace, an object or a version.

An owner may do everything. A right is given by the list of its name on the thing itself, and by `subtree-` lists on
what lies above it. On a namespace, `subtree-owner` and `subtree-create` speak of the namespace itself too. Source:
Hatrac docs/REST-API.md, "Access Control List Sub-Resources"; that reading an object's versions does not follow from its
own `subtree-read` was observed (access/hatrac-public-object).
"""

from collections.abc import Sequence

from ..auth import Client
from .directory import Acls, Name, Version

NAMESPACE_ACLS = ("owner", "create", "read", "subtree-owner", "subtree-create", "subtree-read", "subtree-update")
OBJECT_ACLS = ("owner", "update", "read", "subtree-owner", "subtree-read")
VERSION_ACLS = ("owner", "read")


def acl_names(name: Name, version: Version | None) -> tuple[str, ...]:
    """The lists that a thing has."""
    if version is not None:
        return VERSION_ACLS
    return NAMESPACE_ACLS if name.is_namespace else OBJECT_ACLS


def may(client: Client, right: str, lineage: Sequence[Name], version: Version | None = None) -> bool:
    """
    Whether a client has a right.

    Args:
        right: owner, create, update or read.
        lineage: the name and all above it, root first.
        version: the version of the last name, when it is what the right is about.
    """
    if client.admin:
        return True
    thing = lineage[-1]
    above = lineage if version is not None else lineage[:-1]
    lists = [_own(right, version.acls if version is not None else thing.acls)]
    if version is None and thing.is_namespace and right in {"owner", "create"}:
        above = lineage
    lists += [_inherited(right, name.acls) for name in above]
    return any(client.named_in(acl) for acl in lists)


def _own(right: str, acls: Acls) -> list[str]:
    return [*acls.get("owner", ()), *acls.get(right, ())]


def _inherited(right: str, acls: Acls) -> list[str]:
    return [*acls.get("subtree-owner", ()), *acls.get(f"subtree-{right}", ())]


def require(client: Client, right: str, lineage: Sequence[Name], version: Version | None = None) -> None:
    """
    Insist on a right.

    Raises:
        Unauthorized, Forbidden: the client lacks it.
    """
    if not may(client, right, lineage, version):
        raise client.refusal(f"The right {right!r} on {lineage[-1].url} is missing.")
