"""kill -9 of everything that serves: Envoy, the static server, PostgreSQL, Redis, instances. All come back alone."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from e2e_apps import API, REQUIREMENTS, MakeApp
from e2e_harness import App, Golive, alive, until
from e2e_load import Load

TWO = API + "scale = 2\n"
STORES = {
    "postgres": ('\n[resources.db]\nengine = "postgres"\n', "psycopg[binary]==3.2.9\n"),
    "redis": ('\n[resources.cache]\nengine = "redis"\n', "redis==6.2.0\n"),
}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(f"the end of {pid}", lambda: not alive(pid))


def unit(golive: Golive, name: str) -> int:
    """The pid of a unit, when it is alive."""
    return next((pid for pid, unit in golive.supervised().items() if unit == name and alive(pid)), 0)


def test_envoy_comes_back_and_serves_new_connections(app: App) -> None:
    golive = app.golive
    old = until("Envoy", lambda: unit(golive, "edge"))
    with Load(app) as load:
        load.more()
        killed = time.monotonic()
        kill(old)
        new = until("another Envoy", lambda: unit(golive, "edge"))
        until("an answer through it", lambda: answers(app), timeout=120)
        took = time.monotonic() - killed
        failures = len(load.failures)
        load.more()
    assert new != old
    print(f"Envoy killed: new connections served again after {took:.2f} s")
    assert len(load.failures) <= failures + load.users, "requests fail after Envoy is back"
    assert app.pids() != [None]
    golive.no_strays()


def answers(app: App) -> bool:
    import httpx

    try:
        return app.get().status_code == 200
    except httpx.HTTPError:
        return False


def test_the_static_server_comes_back(make_app: MakeApp) -> None:
    """Requests that find it gone are retried by the edge. With a query it is the server that answers, not the edge."""
    site = make_app(toml='\n[services.web]\nsource = "site"\nroute = "/"\n', services=())
    site.write("site/index.html", "<p>hello</p>")
    site.up().ok()
    old = until("the static server", lambda: unit(site.golive, "static"))
    with Load(site, ("/?a=b",)) as load:
        load.more()
        kill(old)
        until("another static server", lambda: unit(site.golive, "static"))
        load.more()
    load.unharmed()
    assert site.get("/?a=b").text == "<p>hello</p>"
    site.golive.no_strays()


def test_one_of_two_instances_is_killed_every_second(make_app: MakeApp) -> None:
    app = make_app(toml=TWO)
    app.up().ok()
    assert len(set(app.pids())) == 2
    with Load(app, http2=True) as load:
        for turn in range(3):
            first, second = until("two instances", lambda: whole(app))
            next_kill = time.monotonic() + 1
            kill((first, second)[turn % 2])
            until("a second of load", lambda at=next_kill: time.monotonic() >= at)
    load.unharmed()
    assert len(until("two instances", lambda: whole(app))) == 2
    app.golive.no_strays()


def whole(app: App) -> list[int]:
    instances = app.status()["services"]["api"]["instances"]
    ready = [i["pid"] for i in instances if i["state"] == "ready" and i["pid"] and alive(i["pid"])]
    return ready if len(ready) == 2 else []


@pytest.mark.parametrize(
    "store", [pytest.param(store, marks=[pytest.mark.nightly] if store == "redis" else []) for store in STORES]
)
def test_a_store_loses_no_committed_write(make_app: MakeApp, store: str) -> None:
    resource, requirement = STORES[store]
    app = make_app(extra=resource, requirements=REQUIREMENTS + requirement)
    app.change(store=store)
    app.up().ok()
    name = f"{app.name}/production/resource/{'db' if store == 'postgres' else 'cache'}"
    with Writer(app) as writer:
        for _ in range(2):
            old = until(store, lambda: unit(app.golive, name))
            writer.more()
            kill(old)
            until(f"another {store}", lambda: unit(app.golive, name))
            writer.more()
    rows = app.get("/read").json()
    assert len(rows) == len(set(rows))
    assert set(writer.committed) <= set(rows), sorted(set(writer.committed) - set(rows))[:10]
    print(f"{store}: {len(writer.committed)} writes acknowledged, {writer.refused} refused, {len(rows)} rows")
    app.golive.no_strays()


class Writer:
    """Writes numbers one after the other and remembers which were acknowledged."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stop = threading.Event()
        self.committed: list[int] = []
        self.refused = 0

    def __enter__(self) -> Writer:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def more(self, count: int = 20) -> None:
        target = len(self.committed) + count
        until(f"{count} more commits", lambda: len(self.committed) >= target)

    def _run(self) -> None:
        import httpx

        with self._app.client() as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                try:
                    extensions = {"sni_hostname": self._app.domain}
                    status = client.post("/write", params={"n": number}, extensions=extensions).status_code
                except httpx.HTTPError:
                    status = 0
                if status == 200:
                    self.committed.append(number)
                else:
                    self.refused += 1
                    self._stop.wait(0.02)
