"""golive with all policies that Traefik has too, beside it and Caddy with as many as each has; the same requests."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from benchmarks import peers
from benchmarks.edge import Contest, contest_table, measure
from benchmarks.load import Load, Target, h2load, wrk
from benchmarks.peers import COMPRESS_FROM, HIDDEN, HOST, Engine, Lab
from benchmarks.policy_cases import KEY, LARGE, ORIGIN, SLUG, UPLOAD, Ask, allowing, limit, rewrites, route, site
from benchmarks.policy_edge import configured, edge
from benchmarks.policy_proof import prove as proven
from benchmarks.proof import RefusedError
from benchmarks.result import Bar, Result
from golive.blueprint.models import HeaderRule
from golive.blueprint.routing import compile_headers
from golive.edge.model import Protected
from golive.secret import Secret

NAME = "all on"
USER, PASSWORD = "bench", "a password for the benchmark"
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
LARGEST = 10**6
CREDENTIALS = (("authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()),)
SMALL = Ask(SLUG, CREDENTIALS, shows={"x-seen-path": "/posts/one-of-them"})
ZIPPED = Ask(LARGE, (*CREDENTIALS, ("accept-encoding", "gzip")), shows={"content-encoding": "gzip"})
LOADS: dict[str, tuple[Ask, Callable[[Target, float], Load]]] = {
    "HTTP/1.1, 34 bytes": (SMALL, wrk),
    "HTTP/2, 34 bytes": (SMALL, h2load),
    "HTTP/1.1, 8 KB as gzip": (ZIPPED, wrk),
    "HTTP/2, 8 KB as gzip": (ZIPPED, h2load),
}
BARS = {"HTTP/1.1, 34 bytes": 1.5, "HTTP/2, 34 bytes": 2.0}
"""To Traefik and to Caddy."""


def compare(lab: Lab, result: Result, seconds: float, rounds: int) -> None:
    """Adds a table for each load, and what is promised of them. One that does other work is left out, and said."""
    contest = Contest()
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name, start in STARTS.items():
            engine = stack.enter_context(start(lab))
            try:
                prove(engine, lab)
            except RefusedError as error:
                contest.refused[name] = str(error)
                continue
            engines[name] = engine
        for _ in range(rounds):
            for load, (ask, generate) in LOADS.items():
                for name, engine in engines.items():
                    target = Target(HOST, engine.port, ask.path, headers=ask.headers)
                    measure(contest, load, generate, name, engine, target, seconds)
    for load in LOADS:
        result.tables.append(contest_table(f"{NAME}: {load}", contest, load))
    for load, least in BARS.items():
        for peer in ("Traefik", "Caddy"):
            ratio = contest.ratio(load, "golive", peer) or 0.0
            result.bars.append(Bar(f"{NAME}: requests/s to {peer}, {load}", ratio, least, at_least=True, unit="×"))
    failed = sum(one.failed for by_engine in contest.series.values() for n, one in by_engine.items() if n == "golive")
    result.bars.append(Bar(f"{NAME}: failed requests of golive", failed, 0))


def prove(engine: Engine, lab: Lab) -> None:
    """The same answers of each: status, headers, coding; and the same refusals. RefusedError, else an empty log."""
    own = {**lab.headers, "access-control-allow-origin": ORIGIN}
    asked = [(Ask(a.path, a.headers, 200, {**own, **a.shows}, hides=("server",)), HERE, b"") for a in (SMALL, ZIPPED)]
    asked.append((Ask(SLUG, status=401), HERE, b""))
    asked.append((Ask(SLUG, CREDENTIALS, 403), ELSEWHERE, b""))
    asked.append((Ask(UPLOAD, CREDENTIALS, 413), HERE, bytes(LARGEST + 1)))
    for ask, source, body in asked:
        try:
            proven(engine.port, HOST, ask, lab.chain, body=body, source=source)
        except RefusedError as error:
            raise RefusedError(f"{ask.path} from {source} with {len(body)} bytes: {error}") from error
    time.sleep(1.5)  # the lines of these are written, whatever is buffered
    os.truncate(engine.log, 0)


@contextmanager
def golive(lab: Lab) -> Iterator[Engine]:
    policy = {
        "max_body": LARGEST,
        "shield": {"allow": [f"{HERE}/32"], "agents": False, "scanners": False, "payloads": False},
    }
    cors = compile_headers(HeaderRule(source="/(.*)", headers=allowing(ORIGIN)))
    rule = route(rate_limits=(limit("client"),), rules=(cors, *rewrites()))
    guard = Protected(KEY, USER, Secret(PASSWORD))
    made = site("bench", rule, policy=policy, protected=guard, domains=(HOST,))
    with edge(lab, "golive-all", configured(lab, (made,))) as engine:
        yield engine


@contextmanager
def traefik(lab: Lab) -> Iterator[Engine]:
    secret = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
    headers = {**lab.headers, **allowing(ORIGIN), **dict.fromkeys(HIDDEN, "")}
    middlewares: peers.Middlewares = {
        "inside": {"ipAllowList": {"sourceRange": [f"{HERE}/32"]}},
        "limit": {"rateLimit": {"average": 1_000_000_000, "burst": 1_000_000_000, "period": "1s"}},
        "known": {"basicAuth": {"users": [f"{USER}:{{SHA}}{secret}"], "removeHeader": True}},
        "headers": {"headers": {"customResponseHeaders": headers}},
        "compress": {"compress": {"minResponseBodyBytes": COMPRESS_FROM, "encodings": ["gzip", "br", "zstd"]}},
        "size": {"buffering": {"maxRequestBodyBytes": LARGEST}},
        "path": {"replacePathRegex": {"regex": "^/blog/([^/]+)$", "replacement": "/posts/$1"}},
        "retry": {"retry": {"attempts": 4, "initialInterval": "50ms"}},
    }
    with peers.traefik(lab, "traefik-all", middlewares) as engine:
        yield engine


@contextmanager
def caddy(lab: Lab) -> Iterator[Engine]:
    program = str(peers.binaries()["caddy"])
    hashed = subprocess.run(
        [program, "hash-password"], input=f"{PASSWORD}\n", capture_output=True, text=True, check=True
    ).stdout.strip()
    more = f"""
    @outside not remote_ip {HERE}/32
    respond @outside 403
    request_body {{
        max_size {LARGEST}
    }}
    basic_auth {{
        {USER} {hashed}
    }}
    uri path_regexp ^/blog/([^/]+)$ /posts/$1
    """
    with peers.caddy(lab, more=more, headers=allowing(ORIGIN)) as engine:
        yield engine


STARTS: dict[str, Callable[[Lab], AbstractContextManager[Engine]]] = {
    "golive": golive,
    "Traefik": traefik,
    "Caddy": caddy,
}
