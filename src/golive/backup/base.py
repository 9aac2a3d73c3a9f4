"""A base backup: the whole cluster as it runs, by pg_basebackup, streamed into a sealed archive of the location.

The WAL that was written meanwhile is in it (`--wal-method=fetch`), so that it can be restored by itself; a slot that
ends with our session keeps PostgreSQL from recycling that WAL before it is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from golive.backup import catalog, increments
from golive.backup.archive import Key, Sealed, Writer
from golive.backup.catalog import Manifest
from golive.backup.increments import Member
from golive.backup.location import Location
from golive.backup.server import Server, reason
from golive.errors import BackupFailed
from golive.system import streams

STEP = 16 << 20
"""Bytes between two reports."""
_START = re.compile(r"write-ahead log start point: ([0-9A-F]+/[0-9A-F]+) on timeline (\d+)")
_STOP = re.compile(r"write-ahead log end point: ([0-9A-F]+/[0-9A-F]+)")


@dataclass(frozen=True)
class _Facts:
    version: str
    system: str
    segment: int
    size: int


Report = Callable[[int, int], object]
"""Bytes of the data that were copied, of so many."""


async def create(  # noqa: PLR0913 - from where, to where, and on what
    server: Server,
    location: Location,
    source: str,
    key: Key,
    stream: str = "",
    report: Report = lambda _a, _b: None,
    *,
    parent: Manifest | None = None,
    listed: bool = False,
) -> Manifest:
    """Take one; it exists when this returns. BackupFailed says why not, and nothing is left of it then.

    `stream` is where the writes since are received, see `streams_of` in `wal`. An increment of the `parent` where there
    is one; `listed`: increments may be built on it.
    """
    begun = datetime.now(UTC)
    location.sweep(source)
    id = catalog.new_id(begun, {entry.name.split("/")[-2] for entry in location.list(f"{source}/base")})
    name = f"{source}/base/{id}"
    slot = f"golive_base_{re.sub(r'[^a-z0-9]', '_', id.lower())}"
    files = Member(increments.LIST) if listed else None
    with _held(server, slot) as facts, location.put(f"{name}/{catalog.ARCHIVE}") as file:
        writer = Writer(file, key, name)
        if parent is None:
            said = await _stream(server, writer, facts.size, report, files)
        else:
            async with increments.listed(location, parent, key, server) as path:
                said = await _stream(server, writer, facts.size, report, files, f"--incremental={path}")
        sealed = writer.close()
    if files is not None:
        increments.write_list(location, name, key, files)
    manifest = _manifest(source, id, facts, said, sealed, key, begun)
    manifest = replace(manifest, stream=stream, parent=parent.id if parent else "")
    catalog.write(location, manifest)
    return manifest


async def _stream(server: Server, writer: Writer, size: int, report: Report, files: Member | None, *more: str) -> str:
    copied = 0

    def take(data: bytes) -> None:
        nonlocal copied
        writer.write(data)
        if files is not None:
            files.feed(data)
        copied += len(data)
        if copied % STEP < len(data):
            report(copied, max(size, copied))

    how = (
        "--pgdata=-",
        "--format=tar",
        "--wal-method=fetch",
        "--checkpoint=fast",
        "--label=golive",
        "--verbose",
        *more,
    )
    tool = streams.Tool(server.client("pg_basebackup", *how), server.environment(), Path("/"), server.user)
    done = await streams.drain(tool, take)
    if done.code:
        why = reason(done.said)
        hint = "the server's log says more; backups made before stand as they were"
        if "pg_hba" in why or "authentication failed" in why or "does not exist" in why:
            hint = "it was started before golive could take backups: restart it once, then try again"
        raise BackupFailed(f"{server.label} could not be backed up", where=server.label, why=why, hint=hint)
    return done.said


@contextmanager
def _held(server: Server, slot: str) -> Iterator[_Facts]:
    """What the cluster is; its WAL is kept from here to the end of the block."""
    with server.session() as session:
        session.execute("SELECT pg_create_physical_replication_slot(%s, true, true)", (slot,))
        row = session.execute(
            "SELECT current_setting('server_version'), (SELECT system_identifier::text FROM pg_control_system()),"
            " (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),"
            " (SELECT sum(pg_database_size(oid))::bigint FROM pg_database),"
            " (SELECT string_agg(spcname, ', ') FROM pg_tablespace WHERE spcname NOT LIKE 'pg\\_%')"
        ).fetchone()
        version, system, segment, size, spaces = row or ("", "", 0, 0, None)
        if spaces:
            raise BackupFailed(
                f"{server.label} has tablespaces of its own: {spaces}",
                where=server.label,
                why="golive backs up the data directory, and they lie outside",
                hint="move their tables to pg_default (ALTER TABLE ... SET TABLESPACE), and drop them",
            )
        yield _Facts(str(version).split()[0], system, segment, size)


def _manifest(source: str, id: str, facts: _Facts, said: str, sealed: Sealed, key: Key, begun: datetime) -> Manifest:
    start, stop = _START.search(said), _STOP.search(said)
    if not start or not stop:
        raise BackupFailed(f"{source}: pg_basebackup did not say what it copied", where=source, log=said)
    return Manifest(
        source=source, id=id, version=facts.version, system=facts.system, segment=facts.segment,
        timeline=int(start[2]), start_lsn=start[1], stop_lsn=stop[1], begun=begun, ended=datetime.now(UTC),
        key=key.id, **asdict(sealed),
    )  # fmt: skip
