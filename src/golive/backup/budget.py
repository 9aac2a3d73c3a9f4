"""When the disk of the backups will be full, from what they took before. No I/O here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FLOOR = 512 << 20
"""Bytes that stay free on a disk whatever the budget is: PostgreSQL may be on it."""
SOON = timedelta(days=7)
"""A warning comes so long ahead."""


@dataclass(frozen=True)
class Usage:
    """Bytes that backups and WAL took at a moment."""

    at: datetime
    used: int


@dataclass(frozen=True)
class Outlook:
    """`room` bytes are left; `full` is when they are gone at the pace of late, None when that is not to be seen."""

    used: int
    room: int
    full: datetime | None = None

    def is_near(self, now: datetime) -> bool:
        return self.room <= 0 or (self.full is not None and self.full - now < SOON)


def outlook(history: Sequence[Usage], now: Usage, free: int, budget: int) -> Outlook:
    """`history` oldest first; `free` bytes of the disk. The pace is that from the oldest look to this one: retention
    takes away in the long run as much as comes, and a single day says little."""
    room = min(free - FLOOR, budget - now.used)
    if not history or (passed := (now.at - history[0].at).total_seconds()) < 3600:
        return Outlook(now.used, room)
    pace = (now.used - history[0].used) / passed
    if pace <= 0:
        return Outlook(now.used, room)
    seconds = min(max(room, 0) / pace, timedelta(days=3650).total_seconds())
    return Outlook(now.used, room, now.at + timedelta(seconds=seconds))
