"""What is done with backups in a process of its own, beside the daemon; everything it takes and gives is a value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from golive.backup import base, catalog, proof, retention, ship, stream, wal
from golive.backup.catalog import Broken, Manifest
from golive.backup.location import Location
from golive.backup.owner import Guard
from golive.backup.proof import Damage, Verdict
from golive.backup.repository import Repository
from golive.backup.server import Server
from golive.errors import BackupFailed, BackupUntried, GoliveError, NotFound
from golive.system.users import User

BETWEEN = 0.2
"""Seconds between two tries: each is a line in the log of a server that lets nobody in yet."""
Report = Callable[[Any], None]
_UNKNOWN = Verdict()


@dataclass(frozen=True)
class Terms:
    """What is kept: so many, those younger than `age`, and in a folder no more bytes than `budget`."""

    keep: int
    age: timedelta
    budget: int | None = None


async def reserve(server: Server, received: Path, user: User | None, patience: float = 0.0) -> None:
    """Before the receiver starts: a slot, and a folder to which its WAL belongs. A server that lets nobody in (it was
    killed, and recovers) is asked again for so many seconds; BackupFailed when they are over."""
    deadline = time.monotonic() + patience
    while True:
        anew = stream.is_over(received)
        try:
            await asyncio.to_thread(wal.reserve, server, lambda: stream.renew(received, user), anew=anew)
        except BackupFailed:
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(BETWEEN)
        else:
            return


async def release(server: Server) -> None:
    """See `wal.release`."""
    await asyncio.to_thread(wal.release, server)


async def create(
    server: Server, repository: Repository, received: Path, terms: Terms, report: Report = lambda _: None
) -> dict[str, Any]:
    """A base backup; then what is no longer kept goes. As `view` has it, with `used` bytes and what `went`."""
    location = repository.location()

    def said(done: int, total: int) -> None:
        report({"what": "copy", "done": done, "total": total})

    id = stream.current(received) or ""
    manifest = await base.create(server, location, repository.source, repository.key(), id, said)
    went = await asyncio.to_thread(tidy, repository, received, terms)
    used = await asyncio.to_thread(usage, location, repository.source)
    return {**view(manifest), "used": used, "went": went}


def tidy(repository: Repository, received: Path, terms: Terms) -> list[str]:
    """Backups that are kept no longer go, and WAL that only they needed. Over the budget the oldest go before their
    time, but for the newest two."""
    location, source = repository.location(), repository.source
    known, current = catalog.backups(location, source), stream.current(received)
    gone = retention.expired(known, datetime.now(UTC), terms.keep, terms.age)
    left = [each for each in known if isinstance(each, Manifest) and each not in gone]
    if terms.budget is not None:
        used, received_sizes = usage(location, source) - sum(each.size for each in gone), _wal(location, source)
        while used - _freed(received_sizes, left, current) > terms.budget and len(left) > 2:
            used -= left[0].size
            gone.append(left.pop(0))
    for each in gone:
        catalog.remove(location, source, each.id)
    _drop_wal(location, source, left, received)
    return [each.id for each in gone]


def _drop_wal(location: Location, source: str, left: list[Manifest], received: Path) -> None:
    for name in _superfluous(_wal(location, source), left, stream.current(received)):
        location.delete(f"{source}/wal/{name}")


def _wal(location: Location, source: str) -> dict[str, int]:
    """`<stream>/<file>` and its bytes."""
    return {"/".join(each.name.split("/")[-2:]): each.size for each in location.list(f"{source}/wal")}


def _superfluous(wal_files: Iterable[str], left: list[Manifest], current: str | None) -> list[str]:
    streams: dict[str, list[str]] = {}
    for each in wal_files:
        id, name = each.split("/")
        streams.setdefault(id, []).append(name)
    return retention.superfluous([each for each in left if each.engine == "postgres"], current, streams)


def _freed(wal_files: Mapping[str, int], left: list[Manifest], current: str | None) -> int:
    """Bytes of WAL that go when only these backups are left."""
    return sum(wal_files[name] for name in _superfluous(wal_files, left, current))


def usage(location: Location, source: str) -> int:
    """Bytes."""
    return sum(entry.size for entry in location.list(source))


async def send(repository: Repository, received: Path, seen: int | None, guard: Guard | None) -> ship.Shipped:
    """See `ship.ship`."""
    return await asyncio.to_thread(ship.ship, repository, received, seen, guard)


async def listing(repository: Repository) -> list[dict[str, Any]]:
    """Every backup as `view` has it, newest first."""
    return await asyncio.to_thread(_listing, repository)


def _listing(repository: Repository) -> list[dict[str, Any]]:
    location = repository.location()
    known = catalog.backups(location, repository.source)
    found = [view(each, proof.verdict(location, each)) if isinstance(each, Manifest) else view(each) for each in known]
    return found[::-1]


async def verify(repository: Repository, id: str | None) -> dict[str, Any]:
    """Read all of a backup and of the WAL after it. BackupFailed says what is wrong, which is kept beside it."""
    return await asyncio.to_thread(_verify, repository, id)


def _verify(repository: Repository, id: str | None) -> dict[str, Any]:
    location = repository.location()
    manifest = catalog.find(location, repository.source, id)
    try:
        count, segments = _read(repository, location, manifest)
    except (BackupFailed, NotFound) as error:
        if not is_damage(error):
            raise
        why = f"{error.what}: {error.why}" if error.why else error.what
        proof.write_damage(location, manifest, Damage(datetime.now(UTC), why))
        raise BackupFailed(error.what, where=error.where, why=error.why, hint=error.hint) from error
    proof.mend(location, manifest)
    return {**view(manifest, proof.verdict(location, manifest)), "verified": count, "segments": segments}


def is_damage(error: GoliveError) -> bool:
    """Whether it is the backup that is to blame: it was read, and is not what was written, or part of it is gone."""
    return isinstance(error, BackupFailed | NotFound) and not isinstance(error, BackupUntried)


def _read(repository: Repository, location: Location, manifest: Manifest) -> tuple[int, int]:
    """All of it: bytes of data, and how many segments."""
    key = repository.key_of(manifest)
    count = catalog.verify(location, manifest, key)
    if manifest.engine != "postgres":
        return count, 0
    names = ship.verify(repository, manifest, key)
    gap = wal.missing(names, manifest.stop_lsn, manifest.segment)
    if gap:
        first = wal.segment_name(gap[0], manifest.timeline, manifest.segment)
        raise BackupFailed(
            f"{manifest.name} is whole, and {len(gap)} WAL segments after it are missing, the first is {first}",
            where=manifest.name,
            hint="it can be restored to the times before; golive backup create makes a new one",
        )
    return count, len(names)


async def delete(repository: Repository, received: Path, id: str) -> dict[str, Any]:
    """One that is to go before its time, and WAL that only it needed. NotFound names the nearest."""
    return await asyncio.to_thread(_delete, repository, received, id)


def _delete(repository: Repository, received: Path, id: str) -> dict[str, Any]:
    location, source = repository.location(), repository.source
    known = catalog.backups(location, source)
    if not any(isinstance(each, Broken) and each.id == id for each in known):
        catalog.find(location, source, id)
    catalog.remove(location, source, id)
    left = [each for each in known if isinstance(each, Manifest) and each.id != id]
    _drop_wal(location, source, left, received)
    return {"deleted": id, "left": len(left)}


def view(backup: Manifest | Broken, found: Verdict = _UNKNOWN) -> dict[str, Any]:
    """As JSON: times in ISO 8601, sizes in bytes."""
    if isinstance(backup, Broken):
        return {"id": backup.id, "status": "failed", "why": backup.why}
    proven = found.proof
    return {
        "id": backup.id,
        "status": found.status,
        "why": found.why,
        "begun": backup.begun.isoformat(),
        "ended": backup.ended.isoformat(),
        "engine": backup.engine,
        "version": backup.version,
        "data": backup.plain,
        "size": backup.size,
        "key": backup.key,
        "stream": backup.stream,
        "drill": {**asdict(proven), "at": proven.at.isoformat()} if proven else None,
    }
