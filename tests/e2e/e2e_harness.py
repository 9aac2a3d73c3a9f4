"""golive as its users have it: the real command, its daemon, Envoy and engines, in a home of the test's own.

Tests are synchronous, as a terminal is. What they observe meanwhile runs in the threads of `load`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from golive.daemon.client import Client, connect
from golive.home import Home
from golive.system import ports, sessions, users

T = TypeVar("T")
COMMAND = (sys.executable, "-P", "-m", "golive")
SHARED = Path(tempfile.gettempdir()) / f"golive-e2e-shared-{os.geteuid()}"
ENGINES = Path(tempfile.gettempdir()) / f"golive-test-engines-{os.geteuid()}" / "engines"
"""Fetched once a machine: the same that other tests use."""
PATIENCE = 120.0


def until(what: str, condition: Callable[[], T], timeout: float = PATIENCE, pause: float = 0.05) -> T:
    """The first true value of a condition; AssertionError naming it when there is none in time."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout:.0f} s in vain: {what}"
        time.sleep(pause)
    return value


@dataclass(frozen=True)
class Result:
    """What a command said. Every one is looked through for tracebacks when it is made."""

    args: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    def __post_init__(self) -> None:
        assert "Traceback" not in self.out + self.err, self.text

    @property
    def text(self) -> str:
        return f"$ golive {' '.join(self.args)}\n{self.out}{self.err}[exit {self.code} after {self.seconds:.2f} s]"

    def json(self) -> Any:
        return json.loads(self.out)

    def ok(self) -> Result:
        assert self.code == 0, self.text
        return self

    def failed(self, code: int = 1) -> Result:
        """An error that says what happened and what to do next."""
        assert self.code == code, self.text
        assert "error: " in self.err, self.text
        assert "golive itself failed" not in self.err, self.text
        return self


@dataclass
class Golive:
    """One $GOLIVE_HOME and the commands in it."""

    root: Path
    said: list[str] = field(default_factory=list)
    """Everything any command printed, for the search for secrets."""

    @property
    def home(self) -> Home:
        return Home(self.root)

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "GOLIVE_HOME": str(self.root), "NO_COLOR": "1"}

    def __call__(self, *args: object, input: str | None = None, timeout: float = 600) -> Result:
        words = tuple(map(str, args))
        began = time.monotonic()
        done = subprocess.run(
            [*COMMAND, *words],
            check=False,
            env=self.environ,
            input=input or "",
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        self.said += [done.stdout, done.stderr]
        return Result(words, done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def start(self, *args: object) -> subprocess.Popen[str]:
        """A command that goes on while the test does something else; `finish` waits for it."""
        pipe = subprocess.PIPE
        return subprocess.Popen([*COMMAND, *map(str, args)], env=self.environ, stdout=pipe, stderr=pipe, text=True)

    def finish(self, command: subprocess.Popen[str], timeout: float = 600) -> Result:
        out, err = command.communicate(timeout=timeout)
        self.said += [out, err]
        return Result(tuple(map(str, command.args[4:])), command.returncode, out, err, 0.0)  # type: ignore[index]

    @property
    def api(self) -> Client:
        """The daemon, asked as a command asks it but without a process for each question; started when it is away."""
        return connect(self.home)

    @property
    def https_port(self) -> int:
        return int(json.loads((self.root / "edge/ports.json").read_text())["https"])

    @property
    def http_port(self) -> int:
        return int(json.loads((self.root / "edge/ports.json").read_text())["http"])

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.home.ca / "root.crt"))

    def daemon(self) -> int | None:
        """Its pid."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"golive.daemon" in words and str(self.root).encode() in environ(entry):
                    return int(entry.name)
        return None

    def kill_daemon(self) -> int:
        pid = until("a daemon to kill", self.daemon)
        os.kill(pid, signal.SIGKILL)
        until("the daemon's end", lambda: not alive(pid))
        return pid

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """From the state as it stands on disk."""
        with contextlib.closing(sqlite3.connect(f"file:{self.home.state}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(sql, values).fetchall()

    def processes(self) -> dict[int, str]:
        """Session → what it runs, of every process that belongs to this home but is not golive itself."""
        found: dict[int, str] = {}
        needle = str(self.root).encode()
        for member in sessions.snapshot():
            place = Path(f"/proc/{member.pid}")
            if member.zombie:
                continue
            with contextlib.suppress(OSError):
                line = (place / "cmdline").read_bytes()
                if b"\0golive\0" in line or b"\0golive.daemon\0" in line or b"launch.py" in line:
                    continue
                if needle in line or needle in environ(place):
                    found[member.session] = line.replace(b"\0", b" ").decode(errors="replace")[:150]
        return found

    def supervised(self) -> dict[int, str]:
        """Session → unit, of what the state says runs."""
        return {pid: unit for unit, pid in self.query("SELECT unit, pid FROM process")}

    def strays(self) -> dict[int, str]:
        """Processes of this home that the state does not know: nobody would ever stop them."""
        known = self.supervised()
        return {pid: line for pid, line in self.processes().items() if pid not in known}

    def no_strays(self) -> None:
        """None is left, and no deployment or step counts as under way."""
        until(f"no strays, there are {self.strays()}", lambda: not self.strays(), timeout=120)
        assert not self.query("SELECT id, kind FROM deployment WHERE state IN ('queued', 'running')")
        assert not self.query("SELECT deployment, name FROM step WHERE state = 'running'")
        assert not self.query("SELECT number FROM release WHERE state = 'making'")

    def _works_inside(self, pid: int) -> bool:
        """Redis writes its title over its words and its environment, but its folder is the home's."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(self.root)
        return False

    def close(self) -> None:
        """Everything of this home ends, by the pids that bear its mark."""
        for _ in range(100):
            while pid := self.daemon():  # another may have taken its place meanwhile
                os.kill(pid, signal.SIGKILL)
                until("the daemon's end", lambda pid=pid: not alive(pid))
            mine = self.processes()
            left = [
                m.pid for m in sessions.snapshot() if not m.zombie and (m.session in mine or self._works_inside(m.pid))
            ]
            sessions.kill(left)
            if not left:
                break
            time.sleep(0.05)
        names = {row[0] for row in self.query("SELECT app FROM app")} if self.home.state.exists() else set()
        for name in names:
            users.remove(users.app_user_name(name))
        shutil.rmtree(self.root, ignore_errors=True)


def environ(place: Path) -> bytes:
    with contextlib.suppress(OSError):
        return (place / "environ").read_bytes()
    return b""


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@contextlib.contextmanager
def new_home(folder: Path | None = None, *, cold: bool = False) -> Iterator[Golive]:
    """A home whose engines and caches of packages are shared with every other test, so that a build takes a moment.

    A `cold` one shares the engines only.
    """
    root = folder or Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    root.chmod(0o711)
    golive = Golive(root)
    _share_engines(root)
    if not cold:
        _share_caches(root)
    # As kept from an earlier day: several homes must not race for the same ports.
    http = ports.choose()
    (root / "edge").mkdir(mode=0o700)
    (root / "edge/ports.json").write_text(json.dumps({"http": http, "https": ports.choose({http})}))
    try:
        yield golive
    finally:
        golive.close()


def _share_engines(root: Path) -> None:
    ENGINES.mkdir(parents=True, exist_ok=True)
    ENGINES.parent.chmod(0o711)
    (root / "engines").symlink_to(ENGINES)


def _share_caches(root: Path) -> None:
    """For each user that builds: what one wrote, another does not trust."""
    builder = users.ensure("golive_build")
    SHARED.mkdir(exist_ok=True)
    SHARED.chmod(0o711)
    (root / "cache").mkdir(mode=0o711)
    for name in ("uv", "go"):
        cache = SHARED / f"{name}-{builder.uid if builder else os.geteuid()}"
        cache.mkdir(exist_ok=True)
        if builder:
            os.chown(cache, builder.uid, builder.gid)
        (root / "cache" / (f"{name}-{builder.name}" if builder else name)).symlink_to(cache)
    rules = SHARED / "secrets"  # compiled once
    rules.mkdir(exist_ok=True, mode=0o700)
    (root / "cache/secrets").symlink_to(rules)


@dataclass
class App:
    """A checkout that tests change, and how to ask what is live."""

    golive: Golive
    name: str
    folder: Path

    @property
    def domain(self) -> str:
        return f"{self.name}.localhost"

    def up(self, *options: str, timeout: float = 600) -> Result:
        return self.golive("up", self.folder, *options, timeout=timeout)

    def command(self, verb: str, *args: object, **options: Any) -> Result:
        """A command about this app."""
        at = args.index("--") if "--" in args else len(args)
        return self.golive(verb, *args[:at], "--app", self.name, *args[at:], **options)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def change(self, service: str = "api", **settings: object) -> None:
        """Another source for a service: `version`, and how it misbehaves."""
        file = self.folder / service / "settings.json"
        before = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**before, **settings}))

    @property
    def gate(self) -> Path:
        """A version with this gate goes on starting until `open_gate`."""
        return self.golive.root / f"gate-{self.name}"

    def open_gate(self) -> None:
        self.gate.touch()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.golive.api.get("/v1/status", app=self.name)
        return next(a for a in found["apps"] if a["app"] == self.name)

    def pids(self, service: str = "api") -> list[int]:
        return [i["pid"] for i in self.status()["services"][service]["instances"]]

    def client(self, **options: Any) -> httpx.Client:
        """Connects to the edge whatever the name says: `*.localhost` need not resolve here."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.golive.https_port}",
            headers={"host": self.domain},
            verify=self.golive.tls(),
            timeout=20,
            **options,
        )

    def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.request(verb, path, extensions={"sni_hostname": self.domain}, **options)

    def get(self, path: str = "/") -> httpx.Response:
        return self.request("GET", path)

    def version(self, path: str = "/") -> str:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["version"])

    def deployments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.golive.api.get("/v1/deployments", app=self.name)["deployments"]
        return found

    def releases(self) -> dict[int, str]:
        found = self.golive.api.get("/v1/releases", app=self.name)["releases"]
        return {r["release"]: r["state"] for r in found}

    def destroy(self) -> None:
        self.command("destroy", "--yes", self.name).ok()
