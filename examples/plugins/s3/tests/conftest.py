"""A real S3-compatible server (moto's), and an empty bucket in it for each test."""

from __future__ import annotations

import deriva_ml_s3
import pytest
from moto.server import ThreadedMotoServer

pytest_plugins = ["deriva_ml.testing"]
BUCKET = "outputs"


@pytest.fixture(scope="session")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def bucket(endpoint, monkeypatch):
    """An empty bucket, and what a user sets in the environment."""
    values = {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret-key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "DERIVA_S3_BUCKET": BUCKET,
        "DERIVA_S3_PREFIX": "runs/",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    deriva_ml_s3.client.cache_clear()
    s3 = deriva_ml_s3.client()
    s3.create_bucket(Bucket=BUCKET)
    yield s3
    for one in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=one["Key"])
    s3.delete_bucket(Bucket=BUCKET)
    s3.close()
