"""What each policy of the edge costs beside the same route without it; then all of them beside Traefik and Caddy.

Rounds are interleaved, and a policy is compared with what was measured just before it: these machines are shared.
Processor time, of the edge and of all that works for it, says more than requests per second there. Before anything is
measured each policy has to show in an answer that it is at work.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks import own, policy_peers
from benchmarks.certificate import make_certificate
from benchmarks.load import Load, Target, wrk
from benchmarks.machine import require
from benchmarks.peers import HOST, Lab
from benchmarks.policy_cases import Case, sites
from benchmarks.policy_edge import Bench, started, tokens_and_keys, upstream
from benchmarks.policy_proof import prove_all
from benchmarks.processes import cpu_seconds
from benchmarks.proof import prove_logged
from benchmarks.result import Bar, Result, Table
from golive.edge.model import Tokens

FRESH = 5
"""After so many other measurements a base is measured anew."""


@dataclass(frozen=True)
class Measured:
    load: Load
    micros: float


@dataclass
class Cost:
    """One policy: pairs of a measurement with it and the nearest one without."""

    case: Case
    pairs: list[tuple[Measured, Measured]] = field(default_factory=list)

    def add(self, measured: Measured, base: Measured) -> None:
        self.pairs.append((base, measured) if self.case.left_out else (measured, base))

    def ratio(self, of: Callable[[Load], float]) -> float:
        """The median of what one is with it by what it is without."""
        return statistics.median(of(one.load) / of(other.load) for one, other in self.pairs if of(other.load))

    @property
    def micros(self) -> float:
        """Processor time that each request takes more."""
        return statistics.median(one.micros - other.micros for one, other in self.pairs)

    @property
    def share(self) -> float:
        """Of the requests that a core answers without it, how many it answers with it: by processor time alone."""
        return statistics.median(other.micros / one.micros for one, other in self.pairs if one.micros)

    def row(self) -> tuple[str, ...]:
        loads = [one.load for one, _ in self.pairs]
        return (
            self.case.name,
            f"{statistics.median(load.rate for load in loads):,.0f}",
            f"{self.ratio(lambda load: load.rate):.2f}×",
            f"{statistics.median(load.p99_ms for load in loads):.1f}",
            f"{self.ratio(lambda load: load.p99_ms):.2f}×",
            f"{self.micros:+.0f}",
            f"{self.share:.2f}×",
            f"{sum(load.failed for load in loads)}",
        )


def run(seconds: float = 1, rounds: int = 3, only: tuple[str, ...] = ()) -> Result:
    """`only`: policies whose names hold one of these words, and the contest where its name is one."""
    require("wrk", "h2load", "nginx", "redis-server")
    result = Result("policies")
    with tempfile.TemporaryDirectory(prefix="golive-bench-") as name, ExitStack() as stack:
        lab, jwks, tokens = prepared(Path(name), stack)
        with started(lab, jwks, tokens) as bench:
            prove_all(bench, lab.chain)
            costs = measured(bench.cases, _Meter(bench, seconds), rounds, only)
        if costs:
            _report(result, costs, seconds, rounds)
        if not only or policy_peers.NAME in only:
            policy_peers.compare(lab, result, seconds, rounds)
    return result


def prepared(folder: Path, stack: ExitStack) -> tuple[Lab, int, dict[str, str]]:
    """A lab whose upstream answers, the port of the keys, and tokens by their algorithm."""
    folder.chmod(0o755)
    tokens, keys = tokens_and_keys()
    hosts = [domain for one in sites(Tokens(), "") for domain in one.domains]
    chain, key = make_certificate(folder, HOST, *hosts)
    body = '{"message":"' + secrets.token_hex(10) + '"}'
    port, jwks = stack.enter_context(upstream(folder, chain, key, keys, body))
    return Lab(folder, chain, key, port, body, own.security_headers(), folder), jwks, tokens


class Recent:
    """Measurements of a round, made anew when they are no longer fresh."""

    def __init__(self, take: Callable[[Case], Measured]) -> None:
        self._take = take
        self._made = 0
        self._latest: dict[str, tuple[int, Measured]] = {}

    def of(self, case: Case) -> Measured:
        if case.name not in self._latest or self._made - self._latest[case.name][0] >= FRESH:
            self._made += 1
            self._latest[case.name] = (self._made, self._take(case))
        return self._latest[case.name][1]


class Meter(Protocol):
    """What measures a case, and is told when a round is over."""

    def __call__(self, case: Case) -> Measured: ...

    def end_round(self) -> None: ...


def measured(cases: Sequence[Case], meter: Meter, rounds: int, only: tuple[str, ...] = ()) -> list[Cost]:
    """Every case with a base; in each round they begin one third further."""
    bases = {case.name: case for case in cases}
    chosen = [c for c in cases if c.base and (not only or any(word in c.name for word in only))]
    costs = {case.name: Cost(case) for case in chosen}
    for number in range(rounds if chosen else 0):
        recent, start = Recent(meter), number * len(chosen) // 3 % len(chosen)
        for case in (*chosen[start:], *chosen[:start]):
            base = recent.of(bases[case.base])
            costs[case.name].add(recent.of(case), base)
        meter.end_round()
        print(f"  round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    return list(costs.values())


class _Meter:
    """Measures a case, and counts what each edge has to have logged."""

    def __init__(self, bench: Bench, seconds: float) -> None:
        self._bench, self._seconds = bench, seconds
        self._requests: Counter[str] = Counter()

    def __call__(self, case: Case) -> Measured:
        engine = self._bench.engines[case.edge]
        target = Target(case.host, engine.port, case.ask.path, headers=case.ask.headers)
        before = cpu_seconds(engine.roots)
        load = wrk(target, self._seconds)
        used = cpu_seconds(engine.roots) - before
        self._requests[case.edge] += load.requests * case.logged
        time.sleep(0.1)
        return Measured(load, used / max(1, load.requests) * 1e6)

    def end_round(self) -> None:
        """RefusedError when a request is not in the log; the logs are emptied."""
        for name, requests in self._requests.items():
            prove_logged(self._bench.engines[name], requests)
        self._requests.clear()


def _report(result: Result, costs: list[Cost], seconds: float, rounds: int) -> None:
    result.tables.append(_table(costs, seconds, rounds))
    failed = sum(one.load.failed for cost in costs for pair in cost.pairs for one in pair)
    result.bars.append(Bar("failed requests with a policy and without", failed, 0))
    result.details["policies"] = [_details(cost) for cost in costs]


def _table(costs: list[Cost], seconds: float, rounds: int) -> Table:
    columns = (
        "policy",
        "requests/s",
        "of those without",
        "p99 ms",
        "of that without",
        "CPU µs more",
        "a core",
        "failed",
    )
    table = Table("each policy beside the same route without it, HTTP/1.1 over TLS", columns)
    table.rows = [cost.row() for cost in costs]
    plain = [pair for cost in costs for pair in cost.pairs if cost.case.base == "plain" and not cost.case.left_out]
    if plain:
        rate = statistics.median(base.load.rate for _, base in plain)
        micros = statistics.median(base.micros for _, base in plain)
        table.note = f"the plain route: {rate:,.0f} requests/s, {micros:.0f} µs; "
    table.note += f"medians of {rounds} interleaved rounds of {seconds:g} s"
    return table


def _details(cost: Cost) -> dict[str, object]:
    return {
        "policy": cost.case.name,
        "beside": cost.case.base,
        "rates": [[round(one.load.rate), round(other.load.rate)] for one, other in cost.pairs],
        "p99_ms": [[one.load.p99_ms, other.load.p99_ms] for one, other in cost.pairs],
        "cpu_micros": [[round(one.micros, 1), round(other.micros, 1)] for one, other in cost.pairs],
    }
