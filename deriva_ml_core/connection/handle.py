"""DerivaML itself: where it is connected to, and its folders."""

from __future__ import annotations

import atexit
import copy
import logging
import os
import weakref
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from deriva_ml_core.connection.data import DataMethods
from deriva_ml_core.connection.features import FeatureMethods
from deriva_ml_core.connection.presenting import PresentingMethods
from deriva_ml_core.connection.review import ReviewMethods
from deriva_ml_core.connection.runs import RunMethods, close_at_exit
from deriva_ml_core.connection.storage import StorageMethods
from deriva_ml_core.connection.tables import TableMethods
from deriva_ml_core.errors import DerivaMLConfigurationError, DerivaMLException
from deriva_ml_core.plugins import PluginChoice, Plugins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.config.connection_config import FailureUploads
    from deriva_ml_core.connection.local import LocalConnection

LOCAL = "local"
CONTEXT_FILE = ".deriva-context.json"


class DerivaML(TableMethods, DataMethods, FeatureMethods, RunMethods, ReviewMethods, StorageMethods, PresentingMethods):
    """
    A connection to one catalog, and a folder to work in. Use it as a context manager, or close it.

    Making one connects: host, catalog, login and schemas are proved by one request.

    Args:
        hostname: a Deriva server, or "local" for the embedded catalog.
        catalog_id: number or alias; "N@SNAPSHOT" reads a snapshot.
        domain_schemas, default_schema: the project's own; the catalog is asked where None.
        cache_dir: `cache` in the working folder where None.
        working_dir: used as given; `~/.deriva-ml/<hostname>/<catalog_id>` where None.
        credential: deriva's form; deriva's own stored login where None.
        clean_execution_dir: remove an execution's files once all of them are in the catalog.
        upload_on_failure: what of a failed execution goes into the catalog at once: "metadata", "all", "nothing".
        plugins: modules that this connection needs as plugins, or a mapping with `load` and `block`.
        check_auth: kept for projects of the 1.2 generation; the login is always checked.

    Raises:
        DerivaMLNotFoundError: no such host or catalog. CatalogUnreachable: no answer.
        DerivaMLAuthenticationError: names the command to log in. DerivaMLSchemaError: no such schema.

    Example:
        >>> with DerivaML("local", "digits") as connection:
        ...     connection.lookup_dataset(dataset_rid).description
        'Ten digits'
    """

    def __init__(  # noqa: PLR0917  # the signature of the 1.2 generation
        self,
        hostname: str,
        catalog_id: str | int = 1,
        domain_schemas: str | Iterable[str] | None = None,
        default_schema: str | None = None,
        project_name: str | None = None,
        cache_dir: str | Path | None = None,
        working_dir: str | Path | None = None,
        hydra_runtime_output_dir: str | Path | None = None,
        ml_schema: str = "deriva-ml",
        logging_level: int | str = logging.WARNING,
        deriva_logging_level: int | str = logging.WARNING,
        credential: Mapping[str, str] | None = None,
        s3_bucket: str | None = None,
        use_minid: bool | None = None,
        check_auth: bool = True,
        clean_execution_dir: bool = True,
        mode: str = "online",
        upload_on_failure: FailureUploads = "metadata",
        plugins: Any = None,
    ) -> None:
        if str(mode) != "online":
            raise DerivaMLConfigurationError("mode=offline is not supported: connect online, or use a downloaded bag")
        self.project_name = project_name
        self.working_dir = _working_dir(working_dir, hostname, catalog_id)
        self._cache_dir = Path(cache_dir).expanduser().absolute() if cache_dir else self.working_dir / "cache"
        self.hydra_runtime_output_dir = Path(hydra_runtime_output_dir) if hydra_runtime_output_dir else None
        self.clean_execution_dir = clean_execution_dir
        self.upload_on_failure: FailureUploads = upload_on_failure
        self.s3_bucket, self.use_minid = s3_bucket, bool(s3_bucket) and use_minid is not False
        self._executions = weakref.WeakSet()
        self._local: LocalConnection | None = None
        _set_levels(logging_level, deriva_logging_level)
        del check_auth
        options = {
            "plugins": Plugins(PluginChoice.of(plugins)),
            "ml_schema": ml_schema,
            "domain_schemas": (domain_schemas,) if isinstance(domain_schemas, str) else domain_schemas,
            "default_schema": default_schema,
        }
        self._session: CatalogSession = self._connect(hostname, catalog_id, credential, options)
        atexit.register(close_at_exit, weakref.ref(self), os.getpid())

    def _connect(
        self, hostname: str, catalog_id: str | int, credential: Mapping[str, str] | None, options: dict[str, Any]
    ) -> CatalogSession:
        if hostname == LOCAL:
            from deriva_ml_core.connection.local import connect_local

            self._local = connect_local(catalog_id, **options)
            return self._local.session
        from deriva_ml_core.catalog.session import CatalogSession

        return CatalogSession.connect(hostname, catalog_id, credential=credential, **options)

    @classmethod
    def instantiate(cls, config: Any) -> Self:
        """
        Connect as a DerivaMLConfig says (or a mapping with its fields).

        Fields of a subclass of DerivaMLConfig go to the constructor of the subclass of DerivaML beside it.
        """
        if hasattr(type(config), "model_fields"):
            fields = {name: getattr(config, name) for name in type(config).model_fields}
        else:
            from deriva_ml_core.config.connection_config import DerivaMLConfig

            checked = DerivaMLConfig.model_validate(dict(config))
            fields = {name: getattr(checked, name) for name in DerivaMLConfig.model_fields}
        if PluginChoice.of(fields.get("plugins")) == PluginChoice():
            fields.pop("plugins", None)  # a subclass whose constructor is older than plugins
        return cls(**fields)

    @classmethod
    def from_context(cls, path: str | Path | None = None) -> Self:
        """
        Connect as the nearest .deriva-context.json says, from this folder upwards.

        Raises:
            DerivaMLConfigurationError: there is none, or it can't be read.
        """
        from deriva_ml_core.connection.context import read_context

        context = read_context(Path(path) if path else Path.cwd())
        if context is None:
            raise DerivaMLConfigurationError(f"no {CONTEXT_FILE} in {path or Path.cwd()} or above")
        return cls(**context)

    # --- what it is ---------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hostname!r}, {self.catalog_id!r})"

    @property
    def session(self) -> CatalogSession:
        """The session below everything else."""
        return self._session

    @property
    def hostname(self) -> str:
        """As the user named the server."""
        return self._session.hostname

    host_name = hostname

    @property
    def catalog_id(self) -> str:
        """Number or alias of the catalog."""
        return self._session.catalog_id

    @property
    def cache_dir(self) -> Path:
        """Where bags and assets are kept by content."""
        return self._cache_dir

    @property
    def ml_schema(self) -> str:
        """Name of the schema that holds executions and datasets."""
        return self._session.model.ml_schema

    @property
    def plugins(self) -> Plugins:
        """The plugins of this connection."""
        return self._session.plugins

    # --- deriva's own objects -----------------------------------------------------------------------------------

    @property
    def catalog(self) -> Any:
        """Deriva's ErmrestCatalog (ErmrestSnapshot) for this catalog."""
        return self._session.ermrest

    @property
    def model(self) -> Any:
        """Deriva's own Model of this catalog, as it is now."""
        return self._session.deriva_model()

    def pathBuilder(self) -> Any:  # noqa: N802  # deriva's name
        """Deriva's path builder for this catalog."""
        return self._session.path_builder()

    def domain_path(self, schema: str | None = None) -> Any:
        """Deriva's path builder for a schema of the project's."""
        return self.pathBuilder().schemas[self._schema_for_new(schema)]

    # --- snapshots and names ------------------------------------------------------------------------------------

    def is_snapshot(self) -> bool:
        """Whether this reads a snapshot."""
        return self._session.snapshot_id is not None

    def catalog_snapshot(self, version_snapshot: str) -> Self:
        """The same connection, reading the catalog as it was at a snapshot ("SNAPSHOT" or "CATALOG@SNAPSHOT")."""
        at = copy.copy(self)
        at._session = self._session.at(version_snapshot.rpartition("@")[2])  # noqa: SLF001  # our own copy
        at._executions = weakref.WeakSet()  # noqa: SLF001
        at._local = None  # noqa: SLF001  # the connection that was copied ends it
        return at

    def with_plugins_of(self, choice: PluginChoice) -> Self:
        """The same connection with what a run's configuration said about plugins, too: to finish that run."""
        wanted = choice | self.plugins.choice
        if wanted == self.plugins.choice:
            return self
        other = copy.copy(self)
        other._session = self._session.with_plugins(Plugins(wanted))  # noqa: SLF001  # our own copy
        other._local = None  # noqa: SLF001  # the connection that was copied ends it
        return other

    def cite(self, entity: str | Mapping[str, Any], current: bool = False) -> str:
        """
        A link to a row: as it is now for ever (its snapshot in the link), or with `current` as it will be.

        Raises:
            DerivaMLNotFoundError: no such row.
        """
        rid = entity if isinstance(entity, str) else str(entity["RID"])
        if not rid.startswith(("http://", "https://")):
            rid = self.resolve_rid(rid).rid
        session = self._session
        if current or self.is_snapshot():
            return session.record_url(rid)
        return session.at(session.latest_snaptime()).record_url(rid)

    def user_list(self) -> list[dict[str, str]]:
        """The users that the catalog knows: ID and Full_Name."""
        from deriva_ml_core.catalog import rows

        found = rows.select(self._session, ("public", "ERMrest_Client"), columns=["ID", "Full_Name"])
        return [{"ID": row["ID"], "Full_Name": row["Full_Name"]} for row in found]

    @staticmethod
    def globus_login(host: str) -> None:
        """
        Say how to log in: deriva's own command does it, and this library uses the login that it keeps.

        Raises:
            DerivaMLException: always.
        """
        raise DerivaMLException(f"log in with: deriva-globus-auth-utils login --host {host}")

    # --- the end ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End every connection; executions that were never stopped are recorded as Aborted. May be called twice."""
        self._close_executions("the connection was closed before the execution was stopped")
        self._session.close()
        local, self._local = self._local, None
        if local is not None:
            local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _working_dir(working_dir: str | Path | None, hostname: str, catalog_id: str | int) -> Path:
    if working_dir is not None:
        return Path(working_dir).expanduser().absolute()
    from deriva_ml_core.config.working_folder import default_working_folder

    return default_working_folder(hostname, catalog_id)


def _set_levels(ours: int | str, derivas: int | str) -> None:
    """
    How much is logged; where and how is the application's choice, no handler is touched.

    An application that logs every step (`--debug`) is not made quieter.
    """
    if logging.getLogger().level == logging.DEBUG:
        return
    levels = {"deriva_ml_core": ours, "deriva_ml": ours, "deriva": derivas}
    levels["urllib3.connectionpool"] = logging.ERROR  # one line for each repeat of a request; catalog/http.py says it
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
