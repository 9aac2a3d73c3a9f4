"""What a rehearsal's observations add up to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from golive.migrate.account import Account, Lock, Ran, Seen, describe, from_json, mode_of, steps, summary
from golive.migrate.rehearse import Relation, built, rewritten

NOTHING: Mapping[str, str] = {}


def seen(line: int, seconds: float, transaction: int, modes: Mapping[str, str] = NOTHING) -> Seen:
    return Seen(Ran("001_a.sql", line, f"STATEMENT {line}", seconds), transaction, modes)


def account(*ran: Ran) -> Account:
    return Account(("001_a.sql",), ran, 2.5, 1_000_000, 1_500_000, 3_000_000)


def test_a_lock_is_held_until_the_last_statement_of_its_transaction() -> None:
    first = {"public.users": "ACCESS EXCLUSIVE"}
    found = steps([seen(1, 0.1, 1, first), seen(2, 2.0, 1, {**first, "public.posts": "SHARE"}), seen(3, 5.0, 2)])
    assert found[0].locks == (Lock("public.users", "ACCESS EXCLUSIVE", 2.1),)
    assert found[1].locks == (Lock("public.posts", "SHARE", 2.0),)
    assert found[2].locks == ()
    assert [lock.blocks for ran in found for lock in ran.locks] == ["reads and writes", "writes"]


def test_a_stronger_lock_later_counts_from_then_and_what_every_query_takes_is_not_told() -> None:
    found = steps([
        seen(1, 3.0, 1, {"public.users": "ROW EXCLUSIVE", "public.posts": "ACCESS SHARE"}),
        seen(2, 0.5, 1, {"public.users": "ACCESS EXCLUSIVE", "public.posts": "ACCESS SHARE"}),
    ])  # fmt: skip
    assert found[0].locks == (Lock("public.users", "ROW EXCLUSIVE", 3.5),)
    assert found[1].locks == (Lock("public.users", "ACCESS EXCLUSIVE", 0.5),)
    assert account(*found).longest == (found[1], found[1].locks[0])


@pytest.mark.parametrize(
    ("name", "mode"),
    [("AccessExclusiveLock", "ACCESS EXCLUSIVE"), ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE")],
)
def test_modes_are_named_as_in_the_manual(name: str, mode: str) -> None:
    assert mode_of(name) == mode


def test_new_files_of_tables_that_were_there() -> None:
    before = {1: Relation("public.users", "r", 10, 0), 2: Relation("public.users_pkey", "i", 11, 1)}
    after = before | {3: Relation("public.posts", "r", 12, 0), 4: Relation("public.posts_pkey", "i", 13, 3)}
    assert (rewritten(before, after), built(before, after)) == ((), ())
    after |= {1: Relation("public.people", "r", 20, 0), 2: Relation("public.users_pkey", "i", 21, 1)}
    after |= {5: Relation("public.users_name", "i", 22, 1)}
    assert rewritten(before, after) == ("public.people",)
    assert built(before, after) == ("public.users_name", "public.users_pkey")


def test_in_words_and_there_and_back_as_json() -> None:
    lock = Lock("public.users", "ACCESS EXCLUSIVE", 0.412)
    ran = Ran("001_a.sql", 3, "ALTER TABLE users\n  ALTER id TYPE bigint", 0.4, None, (lock,), ("public.users",))
    made = account(ran, Ran("001_a.sql", 5, "UPDATE users SET a = 1", 2, 5000))
    assert list(describe(made)) == [
        "001_a.sql:3  400 ms  ALTER TABLE users ALTER id TYPE bigint",
        "    ACCESS EXCLUSIVE on public.users for 412 ms; reads and writes wait",
        "    rewritten: public.users",
        "001_a.sql:5  2.0 s  UPDATE users SET a = 1",
        "    5,000 rows changed",
        "size 1.0 MB before, 1.5 MB after, 3.0 MB meanwhile",
    ]
    assert summary(made) == (
        "1 migration in 2.5 s on a copy, longest lock ACCESS EXCLUSIVE on public.users for 412 ms (001_a.sql:3)"
    )
    assert summary(account()) == "1 migration in 2.5 s on a copy, no lock that reads or writes wait for"
    sent = json.loads(json.dumps(made.to_json()))
    assert from_json(sent) == made
    assert (sent["longest_lock"]["file"], sent["longest_lock"]["blocks"]) == ("001_a.sql", "reads and writes")
    assert account().to_json()["longest_lock"] is None
    program = replace(made, steps=(), rewritten=("public.users",), built=("public.i",))
    assert list(describe(program))[:2] == ["rewritten: public.users", "indexes built: public.i"]
