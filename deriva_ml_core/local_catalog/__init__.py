"""
The embedded catalog: a whole Deriva server (ERMrest, Hatrac, /authn) in a folder.

An island: it imports nothing of the other rooms. docs/why/embedded-catalog.md says how it is built.
"""

from typing import TYPE_CHECKING, Any

from .errors import RootError

if TYPE_CHECKING:
    from .server import LocalServer, serve

__all__ = ["LocalServer", "RootError", "serve"]


def __getattr__(name: str) -> Any:
    """The server is imported when it is first asked for: who adds a user does not need it."""
    if name in __all__:
        from . import server

        return getattr(server, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
