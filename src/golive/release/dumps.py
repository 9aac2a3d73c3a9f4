"""Dumps of databases by their URL: on demand of any PostgreSQL, every day of those that somebody else runs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from golive.backup import drill, dump, keyring, stream
from golive.backup.dump import Source
from golive.backup.repository import Repository
from golive.backup.server import Server
from golive.backup.work import Terms
from golive.blueprint.backup_policy import BackupPolicy
from golive.data.clients import client
from golive.data.external import target_of
from golive.data.place import own
from golive.data.postgres_plan import SUPERUSER
from golive.engines.engine import Engine
from golive.errors import EngineUnavailable, GoliveError, NotFound
from golive.release import backups, databases, db
from golive.release.branches import long_work
from golive.release.db import Database
from golive.release.host import Host
from golive.state.records import Place
from golive.system import ports

log = logging.getLogger("golive.dumps")
DAY = 24 * 3600.0
WEEK = 7 * DAY
AGAIN = 3600.0
"""Seconds until the next try after one that failed."""
OLDEST = 15
"""Major version; its pg_dump reads the older ones too."""
Report = Callable[[Any], None]


async def create(host: Host, place: Place, name: str | None, report: Report) -> dict[str, Any]:
    """One dump now, read back. As JSON."""
    found = await _database(host, place, name)
    version = (await databases.check_external(host.offload, found.resource, found.url)).version
    engine = await _engine(host, version)
    policy = _policy(host, place)
    repository = _repository(host, place, found.name, policy)
    keyring.current(repository.keys)  # made here: two processes at once would make two
    target = target_of(found.resource, found.url)
    source = Source(f"{place}/{found.name}", engine, version, client(target).env)
    terms = Terms(policy.keep, policy.age)
    async with backups.alone(host, place, f"{found.name}/dump", "a dump") as offload:
        made = await offload.reporting(report, dump.create, source, repository, terms)
    return {"resource": found.name, **made}


async def listing(host: Host, place: Place, name: str | None) -> dict[str, Any]:
    """As JSON, newest first."""
    found = await _database(host, place, name)
    dumps = await host.offload.call(dump.listing, _repository(host, place, found.name, _policy(host, place)))
    return {"resource": found.name, "dumps": dumps}


async def unseal(host: Host, place: Place, name: str | None, id: str | None) -> dict[str, Any]:
    """As a file in golive's home, that pg_restore reads. As JSON with its `path`."""
    found = await _database(host, place, name)
    folder = host.home.app(*place) / "dumps" / found.name
    repository = _repository(host, place, found.name, _policy(host, place))
    async with long_work() as offload:
        opened = await offload.call(dump.unseal, repository, id, folder)
    return {"resource": found.name, **opened}


async def prove(host: Host, place: Place, name: str | None, id: str | None, report: Report) -> dict[str, Any]:
    """A drill: a dump, the newest when none is named, restored into a cluster of its own, looked at, and removed."""
    from golive.backup import dump_drill

    found = await _database(host, place, name)
    repository = _repository(host, place, found.name, _policy(host, place))
    known = (await listing(host, place, found.name))["dumps"]
    version = next((each["version"] for each in known if id in (None, each["id"]) and "version" in each), str(OLDEST))
    engine, user = await _engine(host, version), host.engine_user()
    folder = host.home.app(*place) / "drills" / f"{found.name}.dump"
    stream.prepare(folder, user)
    sockets = host.home.run / f"dd-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"
    await asyncio.to_thread(own, sockets, user)
    port = ports.choose(avoid=host.state.ports())
    server = Server(f"{place}/{found.name}", engine, sockets, port, user, SUPERUSER, SUPERUSER)
    terms = drill.Terms(dump_drill.ROLE, found.resource.checks, id)
    async with backups.alone(host, place, f"{found.name}/dump", "a drill") as offload:
        proven = await offload.reporting(report, dump_drill.prove, server, repository, folder, terms)
    return {"resource": found.name, **proven}


async def _database(host: Host, place: Place, name: str | None) -> Database:
    return db.choose(await db.live(host, place, name), name, "postgres")


async def _engine(host: Host, version: str) -> Engine:
    """Whose pg_dump is as new as the server, or newer."""
    major = int(version.split(".", maxsplit=1)[0])
    for wanted in (max(major, OLDEST), None):
        try:
            engine = await host.engines.find("postgres", wanted)
        except EngineUnavailable:
            if wanted is None:
                raise
        else:
            if engine.major >= major:
                return engine
    raise EngineUnavailable(
        f"the server is PostgreSQL {version}, and nothing here is as new",
        why="an older pg_dump refuses a newer server",
        hint=f"apt-get install postgresql-client-{major}, or wait for a golive that brings it",
    )


def _policy(host: Host, place: Place) -> BackupPolicy:
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    return host.release_blueprint(place, app.live).backups


def _repository(host: Host, place: Place, name: str, policy: BackupPolicy) -> Repository:
    return dump.dumps_of(backups.repository(host, place, name, policy))


def is_due(last: float, now: float, after: float = DAY) -> bool:
    """Also when the last one is of tomorrow: the clock was set back since."""
    return not 0 <= now - last < after


@dataclass
class DailyDumps:
    """Of the databases that somebody else runs, where backups are wanted: a day after the last one; and a drill of the
    newest, a week after the last of those."""

    host: Host
    _next: dict[tuple[Place, str], float] = field(default_factory=dict)
    _drills: dict[tuple[Place, str], float] = field(default_factory=dict)
    """When the next drill may be: one that cannot be tried leaves nothing behind that says it was."""

    async def tick(self) -> None:
        for app in self.host.state.apps():
            if app.live is None:
                continue
            blueprint = self.host.release_blueprint(app.place, app.live)
            if not blueprint.backups.wanted(app.place.environment):
                continue
            for name, resource in blueprint.resources.items():
                if resource.engine == "postgres" and resource.url_from is not None:
                    await self._look(app.place, name, drills=blueprint.backups.drill != "never")

    async def _look(self, place: Place, name: str, *, drills: bool) -> None:
        now = time.time()
        if now < self._next.get((place, name), 0.0):
            return
        self._next[place, name] = now + AGAIN
        try:
            known = (await listing(self.host, place, name))["dumps"]
            last = next((each["ended"] for each in known if "ended" in each), 0.0)
            if is_due(last, now):
                made = await create(self.host, place, name, lambda _: None)
                log.info("%s of %s dumped: %s, %s tables", name, place, made["id"], made["tables"])
            drilled = max((each["drill"]["at"] for each in known if each.get("drill")), default=0.0)
            if drills and known and is_due(drilled, now, WEEK) and now >= self._drills.get((place, name), 0.0):
                self._drills[place, name] = now + DAY
                proven = await prove(self.host, place, name, None, lambda _: None)
                log.info("%s of %s: dump %s was restored", name, place, proven["id"])
        except GoliveError as error:
            log.warning("%s of %s could not be dumped, or a dump not restored: %s", name, place, error)
