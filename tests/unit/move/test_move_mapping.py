"""Keys become rows, and rows keys."""

from __future__ import annotations

import pytest

from golive.move.mapping import Mapped, Refused

QUOTA = Mapped("threadr:quota:{client}:{period}", "quota", "string", value="used", expires="expires_at")
USER = Mapped("user:{id}", "users", "hash", fields={"email": "mail", "name": "name"})
THREAD = Mapped("thread:{id}:json", "threads", "json", fields={"title": "title", "likes": "likes"})


def test_the_parts_of_a_key_are_columns() -> None:
    assert QUOTA.parts == ("client", "period")
    assert QUOTA.columns == ("client", "period", "used")
    assert QUOTA.parse("threadr:quota:ab:2026-11:x") == {"client": "ab", "period": "2026-11:x"}
    assert THREAD.parse("thread:7:json") == {"id": "7"}
    for other in ("threadr:quota:ab", "threadr:quota::x", "user:1", "thread:7:json2", "athread:7:json"):
        assert QUOTA.parse(other) is None and THREAD.parse(other) is None


def test_the_pattern_for_redis_finds_them_and_takes_nothing_else_for_one() -> None:
    assert (QUOTA.glob, THREAD.glob) == ("threadr:quota:*:*", "thread:*:json")
    assert Mapped("a[1]*?:{id}", "t", "string", value="v").glob == r"a\[1\]\*\?:*"


def test_there_and_back() -> None:
    row = QUOTA.row("threadr:quota:ab:2026-11", "5")
    assert row == {"client": "ab", "period": "2026-11", "used": "5"}
    assert (QUOTA.key(row), QUOTA.given(row)) == ("threadr:quota:ab:2026-11", {"": "5"})
    row = USER.row("user:1", {"email": "a@b.c", "unmapped": "x"})
    assert row == {"id": "1", "mail": "a@b.c", "name": None}
    assert (USER.key(row), USER.given(row)) == ("user:1", {"email": "a@b.c", "name": None})
    row = THREAD.row("thread:1:json", '{"title": "T", "likes": 3, "tags": []}')
    assert row == {"id": "1", "title": "T", "likes": "3"}


@pytest.mark.parametrize(
    ("mapped", "key", "content", "why"),
    [
        (THREAD, "thread:1:json", "nothing", "it is no JSON"),
        (THREAD, "thread:1:json", "[1]", "it is no JSON object"),
        (QUOTA, "threadr:quota:a:b", "\0", "NUL"),
        (QUOTA, "threadr:quota:a:b", "\udcff", "not UTF-8"),
        (QUOTA, "threadr:quota:\udcff:b", "1", "not UTF-8"),
    ],
)
def test_what_cannot_be_a_row(mapped: Mapped, key: str, content: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        mapped.row(key, content)


def test_a_row_whose_key_would_be_another() -> None:
    with pytest.raises(Refused, match="do not fit"):
        QUOTA.key({"client": "a:b", "period": "c"})
    with pytest.raises(Refused, match="do not fit"):
        QUOTA.key({"client": "", "period": "c"})
