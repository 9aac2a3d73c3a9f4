"""A second cluster out of one that runs, without stopping it: PostgreSQL's backup mode around a copy of the files.

Where the filesystem clones (XFS, btrfs, APFS) no data is copied: both share their blocks until one writes. Elsewhere
the kernel copies. The new server then recovers from the backup's start, as from any base backup; a temporary slot keeps
the WAL that it needs for that. All that touches the data folders is done by the engine's own user, see `copier`.

    <folder>/data.new/      being made; takes the place of data/ by rename, in `adopt`
    <folder>/data.old/      what it replaced; goes away
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from golive.data import wire
from golive.data.place import failed, log_tail, open_folder, own
from golive.data.pool_plan import verifier
from golive.data.postgres import Postgres
from golive.data.postgres_plan import SUPERUSER
from golive.errors import ResourceFailed
from golive.system.files import remove_tree

COPIER = Path(__file__).with_name("copier.py")
EMPTY = (
    *("pg_wal/archive_status", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots"),
    *("pg_stat_tmp", "pg_subtrans"),
)
"""Folders that a server wants to find, and whose content is not for another one."""
_LEFT_OUT = {name.split("/")[0] for name in EMPTY} | {
    *("postmaster.pid", "postmaster.opts", "backup_label", "backup_label.old", "backup_manifest", "tablespace_map"),
    *("standby.signal", "recovery.signal", "postgresql.auto.conf.tmp", "current_logfiles.tmp"),
}
_SEGMENT = re.compile(r"[0-9A-F]{24}")

LOADED = "SELECT pg_conf_load_time()"
RELOAD = 30.0
"""Seconds in which a server reads its configuration anew."""

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
    began = time.monotonic()
    beside = target.folder / "data.new"
    try:
        async with _session(source) as session:
            await _require_inside(session, source)
            report("checkpoint of the source")
            beginning = asyncio.ensure_future(_begin(session, source))
            try:
                await asyncio.to_thread(_make_room, target, beside)
                async with copier(source, beside, gently=gently) as copying:
                    shared = await copying.ask("probe")
                    await copying.ask("ahead")
                    first = await beginning
                    report("cloning the files" if shared else "copying the files")
                    await copying.ask("files", EMPTY)
                    at = datetime.now(UTC)
                    label = await _finish(session, source, copying, first)
                    await copying.ask("write", "backup_label", label)
            finally:
                beginning.cancel()
                await asyncio.gather(beginning, return_exceptions=True)
    except wire.WireError as error:
        raise ResourceFailed(
            f"{source.name} could not be copied",
            where=str(source.log),
            why=str(error),
            hint="look whether it runs: golive status; nothing was changed",
        ) from error
    return Cloned(shared, at, time.monotonic() - began)


def _session(store: Postgres) -> AbstractAsyncContextManager[wire.Session]:
    return wire.session(store.place.sockets("postgres", store.name), store.place.port, SUPERUSER, "postgres")


def _make_room(target: Postgres, beside: Path) -> None:
    open_folder(target.place, target.name)
    remove_tree(beside)
    own(beside, target.place.user)


async def recovered(target: Postgres, timeout: timedelta) -> None:
    """Returns when its server has replayed what was written while it was copied. ResourceFailed when it has not."""
    sockets = target.place.sockets("postgres", target.name)
    try:
        await wire.ready(sockets, target.place.port, SUPERUSER, timeout.total_seconds())
    except wire.WireError as error:
        raise _refused(target, error) from error


async def hand_over(target: Postgres) -> None:
    """The app's role gets in, with this one's own password: all else that an app needs is in the copy. Its
    configuration is written before; when this returns it is in force. ResourceFailed when the server refuses."""
    role, password = target.role, verifier(target.password.reveal())
    try:
        async with _session(target) as session:
            # Should it fail, the log must not show it: it has the password's verifier in it.
            await session.query("SET log_min_error_statement = panic")
            await session.query("SET log_min_duration_statement = -1")
            await session.query(f"ALTER ROLE \"{role}\" PASSWORD '{password}'")
            before = await _text(session, LOADED)
            await session.query("SELECT pg_reload_conf()")
        async with asyncio.timeout(RELOAD):
            while True:  # a new session has what the server's first process has read by then
                async with _session(target) as session:
                    if await _text(session, LOADED) != before:
                        return
                await asyncio.sleep(0.01)
    except (wire.WireError, TimeoutError) as error:
        raise _refused(target, error) from error


def _refused(target: Postgres, error: Exception) -> ResourceFailed:
    return ResourceFailed(
        f"{target.name} does not come up on the copied data",
        where=str(target.log),
        why=str(error) or "it did not read its configuration",
        hint="the end of its log says more",
        log=log_tail(target.log),
    )


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


async def _require_inside(session: wire.Session, source: Postgres) -> None:
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


async def _begin(session: wire.Session, source: Postgres) -> str:
    """The name of the first WAL segment that will be needed; it and those after it are kept until the session ends."""
    name = f"golive_clone_{time.time_ns()}"
    await session.query(f"SELECT pg_create_physical_replication_slot('{name}', true, true)")
    modern, old = "pg_backup_start('golive', true)", "pg_start_backup('golive', true, false)"
    return await _text(session, f"SELECT pg_walfile_name({modern if source.engine.major >= 15 else old})")


async def _finish(session: wire.Session, source: Postgres, copying: Copier, first: str) -> str:
    """The backup label, when the WAL from `first` to the backup's end is copied: what is complete of it meanwhile."""
    now = await _text(session, "SELECT pg_walfile_name(pg_current_wal_lsn())")
    complete = [name for name in await asyncio.to_thread(_wal, source, first, now) if not name.endswith(now)]
    ended, copied = await asyncio.gather(_end(session, source), copying.ask("some", complete), return_exceptions=True)
    if isinstance(ended, BaseException):
        raise ended
    if isinstance(copied, BaseException):
        raise copied
    label, last = ended
    rest = set(await asyncio.to_thread(_wal, source, first, last)) - set(complete)
    await copying.ask("some", sorted(rest))
    return label


async def _end(session: wire.Session, source: Postgres) -> tuple[str, str]:
    """The backup label, and the name of the last WAL segment."""
    modern, old = "SELECT labelfile FROM pg_backup_stop(false)", "SELECT labelfile FROM pg_stop_backup(false, false)"
    label = await _text(session, modern if source.engine.major >= 15 else old)
    return label, await _text(session, "SELECT pg_walfile_name(pg_current_wal_lsn())")


async def _text(session: wire.Session, query: str) -> str:
    rows = await session.query(query)
    return rows[0][0] or "" if rows else ""


def _wal(source: Postgres, first: str, last: str) -> list[str]:
    """From the first segment to the last, on whatever timeline, with the histories of those."""
    names = sorted(path.name for path in (source.data / "pg_wal").iterdir())
    return [
        f"pg_wal/{name}"
        for name in names
        if name.endswith(".history") or (_SEGMENT.fullmatch(name) and first[8:] <= name[8:] <= last[8:])
    ]


@dataclass(frozen=True)
class Copier:
    """The other program, which copies the data folder of `name`."""

    name: str
    process: asyncio.subprocess.Process

    async def ask(self, *order: Any) -> bool:
        """See `copier.obey`. ResourceFailed when it cannot."""
        answer = await self._answer(order)
        if "done" in answer:
            return bool(answer["done"])
        raise ResourceFailed(
            f"{self.name} could not be copied",
            where=answer["where"],
            why="the disk is full" if answer["why"] == os.strerror(errno.ENOSPC) else answer["why"],
            hint="free some disk space, then try again; the database itself goes on as before",
        )

    async def _answer(self, order: tuple[Any, ...]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout  # noqa: S101 - started with both
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        said = await self.process.stdout.readline()
        return json.loads(said) if said else {"where": str(COPIER), "why": "the program that copies ended"}


@asynccontextmanager
async def copier(source: Postgres, target: Path, *, gently: bool = False) -> AsyncIterator[Copier]:
    """It works as the engine's user, and ends with the block, whatever it is doing."""
    user = source.place.user
    asked = {
        "user": (user.uid, user.gid, user.groups) if user else None,
        "source": str(source.data),
        "target": str(target),
        "leave_out": sorted(_LEFT_OUT),
        "gently": gently,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(COPIER)),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={"LC_ALL": "C.UTF-8"}, cwd="/", start_new_session=True,
    )  # fmt: skip
    assert process.stdin  # noqa: S101 - started with it
    try:
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        yield Copier(source.name, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
