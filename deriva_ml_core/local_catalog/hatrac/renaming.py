"""
Renaming an object: its versions appear under another name, and the old ones stand for the new.

No content moves. Source: Hatrac docs and NOTES.md "Hatrac" (rename_from, source_versions, copy_acls).
"""

from dataclasses import dataclass

import apsw
from werkzeug.wrappers import Response

from ..errors import BadRequest, Conflict
from ..http import Request
from . import directory
from .names import Target, canonical, url
from .objects import object_or_new, parents_wanted
from .resources import Found, Resources, created, owners
from .rights import may, require

MAX_COMMAND_BYTES = 1024 * 1024


class Renaming:
    """Handler of POST on a name."""

    def __init__(self, resources: Resources) -> None:
        self._registry = resources.registry

    def post(self, request: Request, target: Target) -> Response:
        """Commands on a name; there is one, rename_from."""
        command = _rename_command(request)
        with self._registry.writing() as db:
            source = _rename_source(db, request, command)
            made = _rename(db, request, source, target.path, command)
        return created(*(url(target.path, version) for version in made))


@dataclass(frozen=True, slots=True)
class _Rename:
    """The command rename_from: which object, which versions of it (None: all), and whether ACLs go along."""

    source: str
    versions: list[str] | None
    copy_acls: bool


def _rename_command(request: Request) -> _Rename:
    if request.content_kind != "application/json":
        raise BadRequest("Send a command in JSON.")
    document = request.document(limit_bytes=MAX_COMMAND_BYTES)
    if not isinstance(document, dict) or document.get("command") != "rename_from":
        raise BadRequest('The one command is {"command": "rename_from", "source_name": "/NAMESPACE/NAME"}.')
    unknown = document.keys() - {"command", "source_name", "source_versions", "copy_acls"}
    source, versions = document.get("source_name"), document.get("source_versions")
    texts = isinstance(versions, list) and all(isinstance(version, str) for version in versions)
    if unknown or not isinstance(source, str) or not (versions is None or texts):
        raise BadRequest(
            "rename_from has source_name, a text; source_versions, a list of texts; copy_acls, true or false."
        )
    return _Rename(canonical(source), versions, bool(document.get("copy_acls", False)))


def _rename_source(db: apsw.Connection, request: Request, command: _Rename) -> Found:
    lineage = directory.lineage(db, command.source)
    if lineage[-1].path != command.source or lineage[-1].deleted or lineage[-1].is_namespace:
        raise Conflict(f"There is no object {command.source}.")
    require(request.client, "owner", lineage)
    return Found(lineage)


def _rename(db: apsw.Connection, request: Request, source: Found, path: str, command: _Rename) -> list[str]:
    """Mirror versions under another name, oldest first, and let the old ones stand for the new; newest first."""
    versions = [version for version in directory.versions(db, source.name) if version.forward is None]
    if command.versions is not None:
        missing = set(command.versions) - {version.version for version in versions}
        if missing:
            raise Conflict(f"{source.name.url} has no version {', '.join(sorted(missing))}.")
        versions = [version for version in versions if version.version in command.versions]
    if not versions or path == source.name.path:
        raise Conflict(f"{source.name.url} has no version to rename to {url(path)}.")
    target = object_or_new(db, request.client, path, parents=parents_wanted(request))
    if command.copy_acls and may(request.client, "owner", target.lineage):
        directory.set_name_acls(db, target.name, source.name.acls)
    for version in reversed(versions):
        if directory.find_version(db, target.name, version.version):
            raise Conflict(f"{url(path, version.version)} is there already.")
        directory.add_version(
            db,
            target.name,
            sha256=version.sha256,
            size_bytes=version.size_bytes,
            metadata=version.metadata,
            acls=version.acls if command.copy_acls else {"owner": owners(request.client)},
            version=version.version,
        )
        directory.forward_version(db, version, f"{path}:{version.version}")
    return [version.version for version in versions]
