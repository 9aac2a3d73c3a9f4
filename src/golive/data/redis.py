"""Redis (or valkey) for one app: its own server, limits, an account without the commands that are golive's."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from golive.blueprint.models import Resource
from golive.data import redis_plan
from golive.data.place import (
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
from golive.data.redis_plan import Persistence
from golive.data.store import Report, Variables
from golive.engines import Engine
from golive.errors import ResourceFailed
from golive.secret import Secret
from golive.system import leftovers
from golive.system.files import write_atomic
from golive.system.processes import Limits, Spec
from golive.system.resp import Address, Connection, RedisError, connect
from golive.units import human_size

PROGRAMS = ("redis", "valkey")
TROUBLE = (OSError, TimeoutError, EOFError, RedisError)
HANDOVER = 300.0
"""Seconds for a store to be written in its new form (0.76 s for 500,000 keys)."""


@dataclass(frozen=True)
class Redis:
    """See `golive.data.store.Store`."""

    resource: Resource
    name: str
    place: Placement
    engine: Engine
    password: Secret

    stop_signal = signal.SIGTERM
    stop_grace = timedelta(seconds=30)

    @property
    def folder(self) -> Path:
        return self.place.folder(self.name)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "redis.log"

    @property
    def socket(self) -> Path:
        return self.place.sockets("redis", self.name) / "redis.sock"

    @property
    def memory(self) -> int:
        """The limit in bytes."""
        return self.resource.memory or memory_budget("redis", self.place.machine, self.place.neighbours)

    async def prepare(self) -> None:
        require_reach(self.place.user, self.engine.program("redis-server"))
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        open_folder(self.place, self.name)
        self._require_version()
        try:
            own(self.data, self.place.user)
            write_atomic(self.folder / "version", f"{self.engine.version}\n")
            self._configure()
        except OSError as error:
            raise failed(self.name, "its files cannot be written", error) from error
        open_sockets(self.place, "redis", self.name)

    def _require_version(self) -> None:
        """Older Redis reads newer files wrongly or, where the AOF is a folder (7), not at all: it would start empty."""
        kept = kept_major(self.resource, self.folder)
        if kept is not None and kept > self.engine.major:
            raise ResourceFailed(
                f"{self.name} holds data of Redis {kept}, which {self.engine.version} cannot read",
                where=str(self.data),
                hint=f"set version = {kept} under [resources.{self.name}], or delete the resource to start empty",
            )

    def _configure(self) -> None:
        version = tuple(int(n) for n in re.findall(r"\d+", self.engine.version))
        start = redis_plan.starts_with(
            self.resource.persistence, self.kept, [path.name for path in self.data.iterdir()]
        )
        settings = redis_plan.access_settings(self.data, self.socket, self.place.port, version)
        settings |= redis_plan.redis_settings(self.resource, self.memory, start)
        accounts = {
            redis_plan.APP: redis_plan.app_rules(redis_plan.digest(self.password.reveal()), version),
            redis_plan.ADMIN: redis_plan.admin_rules(redis_plan.digest(self.admin_password().reveal()), version),
        }
        write_config(self.folder / "redis.conf", redis_plan.configuration(settings, accounts), self.place.user)

    @property
    def kept(self) -> Persistence | None:
        """The form that its data is in; None before it has run."""
        path = self.folder / "persistence"
        text = path.read_text().strip() if path.exists() else None
        return text if text in ("aof", "rdb", "none") else None  # type: ignore[return-value] # narrowed by the test

    def admin_password(self) -> Secret:
        """golive's own password, made once, in a file that only golive reads."""
        path = self.folder / "admin"
        if not path.exists():
            write_atomic(path, secrets.token_urlsafe(32), mode=0o600)
        return Secret(path.read_text())

    def as_admin(self, timeout: float = 10) -> AbstractAsyncContextManager[Connection]:
        """A connection with golive's own account; one of TROUBLE when there is none."""
        return connect(Address(socket=self.socket), redis_plan.ADMIN, self.admin_password(), timeout)

    async def before_start(self) -> None:
        """A server of this data directory that nobody knows of is stopped: two would write one AOF. At most 30 s."""
        await asyncio.to_thread(open_sockets, self.place, "redis", self.name)
        found = await asyncio.to_thread(leftovers.working_in, self.data, PROGRAMS)
        await leftovers.end(found, signal.SIGTERM, 30)

    def spec(self) -> Spec:
        return Spec(
            (str(self.engine.program("redis-server")), str(self.folder / "redis.conf")),
            env={"PATH": f"{self.engine.bin}:/usr/bin:/bin", "LC_ALL": "C", **self.engine.env},
            cwd=self.folder,
            output=self.log,
            user=self.place.user,
            limits=Limits(files=8192),
            name=self.place.label(self.name),
            private=True,
        )

    async def ready(self, timeout: timedelta = timedelta(seconds=60)) -> None:
        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            try:
                async with self.as_admin(5) as admin:
                    # While it reads its files it answers LOADING.
                    await admin.call("PING")
                    return
            except TROUBLE as error:
                # Waiting helps against a server that is not up yet, not against one that says no.
                if time.monotonic() > deadline or "WRONGPASS" in str(error):
                    raise ResourceFailed(
                        f"{self.name}: Redis did not let golive in within {timeout.total_seconds():.0f} s",
                        where=str(self.log),
                        why=str(error) or type(error).__name__,
                        hint="the end of its log says what it was doing",
                        log=log_tail(self.log),
                    ) from error
            await asyncio.sleep(0.02)

    async def provision(self) -> None:
        await self.ready()
        try:
            async with self.as_admin() as admin:
                version = await _version(admin)
                numbers = tuple(int(n) for n in version.split(".")[:2])
                rules = redis_plan.app_rules(redis_plan.digest(self.password.reveal()), numbers)
                await admin.call("ACL", "SETUSER", redis_plan.APP, "reset", *rules)
                await admin.call("CONFIG", "SET", "maxmemory", self.memory)
                await admin.call("CONFIG", "SET", "maxmemory-policy", self.resource.eviction)
                await self._hand_over(admin)
        except TROUBLE as error:
            raise self._refused(error) from error
        await asyncio.to_thread(self._configure)

    async def _hand_over(self, admin: Connection) -> None:
        """The wanted persistence put in force, and noted once the data is written in its form."""
        wanted = self.resource.persistence
        for name, value in redis_plan.persistence_settings(wanted).items():
            current = await admin.call("CONFIG", "GET", name)
            if wanted == "rdb" and name == "appendonly" and current == ["appendonly", "yes"]:
                await self._save(admin)
            if not isinstance(current, list) or current[1:] != [value]:
                await admin.call("CONFIG", "SET", name, value)
        if wanted == "aof":
            await self._wait(admin, "aof_rewrite_in_progress", "aof_rewrite_scheduled", "aof_last_bgrewrite_status")
        if self.kept != wanted:
            await asyncio.to_thread(write_atomic, self.folder / "persistence", f"{wanted}\n")

    async def _save(self, admin: Connection) -> None:
        await admin.call("CONFIG", "SET", "dbfilename", redis_plan.RDB_FILE)
        await admin.call("BGSAVE")
        await self._wait(admin, "rdb_bgsave_in_progress", "rdb_bgsave_in_progress", "rdb_last_bgsave_status")

    async def _wait(self, admin: Connection, busy: str, scheduled: str, status: str) -> None:
        deadline = time.monotonic() + HANDOVER
        while True:
            info = await admin.info("persistence")
            if info.get(busy) == "0" and info.get(scheduled) == "0":
                if info.get(status) != "ok":
                    raise RedisError("it could not write its data; is the disk full?")
                return
            if time.monotonic() > deadline:
                raise RedisError(f"its data was not written within {HANDOVER:.0f} s")
            await asyncio.sleep(0.02)

    def variables(self) -> Variables:
        return {
            "url": Secret(redis_plan.url(self.password.reveal(), self.place.port)),
            "host": "127.0.0.1",
            "port": str(self.place.port),
            "name": "0",
            "user": redis_plan.APP,
            "password": self.password,
        }

    async def check(self) -> Report:
        try:
            async with connect(Address(port=self.place.port), redis_plan.APP, self.password) as connection:
                started = time.perf_counter()
                await connection.call("PING")
                latency = (time.perf_counter() - started) * 1000
                return Report(await _version(connection), latency, await describe(connection))
        except TROUBLE as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ResourceFailed:
        why = (str(error) or type(error).__name__).replace(self.password.reveal(), "…")
        return ResourceFailed(
            f"{self.name}: Redis {self.engine.version} on port {self.place.port} refused",
            where=str(self.log),
            why=why,
            hint="the end of its log says more",
            log=log_tail(self.log),
        )


async def _version(connection: Connection) -> str:
    info = await connection.info("server")
    return info.get("valkey_version") or info.get("redis_version", "unknown")


async def describe(connection: Connection) -> dict[str, str]:
    """Memory, limits and persistence in words."""
    info = await connection.info("memory", "clients", "persistence")
    limit = int(info.get("maxmemory", "0"))
    used = human_size(int(info.get("used_memory", "0")))
    details = {
        "memory": f"{used} of {human_size(limit)}" if limit else f"{used}, no limit",
        "eviction": info.get("maxmemory_policy", "unknown"),
        "clients": f"{info.get('connected_clients', '?')} of {info.get('maxclients', '?')}",
        "persistence": "aof" if info.get("aof_enabled") == "1" else "rdb or none",
    }
    failing = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if info.get(name, "ok") != "ok"]
    return details | ({"failing": ", ".join(failing)} if failing else {})
