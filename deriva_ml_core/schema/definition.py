"""
The deriva-ml schema, newer generation (1.54): every table, column, key and foreign key, in our own words.

The names and types are those of live catalogs (reference/deriva-ml-schema.json), and a test compares them fact by
fact; the comments and annotations are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deriva_ml_core.schema import annotations as shows
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.generations import ML_SCHEMA
from deriva_ml_core.schema.patterns import (
    asset_execution_link,
    asset_table,
    asset_type_link,
    foreign_key,
    link,
    vocabulary,
)

DEFAULT_CURIE_PREFIX = "deriva-ml"


@dataclass(frozen=True, slots=True)
class SchemaDef:
    """A whole schema."""

    name: str
    comment: str
    tables: tuple[TableDef, ...]

    def document(self) -> dict[str, Any]:
        """The document that ERMrest takes to create the schema and all its tables in one request."""
        return {
            "schema_name": self.name,
            "comment": self.comment,
            "annotations": {},
            "tables": {table.name: table.document(self.name) for table in self.tables},
        }


def ml_schema(*, curie_prefix: str = DEFAULT_CURIE_PREFIX) -> SchemaDef:
    """
    The definition.

    Args:
        curie_prefix: project name, which stands before the colon in the IDs of terms.
    """
    return SchemaDef(
        ML_SCHEMA,
        "What ran on this catalog's data: workflows, executions, datasets and the files they read and made",
        (*_vocabularies(curie_prefix), *_workflows(), *_executions(), *_datasets(), *_assets()),
    )


def _vocabularies(curie_prefix: str) -> tuple[TableDef, ...]:
    return (
        vocabulary("Asset_Type", "Kinds of content that a file can have", curie_prefix=curie_prefix),
        vocabulary("Asset_Role", "Whether an execution read or made a file", curie_prefix=curie_prefix),
        vocabulary("Execution_Status", "Stages in the life of an execution", curie_prefix=curie_prefix),
        # This one has the schema's own prefix in every catalog seen.
        vocabulary("Workflow_Type", "Kinds of work that a workflow does", curie_prefix="deriva-ml"),
        vocabulary("Dataset_Type", "What a dataset is for, or how it came about", curie_prefix=curie_prefix),
        vocabulary("Feature_Name", "Names of the features that this catalog records", curie_prefix=curie_prefix),
    )


def _workflows() -> tuple[TableDef, ...]:
    workflow = TableDef(
        "Workflow",
        comment="A program that can be run, at one state of its source",
        columns=(
            ColumnDef("Name", "text", True, None, "What people call it"),
            ColumnDef("Description", "markdown", True, None, "What it does"),
            ColumnDef("URL", "ermrest_uri", True, None, "The source file, at its commit"),
            ColumnDef("Checksum", "text", True, None, "Git's hash of the source file, or the digest of the container"),
            ColumnDef("Version", "text", True, None, "Version of the repository that holds it"),
        ),
        annotations={
            shows.TABLE_DISPLAY: shows.row_name("{{{Name}}}", newest_first=True),
            shows.VISIBLE_COLUMNS: shows.shown(
                "RID",
                "Name",
                "Description",
                shows.through(ML_SCHEMA, "Workflow", "Workflow_Type", "Types"),
                "URL",
                "Checksum",
                "Version",
                "RCT",
            ),
            shows.VISIBLE_FOREIGN_KEYS: shows.related("Execution_Workflow_fkey"),
        },
    )
    types = link(
        "Workflow_Workflow_Type",
        "Which kinds of work each workflow does",
        (
            foreign_key("Workflow_Workflow_Type", "Workflow", ML_SCHEMA, "Workflow", cascade=True),
            foreign_key("Workflow_Workflow_Type", "Workflow_Type", ML_SCHEMA, "Workflow_Type", to="Name", cascade=True),
        ),
    )
    return workflow, types


def _executions() -> tuple[TableDef, ...]:
    execution = TableDef(
        "Execution",
        comment="One run of a workflow: what it was for, how long it took, how it ended",
        columns=(
            ColumnDef("Workflow", "text", True, None, "The workflow that ran"),
            ColumnDef("Description", "markdown", True, None, "What this run was for"),
            ColumnDef("Execution_Duration", "text", True, None, "How long the model or notebook ran"),
            ColumnDef("Download_Duration", "text", True, None, "How long its inputs took to arrive"),
            ColumnDef("Upload_Duration", "text", True, None, "How long its outputs took to be stored"),
            ColumnDef("Status", "text", True, None, "The stage that it has reached"),
            ColumnDef("Status_Detail", "text", True, None, "The error, or a word on what it is doing"),
        ),
        foreign_keys=(
            foreign_key("Execution", "Workflow", ML_SCHEMA, "Workflow"),
            foreign_key("Execution", "Status", ML_SCHEMA, "Execution_Status", to="Name"),
        ),
        annotations={
            shows.TABLE_DISPLAY: shows.row_name("{{{RID}}} {{{Description}}}", newest_first=True),
            shows.VISIBLE_COLUMNS: shows.shown(
                "RID",
                [ML_SCHEMA, "Execution_Workflow_fkey"],
                "Description",
                [ML_SCHEMA, "Execution_Status_fkey"],
                "Status_Detail",
                "Execution_Duration",
                "Download_Duration",
                "Upload_Duration",
                "RCT",
            ),
            shows.VISIBLE_FOREIGN_KEYS: shows.related(
                "Dataset_Execution_Execution_fkey",
                "Execution_Asset_Execution_Execution_fkey",
                "Execution_Metadata_Execution_Execution_fkey",
                "File_Execution_Execution_fkey",
                "Dataset_Version_Execution_fkey",
                "Execution_Execution_Execution_fkey",
                "Execution_Execution_Nested_Execution_fkey",
            ),
        },
    )
    nested = link(
        "Execution_Execution",
        "Which executions belong to a sweep or another larger execution",
        (
            foreign_key("Execution_Execution", "Execution", ML_SCHEMA, "Execution", cascade=True),
            foreign_key("Execution_Execution", "Nested_Execution", ML_SCHEMA, "Execution", cascade=True),
        ),
        columns=(ColumnDef("Sequence", "int4", True, None, "Its place among its siblings; none if they ran together"),),
    )
    return execution, nested


def _datasets() -> tuple[TableDef, ...]:
    return (
        _dataset(),
        _dataset_version(),
        link(
            "Dataset_Execution",
            "Which executions read each dataset",
            (
                foreign_key("Dataset_Execution", "Dataset", ML_SCHEMA, "Dataset", cascade=True),
                foreign_key("Dataset_Execution", "Execution", ML_SCHEMA, "Execution", cascade=True),
            ),
            columns=(ColumnDef("Dataset_Version", "text", True, None, "The version that was read"),),
            foreign_keys=(
                foreign_key("Dataset_Execution", "Dataset_Version", ML_SCHEMA, "Dataset_Version", cascade=True),
            ),
        ),
        TableDef(
            "Directory_Dataset",
            comment="The folder for which a dataset stands",
            columns=(
                ColumnDef("Dataset", "text", True, None, "The dataset"),
                ColumnDef("Path", "text", True, None, "The folder, relative to where the files were added from"),
            ),
            keys=(("Dataset",),),
            foreign_keys=(foreign_key("Directory_Dataset", "Dataset", ML_SCHEMA, "Dataset"),),
        ),
        link(
            "Dataset_Dataset_Type",
            "What each dataset is for",
            (
                foreign_key("Dataset_Dataset_Type", "Dataset", ML_SCHEMA, "Dataset", cascade=True),
                foreign_key("Dataset_Dataset_Type", "Dataset_Type", ML_SCHEMA, "Dataset_Type", to="Name", cascade=True),
            ),
        ),
        link(
            "Dataset_Dataset",
            "Which datasets are parts of others",
            (
                foreign_key("Dataset_Dataset", "Dataset", ML_SCHEMA, "Dataset", cascade=True),
                foreign_key("Dataset_Dataset", "Nested_Dataset", ML_SCHEMA, "Dataset", cascade=True),
            ),
        ),
        link(
            "Dataset_File",
            "Which files are members of a dataset",
            (
                foreign_key("Dataset_File", "Dataset", ML_SCHEMA, "Dataset", cascade=True),
                foreign_key("Dataset_File", "File", ML_SCHEMA, "File", cascade=True),
            ),
        ),
    )


def _dataset() -> TableDef:
    return TableDef(
        "Dataset",
        comment="A set of rows of this catalog that belong together, with a history of versions",
        columns=(
            ColumnDef("Description", "markdown", True, None, "What the dataset holds"),
            ColumnDef("Deleted", "boolean", True, None, "Nobody should use it any more; its versions stay"),
            ColumnDef("Version", "text", True, None, "Its present version"),
        ),
        foreign_keys=(foreign_key("Dataset", "Version", ML_SCHEMA, "Dataset_Version", cascade=True),),
        annotations={
            shows.TABLE_DISPLAY: shows.row_name("{{{RID}}} {{{Description}}}", newest_first=True),
            shows.VISIBLE_COLUMNS: shows.shown(
                "RID",
                "Description",
                shows.through(ML_SCHEMA, "Dataset", "Dataset_Type", "Types"),
                [ML_SCHEMA, "Dataset_Version_fkey"],
                "Deleted",
                "RCT",
            ),
            shows.VISIBLE_FOREIGN_KEYS: shows.related(
                "Dataset_Version_Dataset_fkey",
                "Dataset_Execution_Dataset_fkey",
                "Dataset_Dataset_Dataset_fkey",
                "Dataset_Dataset_Nested_Dataset_fkey",
                "Dataset_File_Dataset_fkey",
            ),
        },
    )


def _dataset_version() -> TableDef:
    return TableDef(
        "Dataset_Version",
        comment="A state of a dataset that can be had again: its members as the catalog held them at one moment",
        columns=(
            ColumnDef("Version", "text", True, "0.1.0", "MAJOR.MINOR.PATCH"),
            ColumnDef("Description", "markdown", True, None, "What changed"),
            ColumnDef("Dataset", "text", True, None, "The dataset whose version this is"),
            ColumnDef("Execution", "text", True, None, "The execution that made it"),
            ColumnDef("Minid", "text", True, None, "Address of the stored bag, where there is one"),
            ColumnDef("Minid_Spec_Hash", "text", True, None, "Checksum of the specification that the bag was made by"),
            ColumnDef("Snapshot", "text", True, None, "The catalog's snapshot that holds the members"),
        ),
        keys=(("Dataset", "Version"),),
        foreign_keys=(
            foreign_key("Dataset_Version", "Dataset", ML_SCHEMA, "Dataset"),
            foreign_key("Dataset_Version", "Execution", ML_SCHEMA, "Execution"),
        ),
        annotations={
            shows.TABLE_DISPLAY: shows.row_name("{{{Version}}}", newest_first=True),
            shows.VISIBLE_COLUMNS: shows.shown(
                "RID",
                [ML_SCHEMA, "Dataset_Version_Dataset_fkey"],
                "Version",
                "Description",
                [ML_SCHEMA, "Dataset_Version_Execution_fkey"],
                "Snapshot",
                "Minid",
                "RCT",
            ),
            shows.VISIBLE_FOREIGN_KEYS: shows.related("Dataset_Execution_Dataset_Version_fkey"),
        },
    )


def _assets() -> tuple[TableDef, ...]:
    tables = {
        "Execution_Metadata": "Files that describe executions: configuration, environment, notebook logs",
        "Execution_Asset": "Files that executions made and that have no table of their own",
        "File": "Files that are registered with their addresses and kept elsewhere",
    }
    return tuple(
        part
        for name, comment in tables.items()
        for part in (asset_table(name, comment), asset_type_link(name), asset_execution_link(name))
    )
