"""Requests through the edge for the whole of a switch: the deploy's own proof that nobody was refused.

Four keep-alive connections, each asking for one of the app's routes every 50 ms, from before traffic moves until the
verification ends. What counts as failed: no answer, a broken one, or a 5xx where the same route did not answer 5xx
before the switch.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from golive.system.http import TIMEOUT, Connection, Headers, Streams

CONNECTIONS = 4
PAUSE = 0.05
"""Seconds."""


@dataclass(frozen=True)
class Address:
    """How to reach a site through the edge on this machine."""

    scheme: str
    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, compare=False, repr=False)

    def connection(self, timeout: float = TIMEOUT) -> Connection:
        return Connection(self._open, self.host, timeout)

    async def _open(self) -> Streams:
        name = self.host if self.tls else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, server_hostname=name)


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
    """`async with Prober(address, paths) as prober: …; prober.report()`. `headers` are asked for each request."""

    def __init__(self, address: Address, paths: tuple[str, ...], headers: Callable[[], Headers] = lambda: ()) -> None:
        self._address = address
        self._paths = paths
        self._headers = headers
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
        connection = self._address.connection()
        for path in self._paths:
            try:
                if (await connection.get(path, self._headers())).status >= 500:
                    self._broken_before.add(path)
            except (OSError, EOFError, TimeoutError, ValueError):
                self._broken_before.add(path)
        await connection.close()

    def passed_over(self) -> None:
        """The switch is done: from now on a route that failed before has no excuse."""
        self._broken_before.clear()

    async def _probe(self, number: int) -> None:
        connection = self._address.connection()
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
            status = (await connection.get(path, self._headers())).status
            if status >= 500:
                problem = f"{path} answered {status}"
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            problem = f"{path}: {type(error).__name__} {error}".strip()
            await connection.close()
        self._requests += 1
        self._slowest = max(self._slowest, time.monotonic() - began)
        if problem and not (excused or path in self._broken_before):
            self._failures[problem] += 1
