"""Loopback ports: one that is free, and who holds one that is not."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Collection
from dataclasses import dataclass

from golive.errors import Conflict

RANGE = range(20000, 30000)
"""Below the ports that Linux (32768) and macOS (49152) give to outgoing connections, which could take ours away."""


@dataclass(frozen=True)
class Holder:
    """Who listens on a port. None where the kernel does not tell this user."""

    pid: int | None
    program: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return "a program of another user"
        return f"{self.program or 'a program'} (pid {self.pid})"


def choose(avoid: Collection[int] = ()) -> int:
    """A loopback TCP port nobody listens on and that is not in `avoid`. Conflict when there is none.

    It is free now; whoever is given it must listen before somebody else asks, so pass what was given out as `avoid`.
    """
    start = random.randrange(len(RANGE))  # noqa: S311 - spreads the choice, guards nothing
    for step in range(len(RANGE)):
        port = RANGE[(start + step) % len(RANGE)]
        if port not in avoid and free(port):
            return port
    raise Conflict(
        f"no free port between {RANGE[0]} and {RANGE[-1]}",
        hint="stop what holds them: ss -ltnp",
    )


def free(port: int) -> bool:
    """Whether a program could listen on 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this a connection that ended a moment ago (TIME_WAIT) would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            # With the option above macOS lets two bind; listening tells.
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int) -> Holder | None:
    """Who listens on `port` on any address; None when nobody does."""
    import psutil

    with contextlib.suppress(psutil.AccessDenied):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                return _named(connection.pid)
        return None
    return None if free(port) else Holder(None, None)


def _named(pid: int | None) -> Holder:
    import psutil

    if pid is None:
        return Holder(None, None)
    with contextlib.suppress(psutil.Error):
        return Holder(pid, psutil.Process(pid).name())
    return Holder(pid, None)
