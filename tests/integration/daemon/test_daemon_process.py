"""The daemon as a process, and the client that talks to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from golive.daemon import client as module
from golive.daemon.client import Client, Unreachable, connect, wait_gone
from golive.daemon.wiring import prepare
from golive.errors import BlueprintError, Conflict, GoliveError, NotFound, StateError, UsageError
from golive.home import Home

COUNTED = True

PLACE = {"app": "shop", "environment": "production"}


@pytest.fixture
def daemon(golive_home: Home) -> Iterator[Client]:
    client = connect(golive_home)
    yield client
    end(client)


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """One that every test leaves running."""
    root = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    client = connect(Home(root))
    yield client
    end(client)
    shutil.rmtree(root)


def end(client: Client) -> None:
    with contextlib.suppress(Unreachable):
        pid = client.get("/v1/daemon")["pid"]
        client.send("POST", "/v1/daemon/stop")
        reap(pid)


def reap(pid: int) -> None:
    """It is this process's child: without this it stays a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def test_it_is_started_once_and_answers(shared: Client) -> None:
    first = shared.get("/v1/daemon")
    assert connect(shared.home).get("/v1/daemon")["pid"] == first["pid"]
    assert first["home"] == str(shared.home.root)
    assert shared.get("/v1/status")["apps"] == []


def test_many_commands_at_once_start_one_daemon(golive_home: Home) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(connect(golive_home).get("/v1/daemon")["pid"])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    # One that still starts would find the place free once this one has ended, and stay.
    others = [p for p in psutil.Process().children() if p.pid != found[0] and p.status() != psutil.STATUS_ZOMBIE]
    late = [p for p in others if p.environ().get("GOLIVE_HOME") == str(golive_home.root)]
    psutil.wait_procs(late, timeout=30)
    end(Client(golive_home))


def test_its_files_are_for_its_owner_only(shared: Client) -> None:
    home = shared.home
    modes = {p.name: p.stat().st_mode & 0o777 for p in (home.socket, home.state, home.key, home.daemon_log)}
    assert set(modes.values()) == {0o600}, modes


def test_a_second_one_is_refused(shared: Client) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "golive.daemon"],
        env={**os.environ, "GOLIVE_HOME": str(shared.home.root)},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert second.returncode == Conflict.exit_code
    assert json.loads(second.stderr.splitlines()[-1])["kind"] == "Conflict"
    assert shared.get("/v1/daemon")["pid"]


def test_errors_come_as_the_classes_they_are(shared: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no deployment 7"):
        shared.get("/v1/deployments/7")
    with pytest.raises(UsageError, match="not valid"):
        shared.send("POST", "/v1/scale", {**PLACE, "service": "web", "instances": 1000})
    with pytest.raises(NotFound):
        list(shared.stream("POST", "/v1/logs", PLACE))
    (tmp_path / "golive.toml").write_text('name = "shop"\nservises = 1\n')
    with pytest.raises(BlueprintError) as caught:
        shared.send("POST", "/v1/plan", {**PLACE, "checkout": str(tmp_path)})
    assert caught.value.problems
    with pytest.raises(GoliveError, match="the daemon answers 404"):
        shared.get("/v1/never")
    with pytest.raises(GoliveError, match="the daemon answers 405"):
        shared.send("PUT", "/v1/status")


def test_values_of_variables_stand_nowhere(shared: Client) -> None:
    shared.send("PUT", "/v1/env", {**PLACE, "values": {"TOKEN": "secret-canary-1"}})
    assert "secret-canary-1" not in json.dumps(shared.get("/v1/env", **PLACE)) + json.dumps(shared.get("/v1/audit"))
    raw = b"".join(p.read_bytes() for p in shared.home.root.iterdir() if p.is_file())
    assert b"TOKEN" in raw
    assert b"secret-canary-1" not in raw


def test_sigterm_ends_it_and_the_socket_goes(daemon: Client) -> None:
    pid = daemon.get("/v1/daemon")["pid"]
    os.kill(pid, signal.SIGTERM)
    reap(pid)
    assert not daemon.home.socket.exists()
    with pytest.raises(Unreachable, match="no golive daemon answers"):
        connect(daemon.home, start=False)


def test_after_a_kill_the_next_command_starts_another(daemon: Client) -> None:
    pid = daemon.get("/v1/daemon")["pid"]
    daemon.send("PUT", "/v1/env", {**PLACE, "values": {"A": "kept"}})
    os.kill(pid, signal.SIGKILL)
    reap(pid)
    again = connect(daemon.home)
    assert again.get("/v1/daemon")["pid"] != pid
    assert [v["name"] for v in again.get("/v1/env", **PLACE)["variables"]] == ["A"]


def test_one_of_another_version_is_replaced(daemon: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = daemon.get("/v1/daemon")["pid"]
    reaper = threading.Thread(target=reap, args=(pid,))
    reaper.start()
    monkeypatch.setattr(module, "__version__", "99.0")
    assert connect(daemon.home).get("/v1/daemon")["pid"] != pid
    reaper.join(10)
    assert not reaper.is_alive()


def test_a_home_of_a_newer_version_says_so(golive_home: Home) -> None:
    import sqlite3

    with contextlib.closing(sqlite3.connect(golive_home.state)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="newer golive"):
        connect(golive_home)


def test_a_home_that_is_a_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "home"
    path.write_text("")
    with pytest.raises(StateError, match="cannot be used") as caught:
        connect(Home(path))
    assert caught.value.hint


def test_a_folder_of_somebody_elses_is_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "srv"
    (home / "www").mkdir(parents=True)
    home.chmod(0o1777)
    with pytest.raises(StateError, match="is not golive's: it has www"):
        connect(Home(home))
    assert ([path.name for path in home.iterdir()], home.stat().st_mode & 0o7777) == (["www"], 0o1777)
    with pytest.raises(StateError, match="is not golive's"):
        prepare(Home(home))


# A peer that is no daemon


@contextlib.contextmanager
def listening(home: Home, answer: bytes) -> Iterator[None]:
    """Somebody who says this to everyone, and hangs up."""
    home.run.mkdir(parents=True, exist_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(str(home.socket))
    door.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = door.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    thread.join()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


@pytest.mark.parametrize(
    "rest",
    [b"", chunk('{"type": "a"}\n'), chunk('{"type": "a"}\n{"ty'), b"40\r\n{", chunk('{"type": "a"}\n') + b"0\r\n\r\n"],
    ids=["at once", "between lines", "in a line", "in a chunk", "ended early"],
)
def test_a_stream_that_is_cut_is_not_taken_for_whole(golive_home: Home, rest: bytes) -> None:
    with listening(golive_home, CHUNKED + rest), pytest.raises(Unreachable, match="went away"):
        list(Client(golive_home).stream("GET", "/v1/x"))


def test_a_whole_stream(golive_home: Home) -> None:
    lines = chunk('{"type": "a"}\n') + chunk('{"b": 1}\n{"type": "over"}\n') + b"0\r\n\r\n"
    with listening(golive_home, CHUNKED + lines):
        assert list(Client(golive_home).stream("GET", "/v1/x")) == [{"type": "a"}, {"b": 1}]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops",
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 400 No\r\nContent-Length: 11\r\n\r\n{"error":1}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_whoever_else_answers_is_an_error_of_ours(golive_home: Home, answer: bytes) -> None:
    with listening(golive_home, answer), pytest.raises(GoliveError):
        Client(golive_home).get("/v1/daemon")


def test_a_socket_that_nobody_serves_is_unreachable(golive_home: Home) -> None:
    golive_home.run.mkdir()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as door:
        door.bind(str(golive_home.socket))
    with pytest.raises(Unreachable):
        Client(golive_home).get("/v1/daemon")
    client = connect(golive_home)
    end(client)


def test_what_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    monkeypatch.setattr("golive.daemon.client.time.sleep", lambda _: pytest.fail("it waits"))
    wait_gone(process.pid)
