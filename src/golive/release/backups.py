"""The backups of an app's databases: where they go, the receiver beside each, and what is asked of them.

All work is done in processes of its own: the daemon starts, watches and records.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from golive.backup import budget as budgets
from golive.backup import catalog, drill, increments, keyring, stream, wal, work
from golive.backup.budget import Outlook, Usage
from golive.backup.credentials import NAMES, Credentials
from golive.backup.repository import Repository
from golive.backup.server import Server
from golive.blueprint.backup_policy import BackupPolicy
from golive.blueprint.models import Blueprint, Resource
from golive.data.place import own
from golive.data.postgres import Postgres
from golive.data.postgres_plan import REPLICATOR, SUPERUSER
from golive.data.redis import Redis
from golive.errors import BackupFailed, Cancelled, Conflict, GoliveError, NotFound, in_words, nearest
from golive.release import resources
from golive.release.host import Host
from golive.state.records import BackupKind, BackupRun, Place
from golive.supervise.unit import Unit
from golive.system.offload import Offload

log = logging.getLogger("golive.backups")
PATIENCE = 30.0
"""Seconds for which a receiver that ended with its database waits for it, before it is started less and less often."""
NAMED: Mapping[BackupKind, str] = {"base": "backup", "drill": "drill", "verify": "check of the backups"}
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Backed:
    """A database that is backed up. `received` is golive's folder for WAL on its way."""

    place: Place
    name: str
    resource: Resource
    policy: BackupPolicy
    store: Postgres
    server: Server
    repository: Repository
    received: Path

    @property
    def terms(self) -> work.Terms:
        return work.Terms(self.policy.keep, self.policy.age, budget(self), self.policy.increments != "never")

    @property
    def is_apart(self) -> bool:
        return is_apart(self)


class Kept(Protocol):
    """What has backups: a database, or a Redis (see `snapshots`)."""

    @property
    def place(self) -> Place: ...
    @property
    def name(self) -> str: ...
    @property
    def policy(self) -> BackupPolicy: ...
    @property
    def store(self) -> Postgres | Redis: ...
    @property
    def repository(self) -> Repository: ...
    @property
    def received(self) -> Path: ...


def is_apart(found: Kept) -> bool:
    """Whether the location survives the disk that the data, and WAL on its way, is on."""
    folder = found.repository.folder
    if folder is None:
        return True
    near = next(each for each in (folder, *folder.parents) if each.exists())
    return near.stat().st_dev != found.store.folder.stat().st_dev


def unit_name(place: Place, name: str) -> str:
    """The receiver's."""
    return f"{resources.unit_name(place, name)}/wal"


def names(host: Host, place: Place) -> list[str]:
    """The databases of the live release that are backed up; none where backups are not wanted."""
    blueprint = _blueprint(host, place)
    if blueprint is None or not blueprint.backups.wanted(place.environment):
        return []
    return [n for n, r in blueprint.resources.items() if r.engine == "postgres" and r.url_from is None]


async def find(host: Host, place: Place, name: str | None) -> Backed:
    """The one named, else the first. NotFound says what there is, or that nothing is backed up here, and why."""
    known = names(host, place)
    if name is None and known:
        name = known[0]
    if name in known:
        return await backed(host, place, name)
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    if not known:
        hint = "backups are of PostgreSQL resources that golive runs; [backups] enabled = true turns them on"
        raise NotFound(f"{place} has no database that is backed up", hint=hint)
    near = nearest(name or "", known)
    hint = f"did you mean {near}?" if near else f"it has {', '.join(known)}"
    raise NotFound(f"there is no database {name!r} that is backed up", hint=hint)


async def backed(host: Host, place: Place, name: str) -> Backed:
    """As the live release has it."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    blueprint = host.release_blueprint(place, app.live)
    store = (await resources.declare(host, place, blueprint))[name]
    if not isinstance(store, Postgres):
        raise NotFound(f"{name} is no PostgreSQL", hint="its backups are not made by golive")
    policy = blueprint.backups
    return Backed(
        place, name, blueprint.resources[name], policy, store, server_of(store),
        repository(host, place, name, policy), host.home.received(*place, name),
    )  # fmt: skip


def server_of(store: Postgres) -> Server:
    place = store.place
    return Server(
        place.label(store.name), store.engine, place.sockets("postgres", store.name), place.port, place.user,
        SUPERUSER, REPLICATOR,
    )  # fmt: skip


def repository(host: Host, place: Place, name: str, policy: BackupPolicy) -> Repository:
    """What opens a bucket is among the environment's variables."""
    values = {n: v for n, v in host.state.variables(place).items() if n in NAMES or n.startswith("AWS_")}
    to = policy.to or str(host.home.backups)
    credentials = Credentials.find(values) if to.startswith("s3://") else Credentials()
    return Repository(to, credentials, host.home.backup_keys, catalog.source(*place, name))


def budget(found: Kept) -> int | None:
    """Bytes, in a folder; None in a bucket."""
    folder = found.repository.folder
    if found.policy.budget is not None or folder is None:
        return found.policy.budget
    near = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(near).total // 2


def receiver(host: Host, found: Backed) -> Unit:
    """What receives WAL beside the server. A lost slot begins another stream before the next start."""
    user = host.engine_user()
    folder = found.received / stream.CURRENT
    stream.prepare(found.received, user)
    output = found.store.folder / "wal.log"
    starts = itertools.count()

    async def before_start() -> None:
        # The first start is waited for by whoever looks after other databases too.
        patience = PATIENCE if next(starts) else 0.0
        await host.offload.call(work.reserve, found.server, found.received, user, patience)

    # Its folder comes with the slot; whether it is there is seen when it starts.
    spec = wal.receiver(found.server, folder, output)
    return Unit(unit_name(found.place, found.name), spec, stop_timeout=timedelta(seconds=5), before_start=before_start)


async def stop_receiving(host: Host, place: Place, name: str) -> None:
    """The receiver ended, by whatever daemon it was started."""
    await resources.stop(host, place, f"{name}/wal")


@asynccontextmanager
async def alone(host: Host, place: Place, name: str, what: str) -> AsyncIterator[Offload]:
    """A process of its own for long work on the backups of one database. Conflict while there is other such work."""
    if under_way := host.backing_up.get((place, name)):
        raise Conflict(
            f"{under_way} of {name} is under way",
            where=str(place),
            hint="wait until it has ended (golive backup list shows it), then try again",
        )
    host.backing_up[(place, name)] = what
    offload = Offload()
    try:
        yield offload
    finally:
        del host.backing_up[(place, name)]
        await offload.close()


def require_owner(host: Host) -> None:
    """Conflict when another machine writes the backups of this host."""
    if host.replaced is not None:
        raise Conflict(host.replaced, hint="if this machine is to go on instead: golive recover --take-over")


async def create(host: Host, found: Backed, report: Report, *, increment: bool = False) -> dict[str, Any]:
    """A base backup now, or an increment where one can be built; recorded, whatever comes of it. Conflict where another
    machine writes them."""
    require_owner(host)
    keyring.current(found.repository.keys)  # made here: two processes at once would make two
    async with alone(host, found.place, found.name, "a backup") as offload:
        terms = (found.server, found.repository, found.received, found.terms, increment)
        return await recorded(host, found, "base", offload.reporting(report, work.create, *terms))


async def prove(host: Host, found: Backed, id: str | None, report: Report) -> dict[str, Any]:
    """A drill: a backup, the newest when none is named, restored beside, looked at, and removed; recorded."""
    folder = drill_folder(host, found.place, found.name)
    user = host.engine_user()
    stream.prepare(folder, user)
    sockets = host.home.run / f"dr-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"
    await asyncio.to_thread(own, sockets, user)
    server = replace(found.server, sockets=sockets)
    terms = drill.Terms(found.store.role, found.resource.checks, id)
    async with alone(host, found.place, found.name, "a drill") as offload:
        action = offload.reporting(report, drill.drill, server, found.repository, found.received, folder, terms)
        return await recorded(host, found, "drill", action)


def drill_folder(host: Host, place: Place, name: str) -> Path:
    return host.home.app(*place) / "drills" / name


async def recorded(host: Host, found: Kept, kind: BackupKind, action: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """What came of it. BackupFailed for what nobody had foreseen; the daemon's log has it as it was."""
    run = host.state.begin_backup_run(found.place, found.name, kind)
    error: GoliveError | None = Cancelled("it was stopped", hint="nothing of it is left")
    detail: dict[str, Any] = {}
    try:
        detail = await action
        error = None
    except GoliveError as failure:
        error = failure
        raise
    except Exception as failure:
        log.exception("%s of %s of %s", kind, found.name, found.place)
        error = BackupFailed(
            f"the {NAMED[kind]} of {found.name} failed",
            where=str(found.place),
            why=in_words(failure),
            hint="the daemon's log says more; backups made before stand as they were",
        )
        raise error from failure
    else:
        return detail
    finally:
        host.state.end_backup_run(run, error.to_json() if error else None, detail)


async def settle_interrupted(host: Host) -> None:
    """At the daemon's start: what an earlier one had begun has ended with it."""
    for app in host.state.apps():
        for folder in (host.home.app(*app.place) / "drills").glob("*"):
            await drill.tidy(folder)
    error = GoliveError("it was interrupted", why="the daemon ended", hint="nothing of it is left; it is tried again")
    host.state.end_interrupted_backup_runs(error.to_json())


async def listing(host: Host, place: Place, name: str | None) -> dict[str, Any]:
    """As JSON: every database with its receiver, its backups, and what is wrong; times in ISO 8601 or epoch seconds."""
    await find(host, place, name)
    chosen = [name] if name is not None else names(host, place)
    return {
        "app": place.app,
        "environment": place.environment,
        "key_kept": keyring.is_kept(host.home.backup_keys),
        "databases": [await _one(host, await backed(host, place, each)) for each in chosen],
    }


async def _one(host: Host, found: Backed) -> dict[str, Any]:
    head: dict[str, Any] = {
        "name": found.name,
        "to": found.repository.to,
        "own_disk": not found.is_apart,
        "schedule": found.policy.schedule,
        "increments": found.policy.increments,
        "increments_possible": increments.is_able(found.server),
        "drill": found.policy.drill,
        "keep": found.policy.keep,
        "keep_for": found.policy.age.total_seconds(),
        "receiving": _receiving(host, found),
        "under_way": host.backing_up.get((found.place, found.name)),
        "trouble": host.backup_trouble.get((found.place, found.name)),
        "last_failure": last_failure(host, found),
        **{k: health(host, found.place)[found.name][k] for k in ("room", "full_at", "soon_full")},
    }
    try:
        return {**head, "backups": await host.offload.call(work.listing, found.repository)}
    except GoliveError as error:
        return {**head, "backups": [], "error": error.to_json()}


def health(host: Host, place: Place) -> dict[str, dict[str, Any]]:
    """Of each database, from what is remembered here: nothing is asked of a location. Times in epoch seconds."""
    blueprint = _blueprint(host, place)
    found = {}
    for name in names(host, place):
        runs = host.state.backup_runs(place, name, "base")
        drills = [run for run in host.state.backup_runs(place, name, "drill") if run.ended_at is not None]
        state = host.supervisor.state(unit_name(place, name))
        seen = outlook(host, place, name, blueprint.backups) if blueprint else None
        found[name] = {
            "last": next((run.started_at for run in runs if run.ended_at is not None and run.error is None), None),
            "drilled": next((run.started_at for run in drills if run.error is None), None),
            "receiving": state.status.value if state else "stopped",
            "trouble": host.backup_trouble.get((place, name)),
            "damaged": damaged([*runs, *drills, *host.state.backup_runs(place, name, "verify")]),
            "room": seen.room if seen else None,
            "full_at": seen.full.timestamp() if seen and seen.full else None,
            "soon_full": bool(seen and seen.is_near(datetime.now(UTC))),
        }
    return found


def damaged(runs: Iterable[BackupRun]) -> dict[str, Any] | None:
    """What a drill or a check has found wrong with a backup: `at` in epoch seconds, and the error. None when nothing
    was, or when another one went well since, or a newer backup was made."""
    ended = [run for run in runs if run.ended_at is not None]
    judged = [r for r in ended if r.error is None or (r.kind != "base" and r.error["kind"] == BackupFailed.__name__)]
    last = max(judged, key=lambda run: run.id, default=None)
    return {"at": last.started_at, **last.error} if last and last.error else None


def outlook(host: Host, place: Place, name: str, policy: BackupPolicy) -> Outlook | None:
    """When the folder of the backups will be full, going by what they took after each; None of a bucket, and before the
    first backup."""
    folder = Path(policy.to or host.home.backups)
    runs = [run for run in host.state.backup_runs(place, name, "base") if "used" in run.detail]
    if not runs or not folder.is_dir():
        return None
    history = [Usage(datetime.fromtimestamp(run.started_at, UTC), run.detail["used"]) for run in reversed(runs)]
    disk = shutil.disk_usage(folder)
    return budgets.outlook(history[:-1], history[-1], disk.free, policy.budget or disk.total // 2)


def _blueprint(host: Host, place: Place) -> Blueprint | None:
    app = host.state.app(place)
    return host.release_blueprint(place, app.live) if app and app.live is not None else None


def _receiving(host: Host, found: Backed) -> dict[str, Any]:
    state = host.supervisor.state(unit_name(found.place, found.name))
    id = stream.current(found.received)
    return {
        "status": state.status.value if state else "stopped",
        "since": state.since.timestamp() if state else None,
        "reason": state.reason if state else "",
        "stream": id,
    }


def last_failure(host: Host, found: Kept) -> dict[str, Any] | None:
    """Of the newest base backup, when it failed."""
    runs = host.state.backup_runs(found.place, found.name, "base")
    runs = [run for run in runs if run.ended_at is not None and (run.error or {}).get("kind") != "Cancelled"]
    return {"at": runs[0].started_at, **runs[0].error} if runs and runs[0].error else None


async def verify(host: Host, found: Kept, id: str | None) -> dict[str, Any]:
    async with alone(host, found.place, found.name, "a check") as offload:
        return await recorded(host, found, "verify", offload.call(work.verify, found.repository, id))


async def delete(host: Host, found: Kept, id: str, actor: str) -> dict[str, Any]:
    async with alone(host, found.place, found.name, "a removal") as offload:
        done = await offload.call(work.delete, found.repository, found.received, id)
    host.state.audit(actor, "backup.delete", found.place, resource=found.name, backup=id)
    return done


def begin_anew(host: Host) -> None:
    """New backups are sealed with another key: what is received from here on follows on a new base backup."""
    for app in host.state.apps():
        for name in names(host, app.place):
            stream.end(host.home.received(*app.place, name))


def needs_base(host: Host, found: Backed) -> bool:
    """Whether no backup was made since the current stream of WAL began: it would lead nowhere."""
    id = stream.current(found.received)
    runs = host.state.backup_runs(found.place, found.name, "base")
    return id is not None and not any(run.detail.get("stream") == id for run in runs)
