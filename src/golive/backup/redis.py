"""Snapshots of a Redis: the RDB that a new replica is given, straight into a sealed archive.

Redis forks and sends what it held at that moment; nothing is written on its disk, and writes go on. A snapshot stands
in a location as a base backup does, and is all there is: Redis keeps no log that leads from one to a later time.

Redis itself judges the bytes: the RDB ends with a CRC-64 of all of it, which a server checks as it loads.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from golive.backup import catalog
from golive.backup.archive import Key, Writer, read
from golive.backup.catalog import Manifest
from golive.backup.location import Location
from golive.engines.engine import Engine
from golive.errors import BackupFailed, BackupUntried
from golive.secret import Secret
from golive.system import leftovers, resp
from golive.system.processes import Process, Spec, start
from golive.system.users import User

RDB_FILE = "dump.rdb"
PROGRAMS = ("redis", "valkey")
LOADING = 600.0
"""Seconds for a scratch server to load a snapshot."""
_QUICK = (("repl-diskless-sync", "yes"), ("repl-diskless-sync-delay", "0"))
"""No file on its disk, and no waiting for further replicas."""
_GUARDS_DEBUG = 7
"""The major version from which DEBUG has to be allowed first."""
TROUBLE = (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, resp.RedisError)

Report = Callable[[int, int], object]
"""Bytes that were copied, of about so many."""


@dataclass(frozen=True)
class RedisServer:
    """A Redis as backups see it. `user` may use SYNC and CONFIG. `label` names it, `app/environment/resource`."""

    label: str
    socket: Path
    user: str
    password: Secret


@dataclass(frozen=True)
class Loaded:
    """What a scratch server found in a snapshot: keys that it holds, and those whose time is over by now. `digest` is
    Redis's own checksum of all keys and values, `seconds` until it could be used."""

    keys: int
    expired: int
    digest: str
    seconds: float


async def create(
    server: RedisServer, location: Location, source: str, key: Key, report: Report = lambda _a, _b: None
) -> Manifest:
    """Take one; it exists when this returns. BackupFailed says why not, and nothing is left of it then."""
    begun = datetime.now(UTC)
    location.sweep(source)
    id = catalog.new_id(begun, {entry.name.split("/")[-2] for entry in location.list(f"{source}/base")})
    name = f"{source}/base/{id}"
    with location.put(f"{name}/{catalog.ARCHIVE}") as file:
        writer = Writer(file, key, name)
        version = await _stream(server, writer, report)
        sealed = writer.close()
    manifest = Manifest(
        source=source, id=id, version=version, system="", timeline=0, start_lsn="", stop_lsn="", segment=0,
        begun=begun, ended=datetime.now(UTC), key=key.id, engine="redis", **asdict(sealed),
    )  # fmt: skip
    catalog.write(location, manifest)
    return manifest


async def _stream(server: RedisServer, writer: Writer, report: Report) -> str:
    """Returns the server's version."""
    copied = 0
    try:
        async with resp.connect(resp.Address(socket=server.socket), server.user, server.password) as connection:
            info = await connection.info("server", "memory")
            for name, value in _QUICK:
                await connection.call("CONFIG", "SET", name, value)
            async for piece in connection.snapshot():
                await asyncio.to_thread(writer.write, piece)
                copied += len(piece)
                report(copied, max(int(info.get("used_memory", "0")), copied))
    except TROUBLE as error:
        raise BackupFailed(
            f"{server.label} could not be backed up",
            where=server.label,
            why=str(error) or type(error).__name__,
            hint="look whether it runs (golive status) and has memory for a fork; backups made before stand",
        ) from error
    return info.get("valkey_version") or info.get("redis_version", "0")


async def restore(
    location: Location,
    manifest: Manifest,
    key: Key,
    folder: Path,
    user: User | None,
    *,
    names: tuple[str, ...] = (RDB_FILE,),
) -> None:
    """The snapshot into a data folder that does not exist yet, as a file of these names; it exists when this returns.
    BackupFailed, and nothing is left of it then."""
    catalog.require_key(manifest, key)
    if folder.exists():
        raise BackupUntried(f"{folder} exists already", where=str(folder), hint="a restore begins in a new folder")
    await asyncio.to_thread(_restore, location, manifest, key, folder, user, names)


def _restore(
    location: Location, manifest: Manifest, key: Key, folder: Path, user: User | None, names: tuple[str, ...]
) -> None:
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with location.open(manifest.archive) as source, (beside / names[0]).open("xb") as file:
            count = sum(file.write(piece) for piece in read(source, key, manifest.name, manifest.sha256))
            if count != manifest.plain:
                raise BackupFailed(f"{manifest.name} holds {count} bytes and not {manifest.plain}", where=manifest.name)
            file.flush()
            os.fsync(file.fileno())
        if user is not None:
            os.chown(beside / names[0], user.uid, user.gid)
        for name in names[1:]:
            os.link(beside / names[0], beside / name)
        if user is not None:
            os.chown(beside, user.uid, user.gid)
        beside.rename(folder)
    except OSError as error:
        raise BackupUntried(
            f"{manifest.name} cannot be restored to {folder}",
            where=str(folder),
            why=error.strerror or str(error),
            hint="nothing was changed; look at the disk, then try again",
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


async def drill(
    location: Location, manifest: Manifest, key: Key, engine: Engine, scratch: Path, user: User | None
) -> Loaded:
    """Restore it into the folder `scratch` and start a server of its own on it; both are gone afterwards. BackupFailed
    says what is wrong with the snapshot."""
    began = time.monotonic()
    folder = scratch / f"drill-{manifest.id}"
    for left in (*scratch.glob("drill-*"), *scratch.glob(".drill-*")):  # of one that was killed
        await leftovers.end(await asyncio.to_thread(leftovers.working_in, left, PROGRAMS), signal.SIGKILL, 5)
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
    try:
        await restore(location, manifest, key, folder, user)
        async with _server(manifest, engine, folder, user) as connection:
            seconds = time.monotonic() - began
            info = await connection.info("keyspace", "persistence")
            counts = [text.split(",")[0].partition("=")[2] for name, text in info.items() if name.startswith("db")]
            digest = str(await connection.call("DEBUG", "DIGEST"))
            return Loaded(sum(map(int, counts)), int(info.get("rdb_last_load_keys_expired", "0")), digest, seconds)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def _server(
    manifest: Manifest, engine: Engine, folder: Path, user: User | None
) -> AsyncIterator[resp.Connection]:
    """A Redis on this folder that only this process reaches, once it has loaded everything."""
    sockets = Path(tempfile.mkdtemp(prefix="gl-drill-"))  # a path short enough for a socket
    log = sockets / "log"
    log.touch(mode=0o600)
    if user is not None:
        os.chown(sockets, user.uid, user.gid)
    process = await start(_spec(engine, folder, sockets / "s", log, user))
    try:
        await _loaded(process, sockets / "s")
        async with resp.connect(resp.Address(socket=sockets / "s")) as connection:
            yield connection
    except TROUBLE as error:
        said = log.read_text(errors="replace").strip().splitlines()[-5:]
        killed = not process.alive() and (await process.wait()).signal == signal.SIGKILL
        if killed or isinstance(error, TimeoutError):
            raise BackupUntried(
                f"{manifest.name} could not be loaded by Redis {engine.version}",
                where=manifest.name,
                why="it was killed: the machine has too little memory" if killed else "it took too long",
                hint="the snapshot is as it was; golive backup drill tries again",
                log="\n".join(said),
            ) from error
        raise BackupFailed(
            f"{manifest.name} could not be loaded by Redis {engine.version}",
            where=manifest.name,
            why=said[-1] if said else str(error),
            hint="use another backup, and look at the disk this one is on",
            log="\n".join(said),
        ) from error
    finally:
        await process.stop(timedelta(seconds=10), signal.SIGKILL)
        shutil.rmtree(sockets, ignore_errors=True)


def _spec(engine: Engine, folder: Path, socket: Path, log: Path, user: User | None) -> Spec:
    options = ("--dir", folder, "--dbfilename", RDB_FILE, "--port", 0, "--unixsocket", socket, "--save", "")
    options += ("--appendonly", "no", *(("--enable-debug-command", "local") if engine.major >= _GUARDS_DEBUG else ()))
    argv = (engine.program("redis-server"), *options)
    env = {"PATH": f"{engine.bin}:/usr/bin:/bin", "LC_ALL": "C", **engine.env}
    return Spec(tuple(map(str, argv)), env=env, cwd=folder, output=log, user=user, name="drill", private=True)


async def _loaded(process: Process, socket: Path) -> None:
    """Returns once it has read the snapshot. EOFError when it ended instead."""
    async with asyncio.timeout(LOADING):
        while process.alive():
            try:
                async with resp.connect(resp.Address(socket=socket)) as connection:
                    if await connection.call("PING") == "PONG":
                        return
            except TROUBLE:
                await asyncio.sleep(0.05)  # not there yet, or still LOADING
    raise EOFError("it ended")
