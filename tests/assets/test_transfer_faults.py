"""Networks that delay, break and refuse: what is staged arrives once, and only what is safe to repeat is repeated."""

import hashlib
import os
from urllib.parse import urlsplit

import pytest
from meddling_proxy import MeddlingProxy

from deriva_ml_core.assets.manner import Manner
from deriva_ml_core.assets.staging import Staging
from deriva_ml_core.assets.upload import upload_staged
from deriva_ml_core.catalog import objects, rows
from deriva_ml_core.catalog.http import HttpClient
from deriva_ml_core.errors import CatalogUnreachable


@pytest.fixture
def proxy(local_server):
    where = urlsplit(local_server.url)
    with MeddlingProxy(where.hostname, where.port) as running:
        yield running


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


def test_a_timeout_is_kept(proxy):
    """A server that takes too long is not waited for: the caller's time-out counts, for the block that it is for."""
    proxy.delay_s = 5
    client = HttpClient(proxy.url)
    client.patience = client.patience.__class__(answer_repeats=0, connect_repeats=0)
    with pytest.raises(CatalogUnreachable), client.timeouts((1.0, 0.05)):
        client.request("GET", "/ermrest/")
    assert client.patience.read_timeout_s == 120
    client.close()
