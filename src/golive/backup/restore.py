"""A restore: a backup unpacked into a new folder, replayed as far as asked by a server of its own, and left there.

Never in place: what runs is not touched. Until it is whole, everything is in `<folder>.restoring`, which the next
restore takes away; `<folder>` appears by rename.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from golive.backup import archive, catalog, recovery
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.backup.location import Location
from golive.backup.recovery import Goal
from golive.backup.server import Server, environment, reason
from golive.errors import BackupFailed, BackupUntried, Conflict, StartFailed
from golive.system import leftovers, streams
from golive.system.files import remove_tree, write_atomic
from golive.system.processes import Process, Spec, run, start
from golive.system.users import User
from golive.units import human_size

ROOM = 64 << 20
"""Bytes that a recovery needs beside the data: it writes WAL of its own."""
EARLY = 0.3
"""Seconds between two times that what was unpacked goes to the disk."""
STEP = 16 << 20
"""Bytes between two reports."""
GRACE = timedelta(seconds=60)


@dataclass(frozen=True)
class Restored:
    """A data directory of the engine's user, cleanly shut down. `last_commit` is in the server's own words, in UTC;
    `seconds` went by until it could have been used."""

    folder: Path
    manifest: Manifest
    last_commit: str
    seconds: float


Look = Callable[[Server], Awaitable[None]]
Report = Callable[[str, int, int], object]
"""`unpack` or `replay`, bytes that are done, of so many (0: nobody knows)."""


async def restore(  # noqa: PLR0913 - from where, how far, to where
    server: Server,
    location: Location,
    manifest: Manifest,
    key: Key,
    goal: Goal,
    folder: Path,
    received: Path | None,
    *,
    look: Look | None = None,
    report: Report = lambda _what, _done, _total: None,
) -> Restored:
    """`server` says how the restored one runs: another socket folder and port than any that runs. `received` has WAL.
    `look` is called when it has recovered, before it is shut down.

    `folder` must not exist; the folder above it is golive's and the engine's user may pass through. BackupFailed says
    why it could not be done, Conflict that another restore is at it; nothing is left then, and nothing was changed.
    """
    began = time.monotonic()
    require(server, manifest, key, folder, await asyncio.to_thread(needed, location, manifest))
    names = [path.name for path in received.iterdir()] if received else []
    recovery.require_wal(manifest, names, goal)
    with _alone(folder):
        work = folder.with_name(f"{folder.name}.restoring")
        await tidy(work)
        try:
            make_work(work, server)
            await unpack(server, location, manifest, key, work, report)
            report("replay", 0, 0)
            async with serving(server, manifest, goal, work, received) as log:
                seconds = time.monotonic() - began
                said = log.read_text(errors="replace")
                recovery.require_end(manifest, names, goal, said, received)
                last = last_commit(server)
                if look is not None:
                    await look(server)
            (work / "data").rename(folder)
        finally:
            await tidy(work)
    return Restored(folder, manifest, last, seconds)


def require(server: Server, manifest: Manifest, key: Key, folder: Path, plain: int | None = None) -> None:
    """Before anything is fetched: the key, the version, an empty place and room in it, for `plain` bytes of data."""
    catalog.require_key(manifest, key)
    plain = manifest.plain if plain is None else plain
    if server.engine.major != manifest.major:
        raise BackupUntried(
            f"{manifest.name} is of PostgreSQL {manifest.major}, which {server.engine.version} cannot read",
            where=manifest.name,
            hint=f"restore it with PostgreSQL {manifest.major}; nothing was changed",
        )
    if folder.exists() or folder.is_symlink():
        raise BackupUntried(
            f"{folder} is there already", where=str(folder), hint="a restore wants a new folder; name another one"
        )
    if not folder.parent.is_dir():
        raise BackupUntried(
            f"{folder.parent} is no folder", where=str(folder), hint="make it first; nothing was changed"
        )
    free = shutil.disk_usage(folder.parent).free
    if free < plain + ROOM:
        raise BackupUntried(
            f"{folder.parent} has no room for {manifest.name}",
            where=str(folder.parent),
            why=f"it needs {human_size(plain + ROOM)}, and {human_size(free)} are free",
            hint="free some disk space; nothing was changed",
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    fd = os.open(folder.parent, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(
            f"another restore into {folder.parent} is under way", hint="wait until it has ended, then try again"
        ) from error
    finally:
        os.close(fd)


async def tidy(work: Path) -> None:
    """Also after a restore that was killed: its server may still be running."""
    if work.exists():
        found = await asyncio.to_thread(leftovers.working_in, work / "data", ("postgres",))
        await leftovers.end(found, signal.SIGQUIT, 5)
        await asyncio.to_thread(remove_tree, work)


def make_work(work: Path, server: Server) -> None:
    """golive's folder, passable; in it one of the engine's user, in which golive does not write, and configuration."""
    work.mkdir(mode=0o700)
    data = work / "data"
    data.mkdir(mode=0o700)
    if server.user is not None:
        work.chmod(0o711)
        os.chown(data, server.user.uid, server.user.gid)
    me = pwd.getpwuid(os.geteuid()).pw_name
    files = {
        "postgresql.conf": "# Written by golive; everything is on the command line.\n",
        "pg_hba.conf": f"local all {server.superuser} peer map=golive\n",
        "pg_ident.conf": f'golive "{me}" {server.superuser}\n',
    }
    group = server.user.gid if server.user else None
    for name, text in files.items():
        write_atomic(work / name, text, mode=0o600 if group is None else 0o640, group=group)


async def unpack(
    server: Server,
    location: Location,
    manifest: Manifest,
    key: Key,
    work: Path,
    report: Report,
    marker: str = "recovery.signal",
) -> None:
    """The archive into `<work>/data`, with the file that says what a server does with it. Of an increment all that it
    builds on as well, made one."""
    data = work / "data"
    chain = await asyncio.to_thread(catalog.chain, location, manifest)
    if len(chain) == 1:
        await _untar(server, location, manifest, key, data, report)
    else:
        await _combine(server, location, chain, key, work, report)
    done = await run(("touch", str(data / marker)), env=environment(server.engine), cwd=data, user=server.user)
    _require_done(manifest, data, done.code, done.output)


def needed(location: Location, manifest: Manifest) -> int:
    """Bytes of disk that unpacking takes for a while: an increment is combined out of copies."""
    chain = catalog.chain(location, manifest)
    return manifest.plain if len(chain) == 1 else 2 * sum(each.plain for each in chain)


async def _combine(
    server: Server, location: Location, chain: list[Manifest], key: Key, work: Path, report: Report
) -> None:
    parts = [work / f"part-{number}" for number in range(len(chain))]
    for part, each in zip(parts, chain, strict=True):
        catalog.require_key(each, key)
        part.mkdir(mode=0o700)
        if server.user is not None:
            os.chown(part, server.user.uid, server.user.gid)
        await _untar(server, location, each, key, part, report)
    argv = (str(server.engine.program("pg_combinebackup")), *map(str, parts), "--no-sync", "-o", str(work / "data"))
    done = await run(argv, env=environment(server.engine), cwd=work / "data", user=server.user)
    _require_done(chain[-1], work / "data", done.code, done.output)
    for part in parts:
        await asyncio.to_thread(remove_tree, part)


async def _untar(server: Server, location: Location, manifest: Manifest, key: Key, data: Path, report: Report) -> None:
    def counted(frames: Iterator[bytes]) -> Iterator[bytes]:
        done = 0
        for frame in frames:
            if done % STEP == 0:
                report("unpack", done, manifest.plain)
            done += len(frame)
            yield frame

    # GNU tar's, which others do not look at: it writes 64 KiB at a time instead of 10.
    env = environment(server.engine) | {"TAR_OPTIONS": "--read-full-records --blocking-factor=128"}
    tar = streams.Tool(("tar", "-x", "-f", "-", "-C", str(data)), env, data, server.user)
    async with _on_its_way(data, env, server.user):
        with location.open(manifest.archive) as file:
            done = await streams.feed(tar, counted(archive.read(file, key, manifest.name, manifest.sha256)))
    _require_done(manifest, data, done.code, done.said)


def _require_done(manifest: Manifest, data: Path, code: int, said: str) -> None:
    if code:
        place, full = data.parent.parent, "No space left" in said
        raise (BackupUntried if full else BackupFailed)(
            f"{manifest.name} could not be unpacked in {place}",
            where=str(place),
            why="the disk is full" if full else reason(said),
            hint=f"{'free some disk space' if full else 'mend that'}, then try again; the backup is as it was",
        )


@asynccontextmanager
async def _on_its_way(data: Path, env: dict[str, str], user: User | None) -> AsyncIterator[None]:
    """Its filesystem is written to the disk again and again: a server begins with an fsync of every file, and would
    wait for all of them at once. A third of the time of a restore, measured; where `sync` cannot, it takes that long.
    """

    async def work() -> None:
        with contextlib.suppress(StartFailed):
            while (await run(("sync", "-f", str(data)), env=env, cwd=data, user=user)).code == 0:
                await asyncio.sleep(EARLY)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.wait([working])


def addresses(server: Server, work: Path) -> dict[str, str]:
    """Settings that lead the server to the configuration in `work`, and golive to the server."""
    return {
        "config_file": str(work / "postgresql.conf"),
        "hba_file": str(work / "pg_hba.conf"),
        "ident_file": str(work / "pg_ident.conf"),
        "unix_socket_directories": str(server.sockets),
        "unix_socket_permissions": "0700",
        "port": str(server.port),
    }


@asynccontextmanager
async def serving(
    server: Server, manifest: Manifest, goal: Goal, work: Path, received: Path | None
) -> AsyncIterator[Path]:
    """The server on the unpacked data, once it has recovered; its log. Shut down at the end of the block.

    BackupUntried for a BackupFailed of the block when one of its processes was killed meanwhile."""
    log = work / "postgres.log"
    given = recovery.settings(goal, received) | addresses(server, work)
    # Arguments outrank postgresql.auto.conf, which came with the backup.
    arguments = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    program = str(server.engine.program("postgres"))
    spec = Spec(
        (program, "-D", str(work / "data"), *arguments),
        env=environment(server.engine), cwd=work / "data", output=log, user=server.user, private=True,
        name=f"{server.label}/restore",
    )  # fmt: skip
    process = await start(spec)
    try:
        await _recovered(process, manifest, goal, work)
        yield log
    except BackupFailed as error:
        await process.stop(GRACE, signal.SIGINT)  # a connection ends before the log says what became of its process
        if killed := recovery.killed_in(manifest, log.read_text(errors="replace")):
            raise killed from error
        raise
    finally:
        await process.stop(GRACE, signal.SIGINT)


async def _recovered(process: Process, manifest: Manifest, goal: Goal, work: Path) -> None:
    """It lets nobody in before: however long that takes, it is over when it says it is ready, or has ended.

    It says so in the last line of postmaster.pid, where pg_ctl looks too; asking by connection fills its log.
    """
    while process.alive():
        with contextlib.suppress(OSError):
            lines = (work / "data/postmaster.pid").read_text(errors="replace").splitlines()
            if lines[7:] and lines[7].strip() == "ready":
                return
        await asyncio.sleep(0.02)
    log = (work / "postgres.log").read_text(errors="replace")
    raise recovery.refused(manifest, goal, log, shutil.disk_usage(work).free)


def last_commit(server: Server) -> str:
    """In the server's own words, in UTC; empty when it has replayed none."""
    with server.session() as session:
        row = session.execute("SELECT pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC'").fetchone()
        return str(row[0]) if row and row[0] else ""
