"""PostgreSQL for one app: its own server, its own user, one database that the app's role owns."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pwd
import re
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.blueprint.models import Resource
from golive.data import postgres_plan
from golive.data.place import (
    MIB,
    Placement,
    failed,
    kept_major,
    log_tail,
    memory_budget,
    open_folder,
    open_sockets,
    own,
    require_reach,
    write_config,
)
from golive.data.pool_plan import verifier
from golive.data.postgres_plan import REPLICATOR, SUPERUSER
from golive.data.store import Report, Variables
from golive.engines import Engine
from golive.errors import ResourceFailed, nearest
from golive.secret import Secret
from golive.system import leftovers
from golive.system.files import remove_tree
from golive.system.processes import Limits, Spec, run
from golive.units import human_size

if TYPE_CHECKING:
    from psycopg import AsyncConnection

INITDB_TIMEOUT = 120.0
NO_FILE = "/dev/null/none"
"""Cannot exist: libpq then reads no password file, and does not complain about it as it does of /dev/null."""
LOCAL: dict[str, Any] = {"connect_timeout": 5, "application_name": "golive", "sslmode": "disable"}
LOCAL |= {"gssencmode": "disable", "client_encoding": "utf8", "passfile": NO_FILE, "options": ""}
"""Stated in full: the daemon's own PG* variables must not lead a connection elsewhere."""


@dataclass(frozen=True)
class Postgres:
    """See `golive.data.store.Store`. `settings` outrank golive's own. `closed`: nobody but golive gets in.
    `reads` is the port by which its replicas are reached. `passing`: its data is thrown away when it ends, so that it
    gives way to what else runs, and writes nothing at the end."""

    resource: Resource
    name: str
    place: Placement
    engine: Engine
    password: Secret
    settings: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False
    reads: int | None = None
    passing: bool = False

    stop_grace = timedelta(seconds=60)

    @property
    def stop_signal(self) -> int:
        """Fast shutdown: sessions are ended, a checkpoint is written. SIGTERM would wait for every client to leave."""
        return signal.SIGQUIT if self.passing else signal.SIGINT

    @property
    def folder(self) -> Path:
        return self.place.folder(self.name)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def role(self) -> str:
        return postgres_plan.identifier(self.place.app)

    @property
    def memory(self) -> int:
        """The budget in bytes."""
        return self.resource.memory or memory_budget("postgres", self.place.machine, self.place.neighbours)

    async def prepare(self) -> None:
        self._require_user()
        await asyncio.to_thread(open_folder, self.place, self.name)
        self._require_data()
        if not (self.data / "PG_VERSION").exists():
            await self._initialise()
        self._require_version()
        await asyncio.to_thread(own, self.data, self.place.user)
        sockets = await asyncio.to_thread(open_sockets, self.place, "postgres", self.name)
        await asyncio.to_thread(self._configure, sockets)

    def _require_user(self) -> None:
        if os.geteuid() == 0 and self.place.user is None:
            raise ResourceFailed(
                f"{self.name}: PostgreSQL does not run as root",
                where=self.name,
                hint="golive makes a system user for it; install the package that has useradd (apt-get install passwd)",
            )
        require_reach(self.place.user, self.engine.program("postgres"))

    def _require_data(self) -> None:
        """Its configuration is written once there is data: an empty database never takes the place of what was lost."""
        configured = self.folder / "postgresql.conf"
        if configured.exists() and not (self.data / "PG_VERSION").exists():
            raise ResourceFailed(
                f"{self.name}: its data directory is gone",
                where=str(self.data),
                why="golive made it and did not delete it; nothing was put in its place",
                hint="put it back, mount its disk, or bring back a backup (golive backup list, golive restore); to "
                f"begin with an empty database instead, delete {configured}",
            )

    def _require_version(self) -> None:
        kept = kept_major(self.resource, self.folder)
        if kept != self.engine.major:
            raise ResourceFailed(
                f"{self.name} holds data of PostgreSQL {kept}, which {self.engine.version} cannot read",
                where=str(self.data),
                why="the data format changes with every major version",
                hint=f"set version = {kept} under [resources.{self.name}]; golive db upgrade takes it further",
            )

    async def _initialise(self) -> None:
        """In a folder beside, renamed when whole: a kill in the middle leaves nothing that looks like a database."""
        if self.data.exists() and any(self.data.iterdir()):
            raise ResourceFailed(
                f"{self.name}: {self.data} has files in it, but is no PostgreSQL data directory",
                where=str(self.data),
                hint="move them away; golive deletes nothing here",
            )
        beside = self.folder / "data.new"
        await asyncio.to_thread(remove_tree, beside)
        own(beside, self.place.user)
        arguments = postgres_plan.initdb_arguments(self.engine.major, self.place.machine.os)
        output = await self._initdb(beside, arguments)
        if output and "locale" in output:
            # A C library without C.UTF-8: plain C still stores UTF-8, only upper() and lower() know ASCII alone.
            arguments = (*(a for a in arguments if "locale" not in a and "lc-ctype" not in a), "--no-locale")
            await asyncio.to_thread(remove_tree, beside)
            own(beside, self.place.user)
            output = await self._initdb(beside, arguments)
        if output:
            raise ResourceFailed(
                f"{self.name}: PostgreSQL {self.engine.version} could not make its data directory",
                where=str(self.folder),
                why=_reason(output),
                hint=_disk_hint(output),
                log=output,
            )
        try:
            beside.rename(self.data)
        except OSError as error:
            raise failed(self.name, f"{self.data} cannot be put in place", error) from error

    async def _initdb(self, target: Path, arguments: tuple[str, ...]) -> str | None:
        """Its output when it failed."""
        program = str(self.engine.program("initdb"))
        try:
            done = await run(
                (program, "--pgdata", str(target), *arguments),
                env=self.environment(),
                cwd=target.parent,
                user=self.place.user,
                timeout=INITDB_TIMEOUT,
                name=f"{self.place.label(self.name)}/initdb",
            )
        except TimeoutError:
            return f"initdb: error: took longer than {INITDB_TIMEOUT:.0f} s"
        return None if done.code == 0 else done.output or f"initdb: error: exit code {done.code}"

    def _configure(self, sockets: Path) -> None:
        settings = postgres_plan.postgres_settings(self.place.machine, self.memory)
        settings |= self.settings
        settings |= postgres_plan.access_settings(self.folder, sockets, self.place.port)
        me = pwd.getpwuid(os.geteuid()).pw_name
        files = {
            "postgresql.conf": postgres_plan.configuration(settings),
            "pg_hba.conf": postgres_plan.access_rules(None if self.closed else self.role),
            "pg_ident.conf": postgres_plan.user_map(me, self.place.user.name if self.place.user else me),
        }
        for name, text in files.items():
            # What is closed is in the making: after a crash it is made anew.
            write_config(self.folder / name, text, self.place.user, sync=not self.closed)

    async def before_start(self) -> None:
        """A server of this data directory that nobody knows of is shut down; backends without one are ended.

        30 s for the first (a checkpoint), 2 s for the second: recovery from the log makes up for what they held.
        """
        await asyncio.to_thread(open_sockets, self.place, "postgres", self.name)
        if found := await asyncio.to_thread(leftovers.working_in, self.data, ("postgres",)):
            server = self._server_pid()
            await leftovers.end([p for p in found if p.pid == server], signal.SIGINT, 30)
            found = await asyncio.to_thread(leftovers.working_in, self.data, ("postgres",))
            await leftovers.end(found, signal.SIGQUIT, 2)
        # Its process is gone for certain. Left there, a reboot could give the number to another process of the same
        # user, and PostgreSQL would take that for a running server.
        with contextlib.suppress(OSError):
            (self.data / "postmaster.pid").unlink()
        self._require_data()

    def _server_pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self.data / "postmaster.pid").read_text(errors="replace").split()[0])
        return None

    def spec(self) -> Spec:
        program = str(self.engine.program("postgres"))
        return Spec(
            (program, "-D", str(self.data), "-c", f"config_file={self.folder / 'postgresql.conf'}"),
            env=self.environment(),
            cwd=self.folder,
            output=self.log,
            user=self.place.user,
            limits=Limits(nice=10 if self.passing else 0),
            name=self.place.label(self.name),
            private=True,
        )

    def environment(self) -> dict[str, str]:
        """Of the engine's programs."""
        return {"PATH": f"{self.engine.bin}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **self.engine.env}

    async def ready(self, timeout: timedelta = timedelta(seconds=60)) -> None:
        import psycopg

        deadline = time.monotonic() + timeout.total_seconds()
        pauses = itertools.chain((0.01, 0.01, 0.02, 0.02, 0.03, 0.03), itertools.repeat(0.05))
        while True:
            try:
                async with await self.superuser("postgres"):
                    return
            except psycopg.OperationalError as error:
                # Waiting helps against a server that is not up yet, not against one that says no.
                if time.monotonic() > deadline or "authentication failed" in str(error) or "pg_hba" in str(error):
                    raise ResourceFailed(
                        f"{self.name}: PostgreSQL did not let golive in within {timeout.total_seconds():.0f} s",
                        where=str(self.log),
                        why=_reason(str(error)),
                        hint=self._why_not(),
                        log=log_tail(self.log),
                    ) from error
            await asyncio.sleep(next(pauses))

    def _why_not(self) -> str:
        if _disk_hint(log_tail(self.log)) or shutil.disk_usage(self.folder).free < MIB:
            return "free some disk space: it comes back by itself, with all that was committed"
        return "the end of its log says what it was doing"

    async def provision(self) -> None:
        import psycopg

        await self.ready()
        try:
            async with await self.superuser("postgres") as server:
                await self._role_and_database(server)
                await server.execute("SELECT pg_reload_conf()")
            async with await self.superuser(self.role) as database:
                await self._inside(database)
        except psycopg.Error as error:
            raise self._refused(error) from error

    async def _role_and_database(self, server: AsyncConnection[Any]) -> None:
        from psycopg.sql import SQL, Identifier, Literal

        role = Identifier(self.role)
        # Should a statement fail, the log must not show it: it has the password's verifier in it.
        await server.execute("SET log_min_error_statement = panic")
        await server.execute("SET log_min_duration_statement = -1")
        if not await _one(server, "SELECT 1 FROM pg_roles WHERE rolname = %s", self.role):
            await server.execute(SQL("CREATE ROLE {}").format(role))
        await server.execute(
            SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}").format(
                role, Literal(verifier(self.password.reveal()))
            )
        )
        if not await _one(server, "SELECT 1 FROM pg_roles WHERE rolname = %s", REPLICATOR):
            await server.execute(SQL("CREATE ROLE {} LOGIN REPLICATION").format(Identifier(REPLICATOR)))
        if not await _one(server, "SELECT 1 FROM pg_database WHERE datname = %s", self.role):
            await server.execute(SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(role, role))
        await server.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(role, role))
        for database in (self.role, "postgres", "template1"):
            await server.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(Identifier(database)))

    async def _inside(self, database: AsyncConnection[Any]) -> None:
        from psycopg import errors
        from psycopg.sql import SQL, Identifier

        await database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        known = {row[0] for row in await _all(database, "SELECT name FROM pg_available_extensions")}
        wanted = [*(name for name in postgres_plan.DEFAULT_EXTENSIONS if name in known), *self.resource.extensions]
        for name in dict.fromkeys(wanted):
            if name not in known:
                raise self._no_extension(name, known)
            try:
                await database.execute(SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(Identifier(name)))
            except errors.UndefinedFile as error:
                raise self._library_missing(name, str(error)) from error

    def _no_extension(self, name: str, known: set[str]) -> ResourceFailed:
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else "install the package that has it, or leave it out"
        if self.engine.origin == "wheel" and not near:
            hint = f"this build has {', '.join(sorted(known))}; the machine's own PostgreSQL with contrib has more"
        return ResourceFailed(
            f"{self.name}: PostgreSQL {self.engine.version} here has no extension {name}",
            where=f"resources.{self.name}.extensions",
            why=f"{self.engine.bin} comes without it",
            hint=hint,
        )

    def _library_missing(self, name: str, said: str) -> ResourceFailed:
        """A fetched build takes some libraries from the machine: uuid-ossp's is on few."""
        library = re.search(r"(lib[\w.+-]+\.so[.\d]*): cannot open", said)
        hint = "install the library that has it"
        if name == "uuid-ossp":
            hint = "apt-get install libossp-uuid16, or use gen_random_uuid(), which needs no extension"
        return ResourceFailed(
            f"{self.name}: the extension {name} cannot be loaded into PostgreSQL {self.engine.version}",
            where=f"resources.{self.name}.extensions",
            why=f"this machine lacks {library[1]}" if library else _reason(said),
            hint=hint,
        )

    def variables(self) -> Variables:
        secret = self.password.reveal()
        url = Secret(postgres_plan.url(self.role, secret, self.place.port, self.role))
        reads = (
            {"replica_url": Secret(postgres_plan.url(self.role, secret, self.reads, self.role))} if self.reads else {}
        )
        return {
            **reads,
            "url": url,
            "direct_url": url,
            "host": "127.0.0.1",
            "port": str(self.place.port),
            "name": self.role,
            "user": self.role,
            "password": self.password,
        }

    async def check(self) -> Report:
        import psycopg

        try:
            async with await psycopg.AsyncConnection.connect(
                **LOCAL,
                host="127.0.0.1",
                port=self.place.port,
                user=self.role,
                password=self.password.reveal(),
                dbname=self.role,
                autocommit=True,
            ) as connection:
                started = time.perf_counter()
                await connection.execute("SELECT 1")
                latency = (time.perf_counter() - started) * 1000
                return Report(await _version(connection), latency, await self._details(connection))
        except psycopg.Error as error:
            raise self._refused(error) from error

    async def _details(self, connection: AsyncConnection[Any]) -> dict[str, str]:
        row = await _all(
            connection,
            "/* golive check */ SELECT pg_database_size(current_database()),"
            " (SELECT count(*) FROM pg_stat_activity WHERE backend_type ="
            " 'client backend'), current_setting('shared_buffers'), current_setting('work_mem'),"
            " (SELECT string_agg(name, ', ') FROM pg_settings WHERE pending_restart)",
        )
        size, connections, shared, work, pending = row[0]
        details = {
            "size": human_size(size),
            "connections": f"{connections} of {postgres_plan.MAX_CONNECTIONS}",
            "memory": f"{human_size(self.memory)} budget, shared_buffers {shared}, work_mem {work}",
        }
        return details | ({"after restart": pending} if pending else {})

    async def superuser(self, database: str) -> AsyncConnection[Any]:
        """A session of golive's own account, by the socket."""
        import psycopg

        sockets = str(self.place.sockets("postgres", self.name))
        return await psycopg.AsyncConnection.connect(
            **LOCAL, host=sockets, port=self.place.port, user=SUPERUSER, dbname=database, autocommit=True
        )

    def _refused(self, error: Exception) -> ResourceFailed:
        text = str(error).replace(self.password.reveal(), "…")
        return ResourceFailed(
            f"{self.name}: PostgreSQL {self.engine.version} on port {self.place.port} refused",
            where=str(self.log),
            why=_reason(text),
            hint=_disk_hint(text) or "the end of its log says more",
            log=log_tail(self.log),
        )


async def _one(connection: AsyncConnection[Any], query: str, value: str) -> bool:
    cursor = await connection.execute(query, (value,))
    return await cursor.fetchone() is not None


async def _all(connection: AsyncConnection[Any], query: str) -> list[Any]:
    cursor = await connection.execute(query)
    return await cursor.fetchall()


async def _version(connection: AsyncConnection[Any]) -> str:
    return str((await _all(connection, "SHOW server_version"))[0][0]).split()[0]


def _reason(output: str) -> str:
    """The line that says why, of what a PostgreSQL program printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if "error:" in line or "FATAL:" in line or "PANIC:" in line]
    return (marked or lines or ["it said nothing"])[-1]


def _disk_hint(output: str) -> str | None:
    return "free some disk space" if "No space left" in output or "DiskFull" in output else None
