"""Canaries through the real edge: a good release gets everybody, a bad one next to nobody, nobody is moved."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from socket import create_connection as socket_to

import pytest
from e2e_apps import API, MakeApp
from e2e_harness import App, Golive, until
from e2e_walk import doom
from websockets.sync.client import ClientConnection, connect

from golive.system.http import Connection, Streams

RELEASE = """
[release]
strategy = "canary"
ready_timeout = "4s"
stable = "100ms"
verify = "200ms"
drain = "4s"

[release.canary]
steps = ["5%", "50%"]
every = "500ms"
requests = 40
slower = false
"""
PAGE = '\n[services.page]\nsource = "site"\nroute = "/page"\nstrip_prefix = true\n'


@dataclass
class Crowd:
    """Strangers who ask once each, over kept connections, and visitors who keep their cookie.

    `answers` counts the strangers' by version; `moved` says when a visitor was answered by another version than before,
    and by which; `failed` are answers that are no 200.
    """

    app: App
    strangers: int = 6
    visitors: int = 12
    answers: Counter[str] = field(default_factory=Counter)
    moved: list[tuple[float, str, str]] = field(default_factory=list)
    began: dict[int, str] = field(default_factory=dict)
    failed: int = 0

    def __enter__(self) -> Crowd:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()
        until("the first answers", lambda: self.answers.total() > 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _connection(self) -> Connection:
        tls, port, name = self.app.golive.tls(), self.app.golive.https_port, self.app.domain

        async def opened() -> Streams:
            return await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)

        return Connection(opened, name)

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.strangers):
                group.create_task(self._stranger())
            for number in range(self.visitors):
                group.create_task(self._visitor(number))

    async def _stranger(self) -> None:
        connection = self._connection()
        while not self._stop.is_set():
            answer = await connection.get("/")
            self.answers["failed" if answer.status != 200 else version(answer.text)] += 1
        await connection.close()

    async def _visitor(self, number: int) -> None:
        """Comes anew when his release is no longer there, as its cookie says."""
        connection, cookie = self._connection(), ""
        while not self._stop.is_set():
            answer = await connection.get("/", (("cookie", f"a=1; {cookie}"),) if cookie else ())
            given = answer.headers.get("set-cookie", "").partition(";")[0]
            if answer.status == 200:
                if cookie and not given and (was := self.began[number]) != version(answer.text):
                    self.moved.append((time.time(), was, version(answer.text)))
                self.began[number] = version(answer.text)
            else:
                self.failed += 1
            cookie = given or cookie
            await asyncio.sleep(0.05)
        await connection.close()


def version(text: str) -> str:
    return str(json.loads(text)["version"])


def step(app: App, name: str, moment: str) -> float:
    """When the newest step of that name began or ended, of all of the app's deployments."""
    sql = (
        f"SELECT max(step.{moment}) FROM step JOIN deployment ON deployment.id = deployment WHERE app = ? AND name = ?"
    )
    return float(app.golive.query(sql, app.name, name)[0][0])


@pytest.fixture
def canary(make_app: MakeApp) -> App:
    app = make_app(release=RELEASE)
    app.up().ok()
    return app


def test_a_bad_one_is_stopped_and_a_good_one_gets_everybody(canary: App) -> None:
    app = canary
    before = app.pids()
    app.change(version="bad", errors=20)
    with Crowd(app) as crowd:
        began = crowd.answers.copy()
        result = app.up().failed()
        during = crowd.answers - began
        assert "the canary was stopped at 5%" in result.err, result.text
        assert "release 1 goes on serving" in result.err
    touched = (during["bad"] + during["failed"]) / during.total()
    assert 0 < touched <= 0.1, during
    ended = step(app, "canary", "ended_at")
    assert all((was, now) == ("bad", "1") and at >= ended for at, was, now in crowd.moved), crowd.moved
    assert app.pids() == before
    assert app.releases() == {1: "live", 2: "failed"}
    assert app.version() == "1"
    until("the failed generation to be gone", lambda: app.status()["old"] == [])

    app.change(version="2", errors=0)
    with Crowd(app) as crowd:
        result = app.up().ok()
        until("everybody to have it", lambda: set(crowd.began.values()) == {"2"})
    assert result.err.count("✓ canary") + result.err.count("canary  ") >= 2, result.text
    assert not crowd.answers["failed"]
    assert not crowd.failed
    moved = step(app, "shift", "started_at")
    assert all((was, now) == ("1", "2") and at >= moved for at, was, now in crowd.moved), crowd.moved
    assert app.releases() == {1: "ready", 2: "failed", 3: "live"}
    app.golive.no_strays()


def test_by_hand_by_cookie_and_its_end(make_app: MakeApp) -> None:
    app = make_app(release=RELEASE, toml=API + PAGE)
    app.write("site/index.html", "<p>1</p>")
    app.up().ok()
    app.change(version="2")
    app.write("site/index.html", "<p>2</p>")
    command = app.golive.start("up", app.folder)
    until("a canary", lambda: app.golive.api.get("/v1/traffic", app=app.name)["canary"])
    assert "0% of new visitors, held by hand" in app.command("traffic", "0%").ok().out
    assert {app.version() for _ in range(20)} == {"1"}
    mine = {"cookie": "golive-release=2"}
    assert app.request("GET", "/", headers=mine).json()["version"] == "2"
    assert app.request("GET", "/page/", headers=mine).text == "<p>2</p>"
    assert app.get("/page/").text == "<p>1</p>"
    assert "set-cookie" not in app.request("GET", "/", headers=mine).headers
    with socket(app, mine) as opened:
        assert json.loads(opened.recv())["version"] == "2"
        ends_by_hand(app, command, mine)
        opened.send("still there")
        assert opened.recv() == "still there"
    assert "no canary" in app.command("traffic", "50%").failed().err

    assert "no canary" not in app.up("--no-canary").ok().err
    assert app.version() == "2"
    app.golive.no_strays()


def ends_by_hand(app: App, command: subprocess.Popen[str], mine: dict[str, str]) -> None:
    command.send_signal(signal.SIGINT)  # who watches goes, and it goes on
    assert "the canary goes on" in app.golive.finish(command).err
    ended = app.command("rollback").ok()
    assert "the canary of release 2 is ended" in ended.err
    assert app.request("GET", "/", headers=mine).json()["version"] == "1"
    assert app.deployments()[0]["state"] == "undone"


def socket(app: App, headers: dict[str, str]) -> ClientConnection:
    raw = socket_to(("127.0.0.1", app.golive.https_port))
    tls, url = app.golive.tls(), f"wss://{app.domain}:{app.golive.https_port}/ws"
    return connect(url, sock=raw, ssl=tls, server_hostname=app.domain, additional_headers=headers, proxy=None)


@pytest.mark.nightly
def test_a_slow_one_is_stopped(make_app: MakeApp) -> None:
    app = make_app(release=RELEASE.replace('"500ms"', '"8s"').replace("slower = false", 'slower = "1.5x"'))
    app.up().ok()
    app.change(version="slow", pause=0.3)
    with Crowd(app) as crowd:
        result = app.up().failed()
    assert "the canary was stopped at 5%: api of release 2 does worse" in result.err, result.text
    assert "95 of 100 requests took up to" in result.err
    assert not crowd.answers["failed"]
    assert app.releases() == {1: "live", 2: "failed"}


@pytest.mark.nightly
def test_a_daemon_that_dies_meanwhile_leaves_everything_as_it_was(own_home: Golive, make_app: MakeApp) -> None:
    app = make_app(own_home, release=RELEASE.replace("requests = 40", "requests = 1000000"))
    app.up().ok()
    app.change(version="2")
    daemon = doom(own_home, "canary", "0.5")
    with Crowd(app) as crowd:
        result = app.up()
        assert daemon.wait(20) == -9
        result.failed()
        count = crowd.answers.total()
        until("more answers", lambda: crowd.answers.total() > count + 100)
    assert "interrupted during its canary" in result.err, result.text
    assert set(crowd.answers) <= {"1", "2"}
    assert not crowd.failed
    assert {app.version() for _ in range(20)} == {"1"}
    until("the interrupted generation to be gone", lambda: app.status()["old"] == [])
    own_home.no_strays()


def test_visitors_shift_from_one_service_to_the_next(make_app: MakeApp) -> None:
    page = PAGE.replace('"/page"', '"/"').replace("strip_prefix = true\n", "")
    app = make_app(toml=page + API.replace("services.api", "services.next") + 'replaces = "page"\n')
    app.write("site/index.html", "<p>alpine</p>")
    app.up().ok()
    assert {app.get().text for _ in range(20)} == {"<p>alpine</p>"}
    assert "0% → 50%" in app.command("traffic", "next=50%").ok().err
    found = Counter("alpine" if "alpine" in app.get().text else "next" for _ in range(60))
    assert min(found.values()) > 10, found
    with app.client() as client:
        ask = lambda: client.get("/", extensions={"sni_hostname": app.domain}).text  # noqa: E731
        first = "alpine" in ask()
        assert {("alpine" in ask()) for _ in range(20)} == {first}
    assert "next: 50% of the visitors of page" in app.command("traffic").ok().out
    app.command("traffic", "next=100%").ok()
    assert app.version() == "1"
    assert {app.version() for _ in itertools.repeat(None, 10)} == {"1"}
    app.command("traffic", "page=10%").failed(2)
    app.command("traffic", "next=0%").ok()
    assert app.get().text == "<p>alpine</p>"
