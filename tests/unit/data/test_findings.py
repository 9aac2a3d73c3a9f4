"""Facts to findings: what is worth a word, how loud, and the command that goes with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golive.data import postgres_facts as pg
from golive.data.insight import Finding, named, without_values
from golive.data.postgres_insight import findings
from golive.data.redis_insight import KeySpace, RedisFacts, SlowCommand, facts_from
from golive.data.redis_insight import findings as redis_findings

MIB = 2**20
SERVER = pg.Server("17.1", "app", 10 * MIB, 1e6, 1e6, 100, 3, 990_000, 1000, 5000, 200_000_000, 5, 400_000_000)
FACTS = pg.PostgresFacts(SERVER, {"idle": 5})
TABLE = pg.Table("public", "item", 100_000, 100 * MIB, MIB, 0, 3, 9, 900, 10, 60.0, 60.0)
INDEX = pg.Index("public", "item", "item_a", 50 * MIB, 7, False, False, True, False, "btree", (1,), "btree|1|1")
SESSION = pg.Session(7, "active", 1.0, 1.0, "web", "SELECT 'secret', 42", ())
SEQUENCE = pg.Sequence("public", "item_id_seq", 100, 2**31 - 1, "item", "id", "integer")
REDIS = RedisFacts(
    "7.0", 100, 10 * MIB, 100 * MIB, "noeviction", 1.0, 0, 900, 100, 3, 4000, 0, 0, True, False, (), 0, 0, 0, {}, ()
)


def codes(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(each.level, each.code) for each in found]


def test_a_healthy_database_has_no_findings() -> None:
    assert findings(replace(FACTS, tables=(TABLE,), indexes=(INDEX,), sessions=(SESSION,), sequences=(SEQUENCE,))) == ()


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (replace(FACTS, connections={"idle": 70, "active": 10}), [("warning", "connections")]),
        (replace(FACTS, connections={"active": 95}), [("critical", "connections")]),
        (
            replace(FACTS, sessions=(replace(SESSION, state="idle in transaction", quiet=90),)),
            [("warning", "idle-in-transaction")],
        ),
        (replace(FACTS, sessions=(replace(SESSION, open=900),)), [("warning", "long-transaction")]),
        (
            replace(FACTS, sessions=(replace(SESSION, open=900), replace(SESSION, pid=8, blocked_by=(7,)))),
            [("critical", "long-transaction")],
        ),
        (replace(FACTS, server=replace(SERVER, xid_age=400_000_000)), [("warning", "wraparound")]),
        (replace(FACTS, server=replace(SERVER, xid_age=1_500_000_000)), [("critical", "wraparound")]),
        (replace(FACTS, sequences=(replace(SEQUENCE, last=1_700_000_000),)), [("warning", "sequence")]),
        (replace(FACTS, sequences=(replace(SEQUENCE, last=2_100_000_000),)), [("critical", "sequence")]),
        (replace(FACTS, indexes=(replace(INDEX, valid=False),)), [("warning", "invalid-index")]),
        (replace(FACTS, indexes=(replace(INDEX, valid=False, building=True),)), []),
        (replace(FACTS, indexes=(replace(INDEX, scans=0),)), [("note", "unused-index")]),
        (replace(FACTS, indexes=(replace(INDEX, scans=0),), server=replace(SERVER, counted=3600)), []),
        (replace(FACTS, indexes=(replace(INDEX, scans=0, needed=True),)), []),
        (
            replace(FACTS, bloat=(pg.Bloat("table", "public", "item", 100 * MIB, 30 * MIB),)),
            [("warning", "table-bloat")],
        ),
        (replace(FACTS, bloat=(pg.Bloat("index", "public", "item_a", 100 * MIB, 90 * MIB),)), []),
        (replace(FACTS, tables=(replace(TABLE, dead=50_000),)), [("warning", "dead-rows")]),
        (replace(FACTS, tables=(replace(TABLE, analyzed=None),)), [("warning", "never-analyzed")]),
        (replace(FACTS, tables=(replace(TABLE, seq_scans=5000),)), [("warning", "missing-index")]),
        (replace(FACTS, tables=(replace(TABLE, seq_scans=5000, table=MIB),)), []),
        (replace(FACTS, server=replace(SERVER, hits=500_000, reads=500_000)), [("warning", "cache")]),
        (replace(FACTS, slow=(pg.Slow("SELECT $1", 50, 60_000, 1200, 50),)), [("warning", "slow-query")]),
        (replace(FACTS, statements="not loaded"), [("note", "no-statements")]),
        (replace(FACTS, after_restart=("shared_buffers",)), [("note", "restart")]),
    ],
)
def test_what_is_worth_a_word_and_how_loud(facts: pg.PostgresFacts, found: list[tuple[str, str]]) -> None:
    assert codes(findings(facts)) == found


def test_of_two_equal_indexes_the_needed_one_stays_and_a_unique_one_is_not_given_up() -> None:
    key = replace(INDEX, name="item_pkey", unique=True, needed=True)
    busy = replace(INDEX, name="busy", scans=900)
    assert [each.about for each in findings(replace(FACTS, indexes=(busy, key)))] == ["public.busy"]
    assert [each.about for each in findings(replace(FACTS, indexes=(busy, INDEX)))] == ["public.item_a"]
    assert not findings(replace(FACTS, indexes=(key, replace(key, name="item_key"))))
    assert not findings(replace(FACTS, indexes=(INDEX, replace(busy, shape="btree|1|2"))))


def test_the_worst_comes_first_and_no_value_of_a_query_is_shown() -> None:
    facts = replace(FACTS, sessions=(replace(SESSION, open=900),), sequences=(replace(SEQUENCE, last=2**31 - 2),))
    assert [each.level for each in findings(facts)] == ["critical", "warning"]
    assert "secret" not in str(findings(facts))
    assert (
        without_values("SELECT  'it''s', 42,\n x1 FROM t WHERE a = 1.5 AND b = 'open")
        == "SELECT ?, ?, x1 FROM t WHERE a = ? AND b = ?"
    )
    assert named("public", "Or\"der") == 'public."Or""der"'  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (REDIS, []),
        (replace(REDIS, limit=0), [("warning", "no-limit")]),
        (replace(REDIS, used=80 * MIB), [("warning", "memory")]),
        (replace(REDIS, used=95 * MIB), [("critical", "memory")]),
        (replace(REDIS, used=95 * MIB, policy="allkeys-lru", evicted=5), [("note", "evicted")]),
        (replace(REDIS, used=95 * MIB, policy="volatile-lru"), [("critical", "nothing-to-evict")]),
        (replace(REDIS, used=95 * MIB, policy="volatile-lru", keys={"db0": KeySpace(9, 5)}), []),
        (replace(REDIS, hits=500, misses=1500), [("note", "hit-rate")]),
        (replace(REDIS, failing=("aof_last_write_status",)), [("critical", "persistence")]),
        (replace(REDIS, aof=False), [("note", "not-kept")]),
        (replace(REDIS, aof=False, saves=True, unsaved=9, unsaved_for=9000), [("warning", "unsaved")]),
        (replace(REDIS, clients=3900), [("warning", "clients")]),
        (replace(REDIS, rejected=3), [("warning", "rejected")]),
        (replace(REDIS, slow=(SlowCommand(1, 0.5, "KEYS", "*"),)), [("warning", "slow-command")]),
    ],
)
def test_redis_what_is_worth_a_word_and_how_loud(facts: RedisFacts, found: list[tuple[str, str]]) -> None:
    assert codes(redis_findings(facts)) == found


def test_info_of_redis_is_read_as_numbers_and_what_is_missing_is_nothing() -> None:
    info = {
        "redis_version": "7.0.1",
        "used_memory": "5",
        "db0": "keys=3,expires=1,avg_ttl=0",
        "aof_last_write_status": "err",
    }
    info["rdb_last_save_time"] = "900"
    facts = facts_from(info, None, None, 1000)
    assert (facts.used, facts.limit, facts.unsaved_for) == (5, 0, 100)
    assert facts.keys == {"db0": KeySpace(3, 1)}
    assert facts.failing == ("aof_last_write_status",)
