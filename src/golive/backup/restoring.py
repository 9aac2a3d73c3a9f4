"""A restore out of a repository, in a process of its own: which backup, its WAL, the new data folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from golive.backup import catalog, proof, restore, ship, stream, work
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.backup.location import Location
from golive.backup.recovery import AsBackedUp, Goal, Latest, Until
from golive.backup.repository import Repository
from golive.backup.server import Server
from golive.system.files import remove_tree
from golive.system.users import User

Report = Callable[[Any], None]


@dataclass(frozen=True)
class Wish:
    """To the backup `id` as it was taken, to the last commit at or before `at`, else as far as there is WAL."""

    id: str | None = None
    at: datetime | None = None

    @property
    def goal(self) -> Goal:
        if self.id is not None:
            return AsBackedUp()
        return Until(self.at) if self.at is not None else Latest()


async def run(
    server: Server,
    repository: Repository,
    received: Path,
    wish: Wish,
    folder: Path,
    report: Report = lambda _: None,
) -> dict[str, Any]:
    """The new `folder`, which must not exist; the one above it is golive's. As JSON; `behind` is true when there are
    writes that no good backup leads to; `passed_over` are newer backups that have failed."""
    location = repository.location()
    manifest, failed = _choose(location, repository, wish)
    key = repository.key_of(manifest)

    def said(what: str, done: int, total: int) -> None:
        report({"what": what, "done": done, "total": total})

    async with fetched(repository, manifest, key, received, folder.parent / "wal", server.user, wish.goal) as files:
        goal = await asyncio.to_thread(_goal, wish, manifest, files)
        done = await restore.restore(server, location, manifest, key, goal, folder, files, report=said)
    return {
        **work.view(manifest, proof.verdict(location, manifest)),
        "passed_over": failed,
        "last_commit": done.last_commit,
        "seconds": done.seconds,
        "behind": isinstance(wish.goal, Latest) and is_behind(location, repository, received, manifest),
    }


def _goal(wish: Wish, manifest: Manifest, files: Path | None) -> Goal:
    """PostgreSQL stops at the first commit after a time: that of the very last one is the end of what there is."""
    if wish.at is not None and files is not None and ship.ends_at(files, manifest) == wish.at:
        return Latest()
    return wish.goal


def _choose(location: Location, repository: Repository, wish: Wish) -> tuple[Manifest, list[str]]:
    """And those that would have been nearer, but have failed; newest first."""
    if wish.id is not None:
        return catalog.find(location, repository.source, wish.id), []
    return proof.choose(location, catalog.backups(location, repository.source), wish.goal)


@asynccontextmanager
async def fetched(
    repository: Repository, manifest: Manifest, key: Key, received: Path, into: Path, user: User | None, goal: Goal
) -> AsyncIterator[Path | None]:
    """The WAL for it, as long as the block lasts; None where it needs none."""
    if isinstance(goal, AsBackedUp) or not manifest.stream:
        yield None
        return
    await asyncio.to_thread(remove_tree, into)
    into.mkdir(mode=0o711 if user else 0o700)
    try:
        to_the_end = isinstance(goal, Latest)
        await asyncio.to_thread(ship.fetch, repository, manifest, key, received, into, user, to_the_end=to_the_end)
        yield into
    finally:
        await asyncio.to_thread(remove_tree, into)


def is_behind(location: Location, repository: Repository, received: Path, manifest: Manifest) -> bool:
    """Whether there is WAL of a later stream than that of the backup."""
    there = {entry.name.split("/")[-2] for entry in location.list(f"{repository.source}/wal")}
    here = {id for id, each, _ in stream.folders(received) if any(each.iterdir())}
    return any(id > manifest.stream for id in there | here)
