"""A sweep before its first job: checked as a whole, then its parent execution is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from deriva_ml_core.connection import DerivaML
from deriva_ml_core.connection.local import LOCAL, URL_VARIABLE, served_url
from deriva_ml_core.errors import DerivaMLConfigurationError
from deriva_ml_core.executions import reporting
from deriva_ml_core.executions.configuration import ExecutionConfiguration
from deriva_ml_core.executions.contributions import require_plugins
from deriva_ml_core.executions.hydra_facts import HydraFacts
from deriva_ml_core.executions.recovery import recover_quietly
from deriva_ml_core.executions.resuming import Resumption, current_resumption, reopen
from deriva_ml_core.executions.sweeps import current_subject
from deriva_ml_core.executions.validation import validate
from deriva_ml_core.runner import require_model
from deriva_ml_core.workflows.provenance import CodeReference, find_code_reference
from deriva_ml_core.workflows.sameness import code_facts
from deriva_ml_hydra_plugins.plan import Plan, as_current, build, make_plan, model_of, plan_again
from deriva_ml_hydra_plugins.sweep import Manner, RunningSweep

ON_FAILURE = ("continue", "stop")
_SLURM_LAUNCHER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"


@dataclass(frozen=True, slots=True)
class CheckedSweep:
    """A sweep that can run as it is, of which nothing is written yet; its connection is open."""

    ml: DerivaML
    plan: Plan
    manner: Manner
    resumption: Resumption | None
    configuration: ExecutionConfiguration
    code: CodeReference
    document: Mapping[str, Any]

    def open(self) -> RunningSweep:
        """
        Open its parent.

        Raises:
            DerivaMLException: the catalog refuses, or the code is another than that of the sweep to resume.
        """
        try:
            with as_current(self.plan.first):
                return self._open()
        except BaseException:  # Ctrl-C too: no connection stays open without anybody who closes it
            self.ml.close()
            raise

    def _open(self) -> RunningSweep:
        facts = code_facts(self.code)
        if self.resumption is not None:
            self.resumption.require_code(facts)
            execution = reopen(self.ml, self.resumption)
            return RunningSweep(self.ml, execution, self.plan, self.manner, jobs=self.resumption.jobs)
        recover_quietly(self.ml)
        document = {**self.document, "code": facts}
        reporter = reporting.current(self.ml.plugins)
        execution = self.ml.create_execution(self.configuration, code=self.code, sweep=document, reporter=reporter)
        return RunningSweep(self.ml, execution, self.plan, self.manner)

    def leave(self) -> None:
        """It is not opened after all."""
        self.ml.close()


def check_sweep(config: DictConfig, on_failure: str, *, table: bool = True, report: bool = True) -> CheckedSweep | None:
    """
    Check a sweep as a whole.

    Returns:
        None where there is nothing to record: another kind of application, or a dry run.

    Raises:
        DerivaMLException: the sweep can't run as it is; nothing has been written.
    """
    if "deriva_ml" not in config or ("workflow" not in config and current_subject() is None):
        return None
    if on_failure not in ON_FAILURE:
        raise DerivaMLConfigurationError(
            f"hydra.callbacks.deriva_ml.on_failure is {on_failure!r}; choose {' or '.join(ON_FAILURE)}"
        )
    loader, resumption = GlobalHydra.instance().config_loader(), current_resumption()
    if resumption is None:
        plan = make_plan(config, loader)
    else:
        jobs = {number: list(resumption.jobs[number].overrides) for number in resumption.left}
        plan = plan_again(config, loader, jobs)
    if plan.first.get("dry_run"):
        return None
    with as_current(plan.first):
        manner = Manner(stop_on_failure=on_failure == "stop", table=table, report=report)
        return _check(config, plan, resumption, manner)


def _check(config: DictConfig, plan: Plan, resumption: Resumption | None, manner: Manner) -> CheckedSweep:
    connection = _one_connection(plan)
    if _launches_slurm_jobs(config):
        _require_served_catalog(connection)
    model, key = model_of(plan.first)
    if model is not None:
        require_model(model, key)
    ml = (build(plan.first, "ml_class") or DerivaML).instantiate(connection)
    try:
        require_plugins(ml.plugins)
        subject = current_subject()
        workflow = subject.workflow(ml) if subject is not None else build(plan.first, "workflow")
        _check_inputs(ml, plan, workflow)
        code = subject.code if subject is not None else _code_of(model)
        if code.warning:
            reporting.current(ml.plugins).warn(code.warning)
        configuration = ExecutionConfiguration(
            workflow=workflow,
            description=HydraFacts().described(str(plan.first.get("description") or "")),
            config_choices=_common_choices(plan),
        )
        facts = dict(subject.facts) if subject is not None else None
        document = {**_document(config, plan), "report": manner.report, "subject": facts}
        return CheckedSweep(ml, plan, manner, resumption, configuration, code, document)
    except BaseException:  # Ctrl-C too: no connection stays open without anybody who closes it
        ml.close()
        raise


def _code_of(model: Any) -> CodeReference:
    return find_code_reference(model) if model is not None else CodeReference()


def _one_connection(plan: Plan) -> Any:
    """
    The connection of all jobs.

    Raises:
        DerivaMLConfigurationError: they go to more than one catalog.
    """
    places: dict[tuple[str, str], Any] = {}
    for outline in plan.outlines:
        with as_current(outline):
            connection = build(outline, "deriva_ml")
        if connection is None:
            raise DerivaMLConfigurationError("deriva_ml says where to connect: choose one with deriva_ml=NAME")
        places.setdefault(_place_of(connection), connection)
    if len(places) > 1:
        named = " and ".join(f"catalog {catalog} of {host}" for host, catalog in places)
        raise DerivaMLConfigurationError(
            f"the jobs of this sweep would be recorded in {named}: a sweep is one parent in one catalog, "
            "run one for each catalog"
        )
    return next(iter(places.values()))


def _check_inputs(ml: DerivaML, plan: Plan, workflow: Any) -> None:
    """All that any job names is there, before the first starts."""
    datasets: list[Any] = []
    assets: list[Any] = []
    for outline in plan.outlines:
        with as_current(outline):
            named = ExecutionConfiguration(datasets=build(outline, "datasets"), assets=build(outline, "assets"))
        datasets += [one for one in named.datasets if one not in datasets]
        assets += [one for one in named.assets if one not in assets]
    validate(ml.session, ExecutionConfiguration(datasets=datasets, assets=assets, workflow=workflow))


def _common_choices(plan: Plan) -> dict[str, str]:
    """The options that every job has chosen."""
    every = [dict(outline.hydra.runtime.choices) for outline in plan.outlines]
    first = every[0].items()
    return {str(k): str(v) for k, v in first if v is not None and all(one.get(k) == v for one in every)}


def _document(config: DictConfig, plan: Plan) -> dict[str, Any]:
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    return {
        "overrides": plan.overrides,
        "hydra_overrides": [str(token) for token in config.hydra.overrides.hydra],
        "job_name": str(config.hydra.job.name),
        "launcher": launcher,
        "sweeper": plan.sweeper,
        "sweep_dir": str(config.hydra.sweep.dir),
        "jobs": None if plan.jobs is None else list(plan.jobs.values()),
    }


def _launches_slurm_jobs(config: DictConfig) -> bool:
    """Whether the chosen launcher gives the jobs to SLURM."""
    return str(config.hydra.launcher.get("_target_")) == _SLURM_LAUNCHER


def _place_of(connection: Any) -> tuple[str, str]:
    """Host and catalog of a configured connection."""
    read = connection.get if isinstance(connection, Mapping) else lambda name: getattr(connection, name)
    return str(read("hostname")), str(read("catalog_id"))


def _require_served_catalog(connection: Any) -> None:
    """
    Refuse jobs on other hosts that would each open an embedded catalog of their own.

    Raises:
        DerivaMLConfigurationError: the catalog is in this process.
    """
    if _place_of(connection)[0] == LOCAL and served_url() is None:
        raise DerivaMLConfigurationError(
            "SLURM's jobs run on other hosts, which can't open the embedded catalog of this one: run "
            f"`deriva-ml-catalog serve` on the host that has it, and set {URL_VARIABLE} to the address that it prints"
        )
