"""A database to back up, and what backs it up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from golive.backup.archive import Key
from golive.backup.location import Folder
from golive.backup.server import Server
from golive.data.postgres import Postgres
from golive.errors import BackupFailed
from golive.secret import Secret
from golive.system.processes import Process, Spec, start

SOURCE = "shop/production/db"


@dataclass
class Shop:
    """A database with a receiver beside it; `scratch` is how a restored one runs."""

    store: Postgres
    process: Process
    server: Server
    scratch: Server
    location: Folder
    received: Path
    key: Key

    @property
    def url(self) -> str:
        value = self.store.variables()["url"]
        assert isinstance(value, Secret)
        return value.reveal()

    def sql(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def admin(self, query: str) -> list[tuple[object, ...]]:
        """As the superuser."""
        with self.server.session() as session:
            return session.execute(query.encode()).fetchall()

    @property
    def beside(self) -> Path:
        """Where restored folders go."""
        return self.store.folder


async def rows(shop: Shop, folder: Path) -> list[int]:
    """What is in table `kept` of a restored folder, read by a server like the app's own."""
    program = str(shop.scratch.engine.program("postgres"))
    options = [f"unix_socket_directories={shop.scratch.sockets}", f"port={shop.scratch.port}", "listen_addresses="]
    options += [f"{kind}_file={shop.beside / f'pg_{kind}.conf'}" for kind in ("hba", "ident")]
    argv = (program, "-D", str(folder), *(part for option in options for part in ("-c", option)))
    process = await start(Spec(argv, shop.scratch.environment(), folder, shop.beside / "x.log", shop.scratch.user))
    try:
        while True:
            assert process.alive(), (shop.beside / "x.log").read_text()
            with contextlib.suppress(BackupFailed), shop.scratch.session("shop") as session:
                return [row[0] for row in session.execute("SELECT id FROM kept ORDER BY id")]
            await asyncio.sleep(0.02)
    finally:
        await process.stop(timedelta(seconds=20), signal.SIGINT)


async def caught_up(shop: Shop) -> None:
    """Everything that was committed has been received."""
    query = "SELECT write_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication"
    while True:
        with shop.server.session() as session:
            if any(row[0] for row in session.execute(query).fetchall()):
                return
        await asyncio.sleep(0.02)
