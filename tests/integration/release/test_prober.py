"""The prober against real servers: what it counts, and what it forgives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from golive.release import prober as module
from golive.release.prober import Address, Prober, ProbeReport
from golive.system.http import Connection

Answer = Callable[[int, asyncio.StreamWriter], Awaitable[bool]]
"""Answers a request, given its number; False closes the connection."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """HTTP enough for a test. `connections` and `requests` are counted."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = self.requests = 0
        self.hosts: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                self.hosts |= {line[6:].decode() for line in head.split(b"\r\n") if line.lower().startswith(b"host: ")}
                if not await self.answer(self.requests, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[Server, Address]]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    yield server, Address("http", "shop.localhost", listening.sockets[0].getsockname()[1])
    listening.close()


def says(raw: bytes, stay: bool = True) -> Answer:
    async def answer(_: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(raw)
        await writer.drain()
        return stay

    return answer


async def probed(answer: Answer, count: int = 12, paths: tuple[str, ...] = ("/",)) -> tuple[Server, ProbeReport]:
    """The report after that many requests beside the look before."""
    async with serving(answer) as (server, address), Prober(address, paths) as prober:
        async with asyncio.timeout(120):
            while prober.report().requests < count:
                await asyncio.sleep(0.005)
        report = prober.report()
    return server, report


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)


@pytest.mark.parametrize(
    "raw",
    [
        OK,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nyes\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_answers_on_four_connections_that_stay_open(raw: bytes) -> None:
    server, report = await probed(says(raw))
    assert (report.failed, report.failures) == (0, ())
    assert report.requests >= 12
    assert server.connections == module.CONNECTIONS + 1
    assert server.hosts == {"shop.localhost"}
    assert report.slowest > 0


@pytest.mark.parametrize(
    "raw", [OK, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", b"HTTP/1.0 200 OK\r\n\r\nok"]
)
async def test_a_server_that_closes_between_requests_fails_nobody(raw: bytes) -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(raw)
        return False

    server, report = await probed(answer)
    assert report.failed == 0
    assert server.connections > 10


def after(number: int, then: Answer) -> Answer:
    """Well at first, so that it has no excuse."""

    async def answer(count: int, writer: asyncio.StreamWriter) -> bool:
        if count <= number:
            writer.write(OK)
            return True
        return await then(count, writer)

    return answer


async def test_5xx_is_counted_and_named() -> None:
    _, report = await probed(after(1, says(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")))
    assert report.failed == report.requests
    assert report.failures == (f"{report.failed} × / answered 503",)
    assert report.to_json()["failed"] == report.failed


async def reset(_: int, writer: asyncio.StreamWriter) -> bool:
    writer.transport.abort()
    return False


async def nothing(_: int, writer: asyncio.StreamWriter) -> bool:
    return False


@pytest.mark.parametrize(
    "then",
    [
        reset,
        nothing,
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", stay=False),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", stay=False),
        says(b"SSH-2.0-OpenSSH\r\n\r\n", stay=False),
    ],
    ids=["reset", "no answer", "half a body", "half a chunk", "not HTTP"],
)
async def test_broken_answers_are_counted_each(then: Answer) -> None:
    _, report = await probed(after(1, then))
    assert report.failed == report.requests >= 12
    assert sum(int(line.split(" × ")[0]) for line in report.failures) == report.failed


async def test_an_answer_that_never_comes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Address.connection

    def impatient(address: Address) -> Connection:
        connection = real(address)
        connection._timeout = 0.05
        return connection

    monkeypatch.setattr(Address, "connection", impatient)

    async def hangs(_: int, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(1)
        return False

    _, report = await probed(after(1, hangs), count=4)
    assert report.failed == report.requests >= 4
    assert "TimeoutError" in report.failures[0]


async def test_one_failure_among_many_is_found() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(OK if number != 9 else b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        return True

    _, report = await probed(answer, count=30)
    assert report.failed == 1


async def test_a_route_that_was_broken_before_is_excused_until_the_switch() -> None:
    state = {"broken": True}

    async def answer(_: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" if state["broken"] else OK)
        return True

    async with serving(answer) as (_, address), Prober(address, ("/", "/api")) as prober:
        await until(prober, 8)
        assert prober.report().failed == 0
        state["broken"] = False
        prober.passed_over()
        await until(prober, prober.report().requests + 8)
        assert prober.report().failed == 0
        state["broken"] = True
        await until(prober, prober.report().requests + 8)
        assert prober.report().failed > 0


async def test_where_nobody_listened_before_it_is_no_failure() -> None:
    async with serving(says(OK)) as (_, address):
        pass
    async with Prober(address, ("/",)) as prober:
        await until(prober, 4)
        assert prober.report().failed == 0
        prober.passed_over()
        await until(prober, prober.report().requests + 4)
        assert prober.report().failed > 0


async def test_without_a_route_nothing_is_asked() -> None:
    async with serving(says(OK)) as (server, address), Prober(address, ()) as prober:
        await asyncio.sleep(0.02)
        assert prober.report() == ProbeReport(0, 0, 0.0, ())
    assert server.connections == 0


async def test_all_routes_are_asked() -> None:
    seen: set[bytes] = set()
    listening = await asyncio.start_server(lambda r, w: _record(r, w, seen), "127.0.0.1", 0)
    address = Address("http", "shop.localhost", listening.sockets[0].getsockname()[1])
    async with Prober(address, ("/", "/api", "/x/y")) as prober:
        await until(prober, 12)
    listening.close()
    assert seen == {b"/", b"/api", b"/x/y"}


async def _record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: set[bytes]) -> None:
    try:
        while True:
            seen.add((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
            writer.write(OK)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def until(prober: Prober, requests: int) -> None:
    async with asyncio.timeout(120):
        while prober.report().requests < requests:
            await asyncio.sleep(0.005)
