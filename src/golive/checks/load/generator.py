"""Requests by schedule, in a process of its own.

Each is timed from the moment it was due, not from when it could be sent: a server that stalls is charged with all that
would have come meanwhile (no coordinated omission). What this process itself was late is measured beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field

import httpcore

from golive import __version__
from golive.checks.load.histogram import Histogram
from golive.checks.load.scenario import Arrivals, Request, schedule
from golive.checks.web import Network

STREAMS = 32
"""Requests at once on one connection of HTTP/2."""
MOST_OPEN = 5000
"""Requests without an answer, from which on the server counts as overrun."""
ENOUGH_TO_TELL = 50
"""Answers before a share of failures stops a run."""
AGENT = f"golive-load/{__version__} (load test, started by the owner)"


@dataclass(frozen=True)
class Job:
    """`rate` in requests a second. `stop_at` is the share of failures that ends it early; `roots` are PEM files."""

    origin: str
    requests: tuple[Request, ...]
    rate: float
    seconds: float
    arrivals: Arrivals = "poisson"
    http2: bool = False
    connections: int = 128
    timeout: float = 10.0
    stop_at: float = 0.5
    roots: tuple[str, ...] = ()
    seed: int = 0


@dataclass
class Measured:
    """`latency` is that of answers below 500 and other than 429, from when they were due; `late` is how long after that
    the requests began on this side. `failures` are those without an answer, by reason. `cpu` is the share of a
    core that this process (of several the busiest) used while it sent, `cores` what all took; `seconds` lasted until
    the last answer."""

    sent: int = 0
    latency: Histogram = field(default_factory=Histogram)
    late: Histogram = field(default_factory=Histogram)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    cpu: float = 0.0
    cores: float = 0.0
    stopped: str = ""

    @property
    def failed(self) -> int:
        return self.failures.total() + sum(n for status, n in self.statuses.items() if status >= 500)

    @property
    def limited(self) -> int:
        return self.statuses[429]

    @property
    def answered(self) -> int:
        return self.statuses.total()

    @property
    def done(self) -> int:
        return self.answered + self.failures.total()

    def merge(self, other: Measured) -> None:
        """What another process measured at the same time."""
        self.sent += other.sent
        self.latency.merge(other.latency)
        self.late.merge(other.late)
        self.statuses.update(other.statuses)
        self.failures.update(other.failures)
        self.seconds = max(self.seconds, other.seconds)
        self.cpu = max(self.cpu, other.cpu)
        self.cores += other.cores
        self.stopped = self.stopped or other.stopped


async def ready() -> None:
    """Its process is there, with all that it imports, before anything is watched."""


async def generate(job: Job) -> Measured:
    """One run at one rate; ends when all have an answer or had their time."""
    return await _Run(job).run()


class _Run:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._found = Measured()
        self._chance = random.Random(job.seed)  # noqa: S311 - arrivals, not secrets
        tls = _trusting(job.roots)
        network = _Network()
        count = max(job.connections // STREAMS, 1) if job.http2 else job.connections
        self._lanes = [
            httpcore.AsyncConnectionPool(
                tls, max_connections=1, http1=not job.http2, http2=job.http2, network_backend=network
            )
            for _ in range(count)
        ]
        self._free: asyncio.LifoQueue[httpcore.AsyncConnectionPool] = asyncio.LifoQueue()
        for lane in self._lanes * (STREAMS if job.http2 else 1):
            self._free.put_nowait(lane)
        self._open: set[asyncio.Task[None]] = set()

    async def run(self) -> Measured:
        job, found = self._job, self._found
        await self._warm()
        weights = [request.weight for request in job.requests]
        began, used = time.monotonic(), time.process_time()
        try:
            for due in schedule(job.rate, job.seconds, job.arrivals, self._chance):
                await asyncio.sleep(max(began + due - time.monotonic(), 0))
                if found.stopped:
                    break
                request = self._chance.choices(job.requests, weights)[0]
                task = asyncio.create_task(self._ask(request, began + due))
                self._open.add(task)
                task.add_done_callback(self._open.discard)
                found.sent += 1
                if len(self._open) >= MOST_OPEN:
                    found.stopped = f"{MOST_OPEN:,} requests were without an answer"
            found.cpu = found.cores = (time.process_time() - used) / max(time.monotonic() - began, 1e-9)
            await asyncio.gather(*self._open)
            found.seconds = max(time.monotonic() - began, 0.0 if found.stopped else job.seconds)
        finally:
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            for lane in self._lanes:
                with contextlib.suppress(Exception):
                    await lane.aclose()
        return found

    async def _warm(self) -> None:
        """Connections that are there before the first is timed: not counted, and made by what changes nothing."""
        safe = next((request for request in self._job.requests if request.method != "POST"), None)
        if safe is not None:
            some = self._lanes[-min(max(int(self._job.rate / 20), 1), 16) :]
            await asyncio.gather(*(self._send(lane, safe) for lane in some), return_exceptions=True)

    async def _ask(self, request: Request, due: float) -> None:
        found = self._found
        found.late.add(time.monotonic() - due)
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + self._job.timeout):
                lane = await self._free.get()
                try:
                    status = await self._send(lane, request)
                finally:
                    self._free.put_nowait(lane)
        except TimeoutError:
            found.failures[f"no answer in {self._job.timeout:g} s"] += 1
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            found.failures[str(error) or type(error).__name__] += 1
        else:
            found.statuses[status] += 1
            if status < 500 and status != 429:
                found.latency.add(time.monotonic() - due)
        if found.done >= ENOUGH_TO_TELL and found.failed > self._job.stop_at * found.done and not found.stopped:
            found.stopped = f"{found.failed} of {found.done} failed"

    async def _send(self, lane: httpcore.AsyncConnectionPool, request: Request) -> int:
        headers = {"user-agent": AGENT, "accept": "*/*", "accept-encoding": "gzip", **dict(request.headers)}
        url = (self._job.origin + request.path).encode()
        body = request.body if request.method == "POST" else None
        async with lane.stream(request.method, url, headers=list(headers.items()), content=body) as response:
            async for _ in response.aiter_stream():
                pass
            return response.status


class _Network(Network):
    """Names are looked up once, so that a load test measures none of that."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, list[str]] = {}

    async def resolve(self, host: str) -> list[str]:
        if host not in self._known:
            self._known[host] = await super().resolve(host)
        return self._known[host]


def _trusting(roots: tuple[str, ...]) -> ssl.SSLContext:
    made = ssl.create_default_context()
    for root in roots:
        made.load_verify_locations(root)
    return made
