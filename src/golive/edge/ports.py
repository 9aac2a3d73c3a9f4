"""Which ports the edge may listen on, and who is in the way."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass

from golive.system.ports import holder

WANTED = ((80, 443), (8080, 8443))
TRIES = 100


@dataclass(frozen=True)
class Ports:
    """`notes` say why these and not better ones."""

    http: int
    https: int
    notes: tuple[str, ...] = ()


def choose_ports(check: Callable[[int], str | None] | None = None) -> Ports:
    """80 and 443 when both can be had, else 8080 and 8443, else the next free above each.

    `check` returns why a port cannot be had, or None. OSError when a hundred ports above are taken.
    """
    check = check or obstacle
    privileged, plain = WANTED
    notes = [f"port {port}: {why}" for port in privileged if (why := check(port))]
    if not notes:
        return Ports(*privileged)
    chosen = []
    for first in plain:
        port = first
        while why := check(port):
            notes.append(f"port {port}: {why}")
            port += 1
            if port == first + TRIES:
                raise OSError(errno.EADDRINUSE, f"ports {first} to {port - 1} are all taken")
        chosen.append(port)
    return Ports(chosen[0], chosen[1], tuple(notes))


def obstacle(port: int) -> str | None:
    """Why nobody may listen on that port now: a right that is missing, or who has it. None when it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - where the edge will listen
            probe.listen(1)
        except PermissionError:
            return "this user may not listen below 1024"
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return str(error.strerror)
            return f"taken by {holder(port) or 'another program'}"
    return None


def listen_address() -> str:
    """`::`, which takes IPv4 as well, where the machine has IPv6; else `0.0.0.0`."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return "0.0.0.0"  # noqa: S104 - the edge is what faces the network
    return "::"
