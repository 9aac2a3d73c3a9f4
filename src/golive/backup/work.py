"""What is done with backups in a process of its own, beside the daemon; everything it takes and gives is a value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from golive.backup import base, catalog, increments, proof, retention, ship, stream, wal
from golive.backup.catalog import Broken, Manifest
from golive.backup.location import Location
from golive.backup.owner import Guard
from golive.backup.proof import Damage, Verdict
from golive.backup.repository import Repository
from golive.backup.server import Server
from golive.errors import BackupFailed, BackupUntried, Conflict, GoliveError, NotFound
from golive.system.users import User

BETWEEN = 0.2
"""Seconds between two tries: each is a line in the log of a server that lets nobody in yet."""
Report = Callable[[Any], None]
_UNKNOWN = Verdict()


@dataclass(frozen=True)
class Terms:
    """What is kept: so many, those younger than `age`, and in a folder no more bytes than `budget`. `increments`: they
    are wanted, and what they are built on is kept for them."""

    keep: int
    age: timedelta
    budget: int | None = None
    increments: bool = False


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
    server: Server,
    repository: Repository,
    received: Path,
    terms: Terms,
    increment: bool = False,
    report: Report = lambda _: None,
) -> dict[str, Any]:
    """A base backup, or an `increment` where one can be built; then what is no longer kept goes. As `view` has it, with
    `used` bytes and what `went`."""
    location, key = repository.location(), repository.key()

    def said(done: int, total: int) -> None:
        report({"what": "copy", "done": done, "total": total})

    id = stream.current(received) or ""
    listed = terms.increments and increments.is_able(server)
    if increments.is_able(server):
        await asyncio.to_thread(increments.summarize, server, on=listed)
    given = (server, location, repository.source, key, id, said)
    parent = None
    if listed and increment:
        parent = await asyncio.to_thread(increments.parent_of, location, repository.source, id, key)
    try:
        manifest = await base.create(*given, parent=parent, listed=listed)
    except BackupFailed as error:
        if parent is None or not damage_in(error):
            raise
        # Which blocks changed is not known for all of the time since (it was off, or that is too long ago).
        report({"what": f"no increment ({error.why or error.what}), a base backup instead"})
        manifest = await base.create(*given, listed=listed)
    went = await asyncio.to_thread(tidy, repository, received, terms)
    used = await asyncio.to_thread(usage, location, repository.source)
    return {**view(manifest), "used": used, "went": went}


def tidy(repository: Repository, received: Path, terms: Terms) -> list[str]:
    """Backups that are kept no longer go, and WAL that only they needed. Over the budget the oldest go before their
    time, but for the newest two and the last good one; each with its increments. What was cut off goes as well."""
    location, source = repository.location(), repository.source
    for id in catalog.unfinished(location, source):
        catalog.remove(location, source, id)
    known, current = catalog.backups(location, source), stream.current(received)
    spared = proof.last_good(location, source, known)
    gone = retention.expired(known, datetime.now(UTC), terms.keep, terms.age, spared)
    chains = retention.chains(each for each in known if each not in gone)
    left = [each for chain in chains for each in chain]
    if terms.budget is not None:
        used, received_sizes = usage(location, source) - sum(each.size for each in gone), _wal(location, source)
        able = [chain for chain in chains[:-2] if chain[0] not in spared]
        while able and used - _freed(received_sizes, left, current) > terms.budget:
            oldest = able.pop(0)
            chains.remove(oldest)
            used -= sum(each.size for each in oldest)
            gone += oldest
            left = [each for chain in chains for each in chain]
    for each in reversed(gone):  # an increment before what it builds on
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
    chain = catalog.chain(location, manifest)
    counts = []
    for each in chain:
        with _noted(location, each, manifest):
            counts.append(catalog.verify(location, each, repository.key_of(each)))
    with _noted(location, manifest):
        segments = _wal_after(repository, manifest)
    proof.mend(location, manifest)
    count = sum(counts)
    return {**view(manifest, proof.verdict(location, manifest)), "verified": count, "segments": segments}


def damage_in(error: GoliveError) -> str:
    """What is wrong with the backup: it was read, and is not what was written, or part of it is gone. Empty where it is
    not to blame."""
    if not isinstance(error, BackupFailed | NotFound) or isinstance(error, BackupUntried):
        return ""
    return f"{error.what}: {error.why}" if error.why else error.what


@contextmanager
def _noted(location: Location, *read: Manifest) -> Iterator[None]:
    """What is damaged is kept beside it, the archive of the first of them where there are two."""
    try:
        yield
    except (BackupFailed, NotFound) as error:
        if not (why := damage_in(error)):
            raise
        for each in dict.fromkeys(reversed(read)):
            proof.write_damage(location, each, Damage(datetime.now(UTC), why, len(read) > 1 and each is read[0]))
        raise BackupFailed(error.what, where=error.where, why=error.why, hint=error.hint) from error


def _wal_after(repository: Repository, manifest: Manifest) -> int:
    """How many segments, all of them read."""
    if manifest.engine != "postgres":
        return 0
    names = ship.verify(repository, manifest, repository.key_of(manifest))
    gap = wal.missing(names, manifest.stop_lsn, manifest.segment)
    if gap:
        first = wal.segment_name(gap[0], manifest.timeline, manifest.segment)
        raise BackupFailed(
            f"{manifest.name} is whole, and {len(gap)} WAL segments after it are missing, the first is {first}",
            where=manifest.name,
            hint="it can be restored to the times before; golive backup create makes a new one",
        )
    return len(names)


async def delete(repository: Repository, received: Path, id: str) -> dict[str, Any]:
    """One that is to go before its time, and WAL that only it needed. NotFound names the nearest."""
    return await asyncio.to_thread(_delete, repository, received, id)


def _delete(repository: Repository, received: Path, id: str) -> dict[str, Any]:
    location, source = repository.location(), repository.source
    known = catalog.backups(location, source)
    if not any(isinstance(each, Broken) and each.id == id for each in known):
        catalog.find(location, source, id)
    if needed := [each.id for each in known if isinstance(each, Manifest) and each.parent == id]:
        raise Conflict(
            f"{', '.join(needed)} {'is an increment' if len(needed) == 1 else 'are increments'} of {id}",
            where=source,
            why="it could not be restored without it",
            hint=f"golive backup delete {needed[-1]} first; nothing was changed",
        )
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
        "parent": backup.parent or None,
        "drill": {**asdict(proven), "at": proven.at.isoformat()} if proven else None,
    }
