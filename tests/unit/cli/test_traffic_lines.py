"""What `golive traffic` understands and prints."""

from __future__ import annotations

from typing import Any

import pytest

from golive.cli.traffic import lines, parsed
from golive.errors import UsageError

SIDES = {
    "canary": {"requests": 120, "failed": 1, "p95_ms": 34.2},
    "live": {"requests": 2280, "failed": 0, "p95_ms": None},
}
CANARY: dict[str, Any] = {
    "release": 8,
    "percent": 5,
    "steps": [5, 25, 50],
    "held": False,
    "requests": {"canary": 120, "all": 2400},
    "services": {"api": SIDES},
}


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("30%", {"percent": 30}),
        ("30", {"percent": 30}),
        ("auto", {"percent": None}),
        ("next=100%", {"service": "next", "percent": 100}),
        ("web-2=0", {"service": "web-2", "percent": 0}),
    ],
)
def test_a_share_as_it_is_written(text: str, body: dict[str, Any]) -> None:
    assert parsed(text) == body


@pytest.mark.parametrize("text", ["", "101%", "-1%", "5.5%", "next", "next=", "=5%", "next=all", "Next=5%", "5%%"])
def test_what_is_no_share_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="is no share of visitors"):
        parsed(text)


def test_without_a_canary_there_is_one_release() -> None:
    assert lines({"release": 7, "canary": None, "shifts": []}) == ["release 7: 100%"]


def test_a_canary_and_what_was_seen_of_it() -> None:
    assert lines({"release": 7, "canary": CANARY, "shifts": []}) == [
        "release 8: 5% of new visitors, then 25%, 50%, all unless it does worse",
        "release 7: the others",
        "  120 of 2,400 requests came to release 8 so far",
        "  api: 120 requests, 1 failed, 95 of 100 within 34 ms; release 7: 2,280 requests, 0 failed",
    ]
    held = lines({"release": 7, "canary": {**CANARY, "held": True}, "shifts": []})[0]
    assert held == "release 8: 5% of new visitors, held by hand"


def test_services_that_replace_others() -> None:
    still = {"service": "next", "replaces": "web", "percent": 20, "goal": None, "until": None}
    rising = {"service": "b", "replaces": "a", "percent": 3, "goal": 100, "until": 1_800_000_000.0}
    found = lines({"release": 7, "canary": None, "shifts": [still, rising]})
    assert found[1] == "next: 20% of the visitors of web"
    assert found[2].startswith("b: 3% of the visitors of a, 100% by 15 January ")
