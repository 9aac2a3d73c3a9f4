from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from servers import Server
from threadr.quota import Quota, Usage, Window, periods, resets
from threadr.quota_rows import QuotaRows
from threadr.settings import Limits


def test_many_at_once_take_no_more_than_there_is(cache: tuple[Server, str]) -> None:
    async def race() -> None:
        async with Redis.from_url(cache[1], decode_responses=True) as redis:
            quota, limits = Quota(redis, "race:"), Limits(7, 100)
            taken = await asyncio.gather(*(quota.take("c", limits) for _ in range(40)))
            assert sum(usage.allowed for usage in taken) == 7
            assert (await quota.usage("c", limits)).month.used == 7
            await quota.give_back("c")
            assert (await quota.usage("c", limits)).day.left == 1
            for key in quota.keys("c", datetime.now(UTC)):
                assert 0 < await redis.ttl(key) <= 31 * 86400

    asyncio.run(race())


def test_the_month_counts_when_the_day_has_room(cache: tuple[Server, str]) -> None:
    async def spend() -> Usage:
        async with Redis.from_url(cache[1], decode_responses=True) as redis:
            quota = Quota(redis, "month:")
            for _ in range(3):
                usage = await quota.take("c", Limits(10, 2))
            return usage

    usage = asyncio.run(spend())
    assert not usage.allowed
    assert (usage.day.left, usage.month.left) == (8, 0)
    assert usage.retry_after > 0
    assert usage.headers()["Retry-After"] == str(usage.retry_after)


def test_rows_of_postgresql_count_as_redis_does(database: tuple[Server, str]) -> None:
    async def race() -> None:
        async with AsyncConnectionPool(database[1], min_size=4, max_size=8, kwargs={"autocommit": True}) as pool:
            quota, limits = QuotaRows(pool), Limits(7, 100)
            assert (await quota.usage("rows", limits)).day.used == 0
            taken = await asyncio.gather(*(quota.take("rows", limits) for _ in range(40)))
            assert sum(usage.allowed for usage in taken) == 7
            assert (await quota.usage("rows", limits)).month.used == 7
            await quota.give_back("rows")
            assert (await quota.usage("rows", limits)).day.left == 1
            async with pool.connection() as connection:
                query = "SELECT period, used, expires_at > now() FROM quota WHERE client = 'rows'"
                rows = await (await connection.execute(query)).fetchall()
            assert {period: (used, later) for period, used, later in rows} == dict.fromkeys(
                periods(datetime.now(UTC)), (6, True)
            )

    asyncio.run(race())


def test_resets_are_midnight_and_the_first() -> None:
    assert resets(datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)) == (datetime(2026, 2, 1, tzinfo=UTC),) * 2
    day, month = resets(datetime(2026, 12, 5, 1, tzinfo=UTC))
    assert (day, month) == (datetime(2026, 12, 6, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def test_retry_after_is_the_later_of_the_two() -> None:
    now = datetime(2026, 2, 27, 23, tzinfo=UTC)
    day, month = (Window(1, 1, at) for at in resets(now))
    assert Usage(day, month, now, False).retry_after == 25 * 3600
    assert Usage(day, Window(9, 1, month.resets_at), now, False).retry_after == 3600
    assert Usage(Window(2, 1, day.resets_at), Window(9, 1, month.resets_at), now).retry_after == 0
