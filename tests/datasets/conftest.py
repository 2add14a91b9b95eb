"""Catalogs with images, subjects and datasets of them."""

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import rows
from deriva_ml_core.datasets.dataset import add_element_type, create_dataset


@pytest.fixture
def images(image_session, tmp_path):
    """RIDs of six images, with their labels; images may be members of datasets."""
    execution = rows.insert_one(image_session, "deriva-ml:Execution", Description="load", Status="Running")["RID"]
    staging = Staging(tmp_path / "load", image_session)
    for number in range(6):
        staging.register("Image", f"{number}.png", Label=str(number % 3)).write_bytes(b"image %d" % number)
    report = upload_staged(image_session, staging, execution)
    add_element_type(image_session, "Image")
    return [path.asset_rid for path in sorted(report.assets["demo/Image"])]


@pytest.fixture
def dataset(image_session, images, tmp_path):
    """A dataset of four of them, at version 1.0.0."""
    made = create_dataset(image_session, dataset_types=["Training"], description="digits", cache_dir=tmp_path / "cache")
    made.add_dataset_members(images[:4])
    made.increment_dataset_version("major", "first release")
    return made
