"""What `golive maintenance` understands: times, lengths, networks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from golive.cli.maintenance import line, moment, networks
from golive.errors import UsageError

NOW = datetime(2026, 11, 21, 14, 0).timestamp()


@pytest.mark.parametrize(
    ("until", "length", "then"),
    [
        (None, None, None),
        (None, "30m", NOW + 1800),
        (None, "2h", NOW + 7200),
        ("14:30", None, NOW + 1800),
        ("13:30", None, NOW + 23.5 * 3600),
        ("14:00", None, NOW + 24 * 3600),
        ("2026-11-21T15:00", None, NOW + 3600),
        ("2026-11-21 15:00", None, NOW + 3600),
    ],
)
def test_when_it_ends(until: str | None, length: str | None, then: float | None) -> None:
    assert moment(until, length, NOW) == then


def test_a_zone_in_the_time_counts() -> None:
    assert moment("2026-11-22T00:00+00:00", None, NOW) == datetime.fromisoformat("2026-11-22T00:00+00:00").timestamp()


@pytest.mark.parametrize(
    ("until", "length", "what"),
    [
        ("14:30", "1h", "say the same thing"),
        (None, "soon", "is not a duration"),
        (None, "0s", "does not end"),
        (None, "99999d", "does not end"),
        ("25:00", None, "is not a time"),
        ("tomorrow", None, "is not a time"),
        ("2020-01-01", None, "is over"),
    ],
)
def test_what_is_no_end(until: str | None, length: str | None, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        moment(until, length, NOW)


def test_networks_are_written_in_full_and_all_mistakes_said() -> None:
    assert networks(("203.0.113.7", "10.1.2.3/8", "::1")) == ["203.0.113.7/32", "10.0.0.0/8", "::1/128"]
    with pytest.raises(UsageError, match=r"'home', '1\.2\.3' is not"):
        networks(("home", "10.0.0.1", "1.2.3"))


def test_maintenance_in_a_line() -> None:
    found: dict[str, Any] = {"on": True, "since": NOW, "until": None, "services": ["api"], "allow": ["10.0.0.0/8"]}
    assert line(found).endswith(" · only api · 10.0.0.0/8 may pass")
    assert line({"on": False}) == "no maintenance"
