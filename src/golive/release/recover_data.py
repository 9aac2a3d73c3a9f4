"""The stores of a recovered host: which there are, where their backups are, and each restored to its last write."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from golive.backup import catalog, following, keyring, proof, redis, ship
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.backup.credentials import Credentials
from golive.backup.following import Followed
from golive.backup.recovery import Latest
from golive.backup.repository import Repository
from golive.backup.restore import Restored
from golive.backup.restore import restore as restore_cluster
from golive.data.place import open_folder, open_sockets
from golive.data.postgres import Postgres
from golive.data.redis import Redis
from golive.errors import BackupFailed, BackupUntried, NotFound, nearest
from golive.release import backups, resources
from golive.release.host import Host
from golive.state.records import App
from golive.system import ports
from golive.system.files import private_directory, remove_tree
from golive.system.processes import start

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True)
class Kept:
    """A store that golive ran, and the newest good backup of it; `passed_over` are newer ones that have failed."""

    store: Postgres | Redis
    repository: Repository
    manifest: Manifest
    passed_over: list[str]

    @property
    def label(self) -> str:
        return self.store.place.label(self.store.name)


@dataclass(frozen=True)
class Found:
    """What is to be restored, and those that begin empty."""

    kept: tuple[Kept, ...]
    empty: tuple[Postgres | Redis, ...]


async def find(host: Host, to: str, credentials: Credentials, without: Sequence[str], work: Path) -> Found:
    """Every store of a live release that is not here yet, or only half begun. NotFound names databases without a
    backup, and what is in `without` and is no store; a Redis without a backup, and those in `without`, begin empty."""
    kept: list[Kept] = []
    empty: list[Postgres | Redis] = []
    missing: list[str] = []
    stores = [(app, store) for app in host.state.apps() for store in await _stores(host, app)]
    _require_known(without, [store.place.label(store.name) for _, store in stores])
    for app, store in stores:
        label = store.place.label(store.name)
        if _begun(work, store).exists():
            empty.append(store)
        elif not _is_done(store):
            found = None
            if label not in without:
                found = await asyncio.to_thread(_newest, store, _repositories(host, app, store.name, to, credentials))
            if found:
                kept.append(found)
            elif isinstance(store, Redis) or label in without:
                empty.append(store)
            else:
                missing.append(label)
    if missing:
        names = " ".join(f"--without {label}" for label in missing)
        raise NotFound(
            f"there is no backup of {', '.join(missing)}", where=to, hint=f"to begin with it empty, add {names}"
        )
    return Found(tuple(kept), tuple(empty))


def _require_known(without: Sequence[str], known: list[str]) -> None:
    for label in without:
        if label not in known:
            near = nearest(label, known)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
            raise NotFound(f"there is no {label} that could begin empty", hint=f"{hint}; then the same command goes on")


async def begin_empty(store: Postgres | Redis, work: Path) -> None:
    """With its role and database, as a deploy makes it, and ended again: the daemon starts it. Killed, `find` has it
    once more."""
    private_directory(work)
    _begun(work, store).touch()
    await store.prepare()
    await store.before_start()
    process = await start(store.spec())
    try:
        await store.ready()
        await store.provision()
    finally:
        await process.stop(store.stop_grace, store.stop_signal)


def _begun(work: Path, store: Postgres | Redis) -> Path:
    return work / f"empty-{store.place.label(store.name).replace('/', '~')}"


async def _stores(host: Host, app: App) -> list[Postgres | Redis]:
    if app.live is None:
        return []
    stores = await resources.declare(host, app.place, host.release_blueprint(app.place, app.live))
    return [store for store in stores.values() if isinstance(store, Postgres | Redis)]


def _repositories(host: Host, app: App, name: str, to: str, credentials: Credentials) -> list[Repository]:
    """The place that is recovered from, then the one that the app itself names."""
    policy = host.release_blueprint(app.place, app.live or 0).backups
    own = backups.repository(host, app.place, name, policy)
    given = Repository(to, credentials, host.home.backup_keys, own.source)
    return [given] if policy.to in (None, to) else [given, own]


def _newest(store: Postgres | Redis, repositories: list[Repository]) -> Kept | None:
    for repository in repositories:
        if known := catalog.backups(repository.location(), repository.source):
            location = repository.location()
            return Kept(store, repository, *proof.choose(location, known, Latest()))
    return None


def followed(store: Postgres, repository: Repository) -> Followed:
    """As a standby has it."""
    return Followed(backups.server_of(store), repository, store.data)


async def followable(host: Host, to: str, credentials: Credentials) -> list[Followed]:
    """Every database of a live release that golive runs, with its folders; where its backups are, or will be."""
    found = []
    for app in host.state.apps():
        for store in await _stores(host, app):
            if isinstance(store, Postgres):
                await asyncio.to_thread(open_folder, store.place, store.name)
                await asyncio.to_thread(open_sockets, store.place, "postgres", store.name)
                known = _repositories(host, app, store.name, to, credentials)
                chosen = await asyncio.to_thread(_with_backups, known)
                found.append(followed(store, chosen))
    return found


def _with_backups(known: list[Repository]) -> Repository:
    return next((each for each in known if each.location().list(f"{each.source}/base")), known[0])


async def restore(host: Host, kept: Kept, work: Path, report: Progress) -> str:
    """To the last write that is kept. What it came to, in words."""
    await asyncio.to_thread(open_folder, kept.store.place, kept.store.name)
    key = keyring.find(host.home.backup_keys, kept.manifest.key)
    if isinstance(kept.store, Redis):
        await _restore_redis(kept, kept.store, key)
        return f"as of {kept.manifest.begun:%F %T} UTC"
    return await _restore_cluster(host, kept, kept.store, work, report)


def _is_done(store: Postgres | Redis) -> bool:
    """A Redis is when it has written its data in the form that it is to have, and has noted that."""
    return store.data.exists() and (isinstance(store, Postgres) or (store.folder / "persistence").exists())


async def _restore_redis(kept: Kept, store: Redis, key: Key) -> None:
    """Run once, so that it has its AOF before an app writes: started with one beside a snapshot it would be empty."""
    await store.before_start()
    await asyncio.to_thread(remove_tree, store.data)
    await redis.restore(kept.repository.location(), kept.manifest, key, store.data, store.place.user)
    await store.prepare()
    process = await start(store.spec())
    try:
        await store.provision()
    finally:
        await process.stop(store.stop_grace, store.stop_signal)


async def _restore_cluster(host: Host, kept: Kept, store: Postgres, work: Path, report: Progress) -> str:
    """By a server of another port, so that nobody else finds it. A standby has nearly all of it already."""
    user = host.engine_user()
    await asyncio.to_thread(open_sockets, store.place, "postgres", store.name)
    there = followed(store, kept.repository)
    if (base := there.base) is not None:
        if base.stream >= kept.manifest.stream:  # newer where the newest backup has failed: this is past it
            return _said(await following.finish(there, report))
        await following.end(there)
        await asyncio.to_thread(remove_tree, there.work)
    server = replace(backups.server_of(store), port=ports.choose(avoid=host.state.ports()))
    location, key = kept.repository.location(), keyring.find(host.home.backup_keys, kept.manifest.key)
    private_directory(work, 0o711 if user else 0o700)
    with _folder(work / "wal", user.gid if user else None) as received:
        report("WAL", 0, 0)
        nowhere = host.home.received(store.place.app, store.place.environment, store.name)
        try:
            await asyncio.to_thread(ship.fetch, kept.repository, kept.manifest, key, nowhere, received, user)
        except BackupUntried:
            raise
        except BackupFailed as error:
            error.hint = f"begin it empty (the same command with --without {kept.label}), then: {error.hint}"
            raise
        done = await restore_cluster(
            server, location, kept.manifest, key, Latest(), store.data, received, report=report
        )  # fmt: skip
    return _said(done)


def _said(done: Restored) -> str:
    return f"last write {done.last_commit or 'before the backup'}"


@contextmanager
def _folder(path: Path, group: int | None) -> Iterator[Path]:
    """A new one, which the engine's user may read; gone after the block."""
    remove_tree(path)
    private_directory(path, 0o700 if group is None else 0o750)
    if group is not None:
        os.chown(path, 0, group)
    try:
        yield path
    finally:
        remove_tree(path)
