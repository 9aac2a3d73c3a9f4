"""An answer that the edge keeps beside the same answer made anew: a small service, with and without `cache`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from benchmarks.load import Load, Target, wrk
from benchmarks.machine import require
from benchmarks.own import envoy
from benchmarks.processes import NotReadyError, accepts, free_port, resident, running, wait_for
from benchmarks.result import Bar, Result, Table
from golive.blueprint.caching import CachedPath
from golive.edge.ca import LocalCA
from golive.edge.edge import Edge
from golive.edge.model import EdgeConfig, Endpoint, RouteRule, Site, Upstream
from golive.home import Home

HOST = "bench.localhost"
SERVICE = """
import json
ROWS = [{"id": n, "name": f"thing {n}", "price": n * 1.5} for n in range(60)]
async def app(scope, receive, send):
    if scope["type"] == "http":
        body = json.dumps(ROWS).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})
"""
"""Does next to nothing for an answer: one that asks a database has more to gain."""


def run(seconds: float, rounds: int) -> Result:
    """Interleaved rounds of both; the medians."""
    require("wrk")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port, cache = _started(Path(folder), stack)
        found: dict[str, list[Load]] = {"/plain": [], "/kept": []}
        for _ in range(rounds):
            for path, loads in found.items():
                loads.append(wrk(Target(HOST, port, path), seconds, 32))
        memory = resident([cache])
    middle = {path: sorted(loads, key=lambda load: load.rate)[len(loads) // 2] for path, loads in found.items()}
    table = Table("3 KB of JSON, 32 connections, TLS", ("", "requests/s", "p50", "p99", "failed"))
    for path, load in middle.items():
        table.rows.append(
            (path, f"{load.rate:.0f}", f"{load.p50_ms:.1f} ms", f"{load.p99_ms:.1f} ms", str(load.failed))
        )
    table.note = f"the cache's process has {memory / 2**20:.0f} MiB"
    bars = [
        Bar("kept answers, times as many", middle["/kept"].rate / middle["/plain"].rate, 1.0, at_least=True),
        Bar("failed requests", sum(load.failed for loads in found.values() for load in loads), 0),
    ]
    return Result("cache", [table], bars)


def _started(folder: Path, stack: ExitStack) -> tuple[int, int]:
    """The edge's port, and the process of the cache."""
    (folder / "service.py").write_text(SERVICE)
    upstream, port = free_port(), free_port()
    command = [sys.executable, "-m", "uvicorn", "service:app", "--app-dir", str(folder), "--port", str(upstream)]
    stack.enter_context(running([*command, "--log-level", "warning"], folder / "service.log"))
    wait_for("the service", lambda: accepts(upstream), log=folder / "service.log")
    home = Home(folder / "home")
    edge = Edge(home, http_port=free_port(), https_port=port, envoy=envoy(), address="127.0.0.1")
    edge.prepare()
    layout = edge.layout
    command = [sys.executable, "-m", "golive.edge.cache_server", "--origin", str(layout.origin)]
    cache = stack.enter_context(running([*command, "--socket", str(layout.cache)], folder / "cache.log"))
    wait_for("the cache", layout.cache.exists, log=folder / "cache.log")
    kept = CachedPath.model_validate({"path": "/kept", "ttl": "1h"})
    rule = RouteRule("web", "/", (("bench/web", 1),), cache=(kept,))
    site = Site("bench", "production", (HOST,), (rule,))
    web = Upstream("bench/web", (Endpoint(port=upstream),))
    asyncio.run(edge.apply(EdgeConfig((site,), (web,), (LocalCA(home.ca).certificate_for((HOST,)),))))
    spec = edge.process_spec()
    stack.enter_context(running(list(spec.argv), folder / "envoy.log", dict(spec.env)))
    if not asyncio.run(edge.wait_ready(timedelta(seconds=20))):
        raise NotReadyError(f"Envoy is not ready:\n{(folder / 'envoy.log').read_text()[-2000:]}")
    return port, cache.pid
