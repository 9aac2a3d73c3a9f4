"""Durations, byte counts, rates and shares as users write them, parsed to exact types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

_DURATION = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PER = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60}
_PER |= {"h": 3600, "hour": 3600, "d": 86400, "day": 86400}


def duration(text: str | int | float | timedelta) -> timedelta:
    """`"30s"`, `"1h30m"`, `"250ms"` or a number of seconds. ValueError says what is accepted."""
    if isinstance(text, timedelta):
        return text
    if isinstance(text, int | float) and not isinstance(text, bool):
        return timedelta(seconds=text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", str(text))
    if not parts or "".join(n + u for n, u in parts) != str(text).replace(" ", ""):
        raise ValueError(f"{text!r} is not a duration; write it like 250ms, 30s, 5m, 1h30m or 7d")
    return timedelta(seconds=sum(float(n) * _DURATION[u] for n, u in parts))


def size(text: str | int) -> int:
    """`"512MB"`, `"1.5GiB"` or a number of bytes, to bytes."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B?)\s*", str(text), re.IGNORECASE)
    unit = (match[2] or "B") if match else ""
    unit = unit.upper().replace("I", "i")
    unit = unit if unit.endswith("B") else unit + "B"
    if not match or unit not in _SIZE:
        raise ValueError(f"{text!r} is not a size; write it like 512MB or 1.5GiB")
    return int(Fraction(match[1]) * _SIZE[unit])


@dataclass(frozen=True)
class Rate:
    """`count` events per `seconds`."""

    count: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`"100/min"`, `"5/day"`, `"10/30s"`."""
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d*)\s*([a-z]+)\s*", str(text))
        if not match or match[3] not in _PER or int(match[1]) < 1 or (match[2] and int(match[2]) < 1):
            raise ValueError(f"{text!r} is not a rate; write it like 100/min, 5/day or 10/30s")
        return cls(int(match[1]), int(match[2] or 1) * _PER[match[3]])

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds}s"


@dataclass(frozen=True)
class Allowance:
    """`count` events in each calendar `period`: hour, day, week or month."""

    count: int
    period: str

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """`"5/day"`, `"1000/month"`."""
        match = re.fullmatch(r"\s*(\d{1,15})\s*/\s*(hour|day|week|month)\s*", str(text))
        if not match or int(match[1]) < 1:
            raise ValueError(f"{text!r} is not a quota; write it like 100/hour, 5/day, 50/week or 1000/month")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.count}/{self.period}"


def human_size(count: float) -> str:
    """Bytes as `1.5 MB`."""
    for unit, limit in (("B", 1000), ("KB", 999.95), ("MB", 999.95), ("GB", 999.95)):
        if abs(count) < limit:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def human_duration(seconds: float) -> str:
    """Seconds as `350 ms`, `1.2 s`, `3 m 20 s`, `2 h 5 m` or `3 d 4 h`."""
    seconds = max(seconds, 0.0)  # of two moments between which the clock was set back
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = max(int(seconds), 60)
    for small, big, names in ((60, 3600, ("m", "s", 60, 1)), (3600, 86400, ("h", "m", 3600, 60))):
        if small <= whole < big:
            return f"{whole // int(names[2])} {names[0]} {whole % int(names[2]) // int(names[3])} {names[1]}"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
