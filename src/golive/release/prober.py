"""Requests through the edge for the whole of a switch: the deploy's own proof that nobody was refused.

Four keep-alive connections, each asking for one of the app's routes every 50 ms, from before traffic moves until the
verification ends. What counts as failed: no answer, a broken one, or a 5xx where the same route did not answer 5xx
before the switch.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

CONNECTIONS = 4
PAUSE = 0.05
TIMEOUT = 10.0
"""Seconds."""


@dataclass(frozen=True)
class Address:
    """How to reach a site through the edge on this machine."""

    scheme: str
    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ProbeReport:
    """Latencies in seconds."""

    requests: int
    failed: int
    slowest: float
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        slowest = round(self.slowest, 4)
        return {"requests": self.requests, "failed": self.failed, "slowest": slowest, "failures": list(self.failures)}


class Prober:
    """`async with Prober(address, paths) as prober: …; prober.report()`."""

    def __init__(self, address: Address, paths: tuple[str, ...]) -> None:
        self._address = address
        self._paths = paths
        self._requests = 0
        self._slowest = 0.0
        self._failures: Counter[str] = Counter()
        self._broken_before: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Prober:
        if self._paths:
            await self._look_before()
            self._tasks = [asyncio.create_task(self._probe(n)) for n in range(CONNECTIONS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def report(self) -> ProbeReport:
        lines = tuple(f"{count} × {text}" for text, count in self._failures.most_common(5))
        return ProbeReport(self._requests, self._failures.total(), self._slowest, lines)

    async def _look_before(self) -> None:
        """Routes that fail already (a first deploy has none that answer) are not this switch's doing."""
        connection = Connection(self._address)
        for path in self._paths:
            try:
                if await connection.get(path) >= 500:
                    self._broken_before.add(path)
            except (OSError, EOFError, TimeoutError, ValueError):
                self._broken_before.add(path)
        await connection.close()

    def passed_over(self) -> None:
        """The switch is done: from now on a route that failed before has no excuse."""
        self._broken_before.clear()

    async def _probe(self, number: int) -> None:
        connection = Connection(self._address)
        turn = number
        try:
            while True:
                path = self._paths[turn % len(self._paths)]
                turn += 1
                await self._ask(connection, path)
                await asyncio.sleep(PAUSE)
        finally:
            await connection.close()

    async def _ask(self, connection: Connection, path: str) -> None:
        began = time.monotonic()
        excused = path in self._broken_before
        problem = ""
        try:
            status = await connection.get(path)
            if status >= 500:
                problem = f"{path} answered {status}"
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            problem = f"{path}: {type(error).__name__} {error}".strip()
            await connection.close()
        self._requests += 1
        self._slowest = max(self._slowest, time.monotonic() - began)
        if problem and not (excused or path in self._broken_before):
            self._failures[problem] += 1


class Connection:
    """One keep-alive HTTP/1.1 connection to the edge, by h11. A closed one is opened again at the next request."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._http: Any = None

    async def get(self, path: str) -> int:
        """The status of GET `path`. OSError, EOFError, TimeoutError or ValueError (not HTTP) when there is none."""
        status, _, _ = await self.fetch(path)
        return status

    async def fetch(self, path: str, headers: tuple[tuple[str, str], ...] = ()) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body."""
        import h11

        async with asyncio.timeout(TIMEOUT):
            try:
                await self._connect()
                return await self._exchange(path, headers)
            except h11.RemoteProtocolError as error:
                raise ValueError(f"not an HTTP answer: {error}") from error

    async def _connect(self) -> None:
        import h11

        if self._http is not None and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            if self._reader and not self._reader.at_eof():
                return
        await self.close()
        address = self._address
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", address.port, ssl=address.tls, server_hostname=address.host if address.tls else None
        )
        self._http = h11.Connection(h11.CLIENT)

    async def _exchange(self, path: str, headers: tuple[tuple[str, str], ...]) -> tuple[int, dict[str, str], bytes]:
        import h11

        if self._reader is None or self._writer is None:
            raise EOFError("not connected")
        sent = [("Host", self._address.host), ("User-Agent", "golive-prober"), ("Accept", "*/*"), *headers]
        self._writer.write(self._http.send(h11.Request(method="GET", target=path, headers=sent)))
        self._writer.write(self._http.send(h11.EndOfMessage()))
        await self._writer.drain()
        status, found, body = 0, {}, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = await self._reader.read(65536)
                if not data and not status:
                    raise EOFError("the connection was closed without an answer")
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                found = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, found, bytes(body)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await self._writer.wait_closed()
        self._reader = self._writer = self._http = None
