"""Replicas decided: how one follows, how far behind it may be, what has to be made or taken away. No I/O here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from golive.data.postgres_plan import REPLICATOR

SIGNAL = "standby.signal"
"""With this file in its data folder PostgreSQL follows another server and takes no writes."""
BEHIND = 30.0
"""Seconds that a replica may be behind and still be asked."""


@dataclass(frozen=True)
class Lag:
    """`state` is PostgreSQL's (`streaming`, `catchup`, …), or `away` for one that does not follow. Behind the primary
    by `bytes` of WAL, and by `seconds` when it last had something to replay."""

    state: str
    bytes: int = 0
    seconds: float = 0.0

    @property
    def serves(self) -> bool:
        return self.state == "streaming" and self.seconds <= BEHIND


def label(number: int) -> str:
    return f"replica-{number}"


def slot(label: str) -> str:
    """The replication slot by which the primary keeps what that replica has not received."""
    return f"golive_{label.replace('-', '_')}"


def following(sockets: Path, port: int, label: str) -> dict[str, str]:
    """Settings of a standby. Address and slot are those of the resource, whoever the primary is by then."""
    source = f"host={sockets} port={port} user={REPLICATOR} application_name={label} passfile=/dev/null/none"
    return {
        "primary_conninfo": source,
        "primary_slot_name": slot(label),
        "hot_standby": "on",
        # A long read is ended when it has held up the replay for that long, and not the other way round.
        "max_standby_streaming_delay": f"{int(BEHIND)}s",
        "wal_receiver_status_interval": "1s",
    }


def changes(wanted: int, there: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels of replicas to make, and of those to take away."""
    should = [label(number) for number in range(1, wanted + 1)]
    return tuple(one for one in should if one not in there), tuple(sorted(set(there) - set(should)))


def location(text: str) -> int:
    """A place in the WAL such as `0/3000060`, as a number of bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)
