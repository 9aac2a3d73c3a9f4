"""Which rate holds: steps up until the bar is passed, then between the last that held and the first that did not."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from golive.checks.load.generator import Measured
from golive.checks.load.watch import Use

CLOSE = 1.15
"""Between what holds and what does not, when the search ends."""
FULL = 0.95
"""Share of its core from which on the generator measures itself."""
MOST_LIMITED = 0.01
"""Share of 429s from which on it is a limit that is measured, not the app."""
Why = Literal["", "latency", "errors", "limited", "generator"]


@dataclass(frozen=True)
class Bar:
    """What still counts as working: `p95` in seconds, `errors` as a share of all requests."""

    p95: float = 0.5
    errors: float = 0.01

    def __str__(self) -> str:
        return f"p95 within {self.p95 * 1000:g} ms and at most {self.errors * 100:g} % failed"


@dataclass(frozen=True)
class Step:
    """One rate, measured. Rates are requests a second, times seconds; `why` is what did not hold ("" when all did).
    `generator` is the share of its core that the busiest process of the load used, `generators` the cores of all."""

    rate: float
    throughput: float
    sent: int
    failed: int
    limited: int
    refused: int
    p50: float
    p95: float
    p99: float
    slowest: float
    late: float
    generator: float
    generators: float
    why: Why
    failures: tuple[str, ...] = ()
    stopped: str = ""
    uses: tuple[Use, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.why

    def to_json(self) -> dict[str, Any]:
        from dataclasses import asdict

        return {**asdict(self), "holds": self.holds}


def judged(rate: float, measured: Measured, bar: Bar, uses: tuple[Use, ...] = ()) -> Step:
    """Pure: what one run says. Latencies count from when requests were due, so what this side was late is in them: a
    rate that holds does so although. One that is too slow is the generator's doing when that had no core left, or was
    late for no want of the machine's."""
    done, times = max(measured.done, 1), measured.latency
    p95 = times.percentile(0.95)
    why: Why = ""
    if measured.limited > MOST_LIMITED * done:
        why = "limited"
    elif measured.failed > bar.errors * done or measured.stopped or not measured.done:
        why = "errors"
    elif p95 > bar.p95:
        why = "latency"
    full = any(use.kind == "machine" and use.share > FULL for use in uses)
    if why == "latency" and (measured.cpu > FULL or (measured.late.percentile(0.95) > p95 / 2 and not full)):
        why = "generator"
    reasons = measured.failures + type(measured.failures)(
        {f"status {status}": count for status, count in measured.statuses.items() if status >= 500}
    )
    return Step(
        rate=round(rate, 2),
        throughput=round(measured.answered / max(measured.seconds, 1e-9), 2),
        sent=measured.sent,
        failed=measured.failed,
        limited=measured.limited,
        refused=sum(n for status, n in measured.statuses.items() if 400 <= status < 500 and status != 429),
        p50=round(times.percentile(0.5), 5),
        p95=round(p95, 5),
        p99=round(times.percentile(0.99), 5),
        slowest=round(times.largest, 5),
        late=round(measured.late.percentile(0.95), 5),
        generator=round(measured.cpu, 3),
        generators=round(measured.cores, 3),
        why=why,
        failures=tuple(f"{count} × {reason}" for reason, count in reasons.most_common(3)),
        stopped=measured.stopped,
        uses=uses,
    )


async def find(measure: Callable[[float], Awaitable[Step]], first: float, most: float) -> list[Step]:
    """Steps in the order they were taken: doubled while they hold, quartered while the first do not, then halfway
    (of the logarithm) until both ends are close. Ends where the generator, not the app, was at its limit."""
    steps = [await measure(first)]
    while steps[-1].holds and steps[-1].rate < most:
        steps.append(await measure(min(steps[-1].rate * 2, most)))
    while not any(step.holds for step in steps) and steps[-1].rate > 1 and steps[-1].why != "generator":
        steps.append(await measure(max(steps[-1].rate / 4, 1)))
    while (ends := bounds(steps)) is not None and ends[1].rate / ends[0].rate > CLOSE:
        steps.append(await measure(math.sqrt(ends[0].rate * ends[1].rate)))
    return steps


def bounds(steps: Sequence[Step]) -> tuple[Step, Step] | None:
    """The highest rate that held below the lowest that did not, and that one; None without both."""
    broken = min((step for step in steps if not step.holds), key=lambda step: step.rate, default=None)
    if broken is None:
        return None
    held = max((s for s in steps if s.holds and s.rate < broken.rate), key=lambda step: step.rate, default=None)
    return (held, broken) if held else None
