"""
Where plugins bring bytes in and out: one call to fetch an object, one to store an output.

Both hold the plugin's answer against the record, so that a third party's handler is as safe as the built-in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from deriva_ml_core.catalog import objects
from deriva_ml_core.errors import CatalogError, ChecksumMismatch, PluginError, PluginHookError
from deriva_ml_core.hookvalues import AssetRef, Fetched, OutputFile, Progress, StoredObject, Transfer

if TYPE_CHECKING:
    from deriva_ml_core.catalog.session import CatalogSession

Answer = TypeVar("Answer")
FETCH, STORE = "deriva_fetch_asset", "deriva_store_asset"


def fetch_asset(session: CatalogSession, asset: AssetRef, target: Path, progress: Progress | None = None) -> Path:
    """
    Bring an object to `target`, verified.

    Raises:
        CatalogError, CatalogUnreachable, PluginHookError: it can't be had. PluginError: no plugin fetches such a URL.
        ChecksumMismatch: it is not what its record says; nothing is left at `target`.
    """
    if not target.parent.is_dir():  # looked at thousands of times, made once
        target.parent.mkdir(parents=True, exist_ok=True)
    answer = session.plugins.first(
        FETCH, asset=asset, target=target, progress=progress or _nobody_listens, catalog=session
    )
    if answer is None:
        raise _nobody_fetches(session, asset)
    fetched = _of_kind(answer, Fetched, FETCH)
    try:
        _verify(asset, fetched)
    except ChecksumMismatch:
        fetched.path.unlink(missing_ok=True)
        raise
    return fetched.path if fetched.path == target else fetched.path.replace(target)


def store_output(session: CatalogSession, output: OutputFile, transfer: Transfer) -> StoredObject:
    """
    Put an output's bytes into a store: that of the plugin that claims it, else of the first that takes it.

    Raises:
        PluginError: no plugin takes it. PluginHookError: a plugin failed, or gave a wrong answer.
        ChecksumMismatch: the store has other bytes than the file.
        CatalogError, CatalogUnreachable: as of every request.
    """
    owner = _owner(session, output)
    answer = session.plugins.first(STORE, only=owner, output=output, transfer=transfer, catalog=session)
    if answer is None:
        taker = f"plugin {owner}, which claims it, does not" if owner else "no plugin does"
        raise PluginError(f"nobody stores {output.table} {output.file_name}: {taker}{_broken(session)}")
    stored = _of_kind(answer, StoredObject, STORE)
    if (stored.md5.lower(), stored.size_bytes) != (output.md5, output.size_bytes):
        raise ChecksumMismatch(
            f"{stored.url} has {stored.size_bytes} bytes of MD5 {stored.md5}, "
            f"{output.path} has {output.size_bytes} of MD5 {output.md5}"
        )
    return stored


def why_unfetchable(session: CatalogSession, url: str) -> str | None:
    """
    Why nobody would fetch an object, before anybody is asked to; None where somebody may.

    A plugin that fetches and does not claim schemes may fetch whatever it is.
    """
    if objects.is_own(session, url):
        return None
    fetchers = {name for name in session.plugins.implementers(FETCH) if name != "hatrac"}
    claimed = {name: claim.schemes for name, claim in session.plugins.claims if name in fetchers and claim.schemes}
    scheme = urlsplit(url).scheme
    if fetchers - claimed.keys() or any(scheme in schemes for schemes in claimed.values()):
        return None
    if not scheme:
        return f"{url!r} is no URL of an object"
    return f"no plugin fetches {scheme}: URLs, such as {url}, by the hook {FETCH}{_broken(session)}"


def _nobody_listens(size_bytes: int) -> None:
    """Nobody looks at the progress."""


def _verify(asset: AssetRef, fetched: Fetched) -> None:
    try:
        size = fetched.path.stat().st_size
    except FileNotFoundError as err:
        raise PluginHookError(f"{FETCH}: a plugin says that {asset.url} is in {fetched.path}, which is not") from err
    if asset.size_bytes is not None and size != asset.size_bytes:
        raise ChecksumMismatch(f"{asset.url} has {size} bytes, its record says {asset.size_bytes}")
    if asset.md5 is None:
        return
    found = (fetched.md5 or objects.file_md5(fetched.path)).lower()
    if found != asset.md5:
        raise ChecksumMismatch(f"{asset.url} has MD5 {found}, its record says {asset.md5}")


def _of_kind(answer: object, kind: type[Answer], hook: str) -> Answer:
    if not isinstance(answer, kind):
        raise PluginHookError(f"{hook}: a plugin answered {answer!r}; {kind.__name__} or None is what it may answer")
    return answer


def _owner(session: CatalogSession, output: OutputFile) -> str | None:
    """The plugin that alone stores this output."""
    for plugin, claim in session.plugins.claims:
        if claim.stores and claim.covers(output.table, output.asset_types):
            return plugin
    return None


def _nobody_fetches(session: CatalogSession, asset: AssetRef) -> Exception:
    if asset.scheme in ("", "http", "https"):
        return CatalogError(f"{asset.url} is not an object of {session.hostname}{_broken(session)}", url=asset.url)
    return PluginError(f"no plugin fetches {asset.scheme}: URLs, such as {asset.url}{_broken(session)}")


def _broken(session: CatalogSession) -> str:
    """Plugins that might have done it."""
    return "".join(f"; {info.failure}" for info in session.plugins.broken)
