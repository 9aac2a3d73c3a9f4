"""`golive check` stops the stores of a copy of the app: what it finds, and that nothing else is touched or left."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, until

SERVICE = """
[services.api]
source = "api"
command = "python app.py $PORT"
route = "/"
health = "/"
stop_timeout = "2s"

[env.MODE]
default = "{mode}"

[env.SIGNING_KEY]
type = "secret"
generate = true

[resources]
{resources}
"""
REDIS = 'cache = "redis"'
BOTH = f'db = "postgres"\n{REDIS}'


def make(make_app: MakeApp, mode: str, resources: str, home: Golive | None = None) -> App:
    app = make_app(home, toml=SERVICE.format(mode=mode, resources=resources), requirements="")
    app.write("api/app.py", Path(__file__).with_name("stores_app.py").read_text())
    app.up().ok()
    return app


def checked(app: App) -> dict[str, Any]:
    said = app.golive("check", app.name, "--only", "outage", "--json")
    return {one["id"]: one for one in json.loads(said.out)["checks"]}


def standing(app: App) -> dict[str, Any]:
    """Pids of what is live, by name."""
    status = app.status()
    found = {name: each["pid"] for name, each in status["resources"].items()}
    return found | {f"api.{one['slot']}": one["pid"] for one in status["services"]["api"]["instances"]}


def processes(app: App) -> list[Any]:
    """Of a copy's services."""
    return app.golive.query("SELECT unit FROM process WHERE unit LIKE '%/outage/%'")


def nothing_left(app: App) -> None:
    until("the end of the copies", lambda: not app.golive.query("SELECT name FROM resource WHERE name LIKE '%@%'"))
    until("the end of its processes", lambda: not processes(app))
    until("the end of its folder", lambda: not (app.golive.home.app(app.name, "production") / "outage").exists())
    app.golive.no_strays()


def test_redis_is_taken_from_a_copy(make_app: MakeApp) -> None:
    app = make(make_app, "honest", REDIS)
    before = standing(app)
    found = checked(app)
    assert {id: one["status"] for id, one in found.items()} == {
        "outage-database": "not applicable",
        "outage-redis": "pass",
        "outage-alive": "pass",
        "outage-recovers": "pass",
    }
    assert "503" in found["outage-redis"]["text"]
    assert standing(app) == before
    nothing_left(app)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("mode", "wrong"), [("deaf", {"outage-database"}), ("doomed", {"outage-database", "outage-redis", "outage-alive"})]
)
def test_what_does_not_notice_or_ends_is_found(make_app: MakeApp, mode: str, wrong: set[str]) -> None:
    app = make(make_app, mode, BOTH)
    before = standing(app)
    found = checked(app)
    assert {id for id, one in found.items() if one["status"] in ("fail", "warning")} == wrong, found
    assert standing(app) == before
    nothing_left(app)


@pytest.mark.nightly
def test_a_release_that_does_not_notice_fails_a_gate(make_app: MakeApp) -> None:
    app = make(make_app, "honest", REDIS)
    toml = (app.folder / "golive.toml").read_text().replace('"honest"', '"doomed"')
    app.write("golive.toml", toml.replace("[release]", '[release]\nrequire = ["outage"]'))
    said = app.up().failed()
    assert "outage-alive" in said.err
    assert app.status()["release"] == 1
    nothing_left(app)


@pytest.mark.nightly
def test_nothing_is_left_of_one_that_is_broken_off(make_app: MakeApp, own_home: Golive) -> None:
    """By Ctrl-C in the middle, and by the daemon's death."""
    app = make(make_app, "honest", BOTH, own_home)
    before = standing(app)
    for broken_off in ("the command", "the daemon"):
        command = app.golive.start("check", app.name, "--only", "outage")
        until("a copy's process", lambda: processes(app))
        if broken_off == "the command":
            command.send_signal(signal.SIGINT)
            app.golive.finish(command)
        else:
            app.golive.kill_daemon()
            app.golive.finish(command)
            app.golive("status").ok()
        nothing_left(app)
        assert standing(app) == before
    assert app.get("/").status_code == 200
