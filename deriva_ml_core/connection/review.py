"""The part of DerivaML that looks back: experiments, lineage, and what the catalog can't account for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from deriva_ml_core.connection.base import HasSession

if TYPE_CHECKING:
    from deriva_ml_core.analysis.audit import ProvenanceAudit
    from deriva_ml_core.analysis.experiments import Experiment
    from deriva_ml_core.analysis.lineage import Direction, Lineage
    from deriva_ml_core.executions.record import ExecutionRecord
    from deriva_ml_core.executions.validation import ConfigurationReport
    from deriva_ml_core.workflows.workflow import Workflow

_MOST_EXECUTIONS = 500


class ReviewMethods(HasSession):
    """Mixin of DerivaML."""

    def lookup_experiment(self, execution_rid: str) -> Experiment:
        """
        An execution with the options and the model's values that it was configured with.

        Raises:
            DerivaMLExecutionNotFound: there is no execution of this RID.
        """
        from deriva_ml_core.analysis.experiments import lookup_experiment

        return lookup_experiment(self.session, self.cache_dir, execution_rid)

    def find_experiments(self, workflow_rid: str | None = None, status: Any = None) -> Iterator[Experiment]:
        """The executions that ran under Hydra, the newest first, with their configurations.

        Example:
            >>> [experiment.name for experiment in ml.find_experiments(status="Uploaded")]
            []
        """
        from deriva_ml_core.analysis.experiments import find_experiments

        return find_experiments(self.session, self.cache_dir, workflow_rid=workflow_rid, status=status)

    def lookup_lineage(
        self,
        rid: str,
        depth: int | None = None,
        max_executions: int = _MOST_EXECUTIONS,
        *,
        directions: Iterable[Direction] = ("back", "forward"),
    ) -> Lineage:
        """
        What an asset, a dataset or an execution came from, and what came of it; as `deriva-ml-executions lineage`.

        Args:
            depth: at most so many steps each way; None goes on to the end.
            max_executions: after so many it stops; `complete` is then false.

        Raises:
            DerivaMLNotFoundError: no row of this RID.
            DerivaMLValidationError: it is a row of another kind.

        Example:
            >>> lineage = ml.lookup_lineage(dataset_rid)
            >>> lineage.complete
            True
        """
        from deriva_ml_core.analysis.lineage import trace

        return trace(self.session, rid, directions=directions, depth=depth, most_executions=max_executions)

    def find_executions_consuming(self, rid: str, version: str | None = None) -> list[ExecutionRecord]:
        """
        The executions that used a dataset, in this version where one is given, or an asset; the newest first.

        Raises:
            DerivaMLNotFoundError: no row of this RID.
            DerivaMLValidationError: it is a row of another kind.
        """
        from deriva_ml_core.analysis.consumers import executions_consuming

        return executions_consuming(self.session, rid, version)

    def validate_execution_configuration(
        self,
        configuration: Any = None,
        workflow: Workflow | str | None = None,
        *,
        datasets: Iterable[Any] | None = None,
        assets: Iterable[Any] | None = None,
    ) -> ConfigurationReport:
        """
        Whether an execution can be made of this: all its datasets, versions, assets, files and types are looked up.

        Nothing is written. It takes what `create_execution` takes.

        Raises:
            TypeError: both a configuration and keywords.

        Example:
            >>> ml.validate_execution_configuration(datasets=[f"{dataset_rid}@9.0.0"]).is_valid
            False
        """
        from deriva_ml_core.errors import DerivaMLValidationError
        from deriva_ml_core.executions.configuration import as_configuration
        from deriva_ml_core.executions.validation import ConfigurationReport, check

        try:
            asked = as_configuration(configuration, workflow=workflow, datasets=datasets, assets=assets)
        except DerivaMLValidationError as err:  # entries that name nothing at all
            return ConfigurationReport(tuple(err.problems))
        return check(self.session, asked)

    def audit_provenance(self) -> ProvenanceAudit:
        """What the catalog can't account for: see `analysis.audit.audit_provenance`.

        Example:
            >>> {finding.gap for finding in ml.audit_provenance().findings} <= {"no producer", "no end", "no code"}
            True
        """
        from deriva_ml_core.analysis.audit import audit_provenance

        return audit_provenance(self.session)
