"""A restore: a copy beside the database first, to look at; `exchange` puts it in the database's place.

The copy is `<resource>@restored-…`. Until it is exchanged nothing of the live database has changed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from golive.backup import compare, restore, restoring
from golive.backup.restoring import Wish
from golive.backup.server import Server
from golive.data.place import open_folder, open_sockets
from golive.data.postgres import Postgres
from golive.errors import Conflict, GoliveError, NotFound, in_words
from golive.release import backups, copies
from golive.release.backups import Backed, Report
from golive.release.host import Host
from golive.state.records import Copy, CopyKind, Place
from golive.system.offload import Offload

KEPT = timedelta(days=7)
"""How long what was restored, and what was replaced, stays."""


@dataclass(frozen=True)
class Asked:
    """What somebody asks for: one of them at most. `at` has a time zone."""

    id: str | None = None
    at: datetime | None = None
    before_migration: bool = False


async def make(host: Host, found: Backed, asked: Asked, actor: str, report: Report) -> dict[str, Any]:
    """The copy, running, with what was restored and how it compares; `uncompared` says why it could not be. Nothing is
    left when it fails or is stopped.

    Conflict while another restore or a change of copies of the environment is under way.
    """
    place = found.place
    require_free(host, place)
    wish = Wish(asked.id, before_migration(host, place) if asked.before_migration else asked.at)
    async with host.copying(place), backups.alone(host, place, found.name, "a restore") as offload:
        copy = copies.declare(
            host, place, found.name, label(host, place, found.name, "restored"), "restored",
            actor=actor, origin="a restore that is being made", expires_at=time.time() + KEPT.total_seconds(),
        )  # fmt: skip
        try:
            store = await _postgres(host, copy)
            done = await bring(offload, found, wish, store, report)
            report({"what": "start"})
            await copies.start(host, copy)
            copy = await copies.settle(host, copy, "ready", origin=origin(wish, done))
        except BaseException:
            await asyncio.shield(taken_back(host, copy))
            raise
        host.state.audit(actor, "restore", place, resource=found.name, copy=copy.name, backup=done["id"])
        report({"what": "compare"})
        tables, uncompared = [], ""
        try:
            tables = await _compared(host, found, backups.server_of(store))
        except GoliveError as error:  # what was restored is there, whatever is wrong with the live one
            uncompared = in_words(error)
    return {"copy": copy.name, **done, "tables": tables, "uncompared": uncompared, "expires_at": copy.expires_at}


def require_free(host: Host, place: Place) -> None:
    """Conflict while a copy of the environment is being made or changed."""
    if host.copying(place).locked():
        raise Conflict(
            f"a restore or another change of the copies of {place} is under way",
            hint="wait until it has ended, then try again; nothing was changed",
        )


async def bring(offload: Offload, found: Backed, wish: Wish, store: Postgres, report: Report) -> dict[str, Any]:
    """What is wished for, in the data folder of `store`, which must not be there; see `restoring.run`."""
    await asyncio.to_thread(open_folder, store.place, store.name)
    await asyncio.to_thread(open_sockets, store.place, "postgres", store.name)
    terms = (backups.server_of(store), found.repository, found.received, wish, store.data)
    done: dict[str, Any] = await offload.reporting(report, restoring.run, *terms)
    return done


async def taken_back(host: Host, copy: Copy) -> None:
    """A copy whose restore failed or was stopped, gone with what it had begun."""
    folder = host.home.resource(*copy.place, copy.name)
    await restore.tidy(folder / "data.restoring")
    await copies.drop(host, copy)


async def settle_interrupted(host: Host) -> None:
    """At the daemon's start: the server of a restore that was killed goes before its copy does."""
    for copy in host.state.copies():
        if copy.kind in ("restored", "branch") and copy.state == "making":
            await restore.tidy(host.home.resource(*copy.place, copy.name) / "data.restoring")


def origin(wish: Wish, done: dict[str, Any]) -> str:
    if wish.id is not None:
        return f"backup {done['id']}, as it was taken"
    to = f"to {wish.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if wish.at else "to the last write received"
    return f"backup {done['id']}, {to}"


async def compared(host: Host, found: Backed, copy: Copy) -> list[dict[str, Any]]:
    """The live database and a copy side by side, see `compare`."""
    return await _compared(host, found, backups.server_of(await _postgres(host, copy)))


async def _postgres(host: Host, copy: Copy) -> Postgres:
    store = await copies.store(host, copy)
    if not isinstance(store, Postgres):
        raise NotFound(f"{copy.name} is no PostgreSQL")
    return store


async def _compared(host: Host, found: Backed, copy: Server) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = await host.offload.call(compare.side_by_side, found.server, copy, found.store.role)
    return tables


def label(host: Host, place: Place, resource: str, kind: CopyKind) -> str:
    """With the time in it, as `restored-1121-043000`."""
    stamp = time.strftime(f"{kind}-%m%d-%H%M%S", time.gmtime())
    taken = {copy.label for copy in host.state.copies(place) if copy.resource == resource}
    return next(name for n in range(1, 100) if (name := stamp if n == 1 else f"{stamp}-{n}") not in taken)


def before_migration(host: Host, place: Place) -> datetime:
    """The moment before the last migrations that changed the schema began. NotFound when none is remembered."""
    moments, changed = [], False
    for entry in host.state.audit_log(place, limit=1000):
        if entry.action == "migrate" and changed:
            moments.append(entry.at)
            break
        changed = entry.detail.get("applied") not in (None, []) if entry.action == "migrate.done" else changed
    for deployment in host.state.deployments(place, limit=200):
        steps = [s for s in host.state.steps(deployment.id) if s.name == "migrate" and " applied" in s.detail]
        if steps:
            moments.append(steps[0].started_at)
            break
    if not moments:
        raise NotFound(
            f"no migration of {place} is remembered that changed anything",
            hint="golive restore --to-time says the moment instead; golive releases shows when each went live",
        )
    return datetime.fromtimestamp(max(moments), UTC)


async def drop(host: Host, place: Place, name: str | None, actor: str) -> dict[str, Any]:
    """A copy that a restore has made or replaced; the newest when none is named."""
    if host.copying(place).locked():
        raise Conflict(f"a change of the copies of {place} is under way", hint="wait until it has ended")
    async with host.copying(place):
        copy = chosen(host, place, name, ("restored", "replaced"))
        host.state.audit(actor, "restore.drop", place, copy=copy.name)
        await copies.drop(host, copy)
    return {"dropped": copy.name}


def chosen(host: Host, place: Place, name: str | None, kinds: tuple[CopyKind, ...]) -> Copy:
    """The one named, else the newest of those kinds that is whole. NotFound says what there is."""
    if name is not None:
        copy = copies.find(host, place, name)
        if copy.kind not in kinds:
            raise NotFound(f"{copy.name} is no {' or '.join(kinds)} copy", hint="golive restore list shows them")
        return copy
    found = [each for each in host.state.copies(place) if each.kind in kinds and each.state in ("ready", "kept")]
    if not found:
        raise NotFound(f"{place} has no {' or '.join(kinds)} copy", hint="golive restore makes one")
    return max(found, key=lambda each: each.created_at)
