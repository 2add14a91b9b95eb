"""Which source file defines a model: through partials, Hydra's wrappers and decorators."""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path
from typing import Any

_MAX_DEPTH = 50  # a cycle of wrappers ends here
# Frames of these packages call user code; they are never the code whose provenance is asked for.
_TOOLS = frozenset(
    {
        "deriva_ml",
        "deriva_ml_core",
        "deriva_ml_hydra_plugins",
        "deriva_ml_notebook",
        "hydra",
        "hydra_zen",
        "omegaconf",
        "pydantic",
        "IPython",
        "ipykernel",
        "pytest",
        "_pytest",
        "pluggy",
        "importlib",
        "runpy",
        "contextlib",
        "functools",
    }
)


def unwrap(thing: Any) -> Any:
    """The user's own function or class behind whatever was put round it.

    Knows functools.partial and its subclasses (what Hydra's `_partial_: true` makes), hydra-zen's just() and zen()
    wrappers, `functools.wraps` decorators, bound methods, and instances of callable classes.
    """
    for _ in range(_MAX_DEPTH):
        inner = _one_layer(thing)
        if inner is thing:
            break
        thing = inner
    return thing


def _one_layer(thing: Any) -> Any:
    if isinstance(thing, functools.partial | functools.partialmethod):
        return thing.func
    if inspect.ismethod(thing):
        return thing.__func__
    if inspect.isfunction(thing) or inspect.isclass(thing):
        return getattr(thing, "__wrapped__", thing)
    if inspect.ismodule(thing) or inspect.isbuiltin(thing):
        return thing
    # hydra-zen's Zen keeps the function at .func; a decorator object follows functools.update_wrapper.
    for name in ("__wrapped__", "func"):
        inner = getattr(thing, name, None)
        if callable(inner) and inner is not thing:
            return inner
    return type(thing) if callable(thing) else thing


def source_file(thing: Any) -> Path | None:
    """The file in which a model is written, or None where it has none (a C extension, the prompt, exec).

    Args:
        thing: a callable, a module, a class, or a path.
    """
    if isinstance(thing, (str, Path)):
        path = Path(thing)
        return path.absolute() if path.is_file() else None
    target = unwrap(thing)
    code = getattr(target, "__code__", None)
    name = code.co_filename if code is not None else _module_file(target)
    if not name:
        return None
    path = Path(name)
    return path.absolute() if path.is_file() else None


def _module_file(target: Any) -> str | None:
    try:
        return inspect.getsourcefile(target)
    except TypeError:  # a builtin, or a class of one
        module = sys.modules.get(getattr(target, "__module__", "") or "")
        return getattr(module, "__file__", None)


def calling_file() -> Path | None:
    """The user's file that is running now: the nearest frame outside our packages and the tools that call them."""
    frame = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "")).split(".")[0]
        path = Path(frame.f_code.co_filename)
        if module not in _TOOLS and not frame.f_code.co_filename.startswith("<") and path.is_file():
            return path.absolute()
        frame = frame.f_back
    return None
