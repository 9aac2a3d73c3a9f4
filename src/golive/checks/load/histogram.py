"""Latencies counted in buckets that grow by 2 %, so that percentiles of any length of time take a few kilobytes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

SMALLEST = 1e-5
"""Seconds; what is shorter counts as this."""
_GROWTH = math.log(1.02)


@dataclass
class Histogram:
    """Seconds, at most 1 % off; `largest` is exact."""

    counts: Counter[int] = field(default_factory=Counter)
    largest: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[round(math.log(max(seconds, SMALLEST) / SMALLEST) / _GROWTH)] += 1
        self.largest = max(self.largest, seconds)

    def merge(self, other: Histogram) -> None:
        self.counts.update(other.counts)
        self.largest = max(self.largest, other.largest)

    @property
    def total(self) -> int:
        return self.counts.total()

    def percentile(self, share: float) -> float:
        """Seconds within which `share` (0 to 1) of them were; 0 without any."""
        wanted, seen = math.ceil(self.total * share), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return min(SMALLEST * math.exp(bucket * _GROWTH), self.largest)
        return 0.0
