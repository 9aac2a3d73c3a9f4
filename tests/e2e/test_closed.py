"""Maintenance and suspension as users have them: under load, through deploys, and through the daemon's death."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from e2e_apps import COMMAND, MakeApp
from e2e_harness import App, Golive, new_home, until
from e2e_load import Load

TOML = f"""
[services.api]
source = "api"
command = "{COMMAND}"
route = "/"
health = {{ ready = "/ready" }}
stop_timeout = "3s"

[services.other]
source = "other"
command = "{COMMAND}"
route = "/other"
health = {{ ready = "/ready" }}
stop_timeout = "3s"

[services.worker]
source = "other"
kind = "worker"
command = "sleep 100000"
"""
BROWSER = {"accept": "text/html"}


@pytest.fixture(scope="module")
def home() -> Iterator[Golive]:
    with new_home() as golive:
        yield golive


@pytest.fixture(scope="module")
def shop(home: Golive, make_apps: MakeApp) -> App:
    """Live, and carried from one test to the next."""
    app = make_apps(home, toml=TOML, services=("api", "other"))
    app.up().ok()
    return app


def killed(app: App) -> None:
    """The daemon dies; the next one has taken over when it answers."""
    app.golive.kill_daemon()
    app.golive.api.get("/v1/daemon")


def states(app: App) -> dict[str, str]:
    """Service → state, as a person reads it."""
    lines = app.command("status").ok().out.splitlines()
    return {words[0]: words[2] for words in (line.split() for line in lines) if len(words) > 2}


def test_maintenance_answers_503_and_costs_nobody_a_connection(shop: App) -> None:
    with Load(shop) as load:
        on = shop.command("maintenance", "on", "--message", "Back at <noon>").ok()
        load.more()
        assert shop.get().status_code == 503
        again = shop.command("maintenance", "on", "--message", "Back at <noon>").ok()
        off = shop.command("maintenance", "off").ok()
        count = len(load.failures)
        load.more()
        assert load.failures[count + load.users :] == []
    assert load.failures
    assert {line.split(": ", 1)[1][:3] for line in load.failures} == {"503"}
    assert "nothing to do" in again.err
    assert again.out == on.out
    assert "serves requests again" in off.err
    assert "nothing to do" in shop.command("maintenance", "off").ok().err
    audit = shop.golive("audit").ok().out
    assert "maintenance.on" in audit
    assert "maintenance.off" in audit


def test_it_survives_the_daemon_and_a_deploy_goes_on_behind_it(shop: App) -> None:
    link = shop.command("maintenance", "on", "--allow", "127.0.0.9").ok().out.strip()
    killed(shop)
    refused = shop.request("GET", "/", headers=BROWSER)
    assert (refused.status_code, refused.headers["cache-control"]) == (503, "no-store")
    assert "<h1>Down for maintenance</h1>" in refused.text
    assert shop.get("/ready").json()["status"] == 503
    shop.change(version="2")
    shop.up().ok()
    assert shop.get().status_code == 503
    with shop.client() as visitor:
        at = urlsplit(link)
        sni = {"sni_hostname": shop.domain}
        entered = visitor.get(f"{at.path}?{at.query}", extensions=sni)
        cookie = entered.headers["set-cookie"].partition(";")[0]
        assert visitor.get("/", headers={"cookie": cookie}, extensions=sni).json()["version"] == "2"
    transport = httpx.HTTPTransport(verify=shop.golive.tls(), local_address="127.0.0.9")
    with httpx.Client(transport=transport) as office:
        url = f"https://127.0.0.1:{shop.golive.https_port}/"
        answer = office.get(url, headers={"host": shop.domain}, extensions={"sni_hostname": shop.domain})
    assert answer.json()["version"] == "2"
    assert "in maintenance" in shop.command("status").ok().out
    assert link in shop.command("maintenance", "status").ok().out
    shop.command("maintenance", "off").ok()
    assert shop.version() == "2"


def test_one_service_for_a_while(shop: App) -> None:
    with Load(shop, ("/other/",)) as load:
        shop.command("maintenance", "on", "-s", "api", "--for", "2s").ok()
        assert shop.get().status_code == 503
        until("its end by itself", lambda: shop.get().status_code == 200)
        load.more()
    load.unharmed()
    assert shop.command("maintenance", "status", "--json").ok().json() == {"on": False}


def test_mistakes_are_said(shop: App) -> None:
    def fails(code: int, *args: str) -> str:
        return shop.command("maintenance", "on", *args).failed(code).err

    assert "worker answers no requests" in fails(2, "-s", "worker")
    assert "did you mean other?" in fails(1, "-s", "othr")
    assert "'10.0.0.300', 'home'" in fails(2, "--allow", "10.0.0.300", "--allow", "home")
    assert "is over" in fails(2, "--until", "2020-01-01T10:00")
    assert "/nowhere.html cannot be read" in fails(1, "--page", "/nowhere.html")
    assert "did you mean worker?" in shop.command("suspend", "wroker").failed().err
    assert "which services?" in shop.command("suspend").failed(2).err


def test_a_suspended_service_ends_without_cutting_a_request_and_harms_no_other(shop: App) -> None:
    with Load(shop, ("/other/",)) as load:
        slow = Slow(shop, "/slow?seconds=2")
        shop.command("suspend", "api", "worker").ok()
        assert slow.join() == 200
        refused = shop.request("GET", "/", headers=BROWSER)
        assert (refused.status_code, "Suspended" in refused.text) == (503, True)
        assert "api: nothing to do, suspended already" in shop.command("suspend", "api").ok().err
        killed(shop)
        assert (states(shop)["api"], states(shop)["worker"]) == ("suspended", "suspended")
        shop.change(version="3")
        assert "api suspended, not started" in shop.up().ok().err
        assert shop.get().status_code == 503
        assert "golive resume api" in shop.command("scale", "api=1").failed().err
        shop.command("resume", "--all").ok()
        assert shop.version() == "3"
        assert "api: nothing to do, was not suspended" in shop.command("resume", "api").ok().err
        load.more()
    load.unharmed()
    assert (states(shop)["api"], states(shop)["worker"]) == ("ready", "ready")
    shop.golive.no_strays()


class Slow:
    """A request that is under way."""

    def __init__(self, app: App, path: str) -> None:
        import threading

        self._status = 0
        self._thread = threading.Thread(target=self._ask, args=(app, path))
        self._thread.start()
        time.sleep(0.2)

    def _ask(self, app: App, path: str) -> None:
        self._status = app.get(path).status_code

    def join(self) -> int:
        self._thread.join()
        return self._status
