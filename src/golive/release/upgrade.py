"""The next major version for a database: rehearsed on a copy, then done while requests wait; the old one is kept.

The folders say how far an exchange came, and `PG_VERSION` in each whose data it is, so that a daemon that was killed in
the middle puts the rows right at its next start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from golive.backup import stream
from golive.data import clone
from golive.data import upgrade as data
from golive.data.postgres import Postgres
from golive.engines.engine import Engine
from golive.errors import Conflict, GoliveError, NotFound, ResourceFailed, UsageError
from golive.release import backups, copies, databases, pools, replicas, resources
from golive.release.holding import held
from golive.release.host import Host
from golive.state.records import Copy, Place
from golive.system.files import exchange, remove_tree

log = logging.getLogger("golive.upgrade")
Say = Callable[[str], None]
BEFORE = "before-upgrade"
PATIENT = 240.0
"""Seconds after which the edge's patience (`holding.LONGEST`) is near its end."""
PAUSE = 10.0
"""Seconds that a pool may take to come to rest."""


@dataclass(frozen=True)
class Upgrade:
    host: Host
    place: Place
    old: Postgres
    engine: Engine
    say: Say

    async def rehearse(self) -> dict[str, Any]:
        """On a copy that is gone afterwards, while the database serves. As JSON: how long the real one will take."""
        copy = copies.declare(
            self.host, self.place, self.old.name, f"upgrade-{self.engine.major}", "rehearsal",
            actor="golive", origin=f"rehearsal of PostgreSQL {self.engine.major}",
        )  # fmt: skip
        try:
            made = await _postgres(self.host, copy)
            await clone.clone(self.old, made, lambda text: self.say(f"rehearsal: {text}"))
            await asyncio.to_thread(clone.adopt, made)
            await copies.start(self.host, copy)
            await copies.stop(self.host, copy)
            self.say(f"rehearsal: upgrading the copy from {self.old.engine.version} to {self.engine.version}")
            began = time.monotonic()
            following = await data.upgrade(made, self.engine)
            seconds = time.monotonic() - began
            await asyncio.to_thread(remove_tree, made.data)
            following.rename(made.data)
            self.host.state.set_resource_version(self.place, copy.name, self.engine.version)
            await copies.start(self.host, copy)
            after = await self._checked(await _postgres(self.host, copy))
            self.say(f"rehearsal: {after.tables} tables stand on {self.engine.version}, after {seconds:.1f} s")
        finally:
            await asyncio.shield(copies.drop(self.host, copy))
        if seconds > PATIENT:
            self.say(f"requests wait for five minutes at most, and this takes {seconds:.0f} s: close the app before")
        return {"seconds": round(seconds, 3), "tables": after.tables, "size": after.size}

    async def perform(self) -> dict[str, Any]:
        """As JSON. Until traffic goes on the old data is put back when anything fails."""
        host, name = self.host, self.old.name
        before = await host.offload.call(data.facts, self.old)
        kept = copies.declare(
            host, self.place, name, time.strftime(f"{BEFORE}-%m%d-%H%M%S", time.gmtime()), "upgraded",
            actor="golive", origin=f"{name} on PostgreSQL {self.old.engine.version}, before its upgrade",
        )  # fmt: skip
        aside = host.home.resource(*self.place, kept.name)
        host.state.set_copy(kept, "changing")
        try:
            async with quiet(host, self.place, self.old, self.say):
                away = time.monotonic()
                await resources.stop(host, self.place, name)
                following = await data.upgrade(self.old, self.engine)
                await asyncio.to_thread(aside.mkdir, 0o711, exist_ok=True)
                self.old.data.rename(aside / "data")
                following.rename(self.old.data)
                await asyncio.to_thread(stream.end, host.home.received(*self.place, name))
                host.state.set_resource_version(self.place, name, self.engine.version)
                new = replace(self.old, engine=self.engine)
                await resources.keep_running(host, self.place, name, new)
                await databases.bring_up(host.offload, new, resources.READY)
                after = await self._checked(new)
                _require_same(name, before, after)
                seconds = time.monotonic() - away
        except BaseException:
            await asyncio.shield(settle(host, kept, back=True))
            await asyncio.shield(self._start_old())
            raise
        await copies.settle(host, kept, "kept")
        self.say(f"{name} is on {self.engine.version}, after {seconds:.1f} s; all rows are counted anew now")
        await host.offload.call(data.finish, new, thorough=True)
        return {"version": self.engine.version, "seconds_away": round(seconds, 3), "kept": kept.name}

    async def _checked(self, store: Postgres) -> data.Facts:
        await self.host.offload.call(data.finish, store, thorough=False)
        return await self.host.offload.call(data.facts, store)

    async def _start_old(self) -> None:
        await resources.stop(self.host, self.place, self.old.name)
        await resources.keep_running(self.host, self.place, self.old.name, self.old)
        await databases.bring_up(self.host.offload, self.old, resources.READY)


def _require_same(name: str, before: data.Facts, after: data.Facts) -> None:
    if after.tables != before.tables:
        raise ResourceFailed(
            f"{name} has {after.tables} tables after the upgrade and had {before.tables}",
            hint="it was taken back; rehearse it again with nothing else at work on the database",
        )


@asynccontextmanager
async def quiet(host: Host, place: Place, store: Postgres, say: Say) -> AsyncIterator[None]:
    """Requests wait at the edge and statements at the pool, where there is one; both go on afterwards. What receives
    WAL begins another stream then: that of another version leads nowhere from a backup of this one."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(held(host, place, say))
        if order := pools.orders(host, place, store):
            with suppress(TimeoutError, GoliveError):
                async with asyncio.timeout(PAUSE):
                    await order("PAUSE")
            stack.push_async_callback(_resume, order)
        await backups.stop_receiving(host, place, store.name)
        yield


async def _resume(order: Callable[[str], Any]) -> None:
    with suppress(GoliveError):  # it was not paused
        await order("RESUME")


async def upgrade(host: Host, place: Place, call: tuple[str | None, int, bool], say: Say) -> dict[str, Any]:
    """`call` is the resource, the major version, and whether it is only rehearsed. As JSON what it took.

    UsageError for a version that is not newer; Conflict while something else changes the environment; ResourceFailed
    leaves the database as it was.
    """
    name, major, only = call
    if host.changing(place).locked():
        raise Conflict(f"something else changes {place} now", hint="wait for it (golive status), then try again")
    async with host.changing(place), host.copying(place):
        old = await _database(host, place, name)
        if major <= old.engine.major:
            raise UsageError(f"{old.name} is on PostgreSQL {old.engine.version}", hint="ask for a newer major version")
        engine = await host.engines.find("postgres", major)
        await data.require(old.engine, engine, (await host.offload.call(data.facts, old)).extensions)
        work = Upgrade(host, place, old, engine, say)
        result: dict[str, Any] = {"resource": old.name, "from": old.engine.version, "rehearsal": await work.rehearse()}
        if only:
            return result
        for copy in replicas.of(host, place, old.name):
            await copies.drop(host, copy)
            say(f"{copy.name} is made anew afterwards")
        async with backups.alone(host, place, old.name, "an upgrade"):
            return result | await work.perform()


async def undo(host: Host, place: Place, name: str | None, say: Say, *, force: bool) -> dict[str, Any]:
    """The data from before the upgrade again. Conflict when something was written since, unless `force`."""
    async with host.changing(place), host.copying(place):
        now = await _database(host, place, name)
        old = [c for c in host.state.copies(place) if c.resource == now.name and c.kind == "upgraded"]
        if not old:
            raise NotFound(
                f"{now.name} was not upgraded, or what was before is gone", hint="golive status lists copies"
            )
        written = (await host.offload.call(data.facts, now)).changes
        if written and not force:
            raise Conflict(
                f"{written} rows were written to {now.name} since its upgrade, and would be gone",
                hint=f"--force goes back all the same, and keeps them in {old[-1].name}",
            )
        kept = old[-1]
        for copy in replicas.of(host, place, now.name):
            await copies.drop(host, copy)
        async with quiet(host, place, now, say):
            host.state.set_copy(kept, "changing")
            await resources.stop(host, place, now.name)
            exchange(now.data, host.home.resource(*place, kept.name) / "data")
            await asyncio.to_thread(stream.end, host.home.received(*place, now.name))
            await settle(host, kept)
            back = await _database(host, place, now.name)
            await resources.keep_running(host, place, now.name, back)
            await databases.bring_up(host.offload, back, resources.READY)
        say(f"{now.name} is on {back.engine.version} again; what was written since is in {kept.name}")
        return {"resource": now.name, "version": back.engine.version, "kept": kept.name, "written": written}


async def _database(host: Host, place: Place, name: str | None) -> Postgres:
    found = await replicas.primaries(host, place)
    if name is not None and name not in found:
        raise NotFound(f"{place} has no PostgreSQL {name!r} of golive's", hint=f"it has {', '.join(found) or 'none'}")
    if not found:
        raise NotFound(f"{place} has no PostgreSQL that golive runs")
    return found[name] if name is not None else next(iter(found.values()))


async def _postgres(host: Host, copy: Copy) -> Postgres:
    found = await copies.store(host, copy)
    if not isinstance(found, Postgres):
        raise NotFound(f"{copy.name} is no PostgreSQL")
    return found


async def settle_interrupted(host: Host) -> None:
    """At the daemon's start, before any database is started."""
    for copy in host.state.copies():
        if copy.kind == "upgraded" and copy.state == "changing":
            try:
                await settle(host, copy, back=True)
            except (GoliveError, OSError) as error:
                log.warning("the upgrade of %s of %s: %s", copy.resource, copy.place, error)


async def settle(host: Host, kept: Copy, *, back: bool = False) -> None:
    """Rows as the folders are. `back`: an upgrade that was cut off is taken back, when the old data is aside."""
    folder, aside = (host.home.resource(*kept.place, name) for name in (kept.resource, kept.name))
    await resources.stop(host, kept.place, kept.resource)
    if back and (aside / "data").exists() and _major(aside / "data") != _major(folder / "data"):
        await asyncio.to_thread(remove_tree, folder / "data")
        (aside / "data").rename(folder / "data")
        log.info("the upgrade of %s of %s was taken back", kept.resource, kept.place)
    for each in ("data.next", "upgrade"):
        await asyncio.to_thread(remove_tree, folder / each)
    for name, place in ((kept.resource, folder), (kept.name, aside)):
        if (major := _major(place / "data")) is not None:
            row = next(r for r in host.state.resources(kept.place) if r.name == name)
            if row.version.split(".")[0] != str(major):
                host.state.set_resource_version(kept.place, name, str(major))
    if (aside / "data").exists():
        await copies.settle(host, kept, "kept")
    else:
        await copies.drop(host, kept)


def _major(folder: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int((folder / "PG_VERSION").read_text(errors="replace").split(".")[0])
    return None
