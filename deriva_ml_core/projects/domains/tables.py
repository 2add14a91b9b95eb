"""Domains whose members are rows: patients with samples and diagnoses, wines with their measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deriva_ml_core.catalog import rows
from deriva_ml_core.projects.domains.made import Made, loading, release, shipped
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_tables

if TYPE_CHECKING:
    from deriva_ml_core.connection.handle import DerivaML


def breast_cancer(ml: DerivaML) -> Made:
    """
    Patient <- Sample (30 measurements of its cells), and the diagnosis of each sample as a feature.

    The data have one sample of each patient and no names: patients are numbered.
    """
    data = shipped("load_breast_cancer")
    names = [name.title().replace(" ", "_") for name in data.feature_names]
    ml.create_domain_schema("oncology", comment="Samples of breast tissue, Wisconsin 1995")
    sample = TableDef(
        "Sample",
        (ColumnDef("Patient", nullok=False), *(ColumnDef(name, "float8") for name in names), ColumnDef("Diagnosis")),
        "A fine needle aspirate; columns are means, errors and extremes over its cell nuclei",
        foreign_keys=(patterns.foreign_key("Sample", "Patient", "oncology", "Patient"),),
    )
    create_tables(ml.session, "oncology", [TableDef("Patient", (ColumnDef("Code", nullok=False),)), sample])
    ml.create_vocabulary("Diagnosis", "What a tumour turned out to be", schema="oncology")
    for kind in data.target_names:
        ml.add_term("Diagnosis", str(kind).title(), f"The tumour is {kind}")
    for table in ("Patient", "Sample"):
        ml.add_dataset_element_type(table)
    record = ml.create_feature("Sample", "Pathology", terms=["Diagnosis"], comment="The pathologist's finding")
    with loading(ml, "samples of breast tissue") as execution:
        patients = rows.insert(ml.session, "Patient", [{"Code": f"P{n:03}"} for n in range(len(data.target))])
        kinds = [str(data.target_names[target]).title() for target in data.target]
        samples = rows.insert(
            ml.session,
            "Sample",
            [
                {"Patient": patient["RID"], **dict(zip(names, values, strict=True)), "Diagnosis": kind}
                for patient, values, kind in zip(patients, data.data.tolist(), kinds, strict=True)
            ],
        )
        execution.add_features(
            [record(Sample=row["RID"], Diagnosis=kind) for row, kind in zip(samples, kinds, strict=True)]
        )
        dataset = execution.create_dataset(["Complete", "Labeled"], description="Breast tissue of 569 patients")
        dataset.add_dataset_members({"Sample": [row["RID"] for row in samples]})
    execution.commit_output_assets()
    return release(ml, dataset.dataset_rid, stratify="Sample.Diagnosis", tables=["Sample"])


def wine(ml: DerivaML) -> Made:
    """Wine <- Measurement, one row for each quantity; quantities are terms, the cultivar is a feature."""
    data = shipped("load_wine")
    ml.create_domain_schema("winery", comment="Wines of one region in Italy, 1991")
    create_tables(ml.session, "winery", [TableDef("Wine", (ColumnDef("Number", "int4"), ColumnDef("Grape")))])
    for name, about in (("Quantity", "What is measured"), ("Cultivar", "Kinds of grapes")):
        ml.create_vocabulary(name, about, schema="winery")
    quantities = [name.replace("_", " ").replace("/", " by ") for name in data.feature_names]
    for name in quantities:
        ml.add_term("Quantity", name, f"{name} of a wine")
    measurement = TableDef(
        "Measurement",
        (ColumnDef("Wine", nullok=False), ColumnDef("Quantity", nullok=False), ColumnDef("Value", "float8")),
        foreign_keys=(
            patterns.foreign_key("Measurement", "Wine", "winery", "Wine"),
            patterns.foreign_key("Measurement", "Quantity", "winery", "Quantity", to="Name"),
        ),
    )
    create_tables(ml.session, "winery", [measurement])
    ml.add_dataset_element_type("Wine")
    kinds = [f"cultivar {target + 1}" for target in data.target]
    for kind in sorted(set(kinds)):
        ml.add_term("Cultivar", kind, f"Wines of {kind}")
    record = ml.create_feature("Wine", "Origin", terms=["Cultivar"], comment="The cultivar that a wine is made of")
    with loading(ml, "analyses of wines") as execution:
        wines = rows.insert(ml.session, "Wine", [{"Number": n, "Grape": kind} for n, kind in enumerate(kinds)])
        rows.insert(
            ml.session,
            "Measurement",
            [
                {"Wine": row["RID"], "Quantity": name, "Value": value}
                for row, values in zip(wines, data.data.tolist(), strict=True)
                for name, value in zip(quantities, values, strict=True)
            ],
        )
        execution.add_features([record(Wine=row["RID"], Cultivar=kind) for row, kind in zip(wines, kinds, strict=True)])
        dataset = execution.create_dataset(["Complete", "Labeled"], description="Analyses of 178 wines")
        dataset.add_dataset_members({"Wine": [row["RID"] for row in wines]})
    execution.commit_output_assets()
    return release(ml, dataset.dataset_rid, stratify="Wine.Grape", tables=["Wine"])
