"""Backups of a Redis: snapshots on the schedule of the databases, their drills, and a restore in its place.

There is nothing between two snapshots to go to. What stands in a location is the same as of a database, see `backups`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.backup import keyring, redis_work, stream, work
from golive.backup.redis import RedisServer
from golive.backup.repository import Repository
from golive.blueprint.backup_policy import BackupPolicy
from golive.data.place import open_folder
from golive.data.redis import Redis
from golive.data.redis_plan import ADMIN
from golive.errors import GoliveError, NotFound, in_words
from golive.release import backups, copies, resources, restores
from golive.release.backups import Report
from golive.release.host import Host
from golive.state.records import Copy, Place


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
        return _server(self.store)

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


async def restore(host: Host, found: Snapped, id: str | None, actor: str, report: Report) -> dict[str, Any]:
    """A snapshot, the newest that has not failed when none is named, in a Redis of its own beside the live one; with
    how the two compare. `swap` puts it in its place. Nothing is left when it fails or is stopped.

    Conflict while another restore or a change of copies of the environment is under way.
    """
    from golive.backup import redis_compare

    place = found.place
    restores.require_free(host, place)
    async with host.copying(place), backups.alone(host, place, found.name, "a restore") as offload:
        began = time.monotonic()
        passed_over: list[str] = []
        if id is None:
            id, passed_over = await offload.call(redis_work.choose, found.repository)
        copy = copies.declare(
            host, place, found.name, restores.label(host, place, found.name, "restored"), "restored",
            actor=actor, origin=f"snapshot {id}", expires_at=time.time() + restores.KEPT.total_seconds(),
        )  # fmt: skip
        try:
            store = await _redis(host, copy)
            report({"what": "load"})
            await asyncio.to_thread(open_folder, store.place, store.name)
            done = await offload.call(redis_work.fetch, found.repository, store.data, host.engine_user(), id)
            report({"what": "start"})
            await copies.start(host, copy)
            copy = await copies.settle(host, copy, "ready")
        except BaseException:
            await asyncio.shield(copies.drop(host, copy))
            raise
        host.state.audit(actor, "restore", place, resource=found.name, copy=copy.name, backup=id)
        report({"what": "compare"})
        seconds, kinds, uncompared = time.monotonic() - began, [], ""
        try:
            kinds = await offload.call(redis_compare.side_by_side, found.server, _server(store))
        except GoliveError as error:  # what was restored is there, whatever is wrong with the live one
            uncompared = in_words(error)
    return {
        "copy": copy.name, "resource": found.name, **done, "passed_over": passed_over, "behind": False,
        "last_commit": "", "seconds": round(seconds, 3), "kinds": kinds, "uncompared": uncompared,
        "expires_at": copy.expires_at,
    }  # fmt: skip


async def _redis(host: Host, copy: Copy) -> Redis:
    store = await copies.store(host, copy)
    if not isinstance(store, Redis):
        raise NotFound(f"{copy.name} is no Redis")
    return store


def _server(store: Redis) -> RedisServer:
    return RedisServer(store.place.label(store.name), store.socket, ADMIN, store.admin_password())
