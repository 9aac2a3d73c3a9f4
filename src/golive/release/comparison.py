"""Pure: whether a release on trial does as well as the one before it did in the same time.

Both are looked at as the edge saw them. A release is worse when chance would show so many failures in so many requests
less than once in a hundred times, although its true rate were that of the release before plus what is allowed: the tail
of the binomial distribution, asked of each service by itself. In the same way, one request in twenty may take longer
than the 95th percentile of the release before, times the factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from golive.blueprint.canary import Canary
from golive.edge.counts import Counts

DOUBT = 0.01
"""The probability of chance below which a release is worse."""
LAST_DOUBT = 0.05
"""The same for the last look, when a step has waited as long as it may."""
FEWEST = 5
"""Failures, or slow answers, below which nothing is said."""
COMPARED = 50
"""Answers of the release before, without which there is no time to compare with."""
SLACK = 20.0
"""Milliseconds that an answer may always take longer."""

Pair = tuple[Counts, Counts]
"""Of the release on trial, and of the one before, in the same time."""


@dataclass(frozen=True)
class Verdict:
    """`go_on`: the step is over, and it did as well. `worse` says in which way not, and `service` whose."""

    go_on: bool = False
    worse: str = ""
    service: str = ""


def judge(policy: Canary, window: Mapping[str, Pair], passed: float, *, held: bool = False) -> Verdict:
    """What follows from a step that has lasted `passed` seconds; one that is `held` has no last look."""
    last = not held and passed >= max(policy.wait, policy.every).total_seconds()
    for service, (new, old) in window.items():
        if said := _failing(policy, new, old, LAST_DOUBT if last else DOUBT) or _slow(policy, new, old, last):
            return Verdict(worse=said, service=service)
    if passed < policy.every.total_seconds():
        return Verdict()
    return Verdict(go_on=last or (_enough(policy, window) and all(_as_good(policy, *pair) for pair in window.values())))


def _enough(policy: Canary, window: Mapping[str, Pair]) -> bool:
    """Requests, and times of at least half of them: those are told later."""
    requests = sum(new.requests for new, _ in window.values())
    timed = sum(new.timed for new, _ in window.values())
    return requests >= policy.requests and (policy.slower is None or timed >= policy.requests / 2)


def _as_good(policy: Canary, new: Counts, old: Counts) -> bool:
    fails = new.failed <= _allowed(policy, old) * new.requests
    limit = _limit(policy, old)
    return fails and (limit is None or new.above(limit) <= 0.05 * new.timed)


def _failing(policy: Canary, new: Counts, old: Counts, doubt: float) -> str:
    few = new.failed < FEWEST
    if few or tail(new.failed, new.requests, _allowed(policy, old)) >= doubt:
        return ""
    return f"{new.failed} of its {new.requests:,} requests failed ({_share(new)}), {old.failed} of {old.requests:,}" + (
        f" ({_share(old)})" if old.requests else ""
    )


def _slow(policy: Canary, new: Counts, old: Counts, last: bool) -> str:
    limit = _limit(policy, old)
    if limit is None:
        return ""
    slow = new.above(limit)
    if slow < FEWEST or tail(slow, new.timed, 0.05) >= (LAST_DOUBT if last else DOUBT):
        return ""
    mine, others = new.percentile(0.95), old.percentile(0.95)
    return f"95 of 100 requests took up to {mine:,.0f} ms, {others:,.0f} ms"


def _allowed(policy: Canary, old: Counts) -> float:
    """The rate of the release before, half a failure more than it had, and what is allowed beyond."""
    if not old.requests:
        return policy.errors
    return min((old.failed + 0.5) / (old.requests + 1) + policy.errors, 1.0)


def _limit(policy: Canary, old: Counts) -> float | None:
    """Milliseconds; None when there is nothing to compare with."""
    if policy.slower is None or old.timed < COMPARED:
        return None
    return old.percentile(0.95) * policy.slower + SLACK


def _share(counts: Counts) -> str:
    return f"{counts.failed / counts.requests:.1%}" if counts.requests else ""


def tail(seen: int, of: int, chance: float) -> float:
    """The probability of `seen` or more events in `of` tries of that chance each. Envoy's counters are read one after
    the other: a failure may be seen before the request that it is of."""
    seen = min(seen, of)
    if seen <= of * chance or not of:
        return 1.0
    if chance <= 0:
        return 0.0
    term = math.exp(
        math.lgamma(of + 1)
        - math.lgamma(seen + 1)
        - math.lgamma(of - seen + 1)
        + seen * math.log(chance)
        + (of - seen) * math.log1p(-chance)
    )
    total = 0.0
    for k in range(seen, of + 1):
        total += term
        if term < total * 1e-9:
            break
        term *= (of - k) / (k + 1) * chance / (1 - chance)
    return min(total, 1.0)
