"""
Width and Height of images that runs make, and a thumbnail of each.

Of the tables named in DERIVA_IMAGE_TABLES ("Image" where it is not set), which have the columns Width and Height. A
thumbnail becomes an Execution_Asset of the type Thumbnail; `deriva-ml-catalog schema install` adds that term.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from deriva_ml.plugins import Claim, FurtherOutput, NewTerm, OutputFile, Prepared, hookimpl

LONGEST_SIDE_PX = 256
THUMBNAIL = "Thumbnail"


def _tables() -> tuple[str, ...]:
    return tuple(os.environ.get("DERIVA_IMAGE_TABLES", "Image").split(","))


@hookimpl
def deriva_claim_assets() -> list[Claim]:
    """A model need not give what is filled here; where the bytes go is not our business."""
    return [Claim(tables=_tables(), fills=("Width", "Height"))]


@hookimpl
def deriva_vocabulary_terms() -> list[NewTerm]:
    """The type of thumbnails."""
    return [NewTerm("Asset_Type", THUMBNAIL, "A small picture that stands for a larger one")]


@hookimpl
def deriva_prepare_output(output: OutputFile, folder: Path) -> Prepared | None:
    """Measure an image and make it small; what is no image is refused."""
    if output.table not in _tables():
        return None
    from PIL import Image, UnidentifiedImageError

    small = folder / f"{PurePath(output.file_name).stem}-thumbnail.png"
    try:
        with Image.open(output.path) as image:
            width, height = image.size
            image.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX))
            image.convert("RGBA").save(small)
    except UnidentifiedImageError:
        return Prepared(refusal="it is no image that Pillow knows")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as err:  # what Pillow says of broken files
        return Prepared(refusal=f"the image can't be read: {err}")
    thumbnail = FurtherOutput(
        small, "Execution_Asset", small.name, asset_types=(THUMBNAIL,), description=f"Thumbnail of {output.file_name}"
    )
    return Prepared(columns={"Width": width, "Height": height}, further=[thumbnail])
