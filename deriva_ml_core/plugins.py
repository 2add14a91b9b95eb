"""
Find, load and ask plugins. hookspecs.py is the manual of what they can do.

    built-in (BUILT_IN) -> entry points of the group `deriva_ml` -> those that the configuration names

All three go through `_Loader.add`; what is registered last is asked first where the first result wins. Nothing is
looked for before the first hook is called.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deriva_ml_core.errors import DerivaMLException, PluginError, PluginHookError, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pluggy import HookImpl, PluginManager

    from deriva_ml_core.hookvalues import Claim

log = logging.getLogger(__name__)

GROUP = "deriva_ml"
# By name, so that this room stays below those that they live in.
BUILT_IN = {
    "hatrac": "deriva_ml_core.assets.hatrac",
    "environment": "deriva_ml_core.executions.environment",
    "console": "deriva_ml_core.executions.reporting",
}
_PREFIX = "deriva_"

Status = Literal["active", "blocked", "broken"]


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """
    One plugin, loaded or not.

    Args:
        source: "built-in", "entry point", "configuration" or "by hand".
        distribution, version: that it comes from; None where it is no part of an installed one.
        hooks: that it implements, sorted.
        error: why it is broken.
    """

    name: str
    source: str
    status: Status = "active"
    distribution: str | None = None
    version: str | None = None
    hooks: tuple[str, ...] = ()
    error: str | None = None

    def __str__(self) -> str:
        origin = " ".join(part for part in (self.distribution, self.version) if part)
        return f"{self.name} ({origin})" if origin else self.name

    @property
    def failure(self) -> str:
        """What is wrong with it and what to do, in one line."""
        return f"plugin {self} failed to load: {self.error}; repair it, or set plugins.block=[{self.name}]"


@dataclass(frozen=True, slots=True)
class PluginChoice:
    """
    What a configuration says about plugins.

    Args:
        load: modules ("package.module", "package.module:attribute") or names of entry points that the run needs.
        block: names of plugins that are not loaded.
    """

    load: tuple[str, ...] = ()
    block: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: Any) -> PluginChoice:
        """
        From a configuration: a list of what to load, or a mapping with `load` and `block`.

        Raises:
            PluginError: it is neither.
        """
        if value is None or isinstance(value, PluginChoice):
            return value or cls()
        if isinstance(value, str):
            return cls(load=(value,))
        keys = dict(value) if hasattr(value, "keys") else {"load": value}
        if unknown := sorted(keys.keys() - {"load", "block"}):
            raise PluginError(
                f"deriva_ml.plugins has no key {unknown[0]!r}{nearest(unknown[0], ('load', 'block'))} (load, block)"
            )
        return cls(*(_names(keys.get(key), f"plugins.{key}") for key in ("load", "block")))


def _names(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    try:
        names = tuple(value)
    except TypeError:
        names = (value,)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise PluginError(f"{what} holds {wrong[0]!r}: give names")
    return names


class Plugins:
    """
    The plugins of one connection; loaded when the first hook is called, safe in threads.

    Args:
        choice: what the configuration says.
    """

    def __init__(self, choice: PluginChoice | None = None) -> None:
        self.choice = choice or PluginChoice()
        self._lock = threading.RLock()
        self._loaded: _Loader | None = None

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
            self._loader.add(_Found(PluginInfo(name, "by hand"), lambda: plugin), blocked=False)
            info = self.infos[-1]
            if info.status == "broken":
                self.infos.pop()
                raise PluginError(info.failure)
            self.__dict__.pop("claims", None)
            return name

    @property
    def _loader(self) -> _Loader:
        with self._lock:
            if self._loaded is None:
                self._loaded = _Loader(self.choice)
                for info in self.broken:
                    if not self._is_needed(info):  # `require` raises for these
                        log.warning("%s", info.failure)
            return self._loaded

    def require(self) -> None:
        """
        Stop before anything is written where a plugin that the configuration names can't be used, or names are wrong.

        Raises:
            PluginError: says which, why, and what to do.
        """
        for info in self.broken:
            if self._is_needed(info):
                raise PluginError(info.failure)
        known = [info.name for info in self.infos]
        for name in self.choice.block:
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
        claims = [(name, claim) for name, answer in self.all("deriva_claim_assets") for claim in answer]
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


# --- loading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """A plugin that is not loaded yet."""

    info: PluginInfo
    load: Callable[[], Any] = field(compare=False)


class _Loader:
    """The manager, and what became of every plugin that was found."""

    def __init__(self, choice: PluginChoice) -> None:
        self.manager = _empty_manager()
        self.infos: list[PluginInfo] = []
        for found in (*_built_in(), *find_entry_points(), *_configured(choice.load)):
            if not any(info.name == found.info.name for info in self.infos):
                self.add(found, blocked=found.info.name in choice.block)
        self.manager.check_pending()

    def add(self, found: _Found, *, blocked: bool) -> None:
        """Load one and register it; one that is broken is kept with its reason."""
        info = found.info
        if blocked:
            self.infos.append(_with(info, status="blocked"))
            return
        try:
            plugin = found.load()
            plugin = plugin() if isinstance(plugin, type) else plugin
            self._check(plugin)
            self.manager.register(plugin, name=info.name)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as err:  # noqa: BLE001  # a module may raise anything, sys.exit too: all are named alike
            self.infos.append(_with(info, status="broken", error=_reason(err)))
            return
        callers = self.manager.get_hookcallers(plugin) or []
        self.infos.append(_with(info, hooks=tuple(sorted(caller.name for caller in callers))))

    def _check(self, plugin: Any) -> None:
        """
        Refuse what pluggy would pass over in silence or tell without names.

        Raises:
            PluginError: a hook that there is not, a wrapper where none is called, or no hook at all.
        """
        hooks = _hook_names(self.manager)
        implemented = 0
        for name in dir(plugin):
            options = self.manager.parse_hookimpl_opts(plugin, name)
            if options is None:
                continue
            implemented += 1
            hook = options.get("specname") or name
            if hook not in hooks:
                raise PluginError(f"{hook} is no hook of deriva-ml{nearest(hook, hooks)}")
            first = (getattr(self.manager.hook, hook).spec.opts or {}).get("firstresult")
            if (options.get("wrapper") or options.get("hookwrapper")) and not first:
                raise PluginError(f"{hook} takes no wrapper: every plugin is asked by itself")
        if not implemented:
            looks_like = [name for name in dir(plugin) if name.startswith(_PREFIX)]
            hint = f"mark {looks_like[0]} with @hookimpl" if looks_like else "mark its functions with @hookimpl"
            raise PluginError(f"it implements no hook; {hint} (from deriva_ml.plugins import hookimpl)")


def _empty_manager() -> PluginManager:
    import pluggy

    from deriva_ml_core import hookspecs

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def hook_names() -> list[str]:
    """The names of all hooks, sorted."""
    return _hook_names(_empty_manager())


def _hook_names(manager: PluginManager) -> list[str]:
    return sorted(name for name in vars(manager.hook) if name.startswith(_PREFIX))


def _with(info: PluginInfo, **facts: Any) -> PluginInfo:
    return replace(info, **facts)


def _reason(err: BaseException) -> str:
    text = " ".join(str(err).split())
    return text if isinstance(err, PluginError) else f"{type(err).__name__}: {text}"


def _built_in() -> Iterator[_Found]:
    for name, module in BUILT_IN.items():
        info = PluginInfo(name, "built-in", distribution="deriva-ml")
        yield _Found(info, partial(importlib.import_module, module))


def _configured(names: Sequence[str]) -> Iterator[_Found]:
    """Those that the configuration names; one that is an entry point is there already."""
    for name in names:
        module, _, attribute = name.partition(":")
        yield _Found(PluginInfo(name, "configuration"), partial(_attribute, module, attribute))


def _attribute(module: str, path: str) -> Any:
    found: Any = importlib.import_module(module)
    for name in path.split(".") if path else ():
        found = getattr(found, name)
    return found


def find_entry_points() -> list[_Found]:
    """The entry points of our group; a distribution that is on the path twice counts once, as for imports."""
    found: dict[str, list[_Found]] = {}
    for folder in sys.path:
        with suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.endswith((".dist-info", ".egg-info")) and _mentions_us(entry.path):
                    distribution, plugins = _of_distribution(Path(entry.path))
                    found.setdefault(distribution, plugins)
    return [plugin for plugins in found.values() for plugin in plugins]


def _mentions_us(folder: str) -> bool:
    """Reading the small files ourselves takes a tenth of the time that importlib.metadata takes to ask them all."""
    try:
        with open(f"{folder}/entry_points.txt", "rb") as file:  # noqa: PTH123  # a hundred of them at each start
            return f"[{GROUP}]".encode() in file.read()
    except OSError:
        return False


def _of_distribution(folder: Path) -> tuple[str, list[_Found]]:
    from importlib.metadata import Distribution

    distribution = Distribution.at(folder)
    name, version = distribution.metadata["Name"], distribution.version
    return str(name).lower(), [
        _Found(_info(point, str(name), version), point.load) for point in distribution.entry_points.select(group=GROUP)
    ]


def _info(point: EntryPoint, distribution: str, version: str) -> PluginInfo:
    return PluginInfo(point.name, "entry point", distribution=distribution, version=version)
