"""A replica beside a database: read through its own address, and promoted while an app writes through the pool."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time

import psycopg
import pytest
from e2e_apps import MakeApp
from e2e_harness import App, until

REPLICATED = '\n[resources.db]\nengine = "postgres"\nversion = 15\nreplicas = 1\npool = true\n'


def standby(app: App) -> dict[str, object]:
    found: dict[str, object] = app.status()["copies"].get("db@replica-1", {})
    return found if found.get("lag", {"state": ""})["state"] == "streaming" else {}  # type: ignore[index]


@pytest.mark.skipif(
    shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") is None,
    reason="PgBouncer is not on this machine (apt-get install pgbouncer)",
)
def test_reads_go_to_the_replica_and_no_write_fails_while_it_is_promoted(make_app: MakeApp) -> None:
    app = make_app(extra=REPLICATED)
    app.up().ok()
    url, reads = (
        app.command("run", "--", "printenv", v).ok().out.strip() for v in ("DATABASE_URL", "DATABASE_REPLICA_URL")
    )
    with psycopg.connect(url, prepare_threshold=None) as connection:
        connection.execute("CREATE TABLE item (id serial PRIMARY KEY)")
    found = until("the replica", lambda: standby(app), timeout=120)

    def asked() -> object:
        with psycopg.connect(reads) as connection:
            return connection.execute("SELECT pg_is_in_recovery(), count(*) FROM item").fetchone()

    def answered() -> object:
        """A connection that was under way when the server was killed ends; one that begins later does not."""
        try:
            return asked()
        except psycopg.OperationalError:
            return None

    until("the edge to know it", lambda: asked() == (True, 0))
    os.kill(int(str(found["pid"])), signal.SIGKILL)
    until("the primary to answer in its place", lambda: answered() in ((False, 0), (True, 0)), timeout=120)
    until("it to be back", lambda: answered() == (True, 0))
    until("the replica to follow", lambda: standby(app), timeout=120)

    written, failed, over = [0], [], threading.Event()

    def write() -> None:
        with psycopg.connect(url, prepare_threshold=None, autocommit=True) as connection:
            while not over.is_set():
                try:
                    connection.execute("INSERT INTO item DEFAULT VALUES")
                    written[0] += 1
                except psycopg.Error as error:
                    failed.append(str(error))
                    return

    writer = threading.Thread(target=write)
    writer.start()
    until("writes", lambda: written[0] > 20)
    result = app.command("db", "promote", "--json").ok().json()
    before = written[0]
    until("writes after it", lambda: written[0] > before + 20)
    over.set()
    writer.join()

    assert failed == []
    assert result["kept"] == "db@replica-1"
    with psycopg.connect(url, prepare_threshold=None) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (written[0],)
    assert "db@replica-1: streaming" in until("it to be seen", lambda: standby(app) and app.command("status").ok().out)
    assert "replica      db@replica-1: streaming" in app.command("db", "insight", "db").out
    assert "no PostgreSQL 'cache'" in app.command("db", "promote", "cache").failed().err


def settled(app: App) -> bool:
    """The daemon that came after has put everything right."""
    copy = app.status()["copies"].get("db@replica-1", {})
    return copy.get("lag", {}).get("state") == "streaming"


def promote_killed(app: App, url: str, after: float) -> None:
    """kill -9 of the daemon so many seconds into a promotion, under writes; no acknowledged row is lost."""
    acknowledged: list[int] = []
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    while not over.is_set():
                        row = connection.execute("INSERT INTO item DEFAULT VALUES RETURNING id").fetchone()
                        assert row
                        acknowledged.append(row[0])
            except psycopg.Error:
                time.sleep(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    until("writes", lambda: len(acknowledged) > 20)
    command = app.golive.start("db", "promote", "--app", app.name)
    time.sleep(after)
    app.golive.kill_daemon()
    command.wait(timeout=30)
    command.communicate()
    until("a daemon", lambda: app.command("status").code == 0)
    seen = len(acknowledged)
    until("writes again", lambda: len(acknowledged) > seen + 20, timeout=120)
    over.set()
    writer.join()
    with psycopg.connect(url) as connection:
        kept = {row[0] for row in connection.execute("SELECT id FROM item").fetchall()}
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    assert set(acknowledged) <= kept
    until("the replica to follow", lambda: settled(app), timeout=120)


@pytest.mark.nightly
def test_a_daemon_that_is_killed_while_it_promotes_loses_nothing(make_app: MakeApp) -> None:
    app = make_app(extra=REPLICATED.replace("pool = true\n", ""))
    app.up().ok()
    url = app.command("run", "--", "printenv", "DATABASE_URL").ok().out.strip()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE item (id serial PRIMARY KEY)")
    until("the replica to follow", lambda: settled(app), timeout=120)
    dice = random.Random(os.environ.get("GOLIVE_SEED", "promotion"))
    for _ in range(int(os.environ.get("GOLIVE_ROUNDS", "4"))):
        promote_killed(app, url, dice.uniform(0.2, 2.5))
