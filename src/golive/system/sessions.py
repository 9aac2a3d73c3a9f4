"""What a process started: the members of its session, their memory and the ports they listen on."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Member:
    """One process of the machine; `resident` in bytes, `zombie` when only its exit is left."""

    pid: int
    parent: int
    group: int
    session: int
    resident: int
    zombie: bool


@dataclass(frozen=True)
class Listener:
    """An address on which something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def members(session: int) -> list[Member]:
    """The living processes of a session or of the group of the same number."""
    return [m for m in snapshot() if session in (m.session, m.group) and not m.zombie]


def resident(sessions: Iterable[int]) -> dict[int, int]:
    """Bytes resident per session, in one pass over the machine's processes. Shared pages count for each."""
    totals = dict.fromkeys(sessions, 0)
    for member in snapshot():
        if member.session in totals:
            totals[member.session] += member.resident
    return totals


def snapshot() -> Iterator[Member]:
    """Every process of the machine that we may see."""
    return _from_proc() if sys.platform == "linux" else _from_psutil()


def _from_proc() -> Iterator[Member]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path each would double the cost
        if not name.isdigit():
            continue
        try:
            raw = Path(f"/proc/{name}/stat").read_bytes()
        except OSError:
            continue
        f = raw[raw.rindex(b")") + 2 :].split()
        yield Member(int(name), int(f[1]), int(f[2]), int(f[3]), int(f[21]) * _PAGE, f[0] in (b"Z", b"X"))


def _from_psutil() -> Iterator[Member]:
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            pid = process.pid
            zombie = process.status() == psutil.STATUS_ZOMBIE
            rss = 0 if zombie else process.memory_info().rss
            yield Member(pid, process.ppid(), os.getpgid(pid), os.getsid(pid), rss, zombie)


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def listening(session: int) -> list[Listener]:
    """The TCP ports on which the processes of a session listen."""
    import psutil

    found: set[Listener] = set()
    for member in members(session):
        with contextlib.suppress(psutil.Error, OSError):
            for c in psutil.Process(member.pid).net_connections("tcp"):
                if c.status == psutil.CONN_LISTEN and c.laddr:
                    found.add(Listener(c.laddr.ip, c.laddr.port))
    return sorted(found, key=lambda x: (x.port, x.host))
