"""When scheduled services are due: zones, changes of the clock, and never the same moment twice."""

from __future__ import annotations

import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from golive.blueprint.models import Service
from golive.daemon.cron import next_due

BERLIN = "Europe/Berlin"


def service(schedule: str, zone: str = "UTC") -> Service:
    return Service.model_validate({"kind": "cron", "schedule": schedule, "timezone": zone})


def stamp(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def due(schedule: str, after: str, zone: str = "UTC", count: int = 1) -> list[str]:
    moment, found = datetime.fromisoformat(after).timestamp(), []
    for _ in range(count):
        moment = next_due(service(schedule, zone), moment)
        found.append(datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("schedule", "after", "wanted"),
    [
        ("*/5 * * * *", "2025-06-01T12:00:00+00:00", "2025-06-01T12:05+00:00"),
        ("*/5 * * * *", "2025-06-01T12:04:59.9+00:00", "2025-06-01T12:05+00:00"),
        ("@hourly", "2025-06-01T12:30+00:00", "2025-06-01T13:00+00:00"),
        ("@daily", "2025-12-31T12:30+00:00", "2026-01-01T00:00+00:00"),
        ("@weekly", "2025-06-02T00:00+00:00", "2025-06-08T00:00+00:00"),
        ("0 12 29 2 *", "2025-01-01T00:00+00:00", "2028-02-29T12:00+00:00"),
        ("30 9 * * mon-fri", "2025-06-06T10:00+00:00", "2025-06-09T09:30+00:00"),
    ],
)
def test_the_next_moment(schedule: str, after: str, wanted: str) -> None:
    assert due(schedule, after) == [wanted]


def test_the_zone_is_the_services() -> None:
    assert due("0 3 * * *", "2025-01-15T00:00+00:00", BERLIN) == ["2025-01-15T03:00+01:00"]
    assert due("0 3 * * *", "2025-07-15T00:00+00:00", BERLIN) == ["2025-07-15T03:00+02:00"]
    assert due("0 9 * * *", "2025-07-15T00:00+00:00", "Asia/Kolkata") == ["2025-07-15T09:00+05:30"]


def test_an_hourly_one_runs_each_hour_through_both_changes() -> None:
    spring = due("0 * * * *", "2025-03-30T00:00:00+01:00", BERLIN, 3)
    assert spring == ["2025-03-30T01:00+01:00", "2025-03-30T03:00+02:00", "2025-03-30T04:00+02:00"]
    autumn = due("0 * * * *", "2025-10-26T01:00:00+02:00", BERLIN, 4)
    assert autumn == [
        "2025-10-26T02:00+02:00", "2025-10-26T02:00+01:00", "2025-10-26T03:00+01:00", "2025-10-26T04:00+01:00"
    ]  # fmt: skip


def test_a_daily_one_runs_once_each_day_through_both_changes() -> None:
    for zone, first in ((BERLIN, "2025-03-29T00:00+01:00"), (BERLIN, "2025-10-25T00:00+02:00")):
        for schedule in ("30 2 * * *", "15 3 * * *", "0 0 * * *"):
            days = [text[:10] for text in due(schedule, first, zone, 4)]
            assert len(set(days)) == 4, (schedule, days)


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("seed", range(6))
def test_moments_go_forwards_and_none_is_left_out(zone: str, seed: int) -> None:
    choose = random.Random(seed)
    what = service(choose.choice(["*/7 * * * *", "0 * * * *", "30 2 * * *", "0 0 * * 0", "5,35 1-3 * * *"]), zone)
    moment = stamp("2025-03-01T00:00", zone) + choose.randrange(250 * 86400)
    for _ in range(8):
        following = next_due(what, moment)
        assert following > moment
        assert following % 60 == 0
        between = moment + (following - moment) * choose.random() * 0.999
        assert next_due(what, between) == following
        moment = following
