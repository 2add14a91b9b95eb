"""One Hydra application: compose a configuration, show it, or run a task with it once or in a sweep.

`hydra.main` prints errors and leaves the process by itself, composes twice before a single run and names every
hydra-zen job `_implementations`. The same steps are taken here by Hydra's own objects, so that errors arrive as
exceptions (translated to one line, translation.py) and callers decide what is printed. What Hydra promises to plugins
and callbacks (order of hooks, output folders, saved configuration, job runtime) is unchanged and pinned by tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, read_write

from deriva_ml_core.config.hydra_folders import OutputFolder, is_default_folder
from deriva_ml_core.config.quoting import quote
from deriva_ml_core.config.translation import hydra_errors
from deriva_ml_core.errors import is_refusal, nearest

Task = Callable[[DictConfig], Any]


class Application:
    """A configuration name and a job name, inside Hydra's global state while it is used as a context manager.

    Args:
        config_name: of the top-level configuration.
        job_name: `hydra.job.name`, also the name of SLURM jobs and of the log file.
        search_path: a folder or `pkg://` with YAML files of the project, or None.
    """

    def __init__(
        self, config_name: str, *, job_name: str, version_base: str | None = "1.3", search_path: str | None = None
    ) -> None:
        self.config_name, self.job_name = config_name, job_name
        self._version_base = version_base
        self._search_path = search_path
        self.choices: dict[str, str] = {}
        self._hydra: Hydra | None = None

    def __enter__(self) -> Self:
        version.setbase(self._version_base)
        GlobalHydra.instance().clear()
        with hydra_errors(self.config_name):
            self._hydra = Hydra.create_main_hydra2(self.job_name, create_config_search_path(self._search_path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        self._hydra = None

    @property
    def hydra(self) -> Hydra:
        """Hydra's own object.

        Raises:
            RuntimeError: outside of the `with` block.
        """
        if self._hydra is None:
            raise RuntimeError("use the Application in a with block")
        return self._hydra

    def compose(self, overrides: Sequence[str], *, sweep: bool = False) -> DictConfig:
        """The composed configuration, `hydra` node included.

        Args:
            sweep: overrides may hold sweeps; these are then left out, as each job brings its own value.

        Raises:
            DerivaMLConfigurationError: Hydra refuses.
        """
        mode = RunMode.MULTIRUN if sweep else RunMode.RUN
        with hydra_errors(self.config_name, self._near(overrides)):
            composed = self.hydra.compose_config(self.config_name, list(overrides), run_mode=mode)
        self.choices = {group: str(option) for group, option in composed.hydra.runtime.choices.items()}
        return composed

    def build(self, composed: DictConfig, instantiate: Callable[[Any], Any]) -> Any:
        """Instantiate a composed configuration without its `hydra` node.

        Raises:
            DerivaMLConfigurationError: a value is missing, or its class refuses it.
        """
        with hydra_errors(self.config_name):
            return instantiate(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]))

    def run(self, task: Task, overrides: Sequence[str]) -> Any:
        """Run the task once, with Hydra's callbacks, output folder and logging.

        Returns:
            What the task returns.

        Raises:
            DerivaMLConfigurationError: Hydra refuses the configuration.
            Exception: whatever the task raises.
        """
        return self.run_composed(task, self.compose(overrides))

    def run_composed(self, task: Task, composed: DictConfig) -> Any:
        """Run the task once with a configuration that `compose` made.

        A dry run, and a run that is refused because its input is wrong, leave no output folder behind.
        """
        if composed.hydra.mode is None:
            composed.hydra.mode = RunMode.RUN
        callbacks = Callbacks(composed)
        callbacks.on_run_start(config=composed, config_name=self.config_name)
        folder = self.output_folder(composed)
        with hydra_errors(self.config_name), _taken_back_if_unusable(folder):
            result = run_job(
                hydra_context=HydraContext(config_loader=self.hydra.config_loader, callbacks=callbacks),
                task_function=task,
                config=composed,
                job_dir_key="hydra.run.dir",
                job_subdir_key=None,
            )
        callbacks.on_run_end(config=composed, config_name=self.config_name, job_return=result)
        # Not result.return_value: it writes to stderr before it raises, and one line is what a user should see.
        value = result._return_value  # noqa: SLF001
        failed = result.status is JobStatus.FAILED
        if composed.get("dry_run") is True or (failed and is_refusal(value)):
            folder.take_back()
        if failed:
            raise value
        return value

    def output_folder(self, composed: DictConfig) -> OutputFolder:
        """The folder of a run, claimed for it where it is our default one; `hydra.run.dir` names it from now on."""
        with hydra_errors(self.config_name):
            HydraConfig.instance().set_config(composed)  # `${hydra:…}` in the folder's name
            ours = is_default_folder(composed.hydra.run)
            folder = OutputFolder(Path(composed.hydra.run.dir).absolute(), claim=ours)
            if ours:
                with read_write(composed.hydra):
                    composed.hydra.run.dir = str(folder.path)
            return folder

    def keep(self, composed: DictConfig) -> OutputFolder:
        """Write what Hydra writes of a run, for one that starts elsewhere: in a notebook's kernel.

        Raises:
            WorkingFolderError: the folder can't be written.
        """
        folder = self.output_folder(composed)
        with hydra_errors(self.config_name), _taken_back_if_unusable(folder):
            files = folder.path / str(composed.hydra.output_subdir or "")
            files.mkdir(parents=True, exist_ok=True)
            own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
            OmegaConf.save(own, files / "config.yaml")
            OmegaConf.save(OmegaConf.masked_copy(composed, "hydra"), files / "hydra.yaml")
            OmegaConf.save(composed.hydra.overrides.task, files / "overrides.yaml")
        return folder

    def sweep(self, task: Task, overrides: Sequence[str]) -> Any:
        """Run the task for each job of a sweep, with the configured sweeper and launcher.

        Raises:
            DerivaMLConfigurationError: Hydra refuses the configuration.
            Exception: that of the first job that failed.
        """
        folder = self._sweep_folder(self.compose(overrides, sweep=True))
        with hydra_errors(self.config_name, self._near(overrides)):
            return self.hydra.multirun(self.config_name, task, [*folder, *overrides])

    def _sweep_folder(self, composed: DictConfig) -> list[str]:
        """The override that gives a sweep a folder of its own; none where the project or the user names one."""
        if not is_default_folder(composed.hydra.sweep):
            return []
        with hydra_errors(self.config_name):
            HydraConfig.instance().set_config(composed)
            folder = OutputFolder(Path(composed.hydra.sweep.dir).absolute(), claim=True)
        return [f"hydra.sweep.dir={quote(str(folder.path))}"]

    def _near(self, overrides: Sequence[str]) -> Callable[[str], str]:
        """Suggest keys for one that the configuration does not have; only asked for when Hydra has refused."""

        def near(key: str) -> str:
            parent, _, last = key.rpartition(".")
            others = [text for text in overrides if key_of(text) != key]
            try:
                composed = self.hydra.compose_config(self.config_name, others, run_mode=RunMode.MULTIRUN)
            except Exception:  # noqa: BLE001  a second fault in the same command: the first is reported without a hint
                return ""
            node = OmegaConf.select(composed, parent) if parent else composed
            if not isinstance(node, DictConfig):
                return ""
            return nearest(last, [str(name) for name in node if name != "hydra"])

        return near

    def show(self, overrides: Sequence[str], kind: str, *, package: str | None, resolve: bool) -> None:
        """Print the composed configuration as YAML: kind is job, hydra or all."""
        with hydra_errors(self.config_name, self._near(overrides)):
            self.hydra.show_cfg(self.config_name, list(overrides), kind, package, resolve)

    def info(self, overrides: Sequence[str], topic: str) -> None:
        """Print what Hydra knows about itself: topic is one of `--info`'s."""
        with hydra_errors(self.config_name, self._near(overrides)):
            self.hydra.show_info(topic, self.config_name, list(overrides))

    def hydra_help(self, overrides: Sequence[str]) -> None:
        """Print Hydra's help."""
        parser = get_args_parser()
        with hydra_errors(self.config_name, self._near(overrides)):
            self.hydra.hydra_help(self.config_name, parser, parser.parse_args(list(overrides)))

    def shell_completion(self, overrides: Sequence[str]) -> None:
        """Install, remove or answer shell completion: overrides are install=SHELL, uninstall=SHELL or query=SHELL."""
        with hydra_errors(self.config_name, self._near(overrides)):
            self.hydra.shell_completion(self.config_name, list(overrides))


@contextmanager
def _taken_back_if_unusable(folder: OutputFolder) -> Iterator[None]:
    """What is raised inside is Hydra's: a job's own error comes back in its result. A full disk gives no path."""
    try:
        yield
    except OSError as err:
        err.filename = err.filename or str(folder.path)
        folder.take_back()
        raise


def search_path_of(config_path: str | None) -> str | None:
    """A `--config-path` as Hydra wants it: a folder is taken from where the command runs."""
    if config_path is None or config_path.startswith("pkg://"):
        return config_path
    return str(Path(os.path.abspath(config_path)))  # noqa: PTH100  Path.absolute() keeps `..`


def key_of(override: str) -> str:
    """The key of an override, without its sign and package."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
