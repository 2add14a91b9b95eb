"""What Hydra knows of the job that runs, as a value; nothing is imported where Hydra isn't running."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deriva_ml_core.executions.redaction import Redactor


@dataclass(frozen=True, slots=True)
class HydraFacts:
    """
    One job of Hydra's.

    Args:
        choices: the chosen option of each group, those left open not among them.
        overrides: of the task, in their order.
        output_dir: the job's folder.
        config_subdir: Hydra's own files below it; None where Hydra was told to write none.
        job_number: in a sweep; None in a single run.
    """

    choices: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    output_dir: Path | None = None
    config_subdir: str | None = None
    job_number: int | None = None

    def described(self, description: str) -> str:
        """The description with the job's number and its overrides, so that the runs of a sweep can be told apart.

        It goes to the catalog, so a secret in it does not: neither by an override nor by an interpolation.
        """
        redactor = Redactor(os.environ)
        own = [override for override in self.overrides if override.partition("=")[0].lstrip("+") != "description"]
        own, description = redactor.document(own), redactor.prose(description)
        job = "" if self.job_number is None else f"[Job {self.job_number}]"
        overrides = f"[overrides: {', '.join(own)}]" if own else ""
        if "\n" in description:  # Markdown: a word before its heading, or after its table, would spoil it
            return "\n\n".join(part for part in (f"{job} {overrides}".strip(), description) if part)
        return " ".join(part for part in (job, description, overrides) if part)


def told_overrides(first_line: str) -> str:
    """The overrides that a description's first line tells (`HydraFacts.described`), as one text; "" where none."""
    found = re.match(r".*\[overrides: (.*)\]$", first_line)
    return found[1] if found else ""


def current_job() -> HydraFacts | None:
    """The job that Hydra runs in this process; None outside Hydra."""
    module = sys.modules.get("hydra.core.hydra_config")
    if module is None or not module.HydraConfig.initialized():
        return None
    hydra = module.HydraConfig.get()
    folder = hydra.runtime.get("output_dir")
    number = hydra.job.get("num")  # missing in a single run; the mode is not set in the jobs of every launcher
    return HydraFacts(
        choices={str(k): str(v) for k, v in hydra.runtime.choices.items() if v is not None},
        overrides=tuple(str(override) for override in hydra.overrides.task),
        output_dir=Path(folder) if folder and folder != "???" else None,
        config_subdir=hydra.output_subdir,
        job_number=None if number in (None, "???") else int(number),
    )
