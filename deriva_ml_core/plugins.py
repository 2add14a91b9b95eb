"""
Ask plugins. hookspecs.py is the manual of what they can do; plugin_loading.py finds and loads them.

Nothing is looked for before the first hook is called.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from deriva_ml_core.errors import DerivaMLException, PluginError, PluginHookError, nearest
from deriva_ml_core.plugin_loading import Found, Loader, PluginChoice, PluginInfo, remedy

if TYPE_CHECKING:
    from pluggy import HookImpl, PluginManager

    from deriva_ml_core.hookvalues import Claim

__all__ = ["PluginChoice", "PluginInfo", "Plugins"]

log = logging.getLogger(__name__)


class Plugins:
    """
    The plugins of one connection; loaded when the first hook is called, safe in threads.

    Args:
        choice: what the configuration says.
    """

    def __init__(self, choice: PluginChoice | None = None) -> None:
        self.choice = choice or PluginChoice()
        self._lock = threading.RLock()
        self._loaded: Loader | None = None

    @property
    def manager(self) -> PluginManager:
        """Pluggy's manager."""
        return self._loader.manager

    @property
    def infos(self) -> list[PluginInfo]:
        """Every plugin that was found: the built-in first, then in the order of loading."""
        return self._loader.infos

    @property
    def broken(self) -> list[PluginInfo]:
        """Those that were found and can't be used."""
        return [info for info in self.infos if info.status == "broken"]

    def add(self, plugin: Any, name: str) -> str:
        """
        Register a plugin by hand: in a notebook, or a test. Nothing happens where it is there already.

        Returns:
            Its name: another one where it is there under that.

        Raises:
            PluginError: it is broken.
        """
        with self._lock:
            if known := self._loader.manager.get_name(plugin):
                return known
            self._loader.add(Found(PluginInfo(name, "by hand"), lambda: plugin), blocked=False)
            info = self.infos[-1]
            if info.status == "broken":
                self.infos.pop()
                raise PluginError(info.failure)
            self.__dict__.pop("claims", None)
            return name

    @property
    def _loader(self) -> Loader:
        with self._lock:
            if self._loaded is None:
                self._loaded = Loader(self.choice)
                for info in self.broken:
                    if not self._is_needed(info):  # `require` raises for these
                        _warn_once(info.failure)
            return self._loaded

    def require(self, *, later: bool = False) -> None:
        """
        Stop before anything is written where a plugin that the configuration names can't be used, or names are wrong.

        Args:
            later: a command that finishes a run: what that has blocked may not even be installed any more.

        Raises:
            PluginError: says which, why, and what to do.
        """
        for info in self.broken:
            if self._is_needed(info):
                raise PluginError(info.failure)
        known = [info.name for info in self.infos]
        for name in () if later else self.choice.block:
            if name not in known:
                raise PluginError(
                    f"plugins.block names {name!r}, which is not installed{nearest(name, known)} "
                    f"(installed: {', '.join(known)})"
                )
        self.claims  # noqa: B018  # two plugins that claim the same are found now

    def _is_needed(self, info: PluginInfo) -> bool:
        return info.name in self.choice.load

    # --- asking ---

    def implements(self, hook: str, *, beside: Collection[str] = ()) -> bool:
        """Whether a plugin, other than those named, implements a hook."""
        return any(name not in beside for name in self.implementers(hook))

    def implementers(self, hook: str) -> list[str]:
        """Names of the plugins that implement a hook, the built-in first."""
        return [impl.plugin_name for impl in self._implementations(hook)]

    def first(self, hook: str, *, only: str | None = None, **arguments: Any) -> Any:
        """
        The first result of a hook, None where no plugin has one.

        Args:
            only: ask this plugin alone.

        Raises:
            PluginHookError: a plugin failed; it is named.
            DerivaMLException: as a plugin raised it.
        """
        caller = getattr(self.manager.hook, hook)
        if only is not None:
            others = [plugin for name, plugin in self.manager.list_name_plugin() if name != only]
            caller = self.manager.subset_hook_caller(hook, [plugin for plugin in others if plugin is not None])
        try:
            return caller(**arguments)
        except DerivaMLException:
            raise
        except Exception as err:
            raise _failure(err, _culprit(err, self._implementations(hook)), hook) from err

    def each(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Every plugin's name and its answer to a hook, which the caller asks for; the built-in first."""
        for impl in self._implementations(hook):
            yield impl.plugin_name, _bound(impl, hook, arguments)

    def one(self, hook: str, plugin: str, **arguments: Any) -> Any:
        """
        One plugin's answer to a hook.

        Raises:
            PluginHookError: it failed.
        """
        return next(ask() for name, ask in self.each(hook, **arguments) if name == plugin)

    def all(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """
        All answers but None, each with its plugin's name, the built-in first.

        Raises:
            PluginHookError: a plugin failed; it is named.
        """
        answers = ((name, ask()) for name, ask in self.each(hook, **arguments))
        return [(name, answer) for name, answer in answers if answer is not None]

    def demand(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """As `all`, for hooks whose failure stops a run: the message says how to run without the plugin."""
        try:
            return self.all(hook, **arguments)
        except PluginHookError as err:
            raise PluginHookError(f"{err}; {remedy(err.plugin)}", plugin=err.plugin) from err

    def gather(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """As `all`, but a plugin that fails is reported and left out; observers and contributors cost a run nothing."""
        answers: list[tuple[str, Any]] = []
        for name, ask in self.each(hook, **arguments):
            try:
                answer = ask()
            except Exception as err:  # noqa: BLE001  # whatever a plugin does, the run goes on
                log.warning("%s", err)
                continue
            if answer is not None:
                answers.append((name, answer))
        return answers

    def _implementations(self, hook: str) -> Sequence[HookImpl]:
        found: Sequence[HookImpl] = getattr(self.manager.hook, hook).get_hookimpls()
        return found

    @cached_property
    def claims(self) -> tuple[tuple[str, Claim], ...]:
        """
        What plugins claim, each with the plugin's name.

        Raises:
            PluginError: two claim to store the same.
        """
        claims = [(name, claim) for name, answer in self.demand("deriva_claim_assets") for claim in answer]
        owners: dict[tuple[str, str], str] = {}
        for plugin, claim in claims:
            claimed = [("table", name) for name in claim.tables] + [("type", name) for name in claim.asset_types]
            for what in claimed if claim.stores else ():
                if (other := owners.setdefault(what, plugin)) != plugin:
                    raise PluginError(
                        f"the plugins {other} and {plugin} both store the asset {what[0]} {what[1]}: "
                        f"set plugins.block=[{other}] or plugins.block=[{plugin}]"
                    )
        return tuple(claims)


@cache
def _warn_once(failure: str) -> None:
    """A process may ask for its plugins several times: for their options, and for each connection."""
    log.warning("%s", failure)


def _bound(impl: HookImpl, hook: str, arguments: dict[str, Any]) -> Callable[[], Any]:
    def ask() -> Any:
        try:
            return impl.function(*[arguments[name] for name in impl.argnames])
        except DerivaMLException as err:
            raise PluginHookError(f"plugin {impl.plugin_name}, {hook}: {err}", plugin=impl.plugin_name) from err
        except Exception as err:
            raise _failure(err, impl.plugin_name, hook) from err

    return ask


def _failure(err: Exception, plugin: str, hook: str) -> PluginHookError:
    return PluginHookError(f"plugin {plugin}, {hook}: {type(err).__name__}: {err}", plugin=plugin)


def _culprit(err: BaseException, implementations: Sequence[HookImpl]) -> str:
    """Whose implementation an exception came out of; "?" for a callable that has no code of its own."""
    names = {getattr(impl.function, "__code__", None): impl.plugin_name for impl in implementations}
    trace = err.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in names:
            return names[trace.tb_frame.f_code]
        trace = trace.tb_next
    return "?"
