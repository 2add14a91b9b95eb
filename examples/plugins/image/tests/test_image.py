"""Images are measured and made small; what is none is refused."""

from __future__ import annotations

from types import MappingProxyType

import deriva_ml_image
import pytest
from PIL import Image

from deriva_ml import ColumnDefinition, DerivaMLUploadError
from deriva_ml.testing import OutputPreparerSuite


class TestImage(OutputPreparerSuite):
    handler = deriva_ml_image
    table = "Image"
    expected_columns = MappingProxyType({"Width": 640, "Height": 480})

    def sample(self, folder):
        Image.new("RGB", (640, 480), "navy").save(folder / "picture.jpg")
        return folder / "picture.jpg"


@pytest.fixture
def image_table(deriva_catalog):
    """A table whose rows must have Width and Height; the term came with `schema install`."""
    columns = [ColumnDefinition(name, "int4", nullok=False) for name in ("Width", "Height")]
    deriva_catalog.create_asset("Image", column_defs=columns, schema="demo")
    return deriva_catalog


def test_a_run_gets_the_columns_and_a_thumbnail(image_table, deriva_execution):
    """The model gives neither."""
    path = deriva_execution.asset_file_path("Image", "picture.png")
    Image.new("L", (1000, 500)).save(path)

    report = deriva_execution.commit_output_assets(clean_folder=False)

    (row,) = image_table.get_table_as_dict("Image")
    assert (row["Width"], row["Height"]) == (1000, 500)
    (thumbnail,) = report.assets["deriva-ml/Execution_Asset"]
    with Image.open(thumbnail) as small:
        assert (small.size, thumbnail.asset_types) == ((256, 128), ("Thumbnail",))


def test_what_is_no_image_is_refused(image_table, deriva_execution):
    """The execution is Failed with the reason; the file stays on disk."""
    path = deriva_execution.asset_file_path("Image", "picture.png")
    path.write_text("no picture")

    with pytest.raises(DerivaMLUploadError, match="plugin image refuses it: it is no image that Pillow knows"):
        deriva_execution.commit_output_assets()
    assert path.exists()
    assert list(image_table.get_table_as_dict("Image")) == []
