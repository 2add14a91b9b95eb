"""DerivaMLConfig: where to connect and where to keep files, as a value that Hydra can build."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from deriva_ml_core.config.working_folder import DEFAULT_CATALOG_ID, default_working_folder
from deriva_ml_core.plugins import PluginChoice

FailureUploads = Literal["metadata", "all", "nothing"]


class DerivaMLConfig(BaseModel):
    """The connection of a project: which host and catalog, which schemas, which folders.

    Building it connects to nothing; `DerivaML.instantiate(config)` does. Subclass it, together with a subclass of
    DerivaML, for a project's own settings.

    Attributes:
        hostname: a Deriva server, or "local" for the embedded catalog.
        catalog_id: number, alias or name of the catalog; `5@2Z-ABCD-…` is a snapshot of catalog 5.
        domain_schemas: the project's own schemas; None asks the catalog.
        default_schema: the schema in which tables are looked up by bare name.
        project_name: for the project's own use; deriva-ml only keeps it.
        working_dir: used as given; without one `~/.deriva-ml/<hostname>/<catalog_id>`.
        cache_dir: None is `cache` in the working folder.
        hydra_runtime_output_dir: Hydra's output folder of this job; known by itself under Hydra.
        ml_schema: the schema with deriva-ml's tables.
        logging_level: the least level of deriva-ml's own messages, by name or number (30 is WARNING).
        deriva_logging_level: the same of the deriva client's.
        credential: never printed and never serialized to JSON; None uses deriva's own login.
        s3_bucket: where `download_dataset_bag(..., use_minid=True)` stores bags: s3://BUCKET or s3://BUCKET/PREFIX.
        use_minid: with an s3_bucket, whether the connection's own `download_dataset_bag` does so too; runs never do.
        clean_execution_dir: remove an execution's folder once all of it is in the catalog.
        upload_on_failure: what of a run that failed or was stopped goes into the catalog at once: "metadata" (its log,
            traceback, metrics), "all" that it has staged, or "nothing"; the rest waits on disk for a later command.
        mode: accepted from projects of the newer generation; every connection is online.
        plugins: `load`: modules and names of plugins that a run needs; `block`: names of those that are not loaded. A
            list is what to load.
        check_auth: kept for projects of the 1.2 generation; the login is always checked.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    hostname: str = Field(min_length=1)
    catalog_id: str | int = DEFAULT_CATALOG_ID
    domain_schemas: str | list[str] | set[str] | None = None
    default_schema: str | None = None
    project_name: str | None = None
    cache_dir: Path | None = None
    working_dir: Path | None = None
    hydra_runtime_output_dir: Path | None = None
    ml_schema: str = "deriva-ml"
    logging_level: int | str = logging.WARNING
    deriva_logging_level: int | str = logging.WARNING
    credential: Any = Field(default=None, repr=False)
    s3_bucket: str | None = None
    use_minid: bool | None = None
    check_auth: bool = True
    clean_execution_dir: bool = True
    upload_on_failure: FailureUploads = "metadata"
    mode: Literal["online", "offline"] = "online"
    plugins: dict[str, list[str]] = Field(default={"load": [], "block": []})

    @field_validator("plugins", mode="before")
    @classmethod
    def _both_keys(cls, value: Any) -> Any:
        choice = PluginChoice.of(value)
        return {"load": list(choice.load), "block": list(choice.block)}

    @field_validator("cache_dir", "working_dir", "hydra_runtime_output_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @model_validator(mode="after")
    def _fill(self) -> Self:
        if self.working_dir is None:
            self.working_dir = default_working_folder(self.hostname, self.catalog_id)
        if self.hydra_runtime_output_dir is None:
            self.hydra_runtime_output_dir = _hydra_output_folder()
        self.use_minid = bool(self.s3_bucket) and self.use_minid is not False
        return self

    @field_serializer("credential", when_used="json")
    def _hide(self, credential: Any) -> str | None:
        return None if credential is None else "**********"


def _hydra_output_folder() -> Path | None:
    """Hydra's folder for the running job; None where Hydra isn't running (it is not imported to find out)."""
    module = sys.modules.get("hydra.core.hydra_config")
    if module is None or not module.HydraConfig.initialized():
        return None
    folder = module.HydraConfig.get().runtime.get("output_dir")
    return Path(folder) if folder and folder != "???" else None
