"""Increments, of PostgreSQL 17 and later: `pg_basebackup --incremental` copies the blocks that changed since another
backup, its parent, which it knows by the list of files (`backup_manifest`) that each backup keeps beside itself.

PostgreSQL writes down which blocks change while `summarize_wal` is on. A restore unpacks the whole chain, the base
backup and every increment up to the one that is wanted, and `pg_combinebackup` makes one data folder of them.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from golive.backup import catalog, proof
from golive.backup.archive import FRAME, Key, Writer, read
from golive.backup.catalog import FILES, Manifest
from golive.backup.location import Location
from golive.backup.server import Server

FROM = 17
"""The major version from which PostgreSQL can."""
LIST = "backup_manifest"
_BLOCK = 512


class Member:
    """One file of a tar that goes by: `found` once all of it has."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._head = bytearray()
        self._skip = self._take = self._padding = 0
        self.found = bytearray()

    def feed(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._take:
                part = rest[: self._take]
                self.found += part
                self._take -= len(part)
                if not self._take:
                    self._skip = self._padding
            elif self._skip:
                part = rest[: self._skip]
                self._skip -= len(part)
            else:
                part = rest[: _BLOCK - len(self._head)]
                self._head += part
                if len(self._head) == _BLOCK:
                    self._begin(bytes(self._head))
                    self._head.clear()
            rest = rest[len(part) :]

    def _begin(self, head: bytes) -> None:
        size = _number(head[124:136])
        padding = -size % _BLOCK
        if head[:100].rstrip(b"\0") == self._name:
            self._take, self._padding = size, padding
        else:
            self._skip = size + padding


def _number(field: bytes) -> int:
    """Octal, or binary where the first bit says so."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.split(b"\0")[0].strip() or b"0", 8)


def is_able(server: Server) -> bool:
    return server.engine.major >= FROM


def summarize(server: Server, *, on: bool) -> None:
    """PostgreSQL writes down which blocks change, or does no more, from now on. BackupFailed when it refuses."""
    with server.session() as session:
        row = session.execute("SELECT setting = 'on' FROM pg_settings WHERE name = 'summarize_wal'").fetchone()
        if row is not None and row[0] != on:
            session.execute("ALTER SYSTEM SET summarize_wal = on" if on else "ALTER SYSTEM RESET summarize_wal")
            session.execute("SELECT pg_reload_conf()")


def parent_of(location: Location, source: str, stream: str, key: Key) -> Manifest | None:
    """On what an increment can be built: the newest backup of the same life of the database and the same key, unless
    its last drill failed or anything of its chain is damaged; None when that is none."""
    known = [each for each in catalog.backups(location, source) if isinstance(each, Manifest)]
    fit = [each for each in known if each.stream == stream and each.key == key.id]
    if not fit or not stream or proof.has_failed(location, fit[-1]):
        return None
    names = {entry.name for entry in location.list(fit[-1].name)}
    return fit[-1] if f"{fit[-1].name}/{FILES}" in names else None


def write_list(location: Location, name: str, key: Key, found: Member) -> None:
    """Beside the backup of that name: the next increment needs it."""
    with location.put(f"{name}/{FILES}") as file:
        writer = Writer(file, key, f"{name}/{FILES}")
        for at in range(0, len(found.found), FRAME):
            writer.write(bytes(found.found[at : at + FRAME]))
        writer.close()


@asynccontextmanager
async def listed(location: Location, parent: Manifest, key: Key, server: Server) -> AsyncIterator[Path]:
    """Its list of files as a file that the engine's user may read, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="golive-list-") as folder:
        path = Path(folder) / LIST
        await asyncio.to_thread(_fetch, location, parent, key, path)
        if server.user is not None:
            Path(folder).chmod(0o711)
            os.chown(path, server.user.uid, server.user.gid)
        yield path


def _fetch(location: Location, parent: Manifest, key: Key, path: Path) -> None:
    name = f"{parent.name}/{FILES}"
    with location.open(name) as file, path.open("xb") as target:
        path.chmod(0o600)
        for piece in read(file, key, name):
            target.write(piece)
