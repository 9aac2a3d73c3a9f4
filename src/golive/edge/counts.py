"""What the edge saw an upstream do: how many requests it got, how many failed there, how long answers took."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from golive.edge.admin import Admin
from golive.edge.model import cluster_name

_ANSWERED, _FAILED, _AGAIN, _TIME = (
    "upstream_rq_completed",
    "upstream_rq_5xx",
    "upstream_rq_retry",
    "upstream_rq_time",
)


@dataclass(frozen=True)
class Counts:
    """Since some moment. `failed` are 5xx, and tries that ended without an answer: the edge may have hidden those from
    clients by another try, and each counts as a request. `times` is milliseconds, rounded up by 10 % at most → answers;
    Envoy tells them with a delay of five seconds.
    """

    requests: int = 0
    failed: int = 0
    times: Mapping[float, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        times = Counter(self.times) + Counter(other.times)
        return Counts(self.requests + other.requests, self.failed + other.failed, times)

    def since(self, before: Counts) -> Counts:
        """What came after `before`; all of it where Envoy counts anew, having been started again."""
        if self.requests < before.requests or self.failed < before.failed:
            return self
        times = {at: n - before.times.get(at, 0) for at, n in self.times.items()}
        kept = {at: n for at, n in times.items() if n > 0}
        return Counts(self.requests - before.requests, self.failed - before.failed, kept)

    @property
    def timed(self) -> int:
        return sum(self.times.values())

    def percentile(self, share: float) -> float:
        """The time within which that share of the answers came, in milliseconds; 0 without any."""
        left = share * self.timed
        for at in sorted(self.times):
            left -= self.times[at]
            if left <= 0:
                return at
        return 0.0

    def above(self, limit: float) -> int:
        """How many answers took longer than `limit` milliseconds."""
        return sum(n for at, n in self.times.items() if at > limit)


async def read(admin: Admin, upstreams: Collection[str]) -> dict[str, Counts] | None:
    """By name, zero of those that Envoy does not know; None when it does not answer."""
    names = "|".join(re.escape(cluster_name(name)) for name in upstreams)
    wanted = "|".join((_ANSWERED, _FAILED, _AGAIN, _TIME))
    pattern = rf"^cluster\.({names})\.({wanted})$"
    text = await admin.get("/stats", filter=pattern, format="json", histogram_buckets="detailed")
    return None if text is None else {name: counts(json.loads(text), cluster_name(name)) for name in upstreams}


def counts(stats: Mapping[str, object], cluster: str) -> Counts:
    """Those of one cluster, of what Envoy's `/stats` says as JSON."""
    numbers: dict[str, int] = {}
    times: dict[float, int] = {}
    prefix = f"cluster.{cluster}."
    entries = stats.get("stats")
    for entry in entries if isinstance(entries, list) else ():
        if "histograms" in entry:
            for made in entry["histograms"].get("details", ()):
                if made["name"] == prefix + _TIME:
                    times = {b["lower_bound"] + b["width"]: b["count"] for b in made["totals"]}
        elif str(entry["name"]).startswith(prefix):
            numbers[entry["name"].removeprefix(prefix)] = int(entry["value"])
    again = numbers.get(_AGAIN, 0)
    return Counts(numbers.get(_ANSWERED, 0) + again, numbers.get(_FAILED, 0) + again, times)
