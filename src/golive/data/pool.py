"""PgBouncer before one PostgreSQL: a server of its own that the app connects to, with the app's own password.

It keeps no password: the app's login proves itself against the same verifier that PostgreSQL has, and that proof is
what PgBouncer logs in with.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.blueprint import models
from golive.data import pool_plan, postgres_plan
from golive.data.place import Placement, failed, log_tail, open_folder, open_sockets, require_reach, write_config
from golive.data.postgres import LOCAL, Postgres
from golive.data.store import Report, Variables
from golive.engines import Engine
from golive.errors import ResourceFailed
from golive.secret import Secret
from golive.system import leftovers
from golive.system.processes import Limits, Spec

if TYPE_CHECKING:
    from psycopg import AsyncConnection

SPARE_FILES = 100
"""Open files beside one for each connection."""


@dataclass(frozen=True)
class PgBouncer:
    """See `golive.data.store.Store`. `password` is the console's; the app's is the server's."""

    settings: models.Pool
    server: Postgres
    place: Placement
    engine: Engine
    password: Secret

    stop_signal = signal.SIGTERM
    stop_grace = timedelta(seconds=5)

    @property
    def name(self) -> str:
        return pool_plan.pool_name(self.server.name)

    @property
    def folder(self) -> Path:
        return self.place.folder(self.name)

    @property
    def log(self) -> Path:
        return self.folder / "pgbouncer.log"

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", self.engine.version))

    async def prepare(self) -> None:
        require_reach(self.place.user, self.engine.program("pgbouncer"))
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        open_folder(self.place, self.name)
        own = pool_plan.access_settings(self.folder, open_sockets(self.place, "bouncer", self.name), self.place.port)
        behind = pool_plan.Behind(
            self.server.place.sockets("postgres", self.server.name), self.server.place.port, self.server.role
        )
        accounts = {self.server.role: self.server.password.reveal(), pool_plan.ADMIN: self.password.reveal()}
        files = {
            "userlist.txt": pool_plan.user_list(accounts),
            "pgbouncer.ini": pool_plan.configuration(self.settings, self.version, behind, own),
        }
        try:
            for name, text in files.items():
                write_config(self.folder / name, text, self.place.user)
        except OSError as error:
            raise failed(self.name, "its files cannot be written", error) from error

    async def before_start(self) -> None:
        """One that an earlier daemon left is ended: it holds the port."""
        await asyncio.to_thread(open_sockets, self.place, "bouncer", self.name)
        found = await asyncio.to_thread(leftovers.working_in, self.folder, ("pgbouncer",))
        await leftovers.end(found, signal.SIGTERM, self.stop_grace.total_seconds())

    def spec(self) -> Spec:
        return Spec(
            (str(self.engine.program("pgbouncer")), str(self.folder / "pgbouncer.ini")),
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **self.engine.env},
            cwd=self.folder,
            output=self.log,
            user=self.place.user,
            limits=Limits(files=self.settings.clients + self.settings.size + SPARE_FILES),
            name=self.place.label(self.name),
            private=True,
        )

    async def ready(self, timeout: timedelta = timedelta(seconds=60)) -> None:
        import psycopg

        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            try:
                async with await self._console():
                    return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise self._refused(error) from error
            await asyncio.sleep(0.05)

    async def provision(self) -> None:
        """The settings as they are written now; connections stay."""
        import psycopg

        try:
            async with await self._console() as console:
                await console.execute("RELOAD")
        except psycopg.Error as error:
            raise self._refused(error) from error

    def variables(self) -> Variables:
        """The server's, with the pool's port."""
        url = postgres_plan.url(self.server.role, self.server.password.reveal(), self.place.port, self.server.role)
        return {**self.server.variables(), "url": Secret(url), "port": str(self.place.port)}

    async def check(self) -> Report:
        import psycopg

        try:
            async with await psycopg.AsyncConnection.connect(
                **{key: value for key, value in LOCAL.items() if key != "options"},
                host="127.0.0.1",
                port=self.place.port,
                user=self.server.role,
                password=self.server.password.reveal(),
                dbname=self.server.role,
                autocommit=True,
            ) as connection:
                started = time.perf_counter()
                await connection.execute("SELECT 1")
                latency = (time.perf_counter() - started) * 1000
        except psycopg.Error as error:
            raise self._refused(error) from error
        return Report(self.engine.version, latency, {"mode": self.settings.mode}, pooled=True)

    async def _console(self) -> AsyncConnection[Any]:
        return await open_console(self.place.port, self.password)

    def _refused(self, error: Exception) -> ResourceFailed:
        text = str(error)
        for secret in (self.password, self.server.password):
            text = text.replace(secret.reveal(), "…")
        return ResourceFailed(
            f"{self.name}: PgBouncer {self.engine.version} on port {self.place.port} refused",
            where=str(self.log),
            why=text.strip().splitlines()[-1] if text.strip() else "it said nothing",
            hint="the end of its log says more",
            log=log_tail(self.log),
        )


async def open_console(port: int, password: Secret) -> AsyncConnection[Any]:
    """PgBouncer's console, which knows no SQL and no prepared statements; psycopg.Error when there is none."""
    import psycopg

    return await psycopg.AsyncConnection.connect(
        **{key: value for key, value in LOCAL.items() if key != "options"},
        host="127.0.0.1",
        port=port,
        user=pool_plan.ADMIN,
        password=password.reveal(),
        dbname=pool_plan.CONSOLE,
        autocommit=True,
    )


async def pool_use(port: int, password: Secret) -> dict[str, int]:
    """`clients` connected, `waiting` for a connection and for how many seconds the first of them (`waited`), `used` and
    `idle` connections to PostgreSQL. psycopg.Error when it does not answer."""
    async with await open_console(port, password) as console:
        cursor = await console.execute("SHOW POOLS")
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
    rows = [row for row in rows if row["database"] != pool_plan.CONSOLE]
    clients = sum(int(row["cl_active"]) + int(row["cl_waiting"]) for row in rows)
    return {
        "clients": clients,
        "waiting": sum(int(row["cl_waiting"]) for row in rows),
        "waited": max((int(row["maxwait"]) for row in rows), default=0),
        "used": sum(int(row["sv_active"]) for row in rows),
        "idle": sum(int(row["sv_idle"]) + int(row["sv_used"]) for row in rows),
    }
