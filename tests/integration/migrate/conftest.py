"""A scratch PostgreSQL cluster, a fresh database for each test, and migrators as processes that can be killed."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from golive.blueprint.models import Migrations
from golive.migrate import tools
from golive.migrate.run import apply, status
from golive.migrate.status import Applied, MigrationEvent, MigrationStatus
from golive.secret import Secret

PASSWORD = "s3cr3t-canary-9182"


def program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"the tests need PostgreSQL's {name}"
    return path


@dataclass
class Cluster:
    """PostgreSQL of its own, as the user `postgres` where the tests are root."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.data = self.home / "data"
        self.data.mkdir(mode=0o700)
        account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if account:
            os.chown(self.data, account.pw_uid, account.pw_gid)
        self._as: dict[str, Any] = (
            {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        )
        argv = [program("initdb"), "-D", str(self.data), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(argv, check=True, capture_output=True, cwd="/", **self._as)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://tester:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Until it answers; again while the children of one that was killed still hold its memory."""
        options = ["-c", f"port={self.port}", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        argv = [program("postgres"), "-D", str(self.data), *options]
        deadline = time.monotonic() + 120
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", **self._as)
            while not self._answers():
                assert time.monotonic() < deadline, (self.home / "log").read_text()
                if self.process.poll() is not None:
                    self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", **self._as)
                time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


def new_cluster() -> Iterator[Cluster]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path(tempfile.mkdtemp(prefix="gl-migrate-", dir="/tmp"))
    home.chmod(0o711)
    cluster = Cluster(home, port)
    cluster.start()
    yield cluster
    cluster.stop()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    yield from new_cluster()


@pytest.fixture(scope="session")
def doomed_cluster() -> Iterator[Cluster]:
    """One that a test may kill."""
    yield from new_cluster()


@dataclass
class Database:
    """One test's database, its folder of migrations, and what was reported."""

    name: str
    url: str
    folder: Path
    events: list[MigrationEvent] = field(default_factory=list)
    tool: str = "sql"

    @property
    def secret(self) -> Secret:
        return Secret(self.url)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)

    def settings(self, **settings: Any) -> Migrations:
        return Migrations.model_validate({"tool": self.tool, "source": "migrations", "resource": "db", **settings})

    async def status(self, **settings: Any) -> MigrationStatus:
        return await status(self.folder, self.secret, tools.dialect(self.settings(**settings)))

    async def apply(self, release: int = 1, patience: float = 10, **settings: Any) -> Applied:
        migrations = self.settings(**settings)
        return await apply(migrations, self.folder, self.secret, self.events.append, release=release, patience=patience)

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def said(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.kind == kind]

    def index(self, name: str) -> bool | None:
        """Whether it is valid; None when there is no such index."""
        rows = self.query(
            "SELECT indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relname = %s", name
        )
        return rows[0][0] if rows else None

    def migrator(self, **settings: Any) -> subprocess.Popen[bytes]:
        """A process that migrates, to be killed."""
        code = (
            "import asyncio, json, sys; from pathlib import Path; from golive.blueprint.models import Migrations;"
            "from golive.migrate.run import apply; from golive.secret import Secret; a = json.load(sys.stdin);"
            "m = Migrations(tool=a['tool'], source='.', resource='db', **a['settings']);"
            "asyncio.run(apply(m, Path(a['folder']), Secret(a['url']), lambda e: None, release=1))"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin
        told = {"tool": self.tool, "settings": settings, "folder": str(self.folder), "url": self.url}
        process.stdin.write(json.dumps(told).encode())
        process.stdin.close()
        return process


def database_in(cluster: Cluster, folder: Path, name: str) -> Database:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    return Database(name, cluster.url(name), folder)


@pytest.fixture
def database(cluster: Cluster, tmp_path: Path) -> Database:
    return database_in(cluster, tmp_path / "migrations", f"t{time.monotonic_ns()}")


@pytest.fixture
async def held(database: Database) -> AsyncIterator[Callable[[str], Awaitable[psycopg.AsyncConnection[Any]]]]:
    """Opens transactions of somebody else that stay open until they are committed, or the test ends."""
    opened: list[psycopg.AsyncConnection[Any]] = []

    async def hold(statement: str) -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection.connect(database.url, application_name="the-blocker")
        opened.append(connection)
        await connection.execute(statement.encode())
        return connection

    yield hold
    for connection in opened:
        await connection.close()


async def until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        await asyncio.sleep(0.01)


PROGRAMS = Path(__file__).with_name("programs")
PACKAGES = (
    "drizzle-orm@0.45.4",
    "pg@8.16.3",
    "@prisma/adapter-pg@7.10.1",
    "@prisma/schema-engine-wasm@8.1.0-2.59be4fda12412a79eeb9c2ae727b6aa723593323",
)


@contextmanager
def once(folder: Path) -> Iterator[bool]:
    """Whether this process is the first of pytest's workers here; the others wait for it."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not (folder / "done").exists()
        (folder / "done").touch()


def got(argv: list[str], folder: Path, what: str, **env: str) -> None:
    """Run a package client; skip when it cannot be had."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed: {what} not compared")
    done = subprocess.run(argv, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode:
        (folder / "failed").write_text(done.stderr)
        pytest.skip(f"{what} cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")


@pytest.fixture(scope="session")
def node_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp().parent / "migrate-node"
    with once(folder) as first:
        if first:
            (folder / "package.json").write_text('{"private": true}')
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
            got(["npm", "install", *options, *PACKAGES], folder, "Prisma and Drizzle")
    if (folder / "failed").exists():
        pytest.skip("the packages from npm cannot be fetched")
    return folder
