"""Periods of the calendar, whose requests are counted together, and what the answer says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from golive.edge.quota_count import Asked, answer, command, key_of, parse, span

NOW = datetime(2028, 2, 29, 22, 30, 15, tzinfo=UTC)  # a Tuesday


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        ("hour", "2028-02-29T22", "2028-02-29T23"),
        ("day", "2028-02-29T00", "2028-03-01T00"),
        ("week", "2028-02-28T00", "2028-03-06T00"),
        ("month", "2028-02-01T00", "2028-03-01T00"),
    ],
)
def test_periods_are_those_of_the_calendar_in_utc(period: str, begin: str, end: str) -> None:
    for now in (NOW, NOW.astimezone(timezone(timedelta(hours=14)))):
        assert [f"{moment:%Y-%m-%dT%H}" for moment in span(period, now)] == [begin, end]
    december = datetime(2028, 12, 31, 23, 59, tzinfo=UTC)
    assert span("month", december)[1] == datetime(2029, 1, 1, tzinfo=UTC)


def test_clients_are_addresses_and_networks_of_ipv6_and_no_token_is_kept() -> None:
    assert key_of("client 203.0.113.7") == key_of("client ::ffff:203.0.113.7") != key_of("client 203.0.113.8")
    assert key_of("client 2001:db8:1:2::1") == key_of("client 2001:db8:1:2:ffff::9") != key_of("client 2001:db8:1:3::1")
    assert key_of("header 203.0.113.7") != key_of("client 203.0.113.7")
    assert len(key_of("header " + "x" * 50000)) == 24
    assert key_of("all") == "all"
    assert key_of("client ") == key_of("client ")


def test_a_request_says_what_it_asks() -> None:
    place, asked = parse("shop/production\napi /ai client\t5\tday\tclient 1.2.3.4\napi / service\t9\tmonth\tall")
    assert place == "shop/production"
    assert asked[1] == Asked("api / service", 9, "month", "all")
    words = command(place, asked, NOW)
    assert words[2:5] == (
        2,
        "golive:quota:{shop/production}:api /ai client:day:2028-02-29T00",
        "golive:quota:{shop/production}:api / service:month:2028-02-01T00",
    )
    assert words[-1] == int(datetime(2028, 3, 1, tzinfo=UTC).timestamp())
    for broken in ("", "shop/production", "shop/production\nnonsense", "a\nb\tc\td\te"):
        with pytest.raises(ValueError, match=r"."):
            parse(broken)


def test_the_answer_tells_what_is_left_and_when_to_come_again() -> None:
    day, month = Asked("a", 5, "day", "k"), Asked("b", 5, "month", "k")
    passed = answer((day, month), False, (1, 3), NOW)
    assert passed.status == 200
    headers = dict(passed.headers)
    assert headers["ratelimit-policy"] == '"5/day";q=5;w=86400, "5/month";q=5;w=2505600'
    assert headers["ratelimit"] == '"5/day";r=4;t=5385, "5/month";r=2;t=5385'
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("5", "2")
    hour = Asked("c", 1, "hour", "k")
    refused = answer((hour, Asked("a", 5, "day", "k")), True, (1, 5), NOW)
    assert refused.status == 429
    assert dict(refused.headers)["retry-after"] == "5385"  # when the last of those that are used up begins anew
    assert refused.text == "The quota of 5 requests a day is used up. It begins anew at 2028-03-01 00:00 UTC"
    alone = answer((hour,), True, (1,), NOW)
    assert alone.text.startswith("The quota of 1 request an hour")
    twice = answer((day, day), False, (1, 1), NOW)
    assert '"5/day";r=4;t=5385, "5/day 2";r=4;t=5385' in dict(twice.headers)["ratelimit"]
