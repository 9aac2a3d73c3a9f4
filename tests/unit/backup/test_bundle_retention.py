"""Which bundles of a host may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from golive.backup.bundle import NEWEST, superfluous

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def made(*before: timedelta) -> list[str]:
    return sorted(f"{NOW - each:%Y%m%dT%H%M%SZ}" for each in before)


def test_the_newest_stay_however_old_they_are() -> None:
    ids = made(*(timedelta(days=400 + day) for day in range(NEWEST)))
    assert superfluous(ids, NOW) == []


def test_of_a_busy_day_the_newest_and_its_last_stay() -> None:
    today = made(*(timedelta(minutes=minute) for minute in range(NEWEST)))
    yesterday = made(*(timedelta(days=1, minutes=minute) for minute in range(30)))
    assert superfluous([*yesterday, *today], NOW) == yesterday[:-1]


def test_what_is_older_than_a_month_goes() -> None:
    today = made(*(timedelta(minutes=minute) for minute in range(NEWEST)))
    days = made(*(timedelta(days=day) for day in range(1, 60)))
    gone = superfluous([*days, *today], NOW)
    assert gone == [id for id in days if id < "20261022"]
