"""What the shield stopped, counted from the access log. Reads line by line, so it takes no memory of the log's size."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_CLIENTS = 10_000
"""Addresses told apart for each rule; above that their number is a lower bound."""
SHOWN = 5


@dataclass
class Count:
    """Requests that one rule named. `stopped` got its answer, `logged` passed because the mode is `log`.

    `first` and `last` are times in ISO 8601, UTC.
    """

    rule: str
    stopped: int = 0
    logged: int = 0
    first: str = ""
    last: str = ""
    clients: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)

    def add(self, line: dict[str, Any], *, stopped: bool) -> None:
        self.stopped += stopped
        self.logged += not stopped
        time = str(line.get("time", ""))
        self.first, self.last = min(self.first or time, time), max(self.last, time)
        for counter, key in ((self.clients, line.get("client")), (self.paths, line.get("path"))):
            if key and (key in counter or len(counter) < MOST_CLIENTS):
                counter[str(key)[:200]] += 1

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "stopped": self.stopped,
            "logged": self.logged,
            "first": self.first,
            "last": self.last,
            "clients": len(self.clients),
            "top_clients": dict(self.clients.most_common(SHOWN)),
            "top_paths": dict(self.paths.most_common(SHOWN)),
        }


def count(lines: Iterable[bytes], app: str, environment: str, since: str = "") -> list[Count]:
    """By rule, the most frequent first. `since` is a time in ISO 8601, UTC; lines that are no JSON are passed over."""
    found: dict[str, Count] = {}
    place = f"{app}/{environment}"
    for raw in lines:
        if b'"shield' not in raw:
            continue
        with contextlib.suppress(ValueError):
            line = json.loads(raw)
            service = str(line.get("service", ""))
            rule = line.get("shield") or line.get("shield_log")
            if rule and (service == place or service.startswith(f"{place}/")) and str(line.get("time", "")) >= since:
                found.setdefault(rule, Count(rule)).add(line, stopped="shield" in line)
    return sorted(found.values(), key=lambda c: (-c.stopped - c.logged, c.rule))


def lines_of(log: Path) -> Iterator[bytes]:
    """The access log and what was rotated away from it, in no order."""
    for path in sorted(log.parent.glob(f"{log.name}*")):
        opener = gzip.open if path.suffix == ".gz" else open
        with contextlib.suppress(FileNotFoundError, EOFError), opener(path, "rb") as file:
            yield from file
