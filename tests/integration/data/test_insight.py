"""Each problem is planted in a real server, and found."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest
from data_stores import Running, make

from golive.blueprint.models import Resource
from golive.data import Placement, Store, postgres_facts, postgres_insight, redis_insight
from golive.data.external import open_postgres, target_of
from golive.data.insight import Finding
from golive.data.inspect import insight
from golive.data.redis import Redis
from golive.engines import Engines
from golive.errors import ResourceFailed
from golive.secret import Secret
from golive.system.resp import Connection

POSTGRES = Resource(engine="postgres")
STRICT = postgres_insight.Limits(
    counted=0, unused_index=1, scanned_table=8192, scans=3, foreign_key_table=0, bloat_size=8192, dead_rows=100,
    never_analyzed=1, open=0.01, idle=0.01, slow=0, slow_calls=1, cache_reads=1, cache=1.1, frozen=0, connections=0,
)  # fmt: skip
PLANT = """
CREATE TABLE customer (id bigint PRIMARY KEY, mail text NOT NULL);
CREATE TABLE "Order" (id serial PRIMARY KEY, customer bigint REFERENCES customer, note text);
CREATE INDEX order_note ON "Order" (note);
CREATE INDEX order_note_again ON "Order" (note);
CREATE INDEX order_recent ON "Order" (note) WHERE id > 10;
INSERT INTO customer SELECT n, 'someone' || n FROM generate_series(1, 2000) n;
INSERT INTO "Order" (customer, note) SELECT n, repeat('x', 200) || n FROM generate_series(1, 2000) n;
SELECT setval('"Order_id_seq"', 2000000000);
ALTER TABLE customer SET (autovacuum_enabled = off);
ALTER TABLE "Order" SET (autovacuum_enabled = off);
"""


async def started(engines: Engines, place: Placement, running: Running, version: int) -> tuple[Store, Secret]:
    store = make(place, await engines.find("postgres", version), POSTGRES)
    await store.prepare()
    await running(store)
    await store.provision()
    url = store.variables()["url"]
    assert isinstance(url, Secret)
    return store, url


async def facts_of(url: Secret) -> postgres_facts.PostgresFacts:
    async with await open_postgres(target_of(POSTGRES, url)) as connection:
        return await postgres_facts.read_facts(connection)


@pytest.mark.parametrize("version", [15, 18])
async def test_every_planted_problem_of_postgres_is_found(
    engines: Engines, place: Placement, running: Running, version: int
) -> None:
    store, url = await started(engines, place, running, version)
    async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as db:
        await db.execute(PLANT)
        await db.execute("ANALYZE")
        await db.execute('DELETE FROM "Order" WHERE id <= 1900')
        for _ in range(5):
            await db.execute("SELECT count(*) FROM customer WHERE mail = 'nobody'")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await db.execute("INSERT INTO customer VALUES (0, 'x'), (-1, 'x')")
            await db.execute("CREATE UNIQUE INDEX CONCURRENTLY customer_mail ON customer (mail)")
        async with await psycopg.AsyncConnection.connect(url.reveal()) as idle:
            await idle.execute("UPDATE customer SET mail = 'p@ssw0rd' WHERE id = 7")
            await db.execute("SELECT pg_stat_force_next_flush()" if version >= 15 else "SELECT 1")
            await counted(url)
            facts = await facts_of(url)

    assert facts.hidden == ()
    assert facts.statements == "read"
    assert not any("golive" in slow.query for slow in facts.slow)
    assert facts.connections["idle in transaction"] == 1
    found = postgres_insight.findings(facts, STRICT)
    about = {(each.code, each.about) for each in found}
    pid = next(each.pid for each in facts.sessions if each.state == "idle in transaction")
    assert {
        ("duplicate-index", "public.order_note_again"),
        ("unused-index", "public.order_recent"),
        ("invalid-index", "public.customer_mail"),
        ("foreign-key-without-index", 'public."Order"'),
        ("dead-rows", 'public."Order"'),
        ("missing-index", "public.customer"),
        ("sequence", 'public."Order_id_seq"'),
        ("idle-in-transaction", f"session {pid}"),
        ("wraparound", "my_app"),
        ("connections", "connections"),
        ("slow-query", "a query"),
        ("cache", "my_app"),
    } <= about
    assert not {each.about for each in found if each.code == "duplicate-index"} & {"public.order_recent"}
    assert one(found, "sequence").level == "critical"
    assert 'ALTER TABLE public."Order" ALTER COLUMN id TYPE bigint;' in one(found, "sequence").todo
    assert 'CREATE INDEX CONCURRENTLY ON public."Order" (customer);' in one(found, "foreign-key-without-index").todo
    assert "p@ssw0rd" not in str(found)
    await with_what_it_says_done(url, found)

    usual = await insight(POSTGRES, url, store)
    assert usual.version.startswith(f"{version}.")
    assert {each.code for each in usual.findings} == {"invalid-index"}


async def counted(url: Secret) -> None:
    """Waits until the sessions' counters have arrived where they are read."""
    async with asyncio.timeout(120):
        while True:
            facts = await facts_of(url)
            tables = {each.name: each for each in facts.tables}
            if tables["customer"].seq_scans >= 4 and tables["Order"].dead >= 1900 and facts.slow:
                return
            await asyncio.sleep(0.1)


async def with_what_it_says_done(url: Secret, found: tuple[Finding, ...]) -> None:
    """The SQL of the findings runs as it stands, and they are gone."""
    mended = ("duplicate-index", "foreign-key-without-index", "sequence")
    async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as db:
        await db.execute("DELETE FROM customer WHERE mail IN ('x')")
        for each in found:
            if each.code in mended:
                await db.execute(each.todo.rpartition(";")[0].encode())
    after = {each.code for each in postgres_insight.findings(await facts_of(url), STRICT)}
    assert not after & set(mended)


def one(found: tuple[Finding, ...], code: str) -> Finding:
    return next(each for each in found if each.code == code)


async def test_gaps_are_estimated_and_a_locked_table_holds_nothing_up(
    engines: Engines, place: Placement, running: Running
) -> None:
    _, url = await started(engines, place, running, 15)
    async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as db:
        await db.execute("CREATE TABLE log (id bigint PRIMARY KEY, line text)")
        await db.execute("INSERT INTO log SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n")
        await db.execute("VACUUM ANALYZE log")
        dense = {each.kind: each for each in (await facts_of(url)).bloat}
        await db.execute("DELETE FROM log WHERE id % 10 <> 0")
        await db.execute("VACUUM ANALYZE log")
        gaps = {each.kind: each for each in (await facts_of(url)).bloat}
        async with db.transaction():
            await db.execute("LOCK TABLE log")
            locked = await facts_of(url)

    for kind in ("table", "index"):
        assert dense[kind].wasted < dense[kind].size * 0.15, kind  # type: ignore[index]
        assert gaps[kind].wasted > gaps[kind].size * 0.8, kind  # type: ignore[index]
    assert locked.hidden == ("exact sizes of tables",)
    assert locked.tables[0].name == "log"
    assert locked.tables[0].table > 2_000_000


async def test_a_postgres_that_is_away_says_so(place: Placement) -> None:
    url = Secret(f"postgresql://me:hunter22-hunter22@127.0.0.1:{place.port}/app")
    with pytest.raises(ResourceFailed, match="cannot be used") as caught:
        await insight(replace_url(), url, None)
    assert "hunter22" not in str(caught.value.to_json())


def replace_url() -> Resource:
    return Resource(engine="postgres", url_from="DATABASE_URL")


async def test_every_planted_problem_of_redis_is_found(engines: Engines, place: Placement, running: Running) -> None:
    resource = Resource(engine="redis", memory=8_000_000)
    store = make(place, await engines.find("redis", None), resource, "cache")
    assert isinstance(store, Redis)
    await store.prepare()
    await running(store)
    await store.provision()
    url = store.variables()["url"]
    assert isinstance(url, Secret)
    async with store.as_admin() as admin:
        await admin.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
        await admin.call("SET", "small", "value-of-somebody")
        await admin.call("GET", "nowhere")
        await admin.call("CONFIG", "SET", "slowlog-log-slower-than", "1000000")
        await fill(admin, 0.8)

    found = await insight(resource, url, store)

    strict = redis_insight.Limits(lookups=1, slow=0)
    async with store.as_admin() as admin:
        facts = await redis_insight.read_facts(admin)
        about = {(each.code, each.about) for each in redis_insight.findings(facts, strict)}
        full = redis_insight.findings(replace(facts, used=facts.limit), strict)
        await admin.call("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        volatile = redis_insight.findings(await redis_insight.read_facts(admin), strict)
        await admin.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        await fill(admin, 1.6)
        evicting = redis_insight.findings(await redis_insight.read_facts(admin), strict)
    assert "memory" in {each.code for each in found.findings}
    assert {("memory", "memory"), ("hit-rate", "look-ups"), ("slow-command", "SET small")} <= about
    assert "value-of-somebody" not in str(found)
    assert one(full, "memory").level == "critical"
    assert one(volatile, "nothing-to-evict").level == "critical"
    assert one(evicting, "evicted").level == "note"


async def fill(admin: Connection, share: float) -> None:
    """Write until this much of the limit was used, evicted or not."""
    before = await redis_insight.read_facts(admin)
    for number in range(int((before.limit * share - before.used) / 50_000) + 1):
        await admin.call("SET", f"{share}/{number}", "x" * 50_000)


async def test_redis_by_url_shows_what_its_account_may_see(
    engines: Engines, place: Placement, running: Running
) -> None:
    resource = Resource(engine="redis", persistence="none")
    store = make(place, await engines.find("redis", None), resource, "cache")
    await store.prepare()
    await running(store)
    await store.provision()
    url = store.variables()["url"]
    assert isinstance(url, Secret)

    theirs = await insight(Resource(engine="redis", url_from="REDIS_URL"), url, None)
    ours = await insight(resource, url, store)

    assert theirs.facts["slow"] is None
    assert theirs.facts["saves"] is None
    assert ours.facts["saves"] is False
    assert one(ours.findings, "not-kept").level == "note"
