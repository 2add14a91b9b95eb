"""Bodies in chunked transfer encoding: decoded in bounded pieces, refused when broken."""

import io
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_ml_core.local_catalog import LocalServer
from deriva_ml_core.local_catalog.chunked import ChunkedBody
from deriva_ml_core.local_catalog.errors import BadRequest


def _encode(chunks: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"


@given(chunks=st.lists(st.binary(max_size=50)), sizes=st.lists(st.integers(1, 70), min_size=1))
def test_what_was_encoded_comes_back(chunks, sizes):
    """However the sender cuts the body and the reader asks for it; nothing beyond the end is read."""
    connection = io.BytesIO(_encode(chunks) + b"next request")
    body, read = ChunkedBody(connection), []
    for size in [*sizes, *[1000] * (len(chunks) + 1)]:
        read.append(body.read(size))
        assert len(read[-1]) <= size

    assert b"".join(read) == b"".join(chunks)
    assert connection.read() == b"next request"


@given(data=st.binary(max_size=200))
def test_garbage_is_refused_or_ends(data):
    """No input makes anything but a body or a refusal."""
    try:
        read = ChunkedBody(io.BytesIO(data)).read()
    except BadRequest:
        return
    assert len(read) <= len(data)


@pytest.mark.parametrize(
    "data", [b"", b"x\r\n", b"-5\r\n", b"5\r\nabc", b"3\r\nabcd\r\n", b"fffffffffffffffff\r\n", b"5" * 5000]
)
def test_broken_encodings_are_refused(data):
    """A size that is none, a chunk that is too short or too long, a line without end."""
    with pytest.raises(BadRequest):
        ChunkedBody(io.BytesIO(data)).read()


def test_a_huge_chunk_is_not_taken_into_memory(tmp_path):
    """A sender that announces a chunk of a petabyte and goes away is refused; the server goes on."""
    with LocalServer(tmp_path) as server:
        host, _, port = server.netloc.partition(":")
        head = [
            "PUT /hatrac/o HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {server.token}",
            "Transfer-Encoding: chunked",
        ]
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + b"4000000000000\r\n" + b"x" * 1_000_000)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(1000)

    assert answer.startswith(b"HTTP/1.1 400 ")
