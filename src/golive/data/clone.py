"""A second cluster out of one that runs, without stopping it: PostgreSQL's backup mode around a copy of the files.

Where the filesystem clones (XFS, btrfs, APFS) no data is copied: both share their blocks until one writes. Elsewhere
the kernel copies. The new server then recovers from the backup's start, as from any base backup; a temporary slot keeps
the WAL that it needs for that. All that touches the data folders is done by the engine's own user.

    <folder>/data.new/      being made; takes the place of data/ by rename, in `adopt`
    <folder>/data.old/      what it replaced; goes away
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golive
from golive.data.place import failed, open_folder, own, write_config
from golive.data.postgres import Postgres
from golive.errors import ResourceFailed
from golive.system import users
from golive.system.files import remove_tree
from golive.system.processes import Completed, Limits, run

if TYPE_CHECKING:
    from psycopg import AsyncConnection

EMPTY = (
    *("pg_wal/archive_status", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots"),
    *("pg_stat_tmp", "pg_subtrans"),
)
"""Folders that a server wants to find, and whose content is not for another one."""
_LEFT_OUT = {name.split("/")[0] for name in EMPTY} | {
    *("postmaster.pid", "postmaster.opts", "backup_label", "backup_label.old", "backup_manifest", "tablespace_map"),
    *("standby.signal", "recovery.signal", "postgresql.auto.conf.tmp"),
}
_PACKAGE = Path(golive.__file__).parent
_CLONING = {"linux": "--reflink=always", "darwin": "-c"}
_GONE = re.compile(r"No such file or directory$")
_SEGMENT = re.compile(r"[0-9A-F]{24}")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Cloned:
    """`shared`: blocks are shared with the source. `seconds` without the recovery. `at`: its data is not older."""

    shared: bool
    at: datetime
    seconds: float


async def clone(source: Postgres, target: Postgres, report: Report, *, gently: bool = False) -> Cloned:
    """`target.folder/data.new`, whole when this returns. `source` runs and goes on. ResourceFailed says why not.

    `gently`: what has to be copied leaves the disk to others half of the time.
    """
    import psycopg

    began = time.monotonic()
    beside = target.folder / "data.new"
    await asyncio.to_thread(open_folder, target.place, target.name)
    await asyncio.to_thread(remove_tree, beside)
    own(beside, target.place.user)
    try:
        async with await source.superuser("postgres") as session:
            await _require_inside(session, source)
            report("checkpoint of the source")
            first = await _begin(session, source)
            shared = await _shares(source, beside)
            report("cloning the files" if shared else "copying the files")
            await _copy_files(source, beside, shared=shared, gently=gently)
            at = datetime.now(UTC)
            label, last = await _end(session, source)
            await _copy_wal(source, beside, (first, last), shared=shared)
        await _put(target, beside, label)
    except psycopg.Error as error:
        raise ResourceFailed(
            f"{source.name} could not be copied",
            where=str(source.log),
            why=str(error).strip().splitlines()[0],
            hint="look whether it runs: golive status; nothing was changed",
        ) from error
    return Cloned(shared, at, time.monotonic() - began)


def adopt(target: Postgres) -> None:
    """`data.new` in the place of `data`. Its server must not run. ResourceFailed when the disk refuses."""
    data, beside, old = target.data, target.folder / "data.new", target.folder / "data.old"
    try:
        remove_tree(old)
        if data.exists():
            data.rename(old)
        beside.rename(data)
        remove_tree(old)
    except OSError as error:
        raise failed(target.name, f"{data} cannot be put in place", error) from error


async def _require_inside(session: AsyncConnection[Any], source: Postgres) -> None:
    spaces = await _text(
        session, "SELECT coalesce(string_agg(spcname, ', '), '') FROM pg_tablespace WHERE spcname !~ '^pg_'"
    )
    if spaces:
        raise ResourceFailed(
            f"{source.name} has tablespaces of its own: {spaces}",
            where=source.name,
            why="they lie outside of its data folder, and two servers cannot share them",
            hint="move their tables to pg_default (ALTER TABLE ... SET TABLESPACE), and drop them",
        )


async def _begin(session: AsyncConnection[Any], source: Postgres) -> str:
    """The name of the first WAL segment that will be needed; it and those after it are kept until the session ends."""
    name = f"golive_clone_{time.time_ns()}"
    await session.execute("SELECT pg_create_physical_replication_slot(%s, true, true)", (name,))
    modern, old = "pg_backup_start('golive', true)", "pg_start_backup('golive', true, false)"
    return await _text(session, f"SELECT pg_walfile_name({modern if source.engine.major >= 15 else old})")


async def _end(session: AsyncConnection[Any], source: Postgres) -> tuple[str, str]:
    """The backup label, and the name of the last WAL segment."""
    modern, old = "SELECT labelfile FROM pg_backup_stop(false)", "SELECT labelfile FROM pg_stop_backup(false, false)"
    label = await _text(session, modern if source.engine.major >= 15 else old)
    return label, await _text(session, "SELECT pg_walfile_name(pg_current_wal_lsn())")


async def _text(session: AsyncConnection[Any], query: str) -> str:
    cursor = await session.execute(query.encode())
    row = await cursor.fetchone()
    return str(row[0]) if row else ""


async def _shares(source: Postgres, beside: Path) -> bool:
    """Whether a file of the source can be cloned there: tried, since no list of filesystems is complete."""
    probe = beside / "pg_control.probe"
    done = await _cp(source, (source.data / "global/pg_control",), probe, shared=True)
    await _run(source, "rm", "-f", str(probe))
    return done.code == 0


async def _copy_files(source: Postgres, beside: Path, *, shared: bool, gently: bool) -> None:
    entries = await asyncio.to_thread(lambda: sorted(path for path in source.data.iterdir()))
    wanted = [path for path in entries if path.name not in _LEFT_OUT]
    if gently and not shared and _can_be_gentle(source):
        done = await _gently(source, wanted, beside)
        if done.code:
            raise _failed(source, beside, done.output.splitlines())
    else:
        await _whole(source, wanted, beside, shared=shared)
    done = await _run(source, "mkdir", "-p", "-m", "700", *(str(beside / name) for name in EMPTY))
    if done.code:
        raise _failed(source, beside, done.output.splitlines())


async def _copy_wal(source: Postgres, beside: Path, span: tuple[str, str], *, shared: bool) -> None:
    first, last = span[0][8:], span[1][8:]
    names = await asyncio.to_thread(lambda: sorted(path.name for path in (source.data / "pg_wal").iterdir()))
    wanted = [
        source.data / "pg_wal" / name
        for name in names
        if name.endswith(".history") or (_SEGMENT.fullmatch(name) and first <= name[8:] <= last)
    ]
    await _whole(source, wanted, beside / "pg_wal", shared=shared)


async def _whole(source: Postgres, paths: Sequence[Path], target: Path, *, shared: bool) -> None:
    """Files that the server removes meanwhile are none of the backup's; whatever else cp complains of is an error."""
    said: list[str] = []
    done = await _cp(source, paths, target, shared=shared, on_line=said.append)
    wrong = [line for line in said if line.strip() and not _GONE.search(line)]
    if wrong or done.code not in (0, 1):
        raise _failed(source, target, wrong or done.output.splitlines())


async def _cp(
    source: Postgres, paths: Sequence[Path], target: Path, *, shared: bool, on_line: Callable[[str], None] | None = None
) -> Completed:
    how = [_CLONING[source.place.machine.os]] if shared and source.place.machine.os in _CLONING else []
    return await _run(source, "cp", "-R", "-p", *how, *map(str, paths), str(target), on_line=on_line)


def _can_be_gentle(source: Postgres) -> bool:
    """Whether the engine's user can read golive's own code."""
    user = source.place.user
    return user is None or all(users.can_reach(user, path) for path in (Path(sys.executable), _PACKAGE))


async def _gently(source: Postgres, paths: Sequence[Path], target: Path) -> Completed:
    argv = (sys.executable, "-m", "golive.system.gently", *map(str, paths), str(target))
    environment = {"PYTHONPATH": str(_PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
    limits, name = Limits(nice=10), f"{source.place.label(source.name)}/clone"
    return await run(argv, env=environment, cwd=Path("/"), user=source.place.user, limits=limits, name=name)


async def _run(source: Postgres, *argv: str, on_line: Callable[[str], None] | None = None) -> Completed:
    name = f"{source.place.label(source.name)}/clone"
    return await run(argv, env=source.environment(), cwd=Path("/"), user=source.place.user, name=name, on_line=on_line)


async def _put(target: Postgres, beside: Path, label: str) -> None:
    """golive writes the label in its own folder; into the data folder the engine's user takes it."""
    own_copy = target.folder / "backup_label"
    await asyncio.to_thread(write_config, own_copy, label, target.place.user)
    try:
        done = await _run(target, "cp", str(own_copy), str(beside / "backup_label"))
        if done.code:
            raise _failed(target, beside, done.output.splitlines())
    finally:
        with contextlib.suppress(OSError):
            own_copy.unlink()


def _failed(source: Postgres, target: Path, said: Sequence[str]) -> ResourceFailed:
    why = said[0].strip() if said else "cp said nothing"
    full = any("No space left" in line for line in said)
    return ResourceFailed(
        f"{source.name} could not be copied",
        where=str(target),
        why="the disk is full" if full else why,
        hint="free some disk space, then try again; the database itself goes on as before",
    )
