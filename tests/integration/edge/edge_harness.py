"""A real Envoy for each test module that asks, small upstreams in this process, and a CA for their domains."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx

from golive.edge.ca import LocalCA
from golive.edge.edge import Edge
from golive.edge.model import Certificate, EdgeConfig, Endpoint, RouteRule, Site, Upstream
from golive.engines import Engines
from golive.home import Home
from golive.system import ports, processes

Reply = Callable[["Request"], Awaitable[bytes]]


async def envoy_binary() -> Path:
    """Envoy as golive finds it; fetched once a machine, not once a test."""
    store = Home(Path(tempfile.gettempdir()) / f"golive-test-engines-{os.geteuid()}")
    return (await Engines(store).find("envoy")).program("envoy")


class Running:
    """An Edge and the Envoy it drives."""

    def __init__(self, edge: Edge, ca: LocalCA) -> None:
        self.edge = edge
        self.ca = ca
        self.process: processes.Process | None = None

    async def start(self) -> None:
        spec = self.edge.process_spec()
        assert spec.output is not None
        self.process = await processes.start(spec)
        assert await self.edge.wait_ready(timedelta(seconds=10)), spec.output.read_text()

    async def kill(self) -> None:
        if self.process:
            self.process.send(signal.SIGKILL)
            await self.process.wait()
            self.process = None

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca.ensure()))

    def client(self, *, http2: bool = False) -> httpx.AsyncClient:
        """Connects to the edge whatever the URL's host: `*.localhost` need not resolve here."""
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=self.trusting(), http2=http2, retries=0),
            timeout=20,
            trust_env=False,
        )

    def config(self, *sites: Site, upstreams: tuple[Upstream, ...] = ()) -> EdgeConfig:
        domains = sorted(d for s in sites if s.policy.https for d in s.domains)
        return EdgeConfig(sites, upstreams, tuple(self.certificate(d) for d in domains))

    def certificate(self, domain: str) -> Certificate:
        return self.ca.certificate_for((domain,))


class Request:
    """A request as the upstream saw it."""

    def __init__(self, head: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        first, *lines = head.split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
        self.body = body
        self.writer = writer


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


class Upstreams:
    """HTTP/1.1 servers in this process; what they answer is up to the test."""

    def __init__(self) -> None:
        self._servers: dict[int, asyncio.Server] = {}
        self._writers: dict[int, set[asyncio.StreamWriter]] = {}
        self.seen: list[Request] = []

    async def serve(self, reply: Reply | bytes, port: int | None = None) -> Endpoint:
        """Listen; `reply` gives the answer's bytes, or empty ones when it has written itself or wants a reset."""
        number = port or ports.choose(set(self._servers))
        writers = self._writers.setdefault(number, set())

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if number not in self._servers:  # accepted as it was stopped
                writer.transport.abort()
                return
            writers.add(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    request = Request(head.strip(), b"", writer)
                    request.body = await _body(reader, request)
                    self.seen.append(request)
                    data = reply if isinstance(reply, bytes) else await reply(request)
                    if not data:
                        break
                    writer.write(data)
                    await writer.drain()
            writers.discard(writer)
            writer.close()

        self._servers[number] = await asyncio.start_server(connected, "127.0.0.1", number, limit=2**20)
        return Endpoint(port=number)

    async def stop(self, endpoint: Endpoint) -> None:
        """As `kill -9` looks from outside: no listener, every connection reset."""
        self._servers.pop(endpoint.port).close()
        for writer in self._writers.pop(endpoint.port):
            writer.transport.abort()
        for _ in range(3):  # what was accepted and not yet begun, too
            await asyncio.sleep(0)

    async def close(self) -> None:
        for port in list(self._servers):
            await self.stop(Endpoint(port=port))


async def _body(reader: asyncio.StreamReader, request: Request) -> bytes:
    if request.headers.get("transfer-encoding") == "chunked":
        parts = []
        while size := int(await reader.readline(), 16):
            parts.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        return b"".join(parts)
    return await reader.readexactly(int(request.headers.get("content-length", 0)))


def site(*rules: RouteRule, domain: str = "threadr.localhost", **policy: object) -> Site:
    from golive.blueprint.models import EdgePolicy

    return Site("threadr", "production", (domain,), rules, EdgePolicy.model_validate(policy))


def rule(upstream: str = "threadr/production/api/d1", prefix: str = "/", **fields: object) -> RouteRule:
    return RouteRule(service="api", prefix=prefix, targets=((upstream, 100),), **fields)  # type: ignore[arg-type]
