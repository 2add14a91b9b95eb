"""What a sweep is going to do, worked out before anything is written: its jobs, and the configurations that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

_BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}"
_NODES = ("deriva_ml", "datasets", "assets", "workflow", "dry_run", "ml_class")
_MOST_OUTLINES = 50
"""Jobs that are checked before the first starts: composing takes 0.1 s each. The others are checked as they start."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A sweep before it starts.

    Args:
        overrides: as Hydra got them.
        sweeper: its class.
        jobs: each job's overrides by its number; None where the sweeper decides as it goes.
        outlines: composed configurations, one for each that differs in where it connects or what it uses; the first
            is that of the first job.
    """

    overrides: list[str]
    sweeper: str
    jobs: dict[int, list[str]] | None
    outlines: list[DictConfig]

    @property
    def first(self) -> DictConfig:
        """The configuration of the first job."""
        return self.outlines[0]


def make_plan(config: DictConfig, loader: ConfigLoader) -> Plan:
    """
    Work out what a sweep will do.

    Args:
        config: what on_multirun_start gets: composed without the task's overrides, which wait in it.

    Raises:
        HydraException: an override that Hydra will refuse.
    """
    tokens = [str(token) for token in OmegaConf.to_container(config.hydra.overrides.task, resolve=False) or ()]
    sweeper = str(config.hydra.sweeper.get("_target_"))
    parser = OverridesParser.create(config_loader=loader)
    if sweeper == _BASIC:
        params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
        batches = BasicSweeper.split_arguments(parser.parse_overrides([*params, *tokens]), None)
        jobs = dict(enumerate(list(job) for batch in batches for job in batch))
        outlines = _outlines(config, loader, list(jobs.values()))
    else:
        jobs = None
        fixed = [override for override in parser.parse_overrides(tokens) if not override.is_sweep_override()]
        outlines = [_compose(config, loader, [str(override.input_line) for override in fixed])]
    return Plan(tokens, sweeper, jobs, outlines)


def plan_again(config: DictConfig, loader: ConfigLoader, jobs: dict[int, list[str]]) -> Plan:
    """The plan for jobs that are known with their numbers."""
    return Plan([], str(config.hydra.sweeper.get("_target_")), jobs, _outlines(config, loader, list(jobs.values())))


def _outlines(config: DictConfig, loader: ConfigLoader, jobs: Sequence[Sequence[str]]) -> list[DictConfig]:
    differing: dict[tuple[str, ...], Sequence[str]] = {}
    groups: dict[str, bool] = {}
    for job in jobs:
        differing.setdefault(tuple(token for token in job if _matters(token, loader, groups)), job)
    return [_compose(config, loader, list(job)) for job in list(differing.values())[:_MOST_OUTLINES]]


def _matters(token: str, loader: ConfigLoader, groups: dict[str, bool]) -> bool:
    """Whether an override can change where a job connects or what it uses: a group may hold anything."""
    key = token.partition("=")[0].lstrip("+~").partition("@")[0]
    if key not in groups:
        groups[key] = "." not in key and bool(loader.get_group_options(key))
    return groups[key] or key.partition(".")[0] in _NODES


def _compose(config: DictConfig, loader: ConfigLoader, job: list[str]) -> DictConfig:
    return loader.load_sweep_config(config, job)


@contextmanager
def as_current(config: DictConfig) -> Iterator[None]:
    """Let `${hydra:…}` in a configuration mean its own `hydra` node while values are built from it."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = before


def build(config: DictConfig, key: str) -> Any:
    """The value of one of the top-level nodes; None where there is none."""
    from hydra_zen import instantiate

    node = OmegaConf.select(config, key)
    return instantiate(node) if OmegaConf.is_config(node) else node


def model_of(config: DictConfig) -> tuple[Any, str]:
    """
    The model of a configuration, and its key. A stand-in with the arguments that are set, for what may be costly to
    build: nested values are not.
    """
    import functools

    from hydra.utils import get_object

    key = "script_config" if OmegaConf.select(config, "script_config") is not None else "model_config"
    node = OmegaConf.select(config, key)
    if not isinstance(node, DictConfig):
        return node, key
    target = node.get("_zen_target") or node.get("_target_")
    partial = node.get("_partial_") or node.get("_zen_partial")
    if not target or not partial:
        return None, key  # not a plain partial: the job itself finds out what it is
    unseen = set(node.get("_zen_exclude") or ())  # hydra-zen keeps these from the model: a description, say
    names = [str(name) for name in node if not str(name).startswith(("_", "zen_")) and name not in unseen]
    return functools.partial(get_object(str(target)), **dict.fromkeys(names)), key
