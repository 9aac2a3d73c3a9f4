"""`golive dev`: changes are in the next answer, crashes are shown and mended, and nothing is left however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import websockets
from e2e_apps import MakeApp
from e2e_harness import COMMAND, App, Golive, alive, until

TOML = """
[services.web]
source = "web"

[services.api]
source = "api"
route = "/api"

[services.work]
source = "work"
kind = "worker"
command = "python worker.py"

[resources.db]
engine = "postgres"

[migrations]
tool = "sql"
source = "migrations"
resource = "db"

[env.GREETING]
default = "hello"

[environments.development.env.GREETING]
default = "hello, developer"
"""
API = """
import os
from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.get("/api")
def greeting() -> dict[str, str]:
    return {"version": "1", "greeting": os.environ["GREETING"], "database": os.environ["DATABASE_URL"][:13]}


@app.websocket("/api/ws")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("echo " + await socket.receive_text())
"""
WORKER = """
import time
print("works, version 1", flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def app(own_home: Golive, make_app: MakeApp) -> App:
    made = make_app(own_home, toml=TOML, services=())
    made.write("api/requirements.txt", "fastapi\nuvicorn[standard]\n")
    made.write("api/main.py", API)
    made.write("work/worker.py", WORKER)
    made.write("web/index.html", "<h1>one</h1>\n")
    made.write("migrations/001_notes.sql", "CREATE TABLE notes (id bigint PRIMARY KEY);\n")
    return made


@dataclass
class Dev:
    """A `golive dev` that runs. Its programs inherit a mark by which `processes` finds them."""

    app: App
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def said(self) -> str:
        return self.out.read_text(errors="replace")

    def shows(self, line: str, timeout: float = 120) -> None:
        def seen() -> bool:
            assert self.process.poll() is None or line in self.said, self.said + self.err.read_text()
            return line in self.said

        until(f"{line!r} in the output", seen, timeout)

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def dev(app: App, tmp_path: Path, *args: str) -> Iterator[Dev]:
    out, err = tmp_path / "out", tmp_path / "err"
    env = {**app.golive.environ, "DEV_TEST": str(app.golive.root)}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "dev", "-C", str(app.folder), *args], env=env, stdout=stdout, stderr=stderr
        )
    try:
        yield Dev(app, process, out, err)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        assert "Traceback" not in err.read_text()


def nothing_is_left(golive: Golive) -> None:
    until(f"nothing to run, there is {golive.processes()}", lambda: not golive.processes(), timeout=120)


def api(app: App) -> dict[str, str]:
    found: dict[str, str] = app.get("/api").json()
    return found


async def echoed(app: App) -> str:
    connection = await websockets.connect(
        f"wss://{app.domain}:{app.golive.https_port}/api/ws",
        host="127.0.0.1",
        ssl=app.golive.tls(),
        server_hostname=app.domain,
        proxy=None,
    )
    async with connection:
        await connection.send("hey")
        return str(await connection.recv())


def test_changes_are_seen_crashes_are_mended_and_ctrl_c_ends_all_of_it(app: App, tmp_path: Path) -> None:
    with dev(app, tmp_path) as session:
        session.shows("1 applied, schema at 1", timeout=120)
        session.shows("api        | > ready")
        session.shows("work       | works, version 1")
        assert "<h1>one</h1>" in app.get("/").text
        assert api(app) == {"version": "1", "greeting": "hello, developer", "database": "postgresql://"}
        assert asyncio.run(echoed(app)) == "echo hey"

        app.write("web/index.html", "<h1>two</h1>\n")
        assert "<h1>two</h1>" in app.get("/").text
        app.write("api/main.py", API.replace('"1"', '"2"'))
        until("the API of the second version", lambda: api(app)["version"] == "2")

        app.write("work/worker.py", "import nothing_of_that_name\n")
        session.shows("No module named 'nothing_of_that_name'")
        session.shows("work       | > failed exited with 1")
        app.write("work/worker.py", WORKER.replace("1", "2", 1))
        session.shows("works, version 2")

        assert session.end() == 0
    nothing_is_left(app.golive)
    until("the daemon that was started for it to end", lambda: app.golive.daemon() is None)


@pytest.mark.nightly
def test_a_kill_leaves_nothing_and_the_data_stays(app: App, tmp_path: Path) -> None:
    with dev(app, tmp_path, "work") as session:
        session.shows("works, version 1", timeout=120)
        session.process.kill()
        session.process.wait()
        nothing_is_left(app.golive)
    with dev(app, tmp_path, "work") as session:
        session.shows("nothing to do, schema at 1")
        session.shows("works, version 1")
        second = app.golive("dev", "-C", app.folder).failed()
        assert "runs already" in second.err
        app.golive("up", app.folder, "-e", "development").failed()
        assert session.process.poll() is None

        app.golive.kill_daemon()
        until("another daemon", lambda: "is back" in session.err.read_text())
        assert session.end(signal.SIGTERM) == 0
    nothing_is_left(app.golive)


def test_what_would_run_is_printed_and_a_service_that_is_not_there_is_a_wrong_word(app: App) -> None:
    rows = [line.split("\t") for line in app.golive("dev", "-C", app.folder, "--print").ok().out.splitlines()]
    assert [row[0] for row in rows] == ["web", "api", "work", "db"]
    assert rows[1][3].startswith("uvicorn --reload main:app")
    wrong = app.golive("dev", "-C", app.folder, "wrok").failed(2)
    assert "golive dev work" in wrong.err
    assert app.golive.daemon() is None


def test_a_command_that_is_not_there_ends_it(app: App, tmp_path: Path) -> None:
    app.write("golive.toml", f'name = "{app.name}"\n[services.web]\nsource = "web"\ndev = "no-such-program"\n')
    with dev(app, tmp_path) as session:
        assert session.process.wait(60) == 1
    assert "no-such-program" in session.err.read_text()
    nothing_is_left(app.golive)
    assert not alive(session.process.pid)
