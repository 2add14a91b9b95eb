"""
The two ways to run an embedded catalog: inside a process, and as a command for several people.

    with LocalServer(root_path) as server:          # in process: loopback, an ephemeral port, a random bearer token
        session.get(server.url + "/ermrest/", headers={"Authorization": f"Bearer {server.token}"})

    serve(root_path, port=8080)                     # until SIGTERM or Ctrl-C

An in-process server belongs to its process: it runs in daemon threads, and a forked child starts its own on first use
(threads and SQLite connections do not survive a fork).
"""

import atexit
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from .app import Application, Service
from .errors import RootError
from .hatrac.bulk import SmallObject
from .hatrac.intake import Described
from .http import is_loopback
from .root import Root
from .users import Users
from .web_server import WebServer, make_server, stop_server, tls_adapter

LOOPBACK = "127.0.0.1"


class LocalServer:
    """
    An embedded catalog inside this process. Starts on first use of `url`, `start()` or `with`; stops with the process.

    Args:
        path: the root folder, made if it is missing.

    Raises:
        RootError: on start, when the folder cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.token = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._process = os.getpid()

    @property
    def url(self) -> str:
        """The base URL without a slash at the end, such as `http://127.0.0.1:40123`."""
        return f"http://{self.netloc}"

    @property
    def netloc(self) -> str:
        """Host and port, as deriva's DerivaServer takes them."""
        return f"{LOOPBACK}:{self._started().port}"

    @property
    def credential(self) -> dict[str, str]:
        """What to give to deriva's classes as `credentials`."""
        return {"bearer-token": self.token}

    def object_files(self, paths: Sequence[str]) -> list[Path | None]:
        """
        Where the content of objects lies on this disk: what a GET with this server's credential would send.

        For reading only: a file is the store's own. It may be deleted at any time.

        Args:
            paths: /hatrac/NAME or /hatrac/NAME:VERSION, escaped.

        Returns:
            For each its file; None where a GET would be refused, so that the caller asks by GET to hear why.
        """
        return self._started().application.locate(paths)

    def take_in(self, file: Path, progress: Callable[[int], object]) -> str | None:
        """
        Copy a file's content into the store's folder, where `store_object` finds it; read once, hashed on the way.

        Args:
            progress: called with the number of bytes that are there, a block at a time; what it raises ends it.

        Returns:
            The MD5 of the copy, in hex; None where it could not be made, so that the caller goes by PUT to hear why.
        """
        return self._started().application.take_in(file, progress)

    def store_object(
        self, path: str, file: Path, *, md5: str, content_type: str, disposition: str, progress: Callable[[int], object]
    ) -> str | None:
        """
        Make a file the current version of an object, unless it is that already: a PUT with ?parents=true, by a call.

        Args:
            path: /hatrac/NAME, escaped.
            md5: what the content must have, in hex.
            progress: called with the number of bytes that `take_in` has not told.

        Returns:
            The version's URL, when it is on the disk; None as of `take_in`.
        """
        return self._started().application.store(path, file, Described(md5, content_type, disposition), progress)

    def store_small(self, batches: Iterable[Sequence[SmallObject]]) -> Iterator[list[str | None]]:
        """
        Make small contents objects, as `store_object` does, many at a time: they share what waits for the disk.

        Args:
            batches: of at most a few MiB each: the next is asked for while the one before is on its way to the disk.

        Returns:
            For each batch, in order, the versions' URLs; None for an object that was not stored, as of `take_in`. It
            ends early where nothing can be stored.
        """
        return self._started().application.store_small(batches)

    def start(self) -> "LocalServer":
        """Start, unless running."""
        self._started()
        return self

    def stop(self) -> None:
        """Stop, if running; a later use starts again."""
        self._after_fork()
        with self._lock:
            running, self._running = self._running, None
        if running:
            running.stop()

    def _started(self) -> "_Running":
        self._after_fork()
        with self._lock:
            if self._running is None:
                self._running = _Running(self.path, self.token)
            return self._running

    def _after_fork(self) -> None:
        if self._process != os.getpid():
            self._process, self._lock = os.getpid(), threading.Lock()
            running, self._running = self._running, None
            if running:
                running.abandon()

    def __enter__(self) -> "LocalServer":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


_abandoned: list["_Running"] = []  # never collected: closing an inherited SQLite connection could harm the parent


class _Running:
    """A server that listens, in daemon threads."""

    def __init__(self, path: Path, token: str) -> None:
        self._root = Root(path)
        self.application = Application(self._root, process_token=token)
        self._server = make_server((LOOPBACK, 0), self.application, threads=8)
        self._failure: list[BaseException] = []
        listening = threading.Event()
        # All of it in a daemon thread: the server's own threads are daemons only if their maker is one.
        self._thread = threading.Thread(target=self._run, args=(listening,), name="deriva-ml-catalog", daemon=True)
        self._thread.start()
        listening.wait()
        if self._failure:
            self._root.close()
            raise RootError(f"The embedded catalog cannot listen: {self._failure[0]}.") from self._failure[0]
        self.port = int(self._server.bind_addr[1])
        atexit.register(self.stop)

    def _run(self, listening: threading.Event) -> None:
        try:
            self._server.prepare()
        except BaseException as err:  # handed to the thread that waits  # noqa: BLE001
            self._failure.append(err)
            return
        finally:
            listening.set()
        self._server.serve()

    def stop(self) -> None:
        atexit.unregister(self.stop)
        stop_server(self._server)
        self._thread.join(timeout=5)
        self.application.close()
        self._root.close()

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's, touching nothing that both share."""
        atexit.unregister(self.stop)
        if self._server.socket:
            self._server.socket.close()
        self._root.abandon()
        _abandoned.append(self)


def serve(
    path: str | os.PathLike[str],
    *,
    host: str = LOOPBACK,
    port: int = 0,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    ready: Callable[[str], None] = lambda _: None,
    pages: Callable[[Application], Mapping[str, Service]] = lambda _: {},
) -> None:
    """
    Serve a root folder until SIGTERM or SIGINT.

    Args:
        port: 0 takes a free one.
        tls_cert: a PEM file; HTTPS with it and `tls_key`, HTTP without.
        ready: called with the URL once requests are answered.
        pages: what else the server answers, by first path segment.

    Raises:
        RootError: the folder cannot be used, the address is taken, or it is not loopback and the root has no user.
    """
    with Root(path) as root:
        if not is_loopback(host) and not Users(root.registry).any():
            raise RootError(
                f"Whoever reaches {host} could change everything: "
                "add a user first with `deriva-ml-catalog user add NAME --admin`."
            )
        application = Application(root)
        application.mount(pages(application))
        server = make_server((host, port), application, threads=32)
        if tls_cert and tls_key:
            server.ssl_adapter = tls_adapter(tls_cert, tls_key)
        _serve_until_signal(server, "https" if tls_cert else "http", ready)


def _serve_until_signal(server: WebServer, scheme: str, ready: Callable[[str], None]) -> None:
    host = server.bind_addr[0]  # as it was asked for: a certificate is for a name, not for the address behind it
    try:
        server.prepare()
    except OSError as err:
        raise RootError(
            f"Cannot listen on {server.bind_addr[0]} port {server.bind_addr[1]}: {_innermost(err)}."
        ) from err
    thread = threading.Thread(target=server.serve, name="deriva-ml-catalog", daemon=True)
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal's signature
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    sys.setswitchinterval(0.0002)  # a request that waited for the disk should not wait long for the interpreter
    try:
        thread.start()
        ready(f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.bind_addr[1]}")
        stop.wait()
    finally:
        stop_server(server)
        thread.join(timeout=10)
        for number, handler in before.items():
            signal.signal(number, handler)


def _innermost(err: OSError) -> str:
    """What the system said: cheroot repeats the address around it."""
    said = re.search(r"\[Errno -?\d+\] ([^\])]+)", str(err))
    return said[1] if said else str(err)
