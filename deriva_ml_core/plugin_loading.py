"""
Find and load plugins; plugins.py asks them.

    built-in (BUILT_IN) -> entry points of the group `deriva_ml` -> those that the configuration names

All three go through `Loader.add`; what is registered last is asked first where the first result wins.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deriva_ml_core.errors import PluginError, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pluggy import PluginManager

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
        what = "correct plugins.load, or install it" if self.source == "configuration" else remedy(self.name)
        return f"plugin {self} failed to load: {self.error}; {what}"


def remedy(name: str) -> str:
    """What to do about a plugin that stops a run."""
    return f"repair it, or set plugins.block=[{name}]"


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

    def __or__(self, other: PluginChoice) -> PluginChoice:
        """Both: what is blocked in one of them is blocked."""
        load, block = (*self.load, *other.load), (*self.block, *other.block)
        return PluginChoice(tuple(dict.fromkeys(load)), tuple(dict.fromkeys(block)))


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


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that is not loaded yet."""

    info: PluginInfo
    load: Callable[[], Any] = field(compare=False)


class Loader:
    """
    Loads what a configuration leaves.

    Attributes:
        manager: with all that could be loaded.
        infos: what became of every plugin that was found.
    """

    def __init__(self, choice: PluginChoice) -> None:
        self.manager = _empty_manager()
        self.infos: list[PluginInfo] = []
        for found in (*_built_in(), *find_entry_points(), *_configured(choice.load)):
            if not any(info.name == found.info.name for info in self.infos):
                self.add(found, blocked=found.info.name in choice.block)
        self.manager.check_pending()

    def add(self, found: Found, *, blocked: bool) -> None:
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


def _built_in() -> Iterator[Found]:
    for name, module in BUILT_IN.items():
        info = PluginInfo(name, "built-in", distribution="deriva-ml")
        yield Found(info, partial(importlib.import_module, module))


def _configured(names: Sequence[str]) -> Iterator[Found]:
    """Those that the configuration names; one that is an entry point is there already."""
    for name in names:
        module, _, attribute = name.partition(":")
        yield Found(PluginInfo(name, "configuration"), partial(_attribute, module, attribute))


def _attribute(module: str, path: str) -> Any:
    found: Any = importlib.import_module(module)
    for name in path.split(".") if path else ():
        found = getattr(found, name)
    return found


def find_entry_points() -> list[Found]:
    """The entry points of our group; a distribution that is on the path twice counts once, as for imports."""
    found: dict[str, list[Found]] = {}
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


def _of_distribution(folder: Path) -> tuple[str, list[Found]]:
    from importlib.metadata import Distribution

    distribution = Distribution.at(folder)
    name, version = distribution.metadata["Name"], distribution.version
    return str(name).lower(), [
        Found(_info(point, str(name), version), point.load) for point in distribution.entry_points.select(group=GROUP)
    ]


def _info(point: EntryPoint, distribution: str, version: str) -> PluginInfo:
    return PluginInfo(point.name, "entry point", distribution=distribution, version=version)
