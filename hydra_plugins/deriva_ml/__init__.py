"""How Hydra finds deriva-ml. Hydra executes this module anew in every process, so all code lies elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper


class DerivaMLSearchPathPlugin(SearchPathPlugin):
    """Adds deriva-ml's callback and launchers to Hydra's configuration; asked when a Hydra application starts."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:  # noqa: ARG002  # Hydra's signature
        """The search path stays what it is."""
        from deriva_ml_hydra_plugins.registration import register_callback, register_launchers

        register_callback()
        register_launchers()


class DerivaMLLauncher(Launcher):
    """Stands before the launcher that the user chose while a sweep is recorded (deriva_ml_hydra_plugins.launching)."""

    def setup(self, **given: Any) -> None:
        """Set up the chosen launcher."""
        from deriva_ml_hydra_plugins.launching import RecordedLauncher

        self.recorded = RecordedLauncher(**given)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch a batch of jobs."""
        return self.recorded.launch(job_overrides, initial_job_idx)


class DerivaMLSweeper(Sweeper):
    """Stands before the sweeper that the user chose while a sweep is recorded (deriva_ml_hydra_plugins.sweeping)."""

    def setup(self, **given: Any) -> None:
        """Set up the chosen sweeper."""
        from deriva_ml_hydra_plugins.sweeping import RecordedSweeper

        self.recorded = RecordedSweeper(**given)

    def sweep(self, arguments: list[str]) -> Any:
        """Sweep."""
        return self.recorded.sweep(arguments)
