"""Scratch PostgreSQL and Redis for the tests, on sockets in a temporary directory, and the API itself."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

BACKEND = Path(__file__).parent.parent


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """The newest of Debian's PostgreSQL directories, else the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"the tests need {name}"
    return path


@dataclass
class Server:
    """A child that can be killed and started again in its place."""

    argv: list[str]
    answers: Callable[[], bool]
    log: Path
    env: dict[str, str] | None = None
    user: str | None = None
    cwd: Path | None = None
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        account = pwd.getpwnam(self.user) if self.user else None
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.argv,
                stdout=out,
                stderr=out,
                env=self.env,
                cwd=self.cwd,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
        wait_for(self._up, f"start of {self.argv[0]}")

    def _up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.answers()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 15) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(seconds)


@contextmanager
def postgres(home: Path) -> Iterator[tuple[Server, str]]:
    """A cluster of its own, and its URL. PostgreSQL refuses root, so there it runs as `postgres`."""
    user = "postgres" if os.geteuid() == 0 else None
    data, port = home / "pg", free_port()
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user, pwd.getpwnam(user).pw_gid)
    demote = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    initdb = [program("initdb"), "-D", str(data), "-U", "threadr", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/", **demote)  # type: ignore[call-overload]
    url = f"postgresql://threadr@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    options = ["-c", "fsync=off", "-c", f"port={port}", "-c", "unix_socket_directories="]
    argv = [program("postgres"), "-D", str(data), *options]
    server = Server(argv, answers, home / "pg.log", user=user, cwd=Path("/"))
    server.start()
    yield server, url
    server.stop(signal.SIGINT)


@contextmanager
def redis(home: Path) -> Iterator[tuple[Server, str]]:
    port = free_port()

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    options = ["--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--dir", str(home)]
    server = Server([program("redis-server"), *options], answers, home / "redis.log")
    server.start()
    yield server, f"redis://127.0.0.1:{port}/0"
    server.stop()


@dataclass
class Api:
    server: Server
    url: str
    log: Path
    boot: float

    def client(self) -> httpx.Client:
        """A browser: keeps its cookie."""
        return httpx.Client(base_url=self.url, timeout=10)


@contextmanager
def api(home: Path, **env: str) -> Iterator[Api]:
    """The API as golive would start it."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", home / f"api-{port}.log"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    argv = [sys.executable, "-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", str(port)]
    whole = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **env}
    server = Server(argv, answers, log, env=whole, cwd=BACKEND)
    started = time.monotonic()
    server.start()
    yield Api(server, url, log, time.monotonic() - started)
    assert server.stop() in (0, -signal.SIGTERM, -signal.SIGKILL), log.read_text()
