"""golive backup and restore of a Redis: snapshots by hand, proven, and put back."""

from __future__ import annotations

import time
from typing import Any

import pytest
from e2e_apps import MakeApp
from e2e_harness import App, until
from e2e_load import Load

RESOURCES = '\n[resources]\ncache = "redis"\n'


def redis(app: App, *words: str) -> str:
    return app.command("db", "shell", "cache", "--", *words).ok().out.strip()


def listed(app: App) -> list[dict[str, Any]]:
    found: dict[str, Any] = app.command("backup", "list", "--json").json()["databases"][0]
    assert (found["name"], found["engine"], found["receiving"]) == ("cache", "redis", None)
    backups: list[dict[str, Any]] = found["backups"]
    return backups


def killed_in_a_restore(app: App, id: str, seconds: float) -> None:
    """One of the two is there as a whole, whenever the daemon was killed."""
    command = app.golive.start("restore", "--backup", id, "--yes", "--app", app.name)
    time.sleep(seconds)
    app.golive.kill_daemon()
    app.golive.finish(command)
    app.golive("status")
    until("Redis to answer", lambda: app.command("db", "shell", "cache", "--", "PING").out.strip() == "PONG")
    assert redis(app, "MGET", "a", "b", "c") in ("1\n2\n", "1\n2", "\n\n3", "3")


@pytest.mark.parametrize(
    "kills", [(), pytest.param((0.1, 0.4, 0.5, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0), marks=pytest.mark.nightly)]
)
def test_a_snapshot_is_made_proven_and_put_back(make_app: MakeApp, kills: tuple[float, ...]) -> None:
    app = make_app(extra=RESOURCES)
    app.up().ok()
    redis(app, "MSET", "a", "1", "b", "2")
    assert "golive backup key" in app.command("backup", "create").ok().err
    (made,) = listed(app)
    assert (made["status"], made["engine"]) == ("unproven", "redis")
    assert "WAL" not in app.command("backup", "verify").ok().err
    assert "2 keys" in app.command("backup", "drill", "-r", "cache").ok().out
    assert "proven" in app.command("backup", "list").ok().out

    redis(app, "DEL", "a", "b")
    redis(app, "SET", "c", "3")
    assert "there is nothing between two snapshots" in app.command("restore", "--to-time", "00:00").failed(2).err
    done = app.command("restore", "--backup", made["id"])
    assert "nothing of the live database has changed" in done.ok().err
    everything = next(line.split() for line in done.out.splitlines() if line.startswith("all keys"))
    assert everything[2:5] == ["1", "2", "*"]
    assert redis(app, "GET", "c") == "3"
    with Load(app) as load:
        swapped = app.command("restore", "swap", "--yes", "--json").json()
    load.unharmed()
    assert (redis(app, "MGET", "a", "b"), redis(app, "EXISTS", "c")) == ("1\n2", "0")
    app.golive.kill_daemon()
    unit = {unit: pid for pid, unit in app.golive.supervised().items()}[f"{app.name}/production/resource/cache"]
    assert unit
    assert redis(app, "GET", "a") == "1"
    [kept] = app.command("restore", "list", "--json").ok().json()["copies"]
    assert (kept["name"], kept["kind"]) == (swapped["kept"], "replaced")
    app.command("restore", "undo", "--yes").ok()
    assert (redis(app, "GET", "c"), redis(app, "EXISTS", "a")) == ("3", "0")
    for seconds in kills:
        killed_in_a_restore(app, made["id"], seconds)
    app.command("restore", "--backup", made["id"], "--yes").ok()
    assert redis(app, "MGET", "a", "b") == "1\n2"
