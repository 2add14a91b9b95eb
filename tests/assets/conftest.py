"""An execution and its staging, in a catalog with asset tables."""

from urllib.parse import urlsplit

import pytest
from meddling_proxy import MeddlingProxy

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.catalog import rows
from deriva_ml_core.schema.elements import ColumnDef, ForeignKeyDef
from deriva_ml_core.schema.tables import create_asset_table, create_vocabulary


@pytest.fixture
def proxy(local_server):
    """A way to the server that can be cut, slowed down and counted."""
    where = urlsplit(local_server.url)
    with MeddlingProxy(where.hostname, where.port) as running:
        yield running


@pytest.fixture
def execution_rid(image_session):
    return new_execution(image_session)


def new_execution(session) -> str:
    return rows.insert_one(session, "deriva-ml:Execution", Description="test", Status="Running")["RID"]


@pytest.fixture
def slide_session(image_session):
    """With the asset table Slide, which has a required column and one that takes terms."""
    create_vocabulary(image_session, "demo", "Stain")
    image_session.vocabularies.add("Stain", "HE", "haematoxylin and eosin")
    columns = (
        ColumnDef("Patient", "text", nullok=False),
        ColumnDef("Level", "int2"),
        ColumnDef("Taken", "date"),
        ColumnDef("Stain", "text"),
    )
    stain = ForeignKeyDef("Slide_Stain_fkey", ("Stain",), "demo", "Stain", ("Name",))
    create_asset_table(image_session, "demo", "Slide", columns=columns, foreign_keys=[stain])
    return image_session


@pytest.fixture
def staging(image_session, tmp_path):
    return Staging(tmp_path / "execution", image_session)
