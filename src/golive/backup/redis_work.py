"""What is done with snapshots of a Redis in a process of its own; everything it takes and gives is a value."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from golive.backup import catalog, proof, redis, work
from golive.backup.catalog import Manifest
from golive.backup.proof import Proof, Verdict
from golive.backup.recovery import Latest
from golive.backup.redis import Loaded, RedisServer
from golive.backup.repository import Repository
from golive.backup.work import Report, Terms
from golive.engines.engine import Engine
from golive.errors import BackupFailed
from golive.system.users import User

FILES = (redis.RDB_FILE, "appendonly.aof")
"""By both names a Redis reads it, whether it starts with its RDB file or its AOF, which may begin with an RDB."""


async def create(
    server: RedisServer, repository: Repository, received: Path, terms: Terms, report: Report = lambda _: None
) -> dict[str, Any]:
    """A snapshot; then what is no longer kept goes. As `work.create`."""
    location = repository.location()

    def said(done: int, total: int) -> None:
        report({"what": "copy", "done": done, "total": total})

    manifest = await redis.create(server, location, repository.source, repository.key(), said)
    went = await asyncio.to_thread(work.tidy, repository, received, terms)
    used = await asyncio.to_thread(work.usage, location, repository.source)
    return {**work.view(manifest), "used": used, "went": went}


async def drill(
    repository: Repository,
    engine: Engine,
    folder: Path,
    user: User | None,
    id: str | None,
    report: Report = lambda _: None,
) -> dict[str, Any]:
    """Loaded by a server of its own in `folder`, where nothing is left. As `work.view`; BackupFailed says what is wrong
    with the snapshot, and is kept beside it."""
    location, manifest = repository.location(), _found(repository, id)
    report({"what": "load"})
    try:
        loaded = await redis.drill(location, manifest, repository.key_of(manifest), engine, folder, user)
    except BackupFailed as error:
        if why := work.damage_in(error):
            proof.write(location, manifest, Proof(datetime.now(UTC), 0.0, why=why))
        raise
    found = _proof(loaded)
    proof.write(location, manifest, found)
    return work.view(manifest, Verdict(found)) | {"source": repository.source}


def _proof(loaded: Loaded) -> Proof:
    checks = (
        "Redis loaded it, and the checksum of all of it is right",
        f"{loaded.keys:,} keys, {loaded.expired:,} more whose time was over; digest {loaded.digest}",
    )
    return Proof(datetime.now(UTC), loaded.seconds, checks=checks, rows=loaded.keys)


async def choose(repository: Repository) -> tuple[str, list[str]]:
    """The newest snapshot that has not failed, and newer ones that have. When all have, the newest."""
    return await asyncio.to_thread(_choose, repository)


def _choose(repository: Repository) -> tuple[str, list[str]]:
    location = repository.location()
    chosen, failed = proof.choose(location, catalog.backups(location, repository.source), Latest())
    return chosen.id, failed


async def fetch(repository: Repository, folder: Path, user: User | None, id: str | None) -> dict[str, Any]:
    """The snapshot into a data folder that does not exist yet. As `work.view`."""
    location, manifest = repository.location(), _found(repository, id)
    await redis.restore(location, manifest, repository.key_of(manifest), folder, user, names=FILES)
    return work.view(manifest, proof.verdict(location, manifest))


def _found(repository: Repository, id: str | None) -> Manifest:
    return catalog.find(repository.location(), repository.source, id)
