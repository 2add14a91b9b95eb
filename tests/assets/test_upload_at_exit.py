"""An interpreter that ends starts no more threads: what is uploaded then, such as the outputs of an open handle."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest

from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.catalog import rows
from deriva_ml_core.schema.tables import create_asset_table, create_domain_schema

AT_EXIT = """
    import atexit, sys
    from pathlib import Path
    from deriva_ml_core.assets.staging import Staging
    from deriva_ml_core.assets.upload import upload_staged
    from deriva_ml_core.catalog.session import CatalogSession
    from deriva_ml_core.local_catalog import LocalServer
    root, catalog, folder, execution, way = sys.argv[1:]
    server = LocalServer(root)
    known = {"base_url": server.url, "credential": server.credential}
    session = CatalogSession.connect("local", catalog, **known, object_store=server if way == "by call" else None)
    def upload():
        with session:
            print(upload_staged(session, Staging(Path(folder), session), execution).total_uploaded)
    atexit.register(upload)
"""


@pytest.mark.parametrize("way", ["by call", "by request"])
def test_outputs_of_every_size_go_up_while_the_interpreter_ends(ml_session, local_server, tmp_path, way):
    """In batches, hashed in parallel, or in chunks where there are threads; without them, in turn."""
    create_domain_schema(ml_session, "demo")
    create_asset_table(ml_session, "demo", "Image")
    execution = rows.insert_one(ml_session, "deriva-ml:Execution", Description="run", Status="Running")["RID"]
    staging = Staging(tmp_path / "run", ml_session)
    for number, size in enumerate([40] * 300 + [6 * 2**20, 32 * 2**20]):
        staging.register("Image", f"{number}.bin").write_bytes(os.urandom(size))
    told = [local_server.path, ml_session.catalog_id, staging.folder, execution, way]
    command = [sys.executable, "-c", dedent(AT_EXIT), *map(str, told)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (done.stderr, done.stdout.strip()) == ("", "302")
