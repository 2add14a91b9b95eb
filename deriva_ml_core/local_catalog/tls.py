"""TLS for the command `serve`."""

import ssl
from pathlib import Path
from typing import Any

from cheroot.ssl.builtin import BuiltinSSLAdapter


class LazyHandshake(BuiltinSSLAdapter):
    """
    cheroot's own adapter, shaking hands in the worker thread, at the first read.

    The original does so in the one thread that accepts connections, where a caller who sends nothing would keep
    everybody else waiting.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        """
        Read a certificate.

        Raises:
            OSError, ssl.SSLError: the files cannot be read, or do not fit each other.
        """
        super().__init__(str(cert), str(key))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    def wrap(self, sock: Any) -> tuple[Any, dict[str, Any]]:
        """Wrap an accepted socket."""
        wrapped = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}
