"""The runbook: what it names, and what it asks to mend."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from golive.cli.runbook import render

NOW = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
PROVEN = {
    "id": "20261121T020000Z",
    "status": "proven",
    "ended": "2026-11-21T02:00:09+00:00",
    "data": 48 << 20,
    "drill": {"seconds": 12.0},
}


def facts(**changed: Any) -> dict[str, Any]:
    database = {"name": "db", "to": "s3://kept/web-1", "own_disk": False, "trouble": None, "backups": [PROVEN]}
    app = {
        "app": "shop",
        "environment": "production",
        "release": 7,
        "domains": ["shop.example.com"],
        "rto": 900.0,
        "databases": [database],
        "images": [],
        "elsewhere": ["crm"],
    }
    found = {
        "hostname": "web-1",
        "golive": "0.1.0",
        "platform": "linux-x86_64",
        "home": "/var/lib/golive",
        "pythons": ["3.12.4"],
        "key": {"id": "0123456789ab", "kept": True},
        "passphrase": True,
        "places": [{"to": "s3://kept/web-1", "trouble": None, "id": "20261121T044548Z", "made": 1795236348.0}],
        "apps": [app],
    }
    return found | changed


def test_it_names_what_is_needed_and_the_steps_in_their_order() -> None:
    text = render(facts(), NOW)
    for words in (
        "# When web-1 is lost",
        "Python 3.12.4",
        "The key 0123456789ab",
        "The passphrase of golive's secrets",
        "AWS_SECRET_ACCESS_KEY",
        "golive recover --from s3://kept/web-1",
        "golive standby --from s3://kept/web-1",
        "When web-1 is lost: `golive standby promote` there",
        "objective is 15 m 0 s. The last drills restored the data in 12.0 s.",
        "Point the domains to the new machine: shop.example.com.",
        "db: backup 20261121T020000Z of 2026-11-21 02:00 UTC, 50.3 MB, proven; and every write since",
        "crm: a database of somebody else",
    ):
        assert words in " ".join(text.split()), words
    assert "To mend" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_missing_comes_first() -> None:
    text = " ".join(render(facts(places=[], key={"id": "0123456789ab", "kept": False}), NOW).split())
    assert "Nothing of this host is kept elsewhere" in text
    assert "Nobody has said that the key is kept elsewhere" in text
    assert text.index("To mend") < text.index("What you need")


def test_a_backup_that_was_never_proven_is_named() -> None:
    given = facts()
    given["apps"][0]["databases"][0]["backups"] = [PROVEN | {"status": "unproven", "drill": None}]
    given["places"][0]["trouble"] = "this host is not in s3://kept/web-1 as it is now: no"
    text = " ".join(render(given, NOW).split())
    assert "shop/db has no backup that was proven" in text
    assert "this host is not in s3://kept/web-1 as it is now" in text
