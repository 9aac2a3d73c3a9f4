"""One line of a program's output: its text, time and level. Pure."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

LONGEST = 16384
"""Characters of a line that are kept."""
TRUST = timedelta(hours=1)
"""How far a line's own time may be from when it was written; else it speaks of something else, or of another zone."""

_ISO = re.compile(r"\W{0,2}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)\s?(Z|UTC|[+-]\d\d:?\d\d)?")
_LEVEL = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|PANIC)\b"
    r"|(?:\blevel=|\[|^)\"?(trace|debug|info|notice|warn|warning|error|critical|fatal|panic)\b(?:[]:\"]|\s|$)"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")
_NAMES = {"warn": "warning", "fatal": "critical", "panic": "critical", "notice": "info", "trace": "debug"}
_NUMBERS = ((50, "error"), (40, "warning"), (30, "info"), (0, "debug"))
"""pino's and bunyan's numbers; 60 is critical."""


@dataclass(frozen=True)
class LogLine:
    """`time` is the line's own, else when it was written to within a second, else None. `source` as `web.1`."""

    time: datetime | None
    source: str
    text: str
    level: str | None = None


def parse(raw: bytes, source: str, written: datetime | None) -> LogLine:
    """A line as it was found. Colours and other control characters are taken out; the text is cut at LONGEST."""
    text = _CONTROL.sub("", raw[: 4 * LONGEST].decode(errors="replace").rstrip("\r\n"))
    fields = _fields(text)
    own = _own_time(text, fields)
    trusted = own if own and (written is None or abs(own - written) <= TRUST) else written
    if len(text) > LONGEST or len(raw) > 4 * LONGEST:
        text = f"{text[:LONGEST]}… ({len(raw)} bytes)"
    return LogLine(trusted, source, text, _level(text, fields))


def _fields(text: str) -> dict[str, Any]:
    if text.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text)
            return found if isinstance(found, dict) else {}
    return {}


def _own_time(text: str, fields: dict[str, Any]) -> datetime | None:
    value = next((fields[k] for k in ("time", "ts", "timestamp", "@timestamp") if k in fields), None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _epoch(value)
    match = _ISO.match(value if isinstance(value, str) else text)
    if not match:
        return None
    zone = (match[2] or "").replace("UTC", "Z")
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.fromisoformat(_micro(match[1].replace(",", ".")) + zone).astimezone(UTC)
    return None


def _micro(text: str) -> str:
    """Python 3.11 reads at most six digits of a second's fraction."""
    return text[:26]


def _epoch(value: float) -> datetime | None:
    """Seconds, milliseconds, microseconds or nanoseconds, by size: all mean a time after 2001."""
    for unit in (1e9, 1e6, 1e3):
        if value > 1e9 * unit:
            value /= unit
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(value, UTC) if value > 1e9 else None
    return None


def _level(text: str, fields: dict[str, Any]) -> str | None:
    value = fields.get("level", fields.get("severity", fields.get("levelname")))
    if isinstance(value, int | float):
        return "critical" if value >= 60 else next(name for least, name in _NUMBERS if value >= least or least == 0)
    if isinstance(value, str):
        return _NAMES.get(value.lower(), value.lower())
    if text.startswith("Traceback (most recent call last)"):
        return "error"
    if match := _LEVEL.search(text[:120]):
        name = (match[1] or match[2]).lower()
        return _NAMES.get(name, name)
    return None
