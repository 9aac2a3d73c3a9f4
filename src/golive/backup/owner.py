"""Which machine writes a host's backups: `host/<host>/owner`. One at a time, or one's would be restored as the other's.

Not sealed: it holds a random number and a time, and a machine with another key has to read it too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from golive.backup.location import Location
from golive.errors import Conflict, NotFound


@dataclass(frozen=True)
class Owner:
    """`machine` is a number that a home has made for itself, and that no bundle carries."""

    machine: str
    since: datetime


def find(location: Location, host: str) -> Owner | None:
    try:
        with location.open(_name(host)) as file:
            kept = json.loads(file.read())
    except NotFound:
        return None
    return Owner(kept["machine"], datetime.fromisoformat(kept["since"]))


def claim(location: Location, host: str, machine: str, now: datetime) -> None:
    """Whoever it was before is not any more."""
    with location.put(_name(host)) as file:
        file.write(json.dumps({"machine": machine, "since": now.isoformat()}).encode())


def require(location: Location, host: str, machine: str, now: datetime) -> None:
    """It is this machine, or nobody has been yet. Conflict when another one is."""
    owner = find(location, host)
    if owner is None:
        claim(location, host, machine, now)
    elif owner.machine != machine:
        raise Conflict(
            f"another machine took the place of this host on {owner.since:%Y-%m-%d at %H:%M} UTC",
            where=str(location),
            why="this one writes no backups any more: they would be mixed with those of the other",
            hint="end this one; or, if it is to go on instead: golive recover --take-over",
        )


def _name(host: str) -> str:
    return f"host/{host}/owner"
