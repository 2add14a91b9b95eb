"""
load_folder: a folder of files, with a CSV of labels or without, becomes assets and a dataset of them.

All is read and checked before the first write. What the catalog has already (same name and content) is not sent again:
the call that was interrupted is finished by the same call, and a call that has nothing to do writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.assets.progress import ProgressCallback
from deriva_ml_core.connection.own_work import OwnWork
from deriva_ml_core.datasets.labelled_files import DESCRIPTION, LabelledFile, LabelledFiles, read_labelled_files
from deriva_ml_core.datasets.names import names_of
from deriva_ml_core.errors import DerivaMLNotFoundError, DerivaMLTableNotFound, DerivaMLValidationError

if TYPE_CHECKING:
    from deriva_ml_core.catalog.model import Table
    from deriva_ml_core.connection.handle import DerivaML
    from deriva_ml_core.datasets.dataset import Dataset
    from deriva_ml_core.executions.execution import Execution

Names = str | Iterable[str]
_SCHEMA = "data"  # where a catalog has no schema of the project's yet
_KEY = ("MD5", "Filename")
_WORK = OwnWork("Load a folder", "Loads files and their labels", "Ingest", "Brings data into the catalog")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """
    What was loaded, or in a dry run would be.

    Attributes:
        dataset_rid, version: "" in a dry run that would make the dataset.
        columns: label column -> type. features: those whose values are terms, said by the execution.
        new_files: sent; the other ones were in the catalog.
    """

    table: str
    dataset_rid: str
    version: str
    files: int
    new_files: int
    size_bytes: int
    duplicates: int
    columns: Mapping[str, str]
    features: Sequence[str] = ()
    changed_labels: int = 0
    execution_rid: str | None = None
    skipped: Sequence[str] = field(default=())


def load_folder(
    ml: DerivaML,
    folder: str | Path,
    labels: str | Path | None = None,
    *,
    table: str | None = None,
    schema: str | None = None,
    dataset: str | None = None,
    file_column: str | None = None,
    pattern: str = "*",
    folder_label: str | None = None,
    follow_links: bool = False,
    features: Names = (),
    dataset_types: Names = (),
    description: str = "",
    skip_problems: bool = False,
    update_labels: bool = False,
    workflow_type: str = _WORK.workflow_type,
    dry_run: bool = False,
    transfer: AbstractContextManager[ProgressCallback | None] | None = None,
) -> LoadResult:
    """
    Load files and their labels.

    Args:
        labels, file_column, pattern, folder_label, follow_links: see read_labelled_files.
        table: the asset table, made if it is not there: by default Image where all files are images, else Data_File.
        schema: where to make it; the catalog's own, or `data`.
        dataset: the RID of a dataset to add to; by default the one of this description, made if there is none.
        features: label columns whose values become terms of a vocabulary, and are said as a feature of each file by
            the execution, beside being a column.
        description: of the dataset; "<table> files of <folder>" by default.
        skip_problems: load what is right and leave out the rest.
        update_labels: files that the catalog has with other labels get these.
        workflow_type: of the execution that loads; another than Ingest must be a term of Workflow_Type.
        transfer: gives the callback that hears of the upload.

    Raises:
        DerivaMLValidationError: something is wrong with a file, a row or the table; each is named, nothing was written.
        DerivaMLDatasetNotFound, DerivaMLInvalidTerm: no such dataset, no such term of Dataset_Type or Workflow_Type.
    """
    _WORK.require_type(ml, workflow_type)
    root = Path(folder).expanduser().absolute()
    csv_file = None if labels is None else Path(labels).expanduser().absolute()
    source = read_labelled_files(
        root,
        csv_file,
        file_column=file_column,
        pattern=pattern,
        folder_label=folder_label,
        follow_links=follow_links,
    )
    if source.problems and not (skip_problems and source.files):
        raise DerivaMLValidationError(f"{root} can't be loaded", list(source.problems))
    name = table or _table_for(source.files)
    load = _Load(
        ml,
        source,
        table=name,
        schema=schema,
        features=names_of(features),
        types=names_of(dataset_types),
        description=description or f"{name} files of {root.name}",
        dataset=dataset,
        update_labels=update_labels,
    )
    if dry_run:
        return load.result()
    return load.run(workflow_type, transfer or nullcontext(None))


class _Load:
    def __init__(
        self,
        ml: DerivaML,
        source: LabelledFiles,
        *,
        table: str,
        schema: str | None,
        features: Sequence[str],
        types: Sequence[str],
        description: str,
        dataset: str | None,
        update_labels: bool,
    ) -> None:
        self._ml, self._source, self._name, self._schema = ml, source, table, schema
        self._features, self._types, self._description = features, types, description
        self._columns = {name: kind for name, kind in source.columns.items() if name != DESCRIPTION}
        ml.session.vocabularies.lookup_all(ml.session.model.ml_table("Dataset_Type"), types)
        self._table = self._find_table()
        self._require_names()
        self._dataset = ml.lookup_dataset(dataset) if dataset else self._named_dataset()
        self._rids: dict[tuple[str, str], str] = {}
        self._changed: list[dict[str, Any]] = []
        self._look(update_labels)

    # --- looking ---

    def _find_table(self) -> Table | None:
        """The table, if it is there, fits, and has all columns."""
        try:
            found = self._ml.session.model.asset_table(f"{self._schema}:{self._name}" if self._schema else self._name)
        except DerivaMLTableNotFound:
            return None
        if lacking := [name for name in self._columns if name not in found.columns]:
            own = [name for name in found.columns if name not in ("RID", "RCT", "RMT", "RCB", "RMB")]
            raise DerivaMLValidationError(
                f"table {found.name} has no column {', '.join(lacking)} (it has {', '.join(own)}): "
                "choose another table, or rename the columns of the CSV"
            )
        return found

    def _require_names(self) -> None:
        """What will be made can be called so, and a feature's vocabulary is none of the other tables."""
        from deriva_ml_core.schema.tables import require_name

        if self._table is None:
            require_name("table", self._name)
            for column in self._columns:
                require_name("column", column)
        if unknown := [name for name in self._features if name not in self._columns]:
            raise DerivaMLValidationError(
                f"no label column {', '.join(unknown)} to make a feature of; there are {', '.join(self._columns)}"
            )
        model = self._ml.session.model
        for feature in self._features:
            name = _vocabulary(feature)
            if name == self._name or (model.has_table(name) and not model.table(name).is_vocabulary):
                raise DerivaMLValidationError(
                    f"feature {feature} needs a vocabulary {name}, and there is a table of that name that is none: "
                    "rename the column of the CSV"
                )

    def _named_dataset(self) -> Dataset | None:
        same = (one for one in self._ml.find_datasets() if one.description == self._description)
        return next(same, None)

    def _look(self, update_labels: bool) -> None:
        """What the catalog has already: the same name and content."""
        from deriva_ml_core.catalog import rows

        if self._table is None:
            return
        self._check_values(self._table)
        files = {(file.md5, file.name): file for file in self._source.files}
        wrong: list[str] = []
        for row in rows.select(self._ml.session, self._table, columns=("RID", *_KEY, *self._columns)):
            file = files.get((row["MD5"], row["Filename"]))
            if file is None:
                continue
            self._rids[row["MD5"], row["Filename"]] = row["RID"]
            other = {name: value for name, value in file.labels.items() if name in row and row[name] != value}
            if other:
                self._changed.append({"RID": row["RID"], **other})
                wrong += [f"{file.relative} ({row['RID']}): {n} is {row[n]!r}, now {v!r}" for n, v in other.items()]
        if wrong and not update_labels:
            raise DerivaMLValidationError("the catalog has files with other labels; update_labels writes these", wrong)

    def _check_values(self, table: Table) -> None:
        """Whether the labels fit into columns that were there before."""
        from deriva_ml_core.assets.tables import AssetTables

        tables, wrong = AssetTables(self._ml.session), list[str]()
        for file in self._source.files:
            try:
                tables.check_columns(table, _labels(file))
            except DerivaMLValidationError as err:
                wrong += [f"{file.relative}: {problem}" for problem in err.problems]
        if wrong:
            raise DerivaMLValidationError(f"labels do not fit into table {table.name}", wrong)

    @property
    def _new(self) -> list[LabelledFile]:
        return [file for file in self._source.files if (file.md5, file.name) not in self._rids]

    def result(self, execution_rid: str | None = None, *, new: int | None = None) -> LoadResult:
        """As it is now."""
        version = self._dataset.current_version if self._dataset else None
        return LoadResult(
            table=self._name if self._table is None else self._table.name,
            dataset_rid=self._dataset.dataset_rid if self._dataset else "",
            version=str(version or ""),
            files=len(self._source.files),
            new_files=len(self._new) if new is None else new,
            size_bytes=self._source.size_bytes,
            duplicates=self._source.duplicates,
            columns=self._columns,
            features=self._features,
            changed_labels=len(self._changed),
            execution_rid=execution_rid,
            skipped=self._source.problems,
        )

    # --- writing ---

    def run(self, workflow_type: str, transfer: AbstractContextManager[ProgressCallback | None]) -> LoadResult:
        new = self._new
        table = self._make_table()
        missing = self._missing_members()
        values = self._missing_values(table)
        if not (new or missing or values or self._changed):
            return self.result(new=0)
        if self._changed:
            from deriva_ml_core.catalog import rows

            for columns in {tuple(sorted(row)) for row in self._changed}:  # an update has the same columns in each row
                some = [row for row in self._changed if tuple(sorted(row)) == columns]
                rows.update(self._ml.session, table, some)
        execution = _WORK.execution(self._ml, workflow_type, self._description)
        with execution:
            for number, file in enumerate(new):
                self._stage(execution, table, file, number)
        with transfer as progress:
            execution.commit_output_assets(progress_callback=progress)
        self._learn(table)
        self._add_values(execution, table)
        self._fill_dataset(execution, table)
        return self.result(execution.execution_rid, new=len(new))

    def _make_table(self) -> Table:
        from deriva_ml_core.schema.elements import ColumnDef

        model = self._ml.session.model
        if self._table is None:
            place = self._schema or model.default_schema or _SCHEMA
            self._ml.create_domain_schema(place)
            columns = [ColumnDef(name, kind) for name, kind in self._columns.items()]
            self._table = self._ml.create_asset(self._name, columns, schema=place)
        self._ml.add_dataset_element_type(self._table)
        for feature in self._features:
            self._make_feature(feature, self._table)
        return self._table

    def _make_feature(self, name: str, table: Table) -> None:
        vocabulary = _vocabulary(name)
        try:
            self._ml.lookup_feature(table, name)
        except DerivaMLNotFoundError:
            if not self._ml.session.model.has_table(vocabulary):
                self._ml.create_vocabulary(vocabulary, f"Values of {name}", schema=table.schema)
            self._ml.create_feature(table, name, terms=[vocabulary], comment=f"{name} of a file, as its loader said")

    def _stage(self, execution: Execution, table: Table, file: LabelledFile, number: int) -> None:
        execution.asset_file_path(
            str(table),
            file.path,
            rename_file=f"{number // 1000}/{number}/{file.name}",  # two folders may have files of one name
            description=file.labels.get(DESCRIPTION),
            **_labels(file),
        )

    def _learn(self, table: Table) -> None:
        from deriva_ml_core.catalog import rows

        wanted = {(file.md5, file.name) for file in self._new}
        for row in rows.select(self._ml.session, table, columns=("RID", *_KEY)) if wanted else ():
            if (row["MD5"], row["Filename"]) in wanted:
                self._rids[row["MD5"], row["Filename"]] = row["RID"]

    def _rid(self, file: LabelledFile) -> str | None:
        return self._rids.get((file.md5, file.name))

    # --- features and members ---

    def _missing_values(self, table: Table) -> list[Any]:
        """Records of features that the catalog lacks, of files that it has."""
        found: list[Any] = []
        for name in self._features:
            said = {
                (one.target_rid, getattr(one, self._term_column(table, name)))
                for one in self._ml.list_feature_values(table, name)
            }
            record = self._ml.feature_record_class(table, name)
            for file in self._source.files:
                rid, value = self._rid(file), file.labels.get(name)
                if rid is not None and value is not None and (rid, str(value)) not in said:
                    found.append(record(**{table.name: rid, self._term_column(table, name): str(value)}))
        return found

    def _term_column(self, table: Table, feature: str) -> str:
        return self._ml.lookup_feature(table, feature).term_columns[0].name

    def _add_values(self, execution: Execution, table: Table) -> None:
        for name in self._features:
            column = self._term_column(table, name)
            vocabulary = self._ml.session.model.table((table.schema, column))
            there = self._ml.session.vocabularies.terms(vocabulary)
            values = {str(file.labels[name]) for file in self._source.files if name in file.labels}
            for value in sorted(values - there.keys()):
                self._ml.add_term(vocabulary, value, f"{name} {value}")
        records = self._missing_values(table)
        if records:
            execution.add_features(records)

    def _missing_members(self) -> list[str]:
        if self._dataset is None:
            return [""]
        rids = {rid for file in self._source.files if (rid := self._rid(file))}
        members = self._dataset.list_dataset_members().get(self._name, [])
        return sorted(rids - {row["RID"] for row in members})

    def _fill_dataset(self, execution: Execution, table: Table) -> None:
        if self._dataset is None:
            self._dataset = execution.create_dataset(self._types, description=self._description)
        if rids := self._missing_members():
            self._dataset.add_dataset_members({table.name: rids}, execution_rid=execution.execution_rid)
        elif self._changed:
            self._dataset.increment_dataset_version("patch", "labels changed", execution.execution_rid)


def _table_for(files: Sequence[LabelledFile]) -> str:
    kinds = (guess_type(file.name)[0] or "" for file in files)
    return "Image" if all(kind.startswith("image/") for kind in kinds) else "Data_File"


def _vocabulary(feature: str) -> str:
    """The table of a feature's terms."""
    return feature.replace(" ", "_")


def _labels(file: LabelledFile) -> dict[str, Any]:
    """Its labels, without what is a property of every asset."""
    return {name: value for name, value in file.labels.items() if name != DESCRIPTION}
