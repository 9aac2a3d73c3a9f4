"""Fixtures: a real Envoy, upstreams in this process, local names."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from edge_harness import Running, Upstreams, envoy_binary

from golive.edge.ca import LocalCA
from golive.edge.edge import Edge
from golive.home import Home
from golive.system import ports


@pytest.fixture
async def envoy(tmp_path: Path) -> AsyncIterator[Running]:
    """Started with nothing to serve."""
    home = Home(tmp_path / "home")
    http = ports.choose()
    edge = Edge(home, http_port=http, https_port=ports.choose({http}), envoy=await envoy_binary(), concurrency=2)
    edge.prepare()
    running = Running(edge, LocalCA(home.ca))
    try:
        await running.start()
        yield running
    finally:
        await running.kill()


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    made = Upstreams()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def localhost_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`*.localhost` and `*.test` resolve to this machine in this process, as browsers do it."""
    resolve = socket.getaddrinfo

    def local(host: object, *args: object, **kwargs: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        named = isinstance(name, str) and name.endswith((".localhost", ".test"))
        return resolve("127.0.0.1" if named else host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", local)
    yield
