"""The WAL since a base backup: received as it is written, by pg_receivewal; which of it is there, and what may go.

A folder of segments, named as PostgreSQL names them; the newest ends in `.partial` while it is being received. A slot
keeps in PostgreSQL what was not received yet, up to `max_slot_wal_keep_size`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from golive.backup.server import Server
from golive.system.processes import Spec

SLOT = "golive_wal"
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")


@dataclass(frozen=True, order=True)
class Segment:
    """`number` counts segments from the beginning of the cluster's WAL."""

    number: int
    timeline: int
    partial: bool = False


def position(lsn: str) -> int:
    """`0/2000028` as bytes from the beginning of the WAL."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def segments(names: Iterable[str], size: int) -> list[Segment]:
    """The segments among the names of a folder, in order; `size` in bytes."""
    per = (1 << 32) // size
    found = [match for name in names if (match := _SEGMENT.fullmatch(name))]
    return sorted(Segment(int(m[2], 16) * per + int(m[3], 16), int(m[1], 16), bool(m[4])) for m in found)


def missing(names: Iterable[str], since: str, size: int) -> list[int]:
    """Numbers of segments that lie between `since` and the newest one, and are not there."""
    known = {segment.number for segment in segments(names, size)}
    return sorted(set(range(position(since) // size, max(known, default=-1) + 1)) - known)


def segment_name(number: int, timeline: int, size: int) -> str:
    per = (1 << 32) // size
    return f"{timeline:08X}{number // per:08X}{number % per:08X}"


def superfluous(names: Iterable[str], oldest: str, size: int) -> list[str]:
    """Names of segments that no backup needs any more: `oldest` is where the oldest kept one begins."""
    first = position(oldest) // size
    return [name for name in names if any(s.number < first for s in segments([name], size))]


def restore_command(folder: Path) -> str:
    """For PostgreSQL, which gives it to a shell: a segment, or what was received of it."""
    quoted = shlex.quote(str(folder)).replace("%", "%%")
    return f'test -f {quoted}/%f && exec cp {quoted}/%f "%p"; exec cp {quoted}/%f.partial "%p" 2>/dev/null'


def reserve(server: Server, renew: Callable[[], object] = lambda: None, *, anew: bool = False) -> bool:
    """The slot, without which WAL could be recycled before it is received. True: it was made now, or made again after
    PostgreSQL gave up waiting, or because `anew` asked for it.

    Then what is received from here on does not follow on what was received before. It wants an empty folder
    (pg_receivewal goes by the newest segment it finds, and would ask for WAL that is gone) and a new base backup; the
    old folder still serves the backups before. `renew` makes that folder, and is called before the slot is.
    """
    with server.session() as session:
        row = session.execute("SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", (SLOT,)).fetchone()
        if row and row[0] not in ("lost", None) and not anew:
            return False
        renew()
        if row:
            session.execute("SELECT pg_drop_replication_slot(%s)", (SLOT,))
        session.execute("SELECT pg_create_physical_replication_slot(%s, true)", (SLOT,))
        return True


def release(server: Server) -> None:
    """PostgreSQL keeps nothing for a receiver any more; nothing to do when it keeps nothing."""
    with server.session() as session:
        session.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active",
            (SLOT,),
        )


def receiver(server: Server, folder: Path, log: Path) -> Spec:
    """The program that receives, until the connection ends; `folder` belongs to the engine's user, see `reserve`.

    It does not try again by itself: whoever keeps it running does that sooner than its 5 s.
    """
    how = ("--directory", str(folder), "--slot", SLOT, "--no-loop", "--status-interval=1")
    return Spec(
        server.client("pg_receivewal", *how),
        env=server.environment(),
        cwd=folder.parent,
        output=log,
        user=server.user,
        name=f"{server.label}/wal",
        private=True,
    )
