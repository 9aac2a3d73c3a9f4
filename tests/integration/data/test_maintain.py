"""VACUUM and REINDEX of a real server: done, broken off, taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from data_stores import Running, make

from golive.blueprint.models import Resource
from golive.data import Placement
from golive.data.maintain import Step, reindex, vacuum
from golive.engines import Engines
from golive.errors import NotFound, UsageError
from golive.secret import Secret

POSTGRES = Resource(engine="postgres")
PLANT = """
CREATE TABLE "Log" (id bigint PRIMARY KEY, line text, EXCLUDE USING btree (id WITH =));
CREATE INDEX log_line ON "Log" (line);
ALTER TABLE "Log" SET (autovacuum_enabled = off);
INSERT INTO "Log" SELECT n, 'line ' || n FROM generate_series(1, 20000) n;
DELETE FROM "Log" WHERE id % 10 <> 0;
"""
INVALID = "SELECT c.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE NOT x.indisvalid"


@pytest.fixture
async def url(engines: Engines, place: Placement, running: Running) -> Secret:
    store = make(place, await engines.find("postgres", 15), POSTGRES)
    await store.prepare()
    await running(store)
    await store.provision()
    found = store.variables()["url"]
    assert isinstance(found, Secret)
    async with await psycopg.AsyncConnection.connect(found.reveal(), autocommit=True) as db:
        await db.execute(PLANT)
    return found


async def test_vacuum_and_reindex_give_back_what_is_dead(url: Secret) -> None:
    steps: list[Step] = []
    await vacuum(POSTGRES, url, "Log", steps.append)
    made = await reindex(POSTGRES, url, "Log", steps.append)

    assert [(s.kind, s.name) for s in steps[:2]] == [("begun", 'public."Log"'), ("done", 'public."Log"')]
    by_name = {step.name: step for step in made}
    assert by_name["public.log_line"].after < by_name["public.log_line"].before / 2
    assert {step.kind for step in made} == {"done", "skipped"}
    again = await reindex(POSTGRES, url, "log_line", steps.append)
    assert [step.name for step in again] == ["public.log_line"]


async def test_broken_off_it_ends_on_the_server_and_leaves_nothing(url: Secret) -> None:
    """A session that holds a snapshot keeps REINDEX CONCURRENTLY waiting, so that it is surely under way."""
    steps: list[Step] = []
    async with await psycopg.AsyncConnection.connect(url.reveal()) as holder:
        await holder.execute("UPDATE \"Log\" SET line = 'x' WHERE id = 10")
        work = asyncio.create_task(reindex(POSTGRES, url, "log_line", steps.append))
        await until(lambda: any(step.waits_for == holder.info.backend_pid for step in steps))
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as db:
            busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'REINDEX%%' AND state = 'active'"
            assert await (await db.execute(busy)).fetchall() == [(0,)]
    async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as db:
        # The holder kept that from being dropped too; the next one does it.
        assert await (await db.execute(INVALID)).fetchall() == [("log_line_ccnew",)]
        await reindex(POSTGRES, url, "log_line", steps.append)
        assert await (await db.execute(INVALID)).fetchall() == []
    assert ("cleared", "public.log_line_ccnew") in [(step.kind, step.name) for step in steps]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.05)


async def test_a_name_that_is_none_and_a_pooler_are_told(url: Secret) -> None:
    with pytest.raises(NotFound, match="no table Lag") as caught:
        await vacuum(POSTGRES, url, "Lag", lambda _: None)
    assert caught.value.hint == "did you mean Log?"
    with pytest.raises(UsageError, match="direct connection"):
        await vacuum(POSTGRES, Secret(url.reveal() + "?pgbouncer=true"), None, lambda _: None)
