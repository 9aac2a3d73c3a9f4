"""The gRPC probe against gRPC's own server, and against what is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest

from golive.supervise.probe import probe
from golive.supervise.unit import Grpc

from .apps import free_port

LONG = timedelta(seconds=30)
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
LONG_NAME = "demo." + "a" * 150


async def health(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """As the standard service answers, for the names below."""
    answers = {
        b"": SERVING,
        b"\x0a\x08demo.Off": NOT_SERVING,
        b"\x0a\x08demo.New": b"",
        b"\x0a\x9b\x01" + LONG_NAME.encode(): SERVING,
        b"\x0a\x08demo.Odd": b"\x12\x03abc",
    }
    if request == b"\x0a\x0bdemo.Locked":
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    if request == b"\x0a\x0ademo.Burst":
        await context.abort(grpc.StatusCode.INTERNAL, "disk full\non / — 100 %")
    if request not in answers:
        await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return answers[request]


@asynccontextmanager
async def grpc_server(*, checked: bool = True) -> AsyncIterator[int]:
    server = grpc.aio.server()
    if checked:
        handler = grpc.unary_unary_rpc_method_handler(health)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def test_what_the_health_service_says() -> None:
    said = {}
    async with grpc_server() as port:
        for name in ("", "demo.Off", "demo.New", LONG_NAME, "demo.Odd", "demo.Locked", "demo.Burst", "demo.Nobody"):
            result = await probe(Grpc("127.0.0.1", port, name), LONG)
            said[name] = (result.ok, result.detail.removeprefix(f"gRPC health check of {name} "), result.refused)
    assert said == {
        "": (True, "gRPC health check answered SERVING", False),
        "demo.Off": (False, "answered NOT_SERVING", False),
        "demo.New": (False, "answered UNKNOWN", False),
        LONG_NAME: (True, "answered SERVING", False),
        "demo.Odd": (False, "answered something that is not a health status", False),
        "demo.Locked": (
            False,
            "answered UNAUTHENTICATED: health checks carry no credentials; let them pass without",
            False,
        ),
        "demo.Burst": (False, "answered INTERNAL: disk full on / — 100 %", False),
        "demo.Nobody": (
            False,
            "answered NOT_FOUND: its health service does not know that name; give it a status, or ask with "
            "`grpc = true`",
            False,
        ),
    }


async def test_a_server_without_the_health_service() -> None:
    async with grpc_server(checked=False) as port:
        result = await probe(Grpc("127.0.0.1", port), LONG)
    assert not result.ok
    assert result.detail == (
        "gRPC health check answered UNIMPLEMENTED: it has no grpc.health.v1.Health; register the standard health "
        "service of its gRPC library"
    )


async def test_nothing_listens() -> None:
    port = free_port()
    result = await probe(Grpc("127.0.0.1", port), LONG)
    assert (result.ok, result.refused, result.detail) == (False, True, f"connection refused on 127.0.0.1:{port}")


async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # a TLS alert: not a handshake
    await writer.drain()
    await reader.read(100)


async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")


async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A SETTINGS frame of a length that none can have."""
    await reader.read(100)
    writer.write(b"\0\0\x05\x04" + bytes(20))


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """HTTP/2, but no gRPC: a 404 page."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import StreamEnded

    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, StreamEnded):
                connection.send_headers(event.stream_id, [(":status", "404")])
                connection.send_data(event.stream_id, b"no such page", end_stream=True)
        writer.write(connection.data_to_send())


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize(
    ("answer", "timeout", "detail"),
    [
        (http1, LONG, "its gRPC port speaks HTTP/1; golive asks HTTP/2 without TLS (h2c), as the edge does"),
        (tls, LONG, "its gRPC port speaks TLS; golive asks HTTP/2 without TLS"),
        (ssh, LONG, "its gRPC port speaks something else; "),
        (broken, LONG, "its gRPC port does not speak HTTP/2 without TLS ("),
        (closes, LONG, "the connection was closed before an answer came"),
        (web, LONG, "gRPC health check was answered by HTTP 404 without a gRPC status; is that port a gRPC server's?"),
        (silent, timedelta(seconds=0.2), "no answer within 0.2 s"),
    ],
)
async def test_what_is_no_grpc_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], timeout: timedelta, detail: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        result = await probe(Grpc("127.0.0.1", listening.sockets[0].getsockname()[1]), timeout)
    assert not result.ok
    assert result.detail.startswith(detail)
