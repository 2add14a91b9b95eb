"""cheroot as our web server: bounded, quick to stop, its connections awaiting the request that follows at once."""

import io
import logging
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from cheroot import wsgi
from cheroot.server import HTTPConnection

from .app import Application
from .chunked import ChunkedBody
from .errors import RootError

log = logging.getLogger(__name__)
MAX_HEADER_BYTES = 1024 * 1024
"""Request line and headers together: a path with thousands of filters fits, an endless header does not."""
_NEAR_MS = 2
_ONE_PACKET_BYTES = 64 * 1024


class _Gateway(wsgi.Gateway_10):
    """cheroot's way from a request to the application, with a body in chunks that is read in bounded pieces."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]  # cheroot's base says nothing
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        if self.req.chunked_read:
            environ["wsgi.input"] = ChunkedBody(self.req.conn.rfile)
        return environ

    def start_response(self, status: Any, headers: Any, exc_info: Any = None) -> Any:
        """`Connection: close` is an order here: else cheroot reads all that is left of the body, in one piece."""
        if ("Connection", "close") in headers:
            self.req.close_connection = True
        return super().start_response(status, headers, exc_info)

    def write(self, chunk: bytes) -> None:
        """A small answer leaves in one packet with its head: each packet wakes a thread of the client."""
        if self.req.sent_headers or len(chunk) > _ONE_PACKET_BYTES:
            super().write(chunk)
            return
        wire, held = self.req.conn.wfile, io.BytesIO()
        self.req.conn.wfile = held
        try:
            super().write(chunk)
        finally:
            self.req.conn.wfile = wire
            wire.write(held.getvalue())


class _Connection(HTTPConnection):
    """
    A connection whose thread stays for a moment: most clients send their next request at once.

    cheroot hands a connection back to its selector after each answer, which takes two more threads to the next one.
    """

    def communicate(self) -> bool:
        """Answer the requests that follow each other closely; whether the connection stays open."""
        while super().communicate():  # type: ignore[no-untyped-call]  # cheroot's base says nothing
            if not self._more_is_near():
                return True
        return False

    def close(self) -> None:
        """Close the socket, and drop what could not be sent: else the garbage collector tries, and prints why not."""
        super().close()
        with suppress(OSError):
            self.wfile.close()

    def _more_is_near(self) -> bool:
        if not self.server.ready or self.server.requests.qsize:  # others wait for a thread
            return False
        soon = select.poll()
        soon.register(self.socket.fileno(), select.POLLIN)
        return self.rfile.has_data() or bool(soon.poll(_NEAR_MS))


class WebServer(wsgi.Server):
    """cheroot, with our limits, logging into logging."""

    ConnectionClass = _Connection
    max_request_header_size = MAX_HEADER_BYTES
    version = "deriva-ml-catalog"

    @staticmethod
    def bind_socket(sock: socket.socket, address: Any) -> socket.socket:
        """Bind, or close what cannot be bound: cheroot would leave that to the garbage collector."""
        try:
            sock.bind(address)
        except BaseException:  # whatever went wrong, the socket is of no use
            sock.close()
            raise
        return sock

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Where its errors go."""
        log.log(level, "%s", msg, exc_info=traceback)


def make_server(address: tuple[str, int], app: Application, *, threads: int) -> WebServer:
    """A server that does not listen yet; port 0 takes a free one."""
    # Idle connections cost a file descriptor, no thread, so that clients may keep them for a minute.
    server = WebServer(address, app, numthreads=threads, request_queue_size=128, timeout=60, shutdown_timeout=2)
    server.keep_alive_conn_limit = 1000
    server.gateway = _Gateway
    return server


def stop_server(server: WebServer) -> None:
    """Stop at once: cheroot's selector looks at its stop flag only when something arrives, or twice a second."""
    poke = threading.Timer(0.01, _poke, [server.bind_addr])
    poke.daemon = True
    poke.start()
    server.stop()
    poke.join()


def _poke(address: Any) -> None:
    with suppress(OSError), socket.create_connection(address[:2], timeout=1):
        pass


def tls_adapter(cert: Path, key: Path) -> Any:
    """
    What makes a server's connections HTTPS, of two PEM files.

    Raises:
        RootError: one can't be read, or they are no certificate and its key.
    """
    import ssl  # it costs memory that an in-process catalog does not need

    from .tls import LazyHandshake

    for file in (cert, key):
        try:
            file.read_bytes()
        except OSError as err:
            raise RootError(f"{file} cannot be read: {err.strerror or err}.") from err
    try:
        return LazyHandshake(cert, key)
    except ssl.SSLError as err:
        why = err.reason or err
        raise RootError(f"{cert} and {key} are no certificate in PEM and its private key: {why}.") from err
