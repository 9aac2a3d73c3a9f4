"""golive restore --before-migration, as the daemon does it: what the last migration took away is there again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from backed_host import is_received, look_until_received
from copies_host import SHOP, SHOP_BLUEPRINT, end_all, live_app, make_host

from golive.daemon.backups import Backups
from golive.home import Home
from golive.release import backups, copies, resources, restores
from golive.release.host import Host
from golive.release.restores import Asked


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, SHOP_BLUEPRINT)
    yield host
    for copy in host.state.copies(SHOP):
        await copies.stop(host, copy)
    await resources.stop(host, SHOP, "db/wal")
    await end_all(host)


@pytest.mark.nightly
async def test_what_a_migration_took_away_comes_back(host: Host) -> None:
    looking = Backups(host)
    await look_until_received(looking, host)
    found = await backups.backed(host, SHOP, "db")

    def sql(query: str) -> None:
        with found.server.session("shop") as session:
            session.execute(query.encode())

    sql("CREATE TABLE kept AS SELECT 1 AS id, 'mine' AS name")
    await backups.create(host, found, lambda _: None)
    sql("INSERT INTO kept VALUES (2, 'also')")
    id = host.state.queue_deployment(SHOP, "deploy", {}, "me")
    step = host.state.begin_step(id, "migrate")
    sql("ALTER TABLE kept DROP COLUMN name")
    host.state.end_step(id, step, "done", "1 applied, schema at 1")
    sql("INSERT INTO kept VALUES (3)")
    await is_received(host)

    done = await restores.make(host, found, Asked(before_migration=True), "me", lambda _: None)

    copy = await copies.store(host, copies.find(host, SHOP, done["copy"]))
    with backups.server_of(copy).session("shop") as session:  # type: ignore[arg-type]
        assert session.execute("SELECT id, name FROM kept ORDER BY id").fetchall() == [(1, "mine"), (2, "also")]
    with found.server.session("shop") as session:
        assert session.execute("SELECT id FROM kept ORDER BY id").fetchall() == [(1,), (2,), (3,)]
    await looking.stop()
