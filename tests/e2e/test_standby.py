"""golive standby: a host follows another one by its backups, takes its place, and the other one does not serve."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, new_home, until

EXTRA = '\n[resources]\ndb = "postgres"\n\n[backups]\nto = "{to}"\n'


def bundles(place: Path) -> list[str]:
    return sorted(path.name for path in place.glob("host/*/made/*") if not path.name.startswith("."))


def sql(app: App, query: str) -> str:
    return app.command("db", "shell", "db", "--", "-Atc", query).ok().out.strip()


def primary(make_app: MakeApp, golive: Golive, place: Path) -> tuple[App, str]:
    """An app with one row in a base backup, and a bundle of its host; the key of both."""
    app = make_app(golive, extra=EXTRA.format(to=place))
    app.up().ok()
    sql(app, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
    app.command("backup", "create").ok()
    until("the host to be there too", lambda: bundles(place))
    return app, golive("backup", "key", "--yes").ok().out.strip()


def state(golive: Golive) -> dict[str, Any]:
    found: dict[str, Any] = golive.api.get("/v1/standby")
    return found


def written(golive: Golive) -> float:
    """When the newest transaction that the standby has was committed."""
    seen = state(golive)["databases"]
    return seen[0].get("last_write") or 0.0 if seen else 0.0


def follow(golive: Golive, place: Path, key: str) -> None:
    golive("standby", "--from", place, "--key-file", "-", input=key).ok()


def serves(app: App) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return app.version() == "1"
    return False


@pytest.mark.nightly
def test_a_standby_follows_and_takes_the_place_of_a_host_that_may_not_come_back(
    make_app: MakeApp, elsewhere: Path
) -> None:
    with new_home() as old, new_home() as new:
        app, key = primary(make_app, old, elsewhere)
        follow(new, elsewhere, key)
        assert "is a standby of" in new("status", "--all").failed().err

        moment, before = time.time(), bundles(elsewhere)
        sql(app, "INSERT INTO kept VALUES (2)")
        old("env", "set", "SINCE=1", "--app", app.name).ok()
        new.kill_daemon()
        until("what was written to arrive", lambda: written(new) > moment)
        assert "has all that has arrived" in new("standby", "status").ok().out
        until("a newer bundle", lambda: bundles(elsewhere) > before)

        old.kill_daemon()
        promoting = new.start("standby", "promote", "--force")
        until("the moment to kill it", new.home.recovering.exists, pause=0.001)
        promoting.send_signal(signal.SIGKILL)
        promoting.communicate()
        assert "golive standby promote" in new("status", "--all").failed().err
        done = new("standby", "promote", "--json").ok().json()
        assert done["databases"][0]["last_write"].startswith("last write 20")
        again = replace(app, golive=new)
        assert again.version() == "1"
        assert sql(again, "SELECT id FROM kept ORDER BY id").split() == ["1", "2"]
        assert "SINCE" in again.command("env", "ls").ok().out
        sql(again, "INSERT INTO kept VALUES (3)")
        again.command("backup", "create").ok()
        assert "nothing to do" in new("standby", "promote").ok().text

        assert serves(app)  # it knows nothing yet, and nobody looks after it
        assert "took the place of this host" in old("status", "--all").failed().err
        until("everything to end there", lambda: not old.processes())
        assert not serves(app)
        refusal = app.command("backup", "create").failed().err
        assert "golive standby --from" in " ".join(refusal.split())


@pytest.mark.nightly
def test_a_host_that_is_alive_ends_everything_once_it_sees_the_fence(make_app: MakeApp, elsewhere: Path) -> None:
    with new_home() as old, new_home() as new:
        app, key = primary(make_app, old, elsewhere)
        follow(new, elsewhere, key)
        old("env", "set", "SINCE=1", "--app", app.name).ok()
        until("a sign of life", lambda: state(new)["alive"])  # the host learns of its standby with its next bundle
        refused = new("standby", "promote").failed()
        assert "is alive" in refused.err
        assert not new.home.recovering.exists()
        until("it to follow", lambda: [each["state"] for each in state(new)["databases"]] == ["follows"])
        new("standby", "promote", "--force").ok()
        sql(app, "INSERT INTO kept VALUES (99)")  # lost: it is written after the last that was fetched
        until("everything to end there", lambda: not old.processes())
        assert "took the place of this host" in old("status", "--all").failed().err
        again = replace(app, golive=new)
        assert sql(again, "SELECT id FROM kept").split() == ["1"]

        # It is to go on instead: the other one ends, and this one has what it had.
        old("recover", "--take-over").ok()
        until("it to serve again", lambda: serves(app))
        assert sql(app, "SELECT id FROM kept ORDER BY id").split() == ["1", "99"]
        sql(again, "INSERT INTO kept VALUES (5)")
        until("everything to end on the other", lambda: not new.processes())
