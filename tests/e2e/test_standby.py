"""golive standby: a host follows another one by its backups, takes its place, and the other one does not serve."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from e2e_apps import MakeApp
from e2e_harness import App, Golive, new_home, until

from golive.backup import owner
from golive.backup.archive import Key
from golive.backup.bundle import Bundle
from golive.backup.location import Folder
from golive.errors import Fenced
from golive.release import host_bundle
from golive.system.offload import Offload

LONG = 90.0
"""Seconds for a host to look for the fence, every 15 s, and to end an app and its database in order."""
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


@contextlib.contextmanager
def stopped(golive: Golive) -> Iterator[None]:
    """Its daemon stands still: it sees nothing of what happens in the block before it is over."""
    pid = until("a daemon", golive.daemon)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_host_is_followed_fenced_and_may_go_on_after_all(elsewhere: Path) -> None:
    """Without an app: what the two of them do and refuse, quickly."""
    location = Folder(elsewhere)
    with new_home() as old, new_home() as new:
        assert "is no standby" in new("standby", "status").failed().err
        key = old("backup", "key", "--yes").ok().out.strip()
        host = bundled(old, location, key).host
        follow(new, elsewhere, key)
        assert "alive is not known" in " ".join(new("standby", "promote").failed().err.split())
        owner.beat(location, host, "somebody", datetime.now(UTC))
        shown = new("status", "--all").ok().out
        assert "standby of" in shown and ", begun " in shown
        assert new("status", "--json").ok().json()["standby"]["since"] <= time.time()
        assert "is a standby of" in new("audit").failed().err
        [known] = owner.followers(location, host, datetime.now(UTC))
        assert known.machine == new.home.machine.read_text().strip()
        assert "is not empty" in old("standby", "--from", elsewhere, "--key-file", "-", input=key).failed().err
        until("a sign of life", lambda: state(new)["alive"])
        assert "is alive" in new("standby", "promote").failed().err
        assert not new.home.recovering.exists()
        new.kill_daemon()  # a standby that was refused goes on
        done = new("standby", "promote", "--force", "--json").ok().json()
        assert (done["host"], done["databases"]) == (host, [])
        kept = owner.find(location, host)
        assert kept
        assert (kept.machine, kept.epoch) == (new.home.machine.read_text().strip(), 2)
        assert "nothing to do" in new("standby", "promote").ok().text
        assert not new.home.standby.exists()

        with pytest.raises(Fenced) as caught:
            host_bundle.guard(old.home).require(location)
        old.home.fenced.write_text(json.dumps(caught.value.to_json()))
        old.kill_daemon()
        for words in (("status", "--all"), ("audit",)):
            refused = " ".join(old(*words).failed().err.split())
            assert "took the place of this host" in refused
            assert f"golive standby --from {elsewhere}" in refused
        old("recover", "--take-over").ok()
        until("it to go on", lambda: not old.home.fenced.exists())
        old("status", "--all").ok()


def bundled(golive: Golive, location: Folder, key: str) -> Bundle:
    async def make() -> Bundle:
        offload = Offload()
        try:
            given = (golive.home, location, Key.parse(key), lambda _: None)
            return await host_bundle.make(offload, *given, thorough=False)
        finally:
            await offload.close()

    return asyncio.run(make())


@pytest.mark.nightly
def test_a_standby_follows_and_takes_the_place_of_a_host_that_may_not_come_back(
    make_app: MakeApp, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose key gets a passphrase meanwhile, that both can read."""
    (tmp_path / "passphrase").write_text("correct horse battery")
    monkeypatch.setenv("GOLIVE_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    with new_home() as old, new_home() as new:
        app, key = primary(make_app, old, elsewhere)
        follow(new, elsewhere, key)

        moment, before = time.time(), bundles(elsewhere)
        sql(app, "INSERT INTO kept VALUES (2)")
        old("env", "set", "SINCE=1", "--app", app.name).ok()
        old("vault", "passphrase", input="correct horse battery").ok()
        new.kill_daemon()
        until("what was written to arrive", lambda: written(new) > moment)
        until("all of it", lambda: "has all that has arrived" in new("standby", "status").ok().out, pause=0.5)
        until("a newer bundle", lambda: bundles(elsewhere) > before)
        until("the new key", lambda: new.home.key.read_bytes() == old.home.key.read_bytes())
        until("it to go on with it", lambda: [each["state"] for each in state(new)["databases"]] == ["follows"])
        assert state(new)["trouble"] == {}

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
        said = " ".join(app.command("status").ok().out.split())
        assert "a standby follows this host, begun" in said and "it looked" in said
        until("it to follow", lambda: [each["state"] for each in state(new)["databases"]] == ["follows"])
        url = app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip()
        with stopped(old):  # a promotion may take longer than it takes the host to see the fence
            new("standby", "promote", "--force").ok()
            with psycopg.connect(url, autocommit=True) as db:
                db.execute("INSERT INTO kept VALUES (99)")  # lost: written after the last that was fetched
        until("everything to end there", lambda: not old.processes(), LONG)
        assert "took the place of this host" in old("status", "--all").failed().err
        again = replace(app, golive=new)
        assert sql(again, "SELECT id FROM kept").split() == ["1"]

        # It is to go on instead: the other one ends, and this one has what it had.
        old("recover", "--take-over").ok()
        until("it to serve again", lambda: serves(app))
        assert sql(app, "SELECT id FROM kept ORDER BY id").split() == ["1", "99"]
        sql(again, "INSERT INTO kept VALUES (5)")
        until("everything to end on the other", lambda: not new.processes(), LONG)
