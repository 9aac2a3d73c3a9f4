"""Requests to the process that counts, as bytes: whole or in pieces, one behind the other, and what is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from golive.edge.quota_server import LONGEST, Client, Counting

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
NOT_COUNTED = b"HTTP/1.1 424 Failed Dependency"


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    """Nobody has told it of a Redis."""
    return Counting(tmp_path / "quota.json")


@pytest.fixture
async def streams(counting: Counting, tmp_path: Path) -> AsyncIterator[Streams]:
    path = str(tmp_path / "socket")
    server = await asyncio.get_running_loop().create_unix_server(lambda: Client(counting), path)
    made = await asyncio.open_unix_connection(path)
    yield made
    made[1].close()
    server.close()


def request(body: bytes, target: str = "/", **headers: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", f"content-length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + body


ASKED = request(b"shop/production\nweb / client\t5\tday\tclient 127.0.0.1")


async def read(streams: Streams) -> tuple[bytes, bytes]:
    """Head and body of an answer."""
    head = (await streams[0].readuntil(b"\r\n\r\n")).strip()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await streams[0].readexactly(length)


async def test_requests_come_in_pieces_and_behind_each_other(streams: Streams) -> None:
    for at in range(0, len(ASKED), 7):
        streams[1].write(ASKED[at : at + 7])
        await asyncio.sleep(0)
    head, body = await read(streams)
    assert head.startswith(NOT_COUNTED)
    assert body == b"nobody said where"
    streams[1].write(ASKED + request(b"shop/production") + request(b"", "/-/ready") + ASKED)
    statuses = [(await read(streams))[0].split()[1] for _ in range(4)]
    assert statuses == [b"424", b"400", b"200", b"424"]


async def test_the_last_answer_says_so(streams: Streams, counting: Counting) -> None:
    counting.ending = True
    streams[1].write(ASKED)
    assert b"connection: close" in (await read(streams))[0]
    assert await streams[0].read() == b""
    assert not counting.clients


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (LONGEST + 1), b"413"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nx: " + b"y" * 70_000, b"431"),
    ],
)
async def test_what_is_no_request_ends_the_connection(streams: Streams, sent: bytes, status: bytes) -> None:
    streams[1].write(sent)
    head, _ = await read(streams)
    assert head.split()[1] == status
    assert await streams[0].read() == b""


async def test_a_fault_of_its_own_is_an_answer_too(streams: Streams, tmp_path: Path) -> None:
    (tmp_path / "quota.json").write_text('["no places"]')
    streams[1].write(ASKED + request(b"", "/-/ready"))
    head, body = await read(streams)
    assert head.startswith(NOT_COUNTED)
    assert body == b"a fault of the counting"
    assert (await read(streams))[0].startswith(b"HTTP/1.1 200")
