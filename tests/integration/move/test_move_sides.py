"""Copying, following, comparing and going back, on a real Redis and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from move_sides import Sides

from golive.errors import Conflict, GoliveError, MigrationFailed
from golive.move import rows, steps
from golive.move.worker import work
from golive.system.resp import RedisError

COUNTED = True


async def filled(sides: Sides, count: int = 300) -> None:
    for n in range(count):
        await sides.call("SET", f"threadr:quota:c{n}:2026-11", n, "EX", 5000)
    await sides.call("HSET", "threadr:user:1", "email", "é@example.org", "plan", "free", "other", "kept")
    await sides.call("SET", "threadr:thread:9", '{"title": "Nine", "likes": 3, "posts": [1, 2]}')
    await sides.call("SET", "threadr:else", "not mapped")


async def begun(sides: Sides, count: int = 300) -> None:
    await filled(sides, count)
    assert await steps.start(sides.move) == {"notices": True}
    sides.begin()
    await sides.swept()


def quota(sides: Sides, client: str) -> int | None:
    found = sides.query("SELECT used FROM quota WHERE client = %s", client)
    return found[0][0] if found else None


async def test_what_is_there_is_copied_and_what_comes_is_followed(sides: Sides) -> None:
    await begun(sides)
    assert sides.query("SELECT count(*), sum(used), count(expires_at) FROM quota") == [(300, 44850, 300)]
    assert sides.query("SELECT * FROM people") == [("1", "é@example.org", "free")]
    assert sides.query("SELECT * FROM stored") == [("9", "Nine", 3)]
    await sides.call("INCRBY", "threadr:quota:c7:2026-11", 1000)
    await sides.call("DEL", "threadr:quota:c8:2026-11")
    await sides.call("SET", "threadr:quota:new:2026-11", 1, "PX", 300)
    await sides.call("RENAME", "threadr:quota:c9:2026-11", "threadr:quota:d9:2026-11")
    await sides.until(lambda: quota(sides, "c7") == 1007 and quota(sides, "c8") is None, "two changes")
    await sides.until(lambda: quota(sides, "c9") is None and quota(sides, "d9") == 9, "a rename")
    await sides.until(lambda: quota(sides, "new") is None, "the end of a life")
    found = await steps.compare(sides.move)
    assert (found.equal, found.keys, found.rows) == (True, 301, 301)


async def test_differences_are_named(sides: Sides) -> None:
    await begun(sides, 5)
    await sides.end()
    sides.query("UPDATE quota SET used = 99 WHERE client = 'c1'")
    sides.query("DELETE FROM quota WHERE client = 'c2'")
    sides.query("INSERT INTO people VALUES ('7', 'x', 'y')")
    sides.query("UPDATE quota SET expires_at = expires_at + interval '1 hour' WHERE client = 'c3'")
    await sides.call("SET", "threadr:thread:bad", "no json")
    await sides.call("LPUSH", "threadr:user:list", "x")
    found = await steps.compare(sides.move)
    assert set(found.different) == {"threadr:quota:c1:2026-11", "threadr:quota:c3:2026-11"}
    assert (found.missing, found.extra) == (("threadr:quota:c2:2026-11",), ("threadr:user:7",))
    assert found.refused == ("threadr:user:list: it is not a hash", "threadr:thread:bad: it is no JSON")


async def test_what_was_written_while_the_worker_was_away_is_caught_up_with(sides: Sides) -> None:
    await begun(sides, 50)
    await sides.end()
    await sides.call("SET", "threadr:quota:c1:2026-11", 500)
    await sides.call("DEL", "threadr:quota:c2:2026-11", "threadr:user:1")
    sides.said.clear()
    sides.begin()
    await sides.swept()
    assert (quota(sides, "c1"), quota(sides, "c2")) == (500, None)
    assert (await steps.compare(sides.move)).equal


async def test_both_sides_follow_each_other_after_the_cut_over(sides: Sides) -> None:
    await begun(sides, 20)
    await steps.follow(sides.move)
    await sides.until(lambda: sides.said[-1]["both_ways"], "both ways")
    sides.query("UPDATE quota SET used = used + 100, expires_at = now() + interval '1 hour' WHERE client = 'c3'")
    sides.query("DELETE FROM quota WHERE client = 'c4'")
    sides.query("INSERT INTO quota VALUES ('pg', '2026-11', 5, NULL)")
    sides.query("UPDATE people SET plan = 'premium', email = NULL")
    sides.query("UPDATE stored SET likes = 4")
    await sides.call("INCR", "threadr:quota:c5:2026-11")
    await sides.until(lambda: quota(sides, "c5") == 6, "Redis to PostgreSQL")
    async with asyncio.timeout(120):
        while await sides.call("GET", "threadr:thread:9") != '{"title": "Nine", "likes": 4, "posts": [1, 2]}':
            await asyncio.sleep(0.02)
    assert await sides.call("GET", "threadr:quota:c3:2026-11") == "103"
    assert 3500 < await sides.call("TTL", "threadr:quota:c3:2026-11") <= 3600
    assert await sides.call("EXISTS", "threadr:quota:c4:2026-11") == 0
    assert (
        await sides.call("GET", "threadr:quota:pg:2026-11"),
        await sides.call("TTL", "threadr:quota:pg:2026-11"),
    ) == ("5", -1)
    assert await sides.call("HGETALL", "threadr:user:1") == ["plan", "premium", "other", "kept"]
    assert (await steps.compare(sides.move)).equal


async def test_a_row_that_changes_all_the_time_is_never_undone_by_its_echo(sides: Sides) -> None:
    await begun(sides, 3)
    await steps.follow(sides.move)
    await sides.until(lambda: sides.said[-1]["both_ways"], "both ways")
    for _ in range(60):
        await asyncio.to_thread(sides.query, "UPDATE quota SET used = used + 1 WHERE client = 'c1'")
    assert quota(sides, "c1") == 61
    await sides.until(lambda: not sides.query("SELECT FROM golive.move_change"), "an empty queue")
    await asyncio.sleep(0.3)
    assert (quota(sides, "c1"), await sides.call("GET", "threadr:quota:c1:2026-11")) == (61, "61")


@pytest.mark.parametrize("truth", ["redis", "postgres"])
async def test_after_a_pause_the_side_that_is_read_wins(sides: Sides, truth: str) -> None:
    await begun(sides, 5)
    await steps.follow(sides.move)
    await steps.set_truth(sides.move, truth)  # type: ignore[arg-type]
    await sides.end()
    await sides.call("SET", "threadr:quota:c1:2026-11", 700)
    await sides.call("SET", "threadr:quota:fresh:2026-11", 1)
    sides.query("UPDATE quota SET used = 800 WHERE client = 'c2'")
    sides.said.clear()
    sides.begin()
    await sides.swept()
    assert quota(sides, "c1") == (700 if truth == "redis" else 1)
    assert (quota(sides, "fresh"), await sides.call("GET", "threadr:quota:c2:2026-11")) == (1, "800"), sides.said


async def test_it_ends_and_leaves_nothing_behind(sides: Sides) -> None:
    before = await sides.move_notify()
    await begun(sides, 30)
    await steps.follow(sides.move)
    working = sides._working
    assert await steps.finish(sides.move, delete_keys=True) == 32
    assert working
    async with asyncio.timeout(120):
        await working
    assert await steps.finish(sides.move, delete_keys=False) == 0
    assert await sides.call("KEYS", "*") == ["threadr:else"]
    assert sides.query("SELECT count(*) FROM quota") == [(30,)]
    assert sides.query("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    assert sides.query("SELECT to_regclass('golive.move'), to_regproc('golive.move_note')") == [(None, None)]
    assert await sides.move_notify() == before


@pytest.mark.parametrize("moment", ["_exists", "say", "changes"])
async def test_it_may_end_between_two_statements_of_the_worker(
    sides: Sides, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(sides, 3)
    await steps.start(sides.move)
    await steps.follow(sides.move)
    then = getattr(rows, moment)

    async def ended(*given: Any, **named: Any) -> Any:
        """What it looked for was there a moment ago."""
        monkeypatch.undo()
        found = await then(*given, **named) if moment == "_exists" else None
        await steps.finish(sides.move, delete_keys=False)
        return found if moment == "_exists" else await then(*given, **named)

    monkeypatch.setattr(rows, moment, ended)
    async with asyncio.timeout(120):
        await work(sides.move)
    assert sides.query("SELECT to_regclass('golive.move')") == [(None,)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("DROP TABLE quota", "there is no such table"),
        ("ALTER TABLE quota DROP COLUMN used", "it has no column used"),
        ("ALTER TABLE quota ADD COLUMN must int NOT NULL", "must would be empty"),
        ("ALTER TABLE quota DROP CONSTRAINT quota_pkey", r"\(client, period\) is not its key"),
        ("ALTER TABLE quota ALTER COLUMN expires_at TYPE date", "expires_at is date"),
    ],
)
async def test_a_table_that_does_not_fit_is_refused_before_anything_changes(
    sides: Sides, change: str, why: str
) -> None:
    sides.query(change)
    with pytest.raises(MigrationFailed) as caught:
        await steps.start(sides.move)
    assert why.replace("\\", "") in str(caught.value.why)
    assert sides.query("SELECT to_regclass('golive.move')") == [(None,)]


async def test_a_table_with_rows_is_refused(sides: Sides) -> None:
    sides.query("INSERT INTO quota VALUES ('a', 'b', 1)")
    with pytest.raises(Conflict, match="quota is not empty"):
        await steps.start(sides.move)


async def test_a_value_that_postgresql_refuses_holds_up_no_other(sides: Sides) -> None:
    await sides.call("SET", "threadr:quota:bad:2026-11", "many")
    await begun(sides, 100)
    assert sides.query("SELECT count(*) FROM quota") == [(100,)]
    assert "threadr:quota:bad:2026-11" in (await steps.status(sides.move))["refused"]
    await sides.call("SET", "threadr:quota:bad:2026-11", "3")
    await sides.until(lambda: quota(sides, "bad") == 3, "the corrected value")
    assert (await steps.compare(sides.move)).equal


async def test_killed_again_and_again_under_writes_both_sides_end_equal(sides: Sides) -> None:
    """The worker, Redis and PostgreSQL, by kill -9 at random moments, seeded."""
    chance = random.Random(20261121)
    await filled(sides, 200)
    await steps.start(sides.move)
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            key = f"threadr:quota:c{chance.randrange(250)}:2026-11"
            words: list[str | int] = chance.choice([["INCR", key], ["DEL", key], ["SET", key, 7, "EX", 900]])  # type: ignore[list-item]
            try:
                await sides.call(*words)
            except (OSError, EOFError, RedisError):
                await asyncio.sleep(0.05)

    writer = asyncio.create_task(write())
    for victim in ("worker", "worker", "redis", "worker", "postgres", "worker"):
        sides.said.clear()
        working = sides.begin()
        if victim == "worker":
            await asyncio.sleep(chance.uniform(0.1, 0.9))
            await sides.kill()
        else:
            await sides.until(lambda: sides.said, "a worker that is connected")
            await sides.restart(victim)
        with pytest.raises(GoliveError):
            await asyncio.wait_for(working, 20)
    stop.set()
    await writer
    sides.said.clear()
    sides.begin()
    await sides.swept()
    found = await steps.compare(sides.move)
    assert found.equal and found.keys > 100, found
