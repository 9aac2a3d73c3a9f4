"""A PostgreSQL as golive sets it up for an app, and another server on a restored folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from golive.backup.server import Server
from golive.blueprint.models import Resource
from golive.data import Placement
from golive.data.postgres import Postgres
from golive.data.postgres_plan import REPLICATOR, SUPERUSER
from golive.engines import Engines
from golive.errors import BackupFailed
from golive.home import Home
from golive.secret import Secret
from golive.system import machine, ports, users
from golive.system.processes import Process, Spec, start
from golive.system.users import User

GRACE = timedelta(seconds=60)
NAME = "bench"
SOURCE = f"{NAME}/production/db"


@dataclass
class Cluster:
    """`scratch` is how a restored one runs: the same engine on another socket and port."""

    home: Home
    store: Postgres
    server: Server
    scratch: Server
    process: Process

    @property
    def user(self) -> User | None:
        return self.server.user

    @property
    def url(self) -> str:
        value = self.store.variables()["url"]
        assert isinstance(value, Secret)
        return value.reveal()

    def folder(self, name: str) -> Path:
        """A new one below the home, of the engine's user."""
        made = self.home.root / name
        made.mkdir(mode=0o700)
        if self.user:
            os.chown(made, self.user.uid, self.user.gid)
        return made

    async def restart(self, **settings: str) -> None:
        """With these settings for good."""
        with self.server.session() as session:
            for name, value in settings.items():
                session.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await self.process.stop(GRACE, self.store.stop_signal)
        self.process = await start(self.store.spec())
        await self.store.ready()

    @asynccontextmanager
    async def serving(self, data: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Server]:
        """A server on a restored data directory, once it lets one in; its settings are those of golive."""
        given = {
            "config_file": str(self.store.folder / "postgresql.conf"),
            "unix_socket_directories": str(self.scratch.sockets),
            "port": str(self.scratch.port),
            "listen_addresses": "",
        } | dict(settings or {})
        arguments = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        argv = (str(self.scratch.engine.program("postgres")), "-D", str(data), *arguments)
        log = self.home.root / "restored.log"
        process = await start(Spec(argv, self.scratch.environment(), data, log, self.user))
        try:
            while not _answers(self.scratch):
                if not process.alive():
                    raise BackupFailed("the restored server ended", log=log.read_text(errors="replace")[-3000:])
                await asyncio.sleep(0.02)
            yield self.scratch
        finally:
            await process.stop(GRACE, signal.SIGINT)


def _answers(server: Server) -> bool:
    with contextlib.suppress(BackupFailed), server.session():
        return True
    return False


@asynccontextmanager
async def cluster(major: int | None = None, **settings: str) -> AsyncIterator[Cluster]:
    """One in a home of its own, with the app's role and database; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="golive-bench-", ignore_cleanup_errors=True) as name:
        home = Home(Path(name))
        home.root.chmod(0o711)
        user = users.ensure("golive-bench") if os.geteuid() == 0 else None
        place = Placement(NAME, "production", home, ports.choose(), user, machine.inspect(), 2)
        engine = await Engines(home).find("postgres", major)
        store = Postgres(Resource(engine="postgres"), "db", place, engine, Secret(secrets.token_urlsafe(24)))
        await store.prepare()
        process = await start(store.spec())
        await store.ready()
        await store.provision()
        sockets = place.sockets("postgres", "db")
        server = Server(SOURCE, engine, sockets, place.port, user, SUPERUSER, REPLICATOR)
        made = Cluster(home, store, server, server, process)
        made.scratch = replace(server, sockets=made.folder("sockets"), port=ports.choose([place.port]))
        try:
            if settings:
                await made.restart(**settings)
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                await made.process.stop(GRACE, store.stop_signal)
            await store.before_start()


def query(server: Server, text: str, database: str = NAME) -> list[tuple[Any, ...]]:
    with server.session(database) as session:
        return session.execute(text).fetchall()
