"""Names of the deriva-ml schema as values that projects write in code (COMPAT.md sections 12, 13 and 19)."""

from __future__ import annotations

from enum import StrEnum

from deriva_ml_core.schema.elements import SYSTEM_COLUMNS

DerivaSystemColumns = list(SYSTEM_COLUMNS)


class MLVocab(StrEnum):
    """Controlled vocabularies."""

    dataset_type = "Dataset_Type"
    workflow_type = "Workflow_Type"
    asset_type = "Asset_Type"
    asset_role = "Asset_Role"
    feature_name = "Feature_Name"
    execution_status = "Execution_Status"


class MLAsset(StrEnum):
    """Asset tables that every catalog has."""

    execution_metadata = "Execution_Metadata"
    execution_asset = "Execution_Asset"


class ExecAssetType(StrEnum):
    """Terms of Asset_Type for the files of an execution."""

    input_file = "Input_File"
    output_file = "Output_File"
    notebook_output = "Notebook_Output"
    model_file = "Model_File"


class ExecMetadataType(StrEnum):
    """Terms of Asset_Type for the files that describe an execution."""

    execution_config = "Execution_Config"
    runtime_env = "Runtime_Env"
    hydra_config = "Hydra_Config"
    deriva_config = "Deriva_Config"
    metrics_file = "Metrics_File"


class BuiltinTypes(StrEnum):
    """Column types of ERMrest."""

    text = "text"
    longtext = "longtext"
    markdown = "markdown"
    boolean = "boolean"
    int2 = "int2"
    int4 = "int4"
    int8 = "int8"
    float4 = "float4"
    float8 = "float8"
    serial2 = "serial2"
    serial4 = "serial4"
    serial8 = "serial8"
    date = "date"
    timestamp = "timestamp"
    timestamptz = "timestamptz"
    json = "json"
    jsonb = "jsonb"
    color_rgb_hex = "color_rgb_hex"
    ermrest_rid = "ermrest_rid"
    ermrest_rct = "ermrest_rct"
    ermrest_rmt = "ermrest_rmt"
    ermrest_rcb = "ermrest_rcb"
    ermrest_rmb = "ermrest_rmb"
    ermrest_curie = "ermrest_curie"
    ermrest_uri = "ermrest_uri"
