"""
The embedded catalog: a whole Deriva server (ERMrest, Hatrac, /authn) in a folder.

An island: it imports nothing of the other rooms. docs/why/embedded-catalog.md says how it is built.
"""

from .errors import RootError
from .server import LocalServer, serve

__all__ = ["LocalServer", "RootError", "serve"]
