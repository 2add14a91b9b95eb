"""
/hatrac: from a URL and a method to a handler.

    NAME, NAME:VERSION, NAME;versions  objects.py; POST rename_from: renaming.py
    ;metadata[/FIELD]  ;acl[/LIST[/ROLE]]              attributes.py
    ;upload[/JOB[/CHUNK]]              uploads.py
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock

from werkzeug.wrappers import Response

from ..auth import Client
from ..errors import MethodNotAllowed, Unrouted
from ..http import Request
from ..root import Root
from . import directory
from .attributes import Attributes
from .bulk import SmallObject, store_small
from .intake import Described, Intake, Progress
from .names import Target, parse_target
from .objects import Objects
from .renaming import Renaming
from .resources import Resources
from .store import ContentStore
from .uploads import Uploads

Handler = Callable[[Request, Target], Response]


class HatracService:
    """Answers below /hatrac."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._store = store = ContentStore(root.objects, root.uploads)
        self._prepared = root.read_only
        self._preparing = Lock()
        self._resources = resources = Resources(root.registry, store)
        objects, attributes, uploads = Objects(resources), Attributes(resources), Uploads(resources)
        self._objects, self._intake = objects, Intake(resources)
        named: dict[str, Handler] = {
            "GET": objects.get,
            "PUT": objects.put,
            "POST": Renaming(resources).post,
            "DELETE": objects.delete,
        }
        change_metadata = {"PUT": attributes.put_metadata, "DELETE": attributes.delete_metadata}
        change_acl = {"PUT": attributes.put_acl, "DELETE": attributes.delete_acl}
        # (sub-resource, number of arguments) -> method -> handler
        self._routes: dict[tuple[str | None, int], dict[str, Handler]] = {
            (None, 0): named,
            ("versions", 0): {"GET": objects.list_versions},
            ("metadata", 0): {"GET": attributes.get_metadata},
            ("metadata", 1): {"GET": attributes.get_metadata, **change_metadata},
            ("acl", 0): {"GET": attributes.get_acl},
            ("acl", 1): {"GET": attributes.get_acl, **change_acl},
            ("acl", 2): {"GET": attributes.get_acl, **change_acl},
            ("upload", 0): {"GET": uploads.list, "POST": uploads.create},
            ("upload", 1): {"GET": uploads.get, "POST": uploads.finalize, "DELETE": uploads.cancel},
            ("upload", 2): {"PUT": uploads.put_chunk},
        }

    def handle(self, request: Request) -> Response:
        """Answer a request."""
        self._prepare()
        target = parse_target(request.raw_path)
        handlers = self._handlers(target)
        handler = handlers.get(request.verb)
        if handler is None:
            allowed = sorted({*handlers, "HEAD"} if "GET" in handlers else handlers)
            raise MethodNotAllowed(headers={"Allow": ", ".join(allowed)})
        return handler(request, target)

    def locate(self, client: Client, raw_paths: Sequence[str]) -> list[Path | None]:
        """Where the content of objects lies on this disk; see Objects.locate."""
        self._prepare()
        return self._objects.locate(client, raw_paths)

    def take_in(self, file: Path, progress: Progress) -> str:
        """Take in a file of this machine; see Intake.take_in."""
        self._prepare()
        return self._intake.take_in(file, progress)

    def store(self, client: Client, raw_path: str, file: Path, described: Described, progress: Progress) -> str:
        """Make a file of this machine an object; see Intake.store."""
        self._prepare()
        return self._intake.store(client, raw_path, file, described, progress)

    def store_small(self, client: Client, batches: Iterable[Sequence[SmallObject]]) -> Iterator[list[str | None]]:
        """Make small contents objects, many at a time; see bulk.py."""
        self._prepare()
        return store_small(self._resources, client, batches)

    def prepared(self) -> Resources:
        """What answers below other segments share with the handlers."""
        self._prepare()
        return self._resources

    def _prepare(self) -> None:
        """Make tables and folders on first use: a process that stores no object does not wait for them."""
        with self._preparing:
            if not self._prepared:
                self._root.registry.prepare("hatrac_name", directory.SCHEMA)
                self._store.prepare()
                self._prepared = True

    def _handlers(self, target: Target) -> dict[str, Handler]:
        handlers = self._routes.get((target.sub, len(target.arguments)))
        if handlers is None or (target.version and target.sub in {"versions", "upload"}):
            raise Unrouted(f"There is no sub-resource ;{target.sub} of that form.")
        if target.version and target.sub is None:
            return {method: handlers[method] for method in ("GET", "DELETE")}
        return handlers
