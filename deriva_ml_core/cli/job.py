"""One job: build what the configuration names, then call run_model. Runs where Hydra's launcher runs the job."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from hydra_zen.wrapper import Zen
from omegaconf import DictConfig, OmegaConf

from deriva_ml_core.config.translation import hydra_errors, mark_as_from_job
from deriva_ml_core.errors import DerivaMLConfigurationError


class _Call(Zen[Any, Any]):
    """hydra-zen's wrapper, whose refusals to build a value are the user's errors."""

    def instantiate(self, __c: Any) -> Any:
        """Raises DerivaMLConfigurationError where a value can't be built."""
        with hydra_errors(""):
            return super().instantiate(__c)


def call_run_model(composed: DictConfig) -> Any:
    """Call run_model with the values of a composed configuration.

    Raises:
        DerivaMLConfigurationError: a value is missing or can't be built; nothing has been written.
        Exception: whatever run_model raises.
    """
    from deriva_ml_core.runner import run_model

    with hydra_errors(""):
        _require_values(composed)
        # Only a copy, to find a wrong interpolation before anything is built: resolving turns an escaped `\${x}` into
        # one that would be resolved again. The values themselves are resolved as they are read.
        OmegaConf.resolve(copy.deepcopy(composed))
    return _Call(_marking(run_model), resolve_pre_call=False)(composed)


def _require_values(composed: DictConfig) -> None:
    """Name a group without a choice before anything is built.

    Raises:
        DerivaMLConfigurationError: the message names all that are missing.
    """
    missing = sorted(key for key in OmegaConf.missing_keys(composed) if "." not in key)
    if missing:
        choices = " ".join(f"{name}=…" for name in missing)
        raise DerivaMLConfigurationError(f"nothing is chosen for {', '.join(missing)}; add {choices}")


def _marking(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, whose errors are known as a job's own wherever a launcher raises them again."""

    @functools.wraps(call)
    def marked(**values: Any) -> Any:
        try:
            return call(**values)
        except Exception as err:
            mark_as_from_job(err)
            raise

    return marked
