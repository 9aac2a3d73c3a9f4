"""golive's side of the edge benchmark: its own edge and static server, as the daemon starts them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks import peers
from benchmarks.peers import HOST, Engine, Lab
from benchmarks.processes import NotReadyError, free_port, running, wait_for
from golive.blueprint.models import EdgePolicy, RateLimit
from golive.build.static import pack
from golive.edge.edge import Edge
from golive.edge.headers import SECURITY
from golive.edge.hot import hot_files
from golive.edge.model import Certificate, EdgeConfig, Endpoint, HotFile, RouteRule, Site, Upstream
from golive.edge.static_plan import ROOT
from golive.engines import Engines
from golive.home import Home
from golive.secret import Secret

GENEROUS = RateLimit.model_validate({"limit": "1000000/s", "burst": 1000000})
"""Counted for every request, and never reached."""


def security_headers() -> dict[str, str]:
    """What golive sends by default; the others are told to send the same."""
    return {**SECURITY, "strict-transport-security": f"max-age={EdgePolicy().hsts.total_seconds():.0f}"}


@contextmanager
def proxy(lab: Lab) -> Iterator[Engine]:
    with _edge(lab, "golive", Endpoint(port=lab.upstream)) as engine:
        yield engine


@contextmanager
def static(lab: Lab) -> Iterator[Engine]:
    place = lab.place("static-server")
    artifact = "bench"
    pack(lab.site, place / artifact, cache=lab.place("variants"))
    socket = place / "static.sock"
    command = [sys.executable, "-m", "golive.edge.static_server", "--artifacts", str(place), "--socket", str(socket)]
    with running(command, place / "output.log") as process:
        wait_for("the static server listens", socket.exists, log=place / "output.log")
        files = Files(((ROOT, artifact),), hot_files(place / artifact, 1))
        with _edge(lab, "golive-static", Endpoint.unix(socket), (process.pid,), files) as engine:
            yield engine


@contextmanager
def caddy_behind(lab: Lab) -> Iterator[Engine]:
    """Caddy's file server where golive's own would stand: the same TLS, log, headers and limits in front of it."""
    with (
        peers.caddy_files(lab) as (port, pid),
        _edge(lab, "caddy-behind", Endpoint(port=port), (pid,)) as engine,
    ):
        yield engine


@dataclass(frozen=True)
class Files:
    """What the rule of a static service has."""

    headers: tuple[tuple[str, str], ...]
    hot: tuple[HotFile, ...]


@contextmanager
def _edge(
    lab: Lab, name: str, endpoint: Endpoint, others: tuple[int, ...] = (), files: Files | None = None
) -> Iterator[Engine]:
    home = Home(lab.place(name))
    port = free_port()
    edge = Edge(home, http_port=free_port(), https_port=port, envoy=envoy(), address="127.0.0.1")
    edge.prepare()
    rule = RouteRule(
        service="web",
        prefix="/",
        targets=(("bench/web", 1),),
        rate_limits=(GENEROUS,),
        request_headers=files.headers if files else (),
        hot=files.hot if files else (),
        compression=files is None,  # static releases bring their variants
    )
    config = EdgeConfig(
        sites=(Site("bench", "production", (HOST,), (rule,)),),
        upstreams=(Upstream("bench/web", (endpoint,)),),
        certificates=(Certificate((HOST,), lab.chain.read_text(), Secret(lab.key.read_text())),),
    )
    asyncio.run(edge.apply(config))
    spec = edge.process_spec()
    log = spec.output or home.root / "envoy.log"
    with running(list(spec.argv), log, dict(spec.env)) as process:
        if not asyncio.run(edge.wait_ready(timedelta(seconds=20))):
            raise NotReadyError(f"Envoy is not ready:\n{log.read_text()[-2000:]}")
        yield Engine(_title(name), port, (process.pid, *others), edge.layout.access_log)


def _title(name: str) -> str:
    return name.partition("-")[0]


def envoy() -> Path:
    """The engine golive itself would run, from a store that is kept between runs."""
    if chosen := os.environ.get("GOLIVE_BENCH_ENVOY"):
        return Path(chosen)
    engines = Engines(Home(peers.cache() / "golive"))
    return asyncio.run(engines.find("envoy")).program("envoy")
