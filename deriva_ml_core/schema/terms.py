"""The terms with which every vocabulary of the deriva-ml schema starts, in our words (names: COMPAT §13)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deriva_ml_core.schema.elements import TermDef

ASSET_TYPES = (
    TermDef("Execution_Config", "What an execution was told to do, or the exact packages it was told to use"),
    TermDef("Runtime_Env", "The machine, packages and settings with which an execution ran"),
    TermDef("Hydra_Config", "A configuration file, or a log, that Hydra wrote for an execution"),
    TermDef("Deriva_Config", "The execution's own configuration: its datasets, assets, workflow and description"),
    TermDef("Metrics_File", "Numbers that an execution measured while it ran"),
    TermDef("Execution_Metadata", "A file that describes an execution"),
    TermDef("Execution_Asset", "A file that an execution made and that has no table of its own"),
    TermDef("File", "A file that is registered with its address and was not stored by this catalog"),
    TermDef("Input_File", "A file that an execution read"),
    TermDef("Output_File", "A file that an execution made"),
    TermDef("Model_File", "A trained model, or weights of one"),
    TermDef("Notebook_Output", "A notebook as it was executed, or a rendering of it"),
)

ASSET_ROLES = (
    TermDef("Input", "The execution read this asset"),
    TermDef("Output", "The execution made this asset"),
)

EXECUTION_STATUSES = (
    TermDef("Created", "The execution is recorded and has not started"),
    TermDef("Running", "The model or notebook is at work"),
    TermDef("Stopped", "The work ended well; its outputs wait to be uploaded"),
    TermDef("Failed", "The work, or the upload of its outputs, ended with an error"),
    TermDef("Pending_Upload", "The outputs are being uploaded, or wait for it"),
    TermDef("Uploaded", "The work ended well and its outputs are in the catalog"),
    TermDef("Aborted", "Somebody, or the end of the process, stopped the execution before its work was done"),
)

WORKFLOW_TYPES = (
    TermDef("Training", "Fits a model to data"),
    TermDef("Testing", "Measures how well a model does on data that it has not seen"),
    TermDef("Prediction", "Applies a model to data"),
    TermDef("Feature_Creation", "Computes values that describe the objects of a dataset"),
    TermDef("Visualization", "Draws data or results"),
    TermDef("Analysis", "Explores data or results"),
    TermDef("Ingest", "Brings data into the catalog"),
    TermDef("Data_Cleaning", "Finds and corrects faults in data"),
    TermDef("Dataset_Management", "Makes, divides or changes datasets"),
)

DATASET_TYPES = (
    TermDef("Complete", "All the data there are on a subject, before any division"),
    TermDef("File", "A dataset of files"),
    TermDef("Directory", "A dataset that stands for a folder of files"),
    TermDef("Training", "Data to fit models to"),
    TermDef("Testing", "Data kept apart to measure finished models"),
    TermDef("Validation", "Data to compare models and choose their settings"),
    TermDef("Split", "A dataset whose members are the parts of a division"),
    TermDef("Labeled", "The right answers are with the data"),
    TermDef("Unlabeled", "The right answers are not with the data"),
)

VOCABULARY_TERMS: Mapping[str, tuple[TermDef, ...]] = MappingProxyType(
    {
        "Asset_Type": ASSET_TYPES,
        "Asset_Role": ASSET_ROLES,
        "Execution_Status": EXECUTION_STATUSES,
        "Workflow_Type": WORKFLOW_TYPES,
        "Dataset_Type": DATASET_TYPES,
        "Feature_Name": (),
    }
)

# Rows that stand for what nobody recorded: an asset that was made without any input points to these (COMPAT §13).
UNKNOWN_WORKFLOW_URL = "tag:deriva-ml,unknown-provenance:workflow"
UNKNOWN_FILE_URL = "tag:deriva-ml,unknown-provenance:file"
UNKNOWN_EXECUTION_DESCRIPTION = "deriva-ml unknown-provenance sentinel execution"
