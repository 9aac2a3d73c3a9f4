"""golive's edge with its whole production policy against Traefik, Caddy and nginx with theirs, in one run.

Rounds are interleaved: each engine is measured once in each round, so that what else the machine does falls on all
of them, and ratios are taken inside a round. The load generators run on the same cores, so the processor time for a
request says more than requests per second where the machine is shared.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path

from benchmarks import own, peers
from benchmarks.certificate import make_certificate
from benchmarks.load import Load, Target, h2load, wrk
from benchmarks.machine import require
from benchmarks.peers import HOST, Engine, Lab
from benchmarks.processes import NotReadyError, cpu_seconds
from benchmarks.proof import RefusedError, prove, prove_logged
from benchmarks.result import Bar, Result, Table

Start = Callable[[Lab], AbstractContextManager[Engine]]
Generator = Callable[[Target, float], Load]

PROXIES: dict[str, Start] = {
    "golive": own.proxy,
    "Traefik": peers.traefik,
    "Caddy": peers.caddy,
    "nginx": peers.nginx,
}
STATICS: dict[str, Start] = {
    "golive": own.static,
    "Caddy behind golive's TLS": own.caddy_behind,
    "Caddy": lambda lab: peers.caddy(lab, static=True),
    "nginx": lambda lab: peers.nginx(lab, static=True),
}
BROWSER = "gzip, deflate, br, zstd"
LOADS: dict[str, Generator] = {"HTTP/1.1": wrk, "HTTP/2": h2load}
COMPRESSED = "HTTP/1.1, compressed as a browser asks"
FILE_LOADS: dict[str, Generator] = {
    **LOADS,
    COMPRESSED: lambda target, seconds: wrk(replace(target, accept_encoding=BROWSER), seconds),
}
FILE = "/app.js"
FILE_SIZE = 27 * 1024


@dataclass
class Series:
    """One engine under one load: a value for each round."""

    engine: Engine
    loads: list[Load] = field(default_factory=list)
    micros: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(load.rate for load in self.loads)

    @property
    def failed(self) -> int:
        return sum(load.failed for load in self.loads)


@dataclass(frozen=True)
class Plan:
    """`seconds` of each load, in so many interleaved rounds."""

    seconds: float
    rounds: int


@dataclass
class Contest:
    """Engines at one job. `refused` holds those that do not do the work, and what is wanting."""

    series: dict[str, dict[str, Series]] = field(default_factory=lambda: defaultdict(dict))
    refused: dict[str, str] = field(default_factory=dict)

    def ratio(self, load: str, first: str, second: str) -> float | None:
        """The median of the rounds' ratios of requests per second."""
        pair = [self.series[load].get(name) for name in (first, second)]
        if pair[0] is None or pair[1] is None:
            return None
        both = zip(pair[0].loads, pair[1].loads, strict=False)
        return statistics.median(a.rate / b.rate for a, b in both if b.rate)


def run(seconds: float = 5, rounds: int = 3, only: tuple[str, ...] = ()) -> Result:
    """`only` leaves out the engines that are not named; promises about what was left out are not judged."""
    require("wrk", "h2load", "nginx")
    result = Result("edge")
    body = '{"message":"' + secrets.token_hex(10) + '"}'
    with tempfile.TemporaryDirectory(prefix="golive-bench-") as name, ExitStack() as stack:
        lab = _lab(Path(name), body, stack)
        plan = Plan(seconds, rounds)
        small = _contest(_chosen(PROXIES, only), lab, "/", LOADS, plan, result)
        large = _contest(_chosen(STATICS, only), lab, FILE, FILE_LOADS, plan, result)
    for load in LOADS:
        result.tables.append(contest_table(f"{load} over TLS, {len(body)} bytes from an upstream", small, load))
    for load in FILE_LOADS:
        result.tables.append(contest_table(f"{load} over TLS, a static file of 27 KiB", large, load))
    if not only:
        _judge(result, small, large)
    return result


def _chosen(starts: dict[str, Start], only: tuple[str, ...]) -> dict[str, Start]:
    return {name: start for name, start in starts.items() if not only or name in only}


def _judge(result: Result, small: Contest, large: Contest) -> None:
    bars = [
        (small, "HTTP/1.1", "Traefik", 1.7),
        (small, "HTTP/1.1", "Caddy", 1.7),
        (small, "HTTP/2", "Traefik", 2.5),
        (small, "HTTP/2", "Caddy", 2.5),
        (large, "HTTP/1.1", "Caddy behind golive's TLS", 2.0),
        (large, COMPRESSED, "Caddy behind golive's TLS", 2.0),
    ]
    for contest, load, peer, limit in bars:
        what = "requests/s" if contest is small else "static file requests/s"
        ratio = contest.ratio(load, "golive", peer)
        result.bars.append(Bar(f"{what} to {peer}, {load}", ratio or 0.0, limit, at_least=True, unit="×"))
    for contest in (small, large):
        failed = sum(by_engine["golive"].failed for by_engine in contest.series.values() if "golive" in by_engine)
        result.bars.append(Bar(f"failures of golive ({'proxy' if contest is small else 'static'})", failed, 0))


def _lab(directory: Path, body: str, stack: ExitStack) -> Lab:
    directory.chmod(0o755)  # servers that give up root read their files here
    chain, key = make_certificate(directory, HOST)
    site = directory / "site"
    site.mkdir()
    (site / "index.html").write_text("<!doctype html><title>bench</title>\n")
    words = "".join(f"export const value{n} = {secrets.randbelow(10**9)};\n" for n in range(2000))
    (site / FILE[1:]).write_text(words[:FILE_SIZE])
    port = stack.enter_context(peers.upstream(directory / "upstream", body))
    return Lab(directory, chain, key, port, body, own.security_headers(), site)


def _contest(
    starts: dict[str, Start], lab: Lab, path: str, loads: dict[str, Generator], plan: Plan, result: Result
) -> Contest:
    body = (lab.site / path[1:]).read_bytes() if path == FILE else lab.body.encode()
    contest = Contest()
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name, start in starts.items():
            try:
                engines[name] = stack.enter_context(start(lab))
                prove(engines[name], lab, path, body)
            except (RefusedError, NotReadyError, OSError, HTTPException) as error:
                engines.pop(name, None)
                contest.refused[name] = str(error)
                print(f"  {name}: refused: {error}", file=sys.stderr)
        for number in range(plan.rounds):
            for load, generate in loads.items():
                for name, engine in engines.items():
                    if name not in contest.refused:
                        measure(contest, load, generate, name, engine, Target(HOST, engine.port, path), plan.seconds)
            print(f"  round {number + 1} of {plan.rounds} done", file=sys.stderr)
    result.details.setdefault("refused", {}).update(contest.refused)
    result.details.setdefault("rounds", []).append(_details(contest))
    return contest


def measure(
    contest: Contest, load: str, generate: Generator, name: str, engine: Engine, target: Target, seconds: float
) -> None:
    before = cpu_seconds(engine.roots)
    measured = generate(target, seconds)
    used = cpu_seconds(engine.roots) - before
    try:
        prove_logged(engine, measured.requests)
    except RefusedError as error:
        contest.refused[name] = str(error)
        for by_engine in contest.series.values():
            by_engine.pop(name, None)
        print(f"  {name}: refused: {error}", file=sys.stderr)
        return
    series = contest.series[load].setdefault(name, Series(engine))
    series.loads.append(measured)
    series.micros.append(used / max(1, measured.requests) * 1e6)
    time.sleep(0.2)  # connections of the last load close


def contest_table(title: str, contest: Contest, load: str) -> Table:
    table = Table(title, ("engine", "requests/s", "golive is", "p50 ms", "p99 ms", "CPU µs/request", "failed"))
    for name, series in contest.series[load].items():
        ratio = contest.ratio(load, "golive", name)
        table.rows.append(
            (
                name,
                f"{series.rate:,.0f}",
                "" if name == "golive" or ratio is None else f"{ratio:.2f}×",
                f"{statistics.median(one.p50_ms for one in series.loads):.2f}",
                f"{statistics.median(one.p99_ms for one in series.loads):.2f}",
                f"{statistics.median(series.micros):.0f}",
                f"{series.failed}",
            )
        )
    table.rows += [(name, "refused", "", "", "", "", "") for name in contest.refused]
    notes = {name: one.engine.note for name, one in contest.series[load].items() if one.engine.note}
    table.note = "; ".join(f"{name}: {note}" for name, note in (notes | contest.refused).items())
    return table


def _details(contest: Contest) -> dict[str, dict[str, list[float]]]:
    return {
        load: {name: [round(one.rate) for one in series.loads] for name, series in by_engine.items()}
        for load, by_engine in contest.series.items()
    }
