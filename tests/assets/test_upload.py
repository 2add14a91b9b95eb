"""Outputs reach the catalog once, whatever happens on the way."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys

import pytest

from deriva_ml_core.assets.manner import Manner
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.errors import CatalogUnreachable, DerivaMLUploadError
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.tables import create_tables


def stage(staging, names, **columns):
    """Files of 40 bytes, of a content that no other test has: the server of the tests keeps their objects."""
    for name in names:
        content = hashlib.sha1(f"{staging.folder.parent}/{name}".encode()).hexdigest()
        staging.register("Image", name, **columns).write_text(content)


def links(session, execution_rid):
    return {
        row["Image"]: row["Asset_Role"] for row in rows.select(session, "Image_Execution", {"Execution": execution_rid})
    }


def test_an_output_is_an_object_a_row_types_and_a_link(image_session, staging, execution_rid):
    """Bytes in Hatrac under /hatrac/<Table>/<md5>.<name>, a row with its columns, content type and tag, role Output."""
    staging.register("Image", "ü 1.png", asset_types=["Model_File"], description="d", Label="3").write_bytes(b"data")
    report = upload_staged(image_session, staging, execution_rid)
    (row,) = rows.select(image_session, "Image")
    md5 = hashlib.md5(b"data").hexdigest()

    assert row["URL"].startswith(f"/hatrac/Image/{md5}.%C3%BC%201.png:")
    assert (row["Filename"], row["Length"], row["MD5"]) == ("ü 1.png", 4, md5)
    assert (row["Description"], row["Label"]) == ("d", "3")
    assert {t["Asset_Type"] for t in rows.select(image_session, "Image_Asset_Type")} == {"Model_File", "Output_File"}
    assert links(image_session, execution_rid) == {row["RID"]: "Output"}
    (path,) = report.assets["demo/Image"]
    assert (path.asset_rid, path.file_name, report.total_uploaded, report.errors) == (row["RID"], "ü 1.png", 1, [])
    assert objects.get_file(image_session, row["URL"], staging.folder / "back").read_bytes() == b"data"


def test_requests_do_not_grow_with_files(image_session, staging, execution_rid):
    """Besides one request for each object, a table costs three: rows, types, links."""
    stage(staging, [f"{n}.png" for n in range(50)])
    before = image_session.client.requests_sent
    report = upload_staged(image_session, staging, execution_rid)

    assert report.total_uploaded == 50
    assert image_session.client.requests_sent - before <= 50 + 3


def test_repeating_changes_nothing(image_session, staging, execution_rid):
    """A second upload asks nothing of the catalog; one from a fresh ledger sends and adds nothing."""
    stage(staging, ["a.png", "b.png"])
    upload_staged(image_session, staging, execution_rid)
    before = image_session.client.requests_sent
    again = upload_staged(image_session, Staging(staging.folder, image_session), execution_rid)
    assert image_session.client.requests_sent == before
    assert again.total_uploaded == 0

    (staging.folder / "assets.jsonl").unlink()
    fresh = Staging(staging.folder, image_session)
    stage(fresh, ["a.png", "b.png"])
    report = upload_staged(image_session, fresh, execution_rid)
    assert report.total_uploaded == 2
    assert len(list(rows.select(image_session, "Image"))) == 2
    assert len(links(image_session, execution_rid)) == 2


def test_a_changed_file_is_an_output_again(image_session, staging, execution_rid):
    """An output that is written after its upload is uploaded again, as another asset."""
    path = staging.register("Image", "a.png")
    path.write_text("one")
    upload_staged(image_session, staging, execution_rid)
    path.write_text("other")
    upload_staged(image_session, staging, execution_rid)

    assert {row["Length"] for row in rows.select(image_session, "Image")} == {3, 5}


def test_the_same_content_is_one_asset(image_session, staging, execution_rid, tmp_path):
    """Two executions with the same file share its row; each has its link."""
    stage(staging, ["a.png"])
    upload_staged(image_session, staging, execution_rid)
    other = Staging(tmp_path / "other", image_session)
    stage(other, ["a.png", "x/a.png"])
    for name in ("a.png", "x/a.png"):
        shutil.copy(staging.assets_folder / "Image/a.png", other.assets_folder / "Image" / name)
    second = rows.insert_one(image_session, "deriva-ml:Execution", Status="Running")["RID"]
    report = upload_staged(image_session, other, second)
    (row,) = rows.select(image_session, "Image")

    assert [path.asset_rid for path in report.assets["demo/Image"]] == [row["RID"]] * 2
    assert links(image_session, second) == {row["RID"]: "Output"}


def test_what_was_never_written_is_a_warning(image_session, staging, execution_rid):
    """A registered output without a file, and a file that nobody registered, are told; the others go up."""
    stage(staging, ["a.png"])
    staging.register("Image", "never.png")
    (staging.assets_folder / "Image" / "stray.txt").write_text("x")
    report = upload_staged(image_session, staging, execution_rid)

    assert report.total_uploaded == 1
    assert report.errors == []
    assert any("never.png" in warning for warning in report.warnings)
    assert any("stray.txt" in warning for warning in report.warnings)


def test_one_refused_row_leaves_the_others(slide_session, execution_rid, tmp_path):
    """A row that the catalog refuses is named; its file is kept, the others are in the catalog."""
    staging = Staging(tmp_path / "execution", slide_session)
    for number in range(5):
        staging.register("Slide", f"{number}.tif", Patient=f"p{number}").write_text(str(number))
    # As of a process that knew another model, in which the column was not required.
    staging.ledger.update("Slide/3.tif", columns={"Patient": None})
    first = upload_staged(slide_session, staging, execution_rid)

    assert (first.total_uploaded, first.total_failed) == (4, 1)
    assert {row["Filename"] for row in rows.select(slide_session, "Slide")} == {f"{n}.tif" for n in (0, 1, 2, 4)}
    with pytest.raises(DerivaMLUploadError, match=r"Slide/3\.tif"):
        first.raise_for_failures()

    staging.register("Slide", "3.tif", Patient="p3")
    assert upload_staged(slide_session, staging, execution_rid).total_uploaded == 1


def test_hostile_names_in_a_folder_are_made_safe(image_session, staging, execution_rid):
    """Files that appear in a registered folder can have any name; their assets have one that is safe."""
    folder = staging.register("Image", "out/")
    (folder / "line\nbreak.png").write_text("x")
    upload_staged(image_session, staging, execution_rid)
    (row,) = rows.select(image_session, "Image")

    assert row["Filename"].isprintable()
    assert row["Filename"].endswith(".png")


def test_progress_counts_bytes(image_session, staging, execution_rid):
    """The callback hears of every byte and file, one call at a time, and of the end."""
    stage(staging, ["a.png", "bb.png"])
    heard = []
    upload_staged(image_session, staging, execution_rid, progress=heard.append)

    assert [p.bytes_completed for p in heard] == sorted(p.bytes_completed for p in heard)
    assert (heard[-1].bytes_completed, heard[-1].bytes_total, heard[-1].files_completed) == (80, 80, 2)
    assert (heard[-1].phase, heard[-1].percent_complete) == ("Uploaded", 100.0)


def test_large_files_go_in_chunks(image_session, staging, execution_rid):
    """A file above chunk_size arrives whole."""
    data = os.urandom(100_000)
    staging.register("Image", "big.bin").write_bytes(data)
    upload_staged(image_session, staging, execution_rid, manner=Manner(chunk_size=30_000))
    (row,) = rows.select(image_session, "Image")

    assert objects.get_file(image_session, row["URL"], staging.folder / "back").read_bytes() == data


def test_the_same_large_content_is_sent_once(image_session, staging, execution_rid):
    """Chunked uploads of one content at the same time would make two versions, and so two rows."""
    data = os.urandom(100_000)
    for name in ("a/big.bin", "b/big.bin"):
        staging.register("Image", name).write_bytes(data)
    report = upload_staged(image_session, staging, execution_rid, manner=Manner(chunk_size=30_000))

    assert report.total_uploaded == 2
    assert len(list(rows.select(image_session, "Image"))) == 1


def test_a_large_file_is_read_once_to_be_hashed(image_session, staging, execution_rid, monkeypatch):
    """A later command takes the checksum from the list of outputs: hashing 4 GiB again would cost it seconds."""
    monkeypatch.setattr(objects, "CHUNKED_FROM_BYTES", 50_000)
    path = staging.register("Image", "big.bin")
    path.write_bytes(os.urandom(100_000))
    with monkeypatch.context() as patched:
        patched.setattr(image_session.client, "base_url", "http://127.0.0.1:9")
        upload_staged(image_session, staging, execution_rid)
    monkeypatch.setattr(objects, "file_md5", lambda _path: pytest.fail("hashed again"))
    assert upload_staged(image_session, Staging(staging.folder, image_session), execution_rid).total_uploaded == 1


def test_no_answer_is_tried_again(image_session, staging, execution_rid, monkeypatch):
    """max_retries: files that failed for want of an answer go up when there is one."""
    stage(staging, ["a.png", "b.png"])
    real, refused = image_session.client.request, []

    def first_time_away(method, path, **options):
        if path.startswith("/hatrac/") and len(refused) < 2:
            refused.append(path)
            raise CatalogUnreachable("away", url=path)
        return real(method, path, **options)

    monkeypatch.setattr(image_session.client, "request", first_time_away)
    report = upload_staged(image_session, staging, execution_rid, manner=Manner(2, retry_delay_s=0))

    assert (report.total_uploaded, report.errors, len(refused)) == (2, [], 2)


def test_a_row_that_is_there_keeps_its_values(image_session, staging, execution_rid, tmp_path):
    """The same file with another label: the row that is there stays as it is, and a warning names it."""
    stage(staging, ["a.png"], Label="1")
    upload_staged(image_session, staging, execution_rid)
    other = Staging(tmp_path / "other", image_session)
    other.register("Image", staging.assets_folder / "Image" / "a.png", Label="2")
    report = upload_staged(image_session, other, execution_rid)

    assert [row["Label"] for row in rows.select(image_session, "Image")] == ["1"]
    assert any("keeps its own Label" in warning for warning in report.warnings)


def test_an_asset_table_without_associations(image_session, execution_rid, tmp_path):
    """A table that has only the asset columns takes assets; a warning says what could not be recorded."""
    bare = patterns.asset_table("Bare", "", schema="demo")
    create_tables(image_session, "demo", [bare])
    staging = Staging(tmp_path / "execution", image_session)
    staging.register("Bare", "a.bin").write_text("x")
    report = upload_staged(image_session, staging, execution_rid)

    assert report.total_uploaded == 1
    assert len([warning for warning in report.warnings if "Bare has no association" in warning]) == 2


def test_reports_add_up(image_session, staging, execution_rid):
    """The metadata's upload and the outputs' are one report to the user."""
    stage(staging, ["a.png"])
    first = upload_staged(image_session, staging, execution_rid)
    stage(staging, ["b.png"])
    staging.register("Image", "never.png")
    total = first.add(upload_staged(image_session, staging, execution_rid))

    assert (total.total_uploaded, total.execution_rids) == (2, [execution_rid])
    assert [path.file_name for path in total.assets["demo/Image"]] == ["a.png", "b.png"]
    assert len(total.warnings) == 1


def test_ctrl_c_does_not_wait_for_a_large_file(image_session, staging, execution_rid):
    """When the user stops an upload, files in flight end at their next chunk; a later upload goes on from there."""
    stage(staging, ["a.png"])
    staging.register("Image", "big.bin").write_bytes(os.urandom(2_000_000))

    def interrupt(progress):
        if progress.bytes_completed > 200_000:
            raise KeyboardInterrupt

    before = image_session.client.requests_sent
    with pytest.raises(KeyboardInterrupt):
        upload_staged(image_session, staging, execution_rid, manner=Manner(chunk_size=10_000), progress=interrupt)
    sent = image_session.client.requests_sent - before
    later = Staging(staging.folder, image_session)
    report = upload_staged(image_session, later, execution_rid, manner=Manner(chunk_size=10_000))

    assert sent < 60
    assert report.total_uploaded == 2
    assert image_session.client.requests_sent - before < 200 + 30


def test_an_upload_killed_at_any_moment_is_finished_later(image_session, local_server, staging, execution_rid):
    """Kill -9 in the middle: a later upload finishes; every row and link is there exactly once."""
    count = 60
    stage(staging, [f"{n}.png" for n in range(count)])
    code = f"""
import sys
from pathlib import Path
from deriva_ml_core.assets.manner import Manner
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog.session import CatalogSession
session = CatalogSession.connect(
    "local", {image_session.catalog_id!r}, base_url={local_server.url!r}, credential={local_server.credential!r}
)
def tell(progress):
    print(progress.phase, progress.files_completed, flush=True)
upload_staged(session, Staging(Path({str(staging.folder)!r}), session), {execution_rid!r}, progress=tell, workers=2)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.split() == ["Uploading", "20"]:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert len(list(rows.select(image_session, "Image"))) < count

    later = Staging(staging.folder, image_session)
    before = image_session.client.requests_sent
    report = upload_staged(image_session, later, execution_rid)

    assert report.errors == []
    assert report.total_uploaded == count
    # What was finished is not sent again; of those in flight when it was killed, each may be asked for twice.
    assert image_session.client.requests_sent - before <= count - 20 + 15
    assert len(list(rows.select(image_session, "Image"))) == count
    assert len(links(image_session, execution_rid)) == count


def test_a_catalog_that_is_away_keeps_the_outputs(image_session, staging, execution_rid, connect, monkeypatch):
    """No answer: nothing is lost, the report names the files and the command that finishes."""
    stage(staging, ["a.png"])
    with monkeypatch.context() as patched:
        patched.setattr(image_session.client, "base_url", "http://127.0.0.1:9")
        report = upload_staged(image_session, staging, execution_rid)
    with pytest.raises(DerivaMLUploadError, match=f"deriva-ml-executions upload {execution_rid}") as error:
        report.raise_for_failures()
    assert error.value.exit_code == 3

    assert upload_staged(image_session, Staging(staging.folder, image_session), execution_rid).total_uploaded == 1
