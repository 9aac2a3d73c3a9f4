"""Which machine writes a host's backups: `host/<host>/owner`. One at a time, or one's would be restored as the other's.

    host/<host>/owner               the machine, since when, and its epoch: one more with every machine; `fenced` are
                                    those before that must not serve either
                alive               when the owner was there last, written while a standby follows
                standby/<machine>   when a standby looked last, since when it follows, and how far behind it was

None is sealed: they hold random numbers, times and what the names beside them say too, and a machine with another key
has to read them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from golive.backup.location import Location
from golive.errors import BackupFailed, Conflict, Fenced, NotFound
from golive.state.keyfile import host_id

FORGOTTEN = timedelta(days=1)
"""A standby that has not looked for so long is none."""
REMEMBERED = 50
"""Machines that were fenced."""


@dataclass(frozen=True)
class Owner:
    """`machine` is a number that a home has made for itself, and that no bundle carries. With `fence` the next one
    fences this one as well."""

    machine: str
    since: datetime
    epoch: int = 1
    fence: bool = False
    fenced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Follower:
    """A standby as it says itself: when it looked last and since when it follows, in seconds since the epoch (None:
    not known); `databases` with `name`, `state`, `behind_bytes`, `behind_seconds`, `behind_files` and `last_write`."""

    machine: str
    looked: float
    since: float | None = None
    databases: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Guard:
    """Who this machine is: files with the key of its state, which says the host, and with its own number."""

    key: Path
    machine: Path

    def require(self, location: Location) -> None:
        """As `require`, and claims nothing. Nothing to say of a machine that has never been asked."""
        if self.machine.exists():
            _refuse_another(location, host_id(self.key.read_bytes()), self.machine.read_text().strip())


def find(location: Location, host: str) -> Owner | None:
    kept = _read(location, _name(host))
    if kept is None:
        return None
    since = datetime.fromisoformat(kept["since"])
    return Owner(
        kept["machine"], since, kept.get("epoch", 1), kept.get("fence", False), tuple(kept.get("fenced", ()))
    )  # fmt: skip


def claim(location: Location, host: str, machine: str, now: datetime, *, fence: bool | None = None) -> Owner:
    """Whoever it was before is not any more; with `fence` it must not serve either. None: as it was."""
    before = find(location, host)
    made = Owner(machine, now, fence=bool(fence)) if before is None else _after(before, machine, now, fence)
    _write(location, _name(host), {**asdict(made), "since": made.since.isoformat()})
    return made


def _after(before: Owner, machine: str, now: datetime, fence: bool | None) -> Owner:
    """A machine that only rehearses was never the owner, and is never fenced."""
    fence = before.fence if fence is None else fence
    fenced = [each for each in before.fenced if each != machine]
    if before.machine == machine:
        return replace(before, fence=fence, fenced=tuple(fenced))
    if fence:
        fenced.append(before.machine)
    return Owner(machine, now, before.epoch + 1, fence, tuple(fenced[-REMEMBERED:]))


def require(location: Location, host: str, machine: str, now: datetime) -> None:
    """It is this machine, or nobody has been yet. Conflict when another one is, Fenced when that one serves instead."""
    if _refuse_another(location, host, machine) is None:
        claim(location, host, machine, now)


def _refuse_another(location: Location, host: str, machine: str) -> Owner | None:
    owner = find(location, host)
    if owner is None or owner.machine == machine:
        return owner
    what = f"another machine took the place of this host on {owner.since:%Y-%m-%d at %H:%M} UTC"
    if machine in owner.fenced:
        raise Fenced(
            what,
            where=str(location),
            why="it serves the apps, and has the data by now: what this one took in besides would be lost",
            hint=f"to make this one its standby: golive daemon stop, move GOLIVE_HOME away, golive standby --from "
            f"{location}; if it is to go on instead of the other: golive recover --take-over",
        )
    raise Conflict(
        what,
        where=str(location),
        why="this one writes no backups any more: they would be mixed with those of the other",
        hint="end this one; or, if it is to go on instead: golive recover --take-over",
    )


def beat(location: Location, host: str, machine: str, now: datetime) -> None:
    """The owner is there."""
    _write(location, f"host/{host}/alive", {"machine": machine, "at": now.isoformat()})


def heard(location: Location, host: str) -> datetime | None:
    """When the owner was there last, by its own clock; None when that was never asked of it."""
    kept = _read(location, f"host/{host}/alive")
    return datetime.fromisoformat(kept["at"]) if kept else None


def follow(location: Location, host: str, follower: Follower) -> None:
    """A standby looks."""
    kept: dict[str, object] = {"at": follower.looked, "since": follower.since, "databases": list(follower.databases)}
    _write(location, f"host/{host}/standby/{follower.machine}", kept)


def follow_no_more(location: Location, host: str, machine: str) -> None:
    location.delete(f"host/{host}/standby/{machine}")


def followers(location: Location, host: str, now: datetime) -> list[Follower]:
    """The standbys that there are, the oldest first."""
    found = []
    for entry in location.list(f"host/{host}/standby"):
        if kept := _read(location, entry.name):
            machine = entry.name.rsplit("/", 1)[1]
            found.append(Follower(machine, _seconds(kept["at"]), kept.get("since"), tuple(kept.get("databases", ()))))
    known = [each for each in found if now.timestamp() - each.looked < FORGOTTEN.total_seconds()]
    return sorted(known, key=lambda each: (each.since or 0, each.machine))


def _seconds(at: str | float) -> float:
    """Earlier versions wrote a time in ISO 8601."""
    return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else float(at)


def _read(location: Location, name: str) -> dict[str, Any] | None:
    try:
        with location.open(name) as file:
            kept = json.loads(file.read())
    except NotFound:
        return None
    except ValueError as error:
        raise BackupFailed(
            f"{name} is damaged",
            where=str(location),
            why=str(error),
            hint="delete it, then golive recover --take-over on the machine that is to go on",
        ) from error
    return kept if isinstance(kept, dict) else None


def _write(location: Location, name: str, kept: dict[str, object]) -> None:
    with location.put(name) as file:
        file.write(json.dumps(kept).encode())


def _name(host: str) -> str:
    return f"host/{host}/owner"
