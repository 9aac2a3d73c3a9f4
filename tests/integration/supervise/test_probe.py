"""Probes against real sockets that behave and misbehave."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from golive.supervise.probe import probe
from golive.supervise.unit import Command, Http, Tcp

from .apps import free_port

SECOND = timedelta(seconds=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: bytes | Answer) -> AsyncIterator[int]:
    """Answers every connection with the same bytes, or as told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if callable(answer):
                await answer(reader, writer)
            else:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "ok", "detail"),
    [
        (OK, True, "GET /up answered 200"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, "GET /up answered 204"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", True, "GET /up answered 200"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, True, "GET /up answered 200"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True, "GET /up answered 200"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://x.test/login\r\nContent-Length: 0\r\n\r\n",
            False,
            "GET /up answered 302 and pointed to https://x.test/login; a probe follows no redirects",
        ),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", False, "GET /up answered 304"),
        (
            b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nno\n  data!",
            False,
            "GET /up answered 500: no data",
        ),
        (b"HTTP/1.1 503 No\r\n\r\n" + b"x" * 5000, False, "GET /up answered 503: " + "x" * 200),
        (b"HTTP/1.1 500 No\r\nContent-Length: 50\r\n\r\nshort", False, "GET /up answered 500: short"),
        (b"", False, "the connection was closed before an answer came"),
        (b"HTTP/1.1 200", False, "the connection was closed before an answer came"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", False, "the answer is not HTTP"),
        (b"\x00\x01\x02\r\n\r\n", False, "the answer is not HTTP"),
    ],
)
async def test_http(answer: bytes, ok: bool, detail: str) -> None:
    async with server(answer) as port:
        result = await probe(Http("127.0.0.1", port, "/up"), 30 * SECOND)
    assert (result.ok, result.refused) == (ok, False)
    assert result.detail.startswith(detail)


async def test_the_request() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async with server(answer) as port:
        await probe(Http("127.0.0.1", port, "/up?x=1", {"host": "app.test", "X-Probe": "1"}), 30 * SECOND)
        await probe(Http("127.0.0.1", port), 30 * SECOND)
    first = seen[0].decode().splitlines()
    assert first[0] == "GET /up?x=1 HTTP/1.1"
    assert {"Host: app.test", "X-Probe: 1", "Connection: close"} <= set(first)
    assert sum(line.lower().startswith("host:") for line in first) == 1
    assert f"Host: 127.0.0.1:{port}" in seen[1].decode()


async def test_too_late() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(never) as port:
        result = await probe(Http("127.0.0.1", port), SECOND / 5)
    assert (result.ok, result.detail) == (False, "no answer within 0.2 s")
    assert result.seconds >= 0.15


async def test_a_stream_that_never_ends_passes_by_its_status() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await reader.read()

    async with server(stream) as port:
        async with asyncio.timeout(120):
            result = await probe(Http("127.0.0.1", port), 3600 * SECOND)
    assert result.ok


async def test_reset() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with server(reset) as port:
        result = await probe(Http("127.0.0.1", port), 30 * SECOND)
    assert (result.ok, result.detail) == (False, "the connection was closed before an answer came")


@pytest.mark.parametrize("kind", [Http, Tcp])
async def test_refused(kind: type[Http | Tcp]) -> None:
    port = free_port()
    result = await probe(kind("127.0.0.1", port), 30 * SECOND)
    assert (result.ok, result.refused) == (False, True)
    assert result.detail == f"connection refused on 127.0.0.1:{port}"


async def test_an_address_that_does_not_exist() -> None:
    result = await probe(Tcp("no-such-host.invalid", 80), 30 * SECOND)
    assert not result.ok
    assert "no-such-host.invalid:80" in result.detail


async def test_a_request_that_cannot_be_sent() -> None:
    async with server(OK) as port:
        result = await probe(Http("127.0.0.1", port, "/a b\r\nX: y"), 30 * SECOND)
    assert not result.ok
    assert "cannot be sent" in result.detail


async def test_tcp() -> None:
    async with server(OK) as port:
        result = await probe(Tcp("127.0.0.1", port), 30 * SECOND)
    assert (result.ok, result.detail) == (True, f"127.0.0.1:{port} accepts connections")


@pytest.mark.parametrize(
    ("code", "ok", "detail"),
    [
        ("print('fine')", True, "exited with 0: fine"),
        ("print('one'); print('two'); raise SystemExit(2)", False, "exited with 2: two"),
        ("raise SystemExit(1)", False, "exited with 1"),
    ],
)
async def test_command(code: str, ok: bool, detail: str) -> None:
    env = {"PATH": os.environ["PATH"]}
    result = await probe(Command((sys.executable, "-I", "-S", "-c", code), env, Path("/")), 30 * SECOND)
    assert (result.ok, result.detail) == (ok, detail)


async def test_a_command_that_hangs_or_is_not_there() -> None:
    result = await probe(Command(("/bin/sleep", "60"), {}, Path("/")), SECOND / 5)
    assert (result.ok, result.detail) == (False, "no answer within 0.2 s")
    result = await probe(Command(("/no/such",), {}, Path("/")), SECOND)
    assert not result.ok
    assert "cannot start /no/such" in result.detail


async def test_a_probe_is_cheap() -> None:
    """10 services probed every 10 seconds: one probe a second, below 0.1 % of a core. The server's share is in it."""
    async with server(OK) as port:
        target = Http("127.0.0.1", port, "/up")
        await probe(target, 30 * SECOND)
        began = time.process_time()
        for _ in range(100):
            assert (await probe(target, 30 * SECOND)).ok
        each = (time.process_time() - began) / 100
    assert each < 0.02, f"{each * 1000:.2f} ms"
    print(f"a probe and its answer: {each * 1000:.2f} ms of CPU")
