"""Backups of a Redis: snapshots on the schedule of the databases, their drills, and a restore in its place.

There is nothing between two snapshots to go to. What stands in a location is the same as of a database, see `backups`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.backup import keyring, redis_work, stream, work
from golive.backup.redis import RedisServer
from golive.backup.repository import Repository
from golive.blueprint.backup_policy import BackupPolicy
from golive.data.redis import TROUBLE, Redis
from golive.data.redis_plan import ADMIN
from golive.errors import BackupFailed, Conflict, GoliveError, NotFound
from golive.release import backups, databases, resources
from golive.release.backups import Report
from golive.release.host import Host
from golive.state.records import Place
from golive.system.files import exchange, remove_tree

NEW = "data.restored"


@dataclass(frozen=True)
class Snapped:
    """A Redis that is backed up. `received` is where a database would have its WAL; there is none."""

    place: Place
    name: str
    policy: BackupPolicy
    store: Redis
    repository: Repository
    received: Path

    @property
    def server(self) -> RedisServer:
        store = self.store
        return RedisServer(store.place.label(self.name), store.socket, ADMIN, store.admin_password())

    @property
    def terms(self) -> work.Terms:
        return work.Terms(self.policy.keep, self.policy.age, backups.budget(self))


def names(host: Host, place: Place) -> list[str]:
    """Those of the live release; one that keeps nothing itself is not backed up either."""
    app = host.state.app(place)
    if app is None or app.live is None:
        return []
    blueprint = host.release_blueprint(place, app.live)
    if not blueprint.backups.wanted(place.environment):
        return []
    found = blueprint.resources.items()
    return [n for n, r in found if r.engine == "redis" and r.url_from is None and r.persistence != "none"]


async def find(host: Host, place: Place, name: str | None) -> Snapped | None:
    """The one named, or the first of an app without PostgreSQL; None when a database is meant."""
    known = names(host, place)
    if name is None and known and not backups.names(host, place):
        name = known[0]
    return await snapped(host, place, name) if name in known and name is not None else None


async def snapped(host: Host, place: Place, name: str) -> Snapped:
    """As the live release has it."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    blueprint = host.release_blueprint(place, app.live)
    store = (await resources.declare(host, place, blueprint))[name]
    if not isinstance(store, Redis):
        raise NotFound(f"{name} is no Redis")
    policy = blueprint.backups
    repository = backups.repository(host, place, name, policy)
    return Snapped(place, name, policy, store, repository, host.home.received(*place, name))


async def create(host: Host, found: Snapped, report: Report) -> dict[str, Any]:
    """A snapshot now; recorded, whatever comes of it. Conflict where another machine writes them."""
    backups.require_owner(host)
    keyring.current(found.repository.keys)
    async with backups.alone(host, found.place, found.name, "a backup") as offload:
        given = (found.server, found.repository, found.received, found.terms)
        return await backups.recorded(host, found, "base", offload.reporting(report, redis_work.create, *given))


async def prove(host: Host, found: Snapped, id: str | None, report: Report) -> dict[str, Any]:
    """A drill: a snapshot, the newest when none is named, loaded by a server of its own; recorded."""
    folder, user = backups.drill_folder(host, found.place, found.name), host.engine_user()
    stream.prepare(folder, user)
    async with backups.alone(host, found.place, found.name, "a drill") as offload:
        given = (found.repository, found.store.engine, folder, user, id)
        return await backups.recorded(host, found, "drill", offload.reporting(report, redis_work.drill, *given))


async def one(host: Host, found: Snapped) -> dict[str, Any]:
    """As `backups.listing` has a database."""
    key = (found.place, found.name)
    head: dict[str, Any] = {
        "name": found.name,
        "engine": "redis",
        "to": found.repository.to,
        "own_disk": not backups.is_apart(found),
        "schedule": found.policy.schedule,
        "drill": found.policy.drill,
        "keep": found.policy.keep,
        "keep_for": found.policy.age.total_seconds(),
        "receiving": None,
        "under_way": host.backing_up.get(key),
        "trouble": host.backup_trouble.get(key),
        "last_failure": backups.last_failure(host, found),
        "room": None,
        "full_at": None,
        "soon_full": False,
    }
    try:
        return {**head, "backups": await host.offload.call(work.listing, found.repository)}
    except GoliveError as error:
        return {**head, "backups": [], "error": error.to_json()}


async def restore(
    host: Host, found: Snapped, id: str | None, actor: str, report: Report, *, swap: bool
) -> dict[str, Any]:
    """A snapshot, the newest when none is named, loaded beside to see what it holds; with `swap` it takes the place of
    what is there, of which a snapshot is made first. Nothing is lost when it fails or is killed."""
    passed_over: list[str] = []
    if id is None:
        id, passed_over = await host.offload.call(redis_work.choose, found.repository)
    proven = await prove(host, found, id, report)
    done = {"resource": found.name, "engine": "redis", **proven, "passed_over": passed_over}
    done |= {"keys": proven["drill"]["rows"], "live_keys": await _count(found)}
    if not swap:
        return {**done, "swapped": False}
    if host.changing(found.place).locked():
        raise Conflict(f"something else changes {found.place} now", hint="try again when it has ended: golive status")
    safety = await create(host, found, report)
    async with host.changing(found.place), backups.alone(host, found.place, found.name, "a restore") as offload:
        beside = found.store.data.with_name(NEW)
        await asyncio.to_thread(remove_tree, beside)
        await offload.call(redis_work.fetch, found.repository, beside, host.engine_user(), proven["id"])
        host.state.audit(actor, "restore", found.place, resource=found.name, backup=proven["id"], safety=safety["id"])
        report({"what": "swap"})
        await _swap(host, found, beside)
        await asyncio.to_thread(remove_tree, beside)
    return {**done, "swapped": True, "safety": safety["id"]}


async def _swap(host: Host, found: Snapped, beside: Path) -> None:
    """One exchange of folders while it is down: whatever is killed, one of the two is there as a whole."""
    await resources.stop(host, found.place, found.name)
    await found.store.before_start()
    await asyncio.to_thread(exchange, found.store.data, beside)
    try:
        await _start(host, found)
    except GoliveError:
        await resources.stop(host, found.place, found.name)
        await found.store.before_start()
        await asyncio.to_thread(exchange, found.store.data, beside)
        await _start(host, found)
        raise


async def _start(host: Host, found: Snapped) -> None:
    await resources.keep_running(host, found.place, found.name, found.store)
    await databases.bring_up(host.offload, found.store, resources.READY)


async def _count(found: Snapped) -> int:
    try:
        async with found.store.as_admin() as admin:
            info = await admin.info("keyspace")
    except TROUBLE as error:
        raise BackupFailed(f"{found.name} does not answer", why=str(error) or type(error).__name__) from error
    return sum(int(text.split(",")[0].partition("=")[2]) for name, text in info.items() if name.startswith("db"))
