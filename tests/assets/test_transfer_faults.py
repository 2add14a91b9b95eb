"""Networks that delay, break and refuse: what is staged arrives once, and only what is safe to repeat is repeated."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest

from deriva_ml_core.assets.manner import Manner
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.catalog.http import HttpClient, Patience
from deriva_ml_core.catalog.served_store import ServedStore
from deriva_ml_core.catalog.session import CatalogSession
from deriva_ml_core.errors import CatalogUnreachable, WorkingFolderError
from deriva_ml_core.schema.install import install_schema


@pytest.fixture
def far_session(image_session, connect, proxy):
    """The catalog of `image_session`, through the proxy."""
    return connect(image_session.catalog_id, base_url=proxy.url)


@pytest.fixture
def far_staging(far_session, tmp_path):
    return Staging(tmp_path / "far", far_session)


def stage(staging, count):
    for number in range(count):
        content = hashlib.sha1(f"{staging.folder}/{number}".encode()).hexdigest()
        staging.register("Image", f"{number}.png").write_text(content)


def test_a_busy_server_is_given_the_time_that_it_asks_for(far_session, far_staging, proxy, execution_rid, monkeypatch):
    """503 with Retry-After: each refused request waits as long as the server says, and everything arrives once."""
    stage(far_staging, 6)
    waited = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    proxy.refuse_next, proxy.retry_after_s = 4, 7
    report = upload_staged(far_session, far_staging, execution_rid)

    assert (report.total_uploaded, report.errors, proxy.refused) == (6, [], 4)
    assert waited.count(7) == 4
    assert len(list(rows.select(far_session, "Image"))) == 6


def test_an_hour_is_not_waited_for(far_session, proxy, monkeypatch):
    """A Retry-After that no run can wait for is cut to minutes."""
    waited = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    proxy.refuse_next, proxy.retry_after_s = 1, 3600
    far_session.get_json("/")

    assert waited == [300]


def test_broken_connections_are_taken_up(far_session, far_staging, proxy, execution_rid):
    """Every connection is cut while a large file travels: it goes on at its last accepted chunk, by max_retries."""
    size = 3_000_000
    far_staging.register("Image", "big.bin").write_bytes(os.urandom(size))

    def cut_once(progress):
        if progress.bytes_completed > size / 2 and not proxy.cut_after_bytes:
            proxy.cut_after_bytes = proxy.bytes_up
            proxy.cut()

    def heal(_pause_s):
        proxy.cut_after_bytes = -1
        proxy.bytes_up = 0

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deriva_ml_core.assets.upload.time.sleep", heal)
        report = upload_staged(
            far_session,
            far_staging,
            execution_rid,
            progress=cut_once,
            manner=Manner(max_retries=1, chunk_size=100_000),
        )

    assert (report.total_uploaded, report.errors) == (1, [])
    assert proxy.bytes_up < 0.55 * size
    (row,) = rows.select(far_session, "Image")
    assert objects.exists(far_session, row["URL"])


def test_a_damaged_chunk_goes_again_alone(far_session, far_staging, proxy, execution_rid):
    """Each chunk has a checksum where a network lies between: what arrives damaged is sent again, and only that."""
    size = 3_000_000
    far_staging.register("Image", "big.bin").write_bytes(os.urandom(size))
    far_session.client.is_near = False
    proxy.damage_next = 1
    report = upload_staged(far_session, far_staging, execution_rid, manner=Manner(chunk_size=100_000))

    assert (report.total_uploaded, report.errors, proxy.damage_next) == (1, [], 0)
    assert size + 50_000 < proxy.bytes_up < size + 200_000


def test_a_chunk_that_is_damaged_for_ever_stores_nothing(far_session, far_staging, proxy, execution_rid):
    """Bytes that never arrive as they were sent are an error, not an object."""
    far_staging.register("Image", "big.bin").write_bytes(os.urandom(300_000))
    far_session.client.is_near = False
    proxy.damage_next = 1000
    report = upload_staged(far_session, far_staging, execution_rid, manner=Manner(chunk_size=100_000))

    assert (report.total_uploaded, len(report.errors)) == (0, 1)
    assert not list(rows.select(far_session, "Image"))


def test_who_was_faster_with_the_same_content_is_heard(image_session, execution_rid, tmp_path):
    """Two executions that send the same large content at the same time: one version, one row, two links."""
    content = os.urandom(500_000)
    slow, fast = (Staging(tmp_path / name, image_session) for name in ("slow", "fast"))
    for one in (slow, fast):
        one.register("Image", "big.bin").write_bytes(content)
    manner, others = Manner(chunk_size=100_000), []

    def overtake(progress):
        if progress.bytes_completed >= 200_000 and not others:
            others.append(None)
            others.append(upload_staged(image_session, fast, execution_rid, manner=manner))

    report = upload_staged(image_session, slow, execution_rid, progress=overtake, manner=manner)

    assert (report.total_uploaded, others[1].total_uploaded) == (1, 1)
    (row,) = rows.select(image_session, "Image")
    versions = image_session.client.request("GET", f"{row['URL'].rpartition(':')[0]};versions").data.split()
    assert len(versions) == 1


def test_a_timeout_is_kept(proxy):
    """A server that takes too long is not waited for: the caller's time-out counts, for the block that it is for."""
    proxy.delay_s = 5
    client = HttpClient(proxy.url)
    client.patience = client.patience.__class__(answer_repeats=0, connect_repeats=0)
    with pytest.raises(CatalogUnreachable), client.timeouts((1.0, 0.05)):
        client.request("GET", "/ermrest/")
    assert client.patience.read_timeout_s == 120
    client.close()


def test_a_full_disk_costs_no_output(image_session, execution_rid, small_disk):
    """What is stored can't be noted on a full disk: said in one line; with room again, nothing is there twice."""
    disk = small_disk(1024 * 1024)
    staging = Staging(disk / "execution", image_session)
    stage(staging, 40)
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(WorkingFolderError):
        upload_staged(image_session, staging, execution_rid)
    filler.unlink()
    report = upload_staged(image_session, Staging(disk / "execution", image_session), execution_rid)

    assert report.errors == []
    assert len(list(rows.select(image_session, "Image"))) == 40
    assert len(list(rows.select(image_session, "Image_Execution", {"Execution": execution_rid}))) == 40


def test_a_server_that_restarts_in_the_middle_is_waited_for(tmp_path):
    """Killed and started again at the same place: chunks that it had are not sent again, and nothing is there twice."""
    root, size = tmp_path / "server", 3_000_000
    with served(root) as (process, port):
        session = prepared(f"http://127.0.0.1:{port}")
        execution = rows.insert_one(session, "deriva-ml:Execution", Description="x", Status="Running")["RID"]
        staging = Staging(tmp_path / "execution", session)
        staging.register("Execution_Asset", "big.bin").write_bytes(os.urandom(size))
        moved = []

        def kill_at_half(progress):
            moved.append(progress.bytes_completed)
            if progress.bytes_completed > size / 2 and process.poll() is None:
                process.kill()
                process.wait()

        manner = Manner(chunk_size=100_000)
        first = upload_staged(session, staging, execution, progress=kill_at_half, manner=manner)
        session.close()
    assert len(first.errors) == 1
    with served(root) as (_, port):
        session = CatalogSession.connect("local", session.catalog_id, base_url=f"http://127.0.0.1:{port}")
        before = session.client.requests_sent
        report = upload_staged(session, Staging(staging.folder, session), execution, manner=manner)
        sent = session.client.requests_sent - before
        found = list(rows.select(session, "Execution_Asset"))
        session.close()

    assert (report.errors, report.total_uploaded, len(found)) == ([], 1, 1)
    assert sent < 30  # 30 chunks alone, had it begun anew


DYING = """
    import os, signal, sys
    from pathlib import Path
    from deriva_ml_core.local_catalog.registry import Registry
    from deriva_ml_core.local_catalog.server import serve
    root, left, before = sys.argv[1], 2, sys.argv[2] == "before"
    write = Registry.write_each_together
    def dying(self, works):
        global left
        left -= 1
        done = None if left == 0 and before else write(self, works)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    Registry.write_each_together = dying
    serve(Path(root), ready=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_server_killed_between_batches_of_small_outputs_has_each_once(tmp_path, moment):
    """Whether or not the batch was stored whose answer is lost: the next command asks nobody to guess."""
    root, manner = tmp_path / "root", Manner(max_retries=0)
    with served(root) as (_, port):
        session = prepared(f"http://127.0.0.1:{port}")
        execution = rows.insert_one(session, "deriva-ml:Execution", Description="run", Status="Running")["RID"]
        staging = Staging(tmp_path / "run", session)
        for number in range(400):
            staging.register("Execution_Asset", f"{number}.txt").write_text(f"{tmp_path} {number}")
        session.close()
    with subprocess.Popen(
        [sys.executable, "-c", dedent(DYING), root, moment], stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().strip()
        session = connect_served(url, session.catalog_id)
        first = upload_staged(session, Staging(staging.folder, session), execution, manner=manner)
        session.close()
    with served(root) as (_, port):
        session = connect_served(f"http://127.0.0.1:{port}", session.catalog_id)
        second = upload_staged(session, Staging(staging.folder, session), execution, manner=manner)
        found = list(rows.select(session, "Execution_Asset"))
        session.close()

    assert first.total_uploaded == 0
    assert first.unanswered == first.total_failed == 400
    assert (second.errors, second.total_uploaded) == ([], 400)
    assert sorted(row["Filename"] for row in found) == sorted(f"{number}.txt" for number in range(400))


def connect_served(url, catalog_id):
    """As `hostname="local"` with DERIVA_ML_LOCAL_URL does, without its patience."""
    patience = Patience(connect_repeats=1, answer_repeats=1, backoff_s=0.01)
    session = CatalogSession.connect("local", catalog_id, base_url=url, patience=patience)
    session.object_store = ServedStore(session.client)
    return session


@contextlib.contextmanager
def served(root):
    """`deriva-ml-catalog serve`, and its port."""
    command = [sys.executable, "-m", "deriva_ml_core.cli.catalog", "serve", "--root", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, int(process.stdout.readline().rpartition(":")[2].strip().rstrip("/"))
        finally:
            process.kill()


def prepared(url):
    """A session with a new catalog that has the schema."""
    client = HttpClient(url)
    made = client.request("POST", "/ermrest/catalog", body=b"{}", headers={"Content-Type": "application/json"})
    client.close()
    patience = Patience(connect_repeats=1, answer_repeats=1, backoff_s=0.01)
    session = CatalogSession.connect("local", str(json.loads(made.data)["id"]), base_url=url, patience=patience)
    install_schema(session)
    return session
