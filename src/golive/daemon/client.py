"""The other end of the daemon's socket: synchronous, standard library only, so that a command starts quickly."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from golive import __version__
from golive.errors import Conflict, GoliveError, Locked, StateError, from_json
from golive.home import Home
from golive.secret import Secret
from golive.system.passphrase import HANDED

START_TIMEOUT = 120.0
"""Seconds for a daemon to answer: before it does, it ends what an interrupted deployment started, which has its own
time to stop, and waits for what takes its place."""
STOP_TIMEOUT = 20.0
COMMAND = (sys.executable, "-X", "no_debug_ranges", "-m", "golive.daemon")
"""Tracebacks without columns, and half a megabyte less."""


Ask = Callable[[], Secret]
"""For the passphrase that opens the home's key. Locked when there is nobody to ask."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Unreachable(GoliveError):
    """No daemon answers on the socket."""


class Client:
    """Calls to one daemon. Every error the daemon sends is raised as the same class here."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def get(self, path: str, **query: Any) -> Any:
        found = {k: v for k, v in query.items() if v is not None}
        return self._json("GET", path + (f"?{urlencode(found)}" if found else ""))

    def send(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._json(verb, path, body or {})

    def stream(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Lines as they come. Unreachable when the daemon goes away in between."""
        with self._request(verb, path, body, timeout=None) as response:
            while True:
                try:
                    event = json.loads(response.readline())
                except (OSError, http.client.HTTPException, ValueError) as error:
                    raise Unreachable("the daemon went away", why=str(error)) from error
                if event.get("type") == "over":
                    return
                if event.get("type") == "error":
                    raise from_json(event["error"])
                yield event

    def _json(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        with self._request(verb, path, body, timeout=600) as response:
            try:
                return json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Unreachable("the daemon went away", why=str(error)) from error

    @contextlib.contextmanager
    def _request(
        self, verb: str, path: str, body: dict[str, Any] | None, timeout: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self.home.socket, timeout)
        headers = {"content-type": "application/json", "x-golive-actor": actor()}
        try:
            connection.request(verb, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable("no golive daemon answers", where=str(self.home.socket), why=str(error)) from error
        try:
            if response.status >= 400:
                raise _refusal(response)
            yield response
        finally:
            connection.close()


def _refusal(response: http.client.HTTPResponse) -> GoliveError:
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return from_json(json.loads(response.read())["error"])
    return GoliveError(
        f"the daemon answers {response.status} {response.reason}",
        why="it is of another version, or something else listens on its socket",
        hint="golive daemon stop; the next command starts it anew",
    )


def actor() -> str:
    """Who runs the command: $SUDO_USER when root became root by it."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def connect(home: Home, *, start: bool = True, ask: Ask | None = None) -> Client:
    """A client of a daemon that runs, started where it does not; one of another version is replaced.

    Replacing is safe at any time: a daemon's end changes nothing that runs. Unreachable when `start` is False, Locked
    when the daemon needs a passphrase that nobody gives.
    """
    client = Client(home)
    try:
        info = client.get("/v1/daemon")
    except Unreachable:
        if not start:
            raise
        _start(home, ask)
        return client
    if start and info["version"] != __version__:
        known = passphrase_of(home, ask)
        client.send("POST", "/v1/daemon/stop")
        wait_gone(info["pid"])
        _start(home, ask, known)
    return client


def passphrase_of(home: Home, ask: Ask | None) -> Secret | None:
    """What a daemon of this home has to be told; None when its key has no passphrase."""
    from golive.state.keyfile import is_locked, locked
    from golive.system.passphrase import given

    if home.recovering.exists() or not is_locked(home.key):  # the former: the daemon says so before it opens anything
        return None
    if known := given():
        return known
    if ask is None:
        raise locked()
    return ask()


def wait_gone(pid: int) -> None:
    """Returns when it has ended, be it that our own process, which started it, has not asked how."""
    deadline = time.monotonic() + STOP_TIMEOUT
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _start(home: Home, ask: Ask | None, known: Secret | None = None) -> None:
    """Returns once a daemon answers: ours, or one that another client has started a moment before."""
    deadline = time.monotonic() + START_TIMEOUT
    known = known or passphrase_of(home, ask)
    while True:
        try:
            _launch(home, deadline, known)
        except Locked:  # the key was being changed: the one that has a passphrase is not in its place yet
            if known is not None or ask is None:
                raise
            known = ask()
        except Conflict:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _launch(home: Home, deadline: float, passphrase: Secret | None) -> None:
    """Detached, with its words in daemon.log. Conflict when another one has the lock and does not answer yet."""
    try:
        home.require_own()
        home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        output = os.open(home.daemon_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateError(
            f"GOLIVE_HOME {home.root} cannot be used",
            why=str(error.strerror),
            hint="make it writable for this user, or set GOLIVE_HOME to a folder of yours",
        ) from error
    began = os.fstat(output).st_size
    process = subprocess.Popen(
        [*COMMAND, *([HANDED] if passphrase else [])],
        stdin=subprocess.PIPE if passphrase else subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        cwd="/",
        env={**os.environ, "GOLIVE_HOME": str(home.root)},
    )
    os.close(output)
    if process.stdin is not None and passphrase is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(passphrase.reveal().encode() + b"\n")
    _until_it_answers(home, process, began, deadline)
    process.returncode = 0  # it is meant to outlive us; without this Popen would warn that nobody waited for it


def _until_it_answers(home: Home, process: subprocess.Popen[bytes], began: int, deadline: float) -> None:
    client = Client(home)
    while time.monotonic() < deadline:
        with contextlib.suppress(Unreachable):
            client.get("/v1/daemon")
            return
        if process.poll() is not None:
            raise _did_not_start(home, began)
        time.sleep(0.02)
    raise GoliveError(
        "the daemon does not answer", why=f"waited {START_TIMEOUT:.0f} s", hint=f"look at {home.daemon_log}"
    )


def _did_not_start(home: Home, began: int) -> GoliveError:
    """What the daemon itself said: its error as one line of JSON where it could. Another one may write there too."""
    said = home.daemon_log.read_bytes()[began:].decode(errors="replace").strip().splitlines()
    for line in reversed(said):
        with contextlib.suppress(ValueError):
            if isinstance(data := json.loads(line), dict) and "kind" in data:
                return from_json(data)
    return GoliveError("the daemon ended at once", log="\n".join(said[-10:]), hint=f"look at {home.daemon_log}")
