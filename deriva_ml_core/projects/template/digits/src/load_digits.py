"""Load scikit-learn's digits into a catalog: one PNG asset each, and a dataset of them with a released version.

    uv run python src/load_digits.py --catalog CATALOG

Copy it to load images of your own: only `pictures` knows where they come from.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from deriva_ml import ColumnDefinition, DerivaML, ExecutionConfiguration, VersionPart, Workflow
from deriva_ml.core.ermrest import UploadProgress
from PIL import Image
from sklearn.datasets import load_digits

SCHEMA, TABLE = "digits", "Image"


def pictures() -> Iterator[tuple[str, Image.Image, str]]:
    """File name, picture and label of each; pixels have 17 shades of grey."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        picture = Image.fromarray((pixels * 255 / 16).round().astype(np.uint8))
        yield f"digit-{number:04d}.png", picture, str(label)


class Progress:
    """Prints a line for every fifth of an upload."""

    def __init__(self) -> None:
        self.told = 0

    def __call__(self, state: UploadProgress) -> None:
        """Called often, one call at a time."""
        fifths = 5 * state.files_completed // state.files_total
        if fifths > self.told:
            self.told = fifths
            print(f"uploaded {state.files_completed} of {state.files_total} images")


def load(ml: DerivaML) -> dict[str, object]:
    """Make schema and table, upload the images, make the dataset; what was made."""
    ml.create_domain_schema(SCHEMA, comment="Handwritten digits")
    ml.create_asset(
        TABLE,
        column_defs=[ColumnDefinition("Label", "text", comment="The digit that the image shows, 0 to 9")],
        comment="Images of handwritten digits",
        schema=SCHEMA,
    )
    ml.add_dataset_element_type(TABLE)
    workflow = Workflow(name="Load digits", workflow_type="Ingest", description="Load scikit-learn's digits.")
    configuration = ExecutionConfiguration(workflow=workflow, description="Load scikit-learn's digits.")
    with ml.create_execution(configuration) as execution:
        print(f"writing the images (execution {execution.execution_rid})")
        for name, picture, label in pictures():
            picture.save(execution.asset_file_path(TABLE, name, Label=label), format="PNG")
    execution.upload_execution_outputs(progress_callback=Progress())

    images = [row["RID"] for row in ml.get_table_as_dict(TABLE)]
    print(f"making a dataset of {len(images)} images")
    dataset = execution.create_dataset(
        dataset_types=["Complete", "Labeled"], description="Handwritten digits: 1,797 images of 8x8 pixels, labeled."
    )
    dataset.add_dataset_members({TABLE: images})
    version = dataset.increment_dataset_version(VersionPart.major, "First release")
    return {"rid": dataset.dataset_rid, "version": str(version), "images": len(images)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Load scikit-learn's digits into a catalog.")
    parser.add_argument("--host", default="local", help="a Deriva server (the embedded catalog)")
    parser.add_argument("--catalog", required=True, help="its name or id")
    parser.add_argument("--report", type=Path, help="write RID and version of the dataset there, as JSON")
    args = parser.parse_args()
    made = load(DerivaML(args.host, args.catalog))
    print(f"dataset {made['rid']}, version {made['version']}, {made['images']} images")
    if args.report:
        args.report.write_text(json.dumps(made))


if __name__ == "__main__":
    main()
