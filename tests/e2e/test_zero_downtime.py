"""Every change of what runs, under load of every kind: nothing fails, nothing is cut before its time."""

from __future__ import annotations

import json
import time

import pytest
from e2e_apps import API, COMMAND, MakeApp
from e2e_harness import App, until
from e2e_load import Load, Streams

from golive.system import ports

SCALED = API + "scale = { min = 1, max = 3 }\n"
SOLO = f"""
[services.solo]
source = "api"
command = "{COMMAND}"
route = "/"
overlap = false
stop_timeout = "3s"
health = {{ ready = "/ready" }}
"""
SITE = '\n[services.web]\nsource = "site"\nroute = "/site"\nstrip_prefix = true\n'


def test_deploy_and_rollback_under_load_with_open_streams(app: App) -> None:
    """What is open stays on its old instance to the end of the drain and is closed properly then."""
    with Load(app, users=6, http2=True) as load, Streams(app) as streams:
        app.change(version="2")
        moved = time.monotonic()
        app.up().ok()
        assert app.version() == "2"
        streams.all_alive()
        until("the old instances to end the streams", lambda: streams.ended == 10, timeout=120)
        assert not streams.cut
        first = min(at for at, _ in streams.closed) - moved
        assert first >= 4, f"a stream was ended {first:.2f} s after the deploy began, inside the drain deadline"
        app.command("rollback").ok()
        load.more()
        assert app.version() == "1"
    load.unharmed()
    assert set(load.seen) == {"1", "2"}
    app.golive.no_strays()


def test_a_rollback_to_a_warm_release_keeps_its_processes(app: App) -> None:
    before = app.pids()
    app.change(version="2")
    app.up().ok()
    until("the old release to be warm", lambda: [o["state"] for o in app.status()["old"]] == ["warm"])
    with Load(app) as load:
        app.command("rollback").ok()
        load.more()
    load.unharmed()
    assert app.pids() == before
    assert load.seen.keys() == {"1", "2"}
    assert app.releases() == {1: "live", 2: "ready"}


def test_a_rollback_while_the_old_release_still_drains(app: App) -> None:
    before = app.pids()
    with Load(app) as load, Streams(app, sockets=1, streams=1) as streams:
        app.change(version="2")
        app.up().ok()
        assert [o["state"] for o in app.status()["old"]] == ["draining"]
        app.command("rollback").ok()
        assert app.pids() == before
        streams.all_alive()
    load.unharmed()


def test_restart_under_load(app: App) -> None:
    before = app.pids()
    with Load(app, http2=True) as load:
        app.command("restart").ok()
        load.more()
    load.unharmed()
    assert app.pids() != before
    assert app.releases() == {1: "live"}
    app.golive.no_strays()


def test_scale_up_and_down_under_load(make_app: MakeApp) -> None:
    app = make_app(toml=SCALED)
    app.up().ok()
    first = app.pids()
    with Load(app, users=6, http2=True) as load, Load(app, ("/echo",), method="POST", users=2) as posts:
        for count in (3, 1):
            app.command("scale", f"api={count}").ok()
            assert len(app.pids()) == count
            load.more(60)
    load.unharmed()
    posts.unharmed()
    assert app.pids() == first
    refused = app.command("scale", "api=7").failed(2)
    assert "1 to 3 instances" in refused.err
    app.golive.no_strays()


def test_scaling_to_what_never_gets_ready_changes_nothing(make_app: MakeApp) -> None:
    """What was asked for is not there, so what was before stays as it was."""
    app = make_app(toml=SCALED)
    app.up().ok()
    first = app.pids()
    # The artifact is the app's own: from now on another instance of it exits at once.
    release = app.golive.query("SELECT artifacts FROM release WHERE app = ?", app.name)[0][0]
    settings = app.golive.home.artifacts / json.loads(release)["api"] / "app" / "settings.json"
    settings.unlink()
    app.command("scale", "api=2").failed()
    assert app.pids() == first
    app.golive.no_strays()


@pytest.mark.parametrize("fixed", [False, True], ids=["its port chosen", "a port of its own"])
def test_a_service_that_may_not_overlap_holds_its_requests(make_app: MakeApp, fixed: bool) -> None:
    app = make_app(toml=SOLO + (f"port = {ports.choose()}\n" if fixed else ""))
    app.up().ok()
    with Load(app, users=2) as gets, Load(app, ("/echo",), method="POST", users=2) as posts:
        app.change(version="2")
        app.up().ok()
        gets.more()
        assert app.version() == "2"
        app.command("rollback").ok()
        assert app.version() == "1"
        posts.more()
    gets.unharmed()
    posts.unharmed()
    app.golive.no_strays()


@pytest.mark.nightly
def test_a_service_that_may_not_overlap_comes_back_when_its_successor_fails(make_app: MakeApp) -> None:
    app = make_app(toml=SOLO)
    app.up().ok()
    with Load(app, users=2) as gets, Load(app, ("/echo",), method="POST", users=2) as posts:
        for way in ("exit", "unready"):
            app.change(version="2", fail=way)
            app.up().failed()
            assert app.version() == "1"
        gets.more()
        posts.more()
    gets.unharmed()
    posts.unharmed()
    assert gets.seen.keys() == {"1"}
    app.golive.no_strays()


def test_a_service_that_may_not_overlap_comes_back_when_verifying_fails(make_app: MakeApp) -> None:
    app = make_app(toml=SOLO.replace('route = "/"', 'route = "/api"') + f"port = {ports.choose()}\n")
    app.up().ok()
    app.change(version="2", fail="broken")
    app.up().failed()
    assert app.version("/api") == "1"
    assert len(app.pids("solo")) == 1
    app.golive.no_strays()


def test_a_change_of_one_service_touches_no_other(make_app: MakeApp) -> None:
    app = make_app(toml=API + SITE, services=("api",))
    app.write("site/index.html", "<p>1</p>")
    app.up().ok()
    api, release = app.pids(), app.status()["release"]

    app.write("site/index.html", "<p>2</p>")
    with Load(app, ("/", "/site/")) as load:
        app.up().ok()
        load.more()
    load.unharmed()
    assert app.get("/site/").text == "<p>2</p>"
    assert app.pids() == api
    assert app.status()["release"] == release + 1

    app.change(version="2")
    app.up().ok()
    assert app.pids() != api
    assert app.get("/site/").text == "<p>2</p>"


def test_up_again_has_nothing_to_do(app: App) -> None:
    before = app.golive.processes()
    result = app.up().ok()
    assert "nothing to do" in result.err
    assert app.golive.processes() == before
    assert app.releases() == {1: "live"}


def test_a_variable_is_in_force_after_the_next_deploy(make_app: MakeApp) -> None:
    app = make_app(extra='\n[env.GREETING]\ndefault = "hello"\n')
    app.up().ok()
    assert app.get("/env?name=GREETING").text == "hello"
    app.command("env", "set", "GREETING=good day").ok()
    assert app.get("/env?name=GREETING").text == "hello"
    with Load(app) as load:
        app.up().ok()
        load.more()
    load.unharmed()
    assert app.get("/env?name=GREETING").text == "good day"
    app.command("rollback").ok()
    assert app.get("/env?name=GREETING").text == "hello"
    app.command("env", "unset", "GREETING").ok()
    assert "nothing to do" in app.command("env", "unset", "GREETING").ok().err


@pytest.mark.nightly
def test_many_deploys_and_rollbacks_under_load(app: App) -> None:
    """Seeded by its own order: twenty of each, back to back."""
    with Load(app, users=8, http2=True) as load, Load(app, ("/echo",), method="POST", users=2) as posts:
        for version in range(2, 22):
            app.change(version=str(version))
            app.up().ok()
            app.command("rollback").ok()
    load.unharmed()
    posts.unharmed()
    app.golive.no_strays()
