"""What may be kept of an answer: RFC 9111 as the response cache reads it, and the bounds of what it holds."""

from __future__ import annotations

import re
import tracemalloc

import pytest

from golive.edge.cache_policy import (
    Headers,
    Lifetime,
    Policy,
    asked_with,
    is_unchanged,
    keyed,
    lifetime,
    parse_policy,
    varies_by,
)
from golive.edge.cache_store import OVERHEAD, Kept, Store, Url, keep
from golive.edge.cached import OWN_COOKIES

P = Policy("shop/production", ttl=30, stale=300, vary=("x-plan",), memory=10 * (OVERHEAD + 1200))


def said(text: str) -> Headers:
    return [("cache-control", text)]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Lifetime(30, 300)),
        (said("public"), Lifetime(30, 300)),
        (said("max-age=10"), Lifetime(10, 300)),
        (said("max-age=100"), Lifetime(30, 300)),
        (said("s-maxage=100, max-age=1"), Lifetime(100, 300)),
        (said("max-age=20, stale-while-revalidate=5"), Lifetime(20, 5)),
        (said("must-revalidate"), Lifetime(30, 0)),
        (said('extension="no-store, private"'), Lifetime(30, 300)),
        ([("age", "4"), ("cache-control", "s-maxage=10")], Lifetime(6, 300)),
        ([("date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("expires", "Thu, 01 Jan 2026 00:00:07 GMT")], Lifetime(7, 300)),
        ([("expires", "0")], "expired"),
        (said("max-age=never"), "expired"),
        (said("PRIVATE"), "private"),
        (said("no-cache"), "no-cache"),
        (said("public, No-Store"), "no-store"),
        ([("cache-control", "public"), ("cache-control", "no-store")], "no-store"),
        ([("set-cookie", "a=b")], "set-cookie"),
        ([("vary", "Accept, *")], "vary"),
    ],
)
def test_how_long_an_answer_is_kept(headers: Headers, expected: Lifetime | str) -> None:
    assert lifetime(200, headers, P) == expected


@pytest.mark.parametrize(("status", "kept"), [(200, 2), (301, 2), (404, 1), (302, 0), (206, 0), (500, 0), (401, 0)])
def test_which_answers_are_kept(status: int, kept: int) -> None:
    found = [lifetime(status, headers, P) for headers in ([], said("s-maxage=9"))]
    assert sum(isinstance(life, Lifetime) for life in found) == kept


def test_what_it_depends_on() -> None:
    headers = [("vary", "Accept-Language, X-Plan"), ("vary", "cookie, User-Agent, X-Unknown")]
    assert varies_by(headers, P) == ("accept-language", "user-agent")
    request = {"x-plan": "Pro", "accept-language": "de, en", "x-evil": "1", "host": "a", "cookie": "c"}
    assert keyed(request, P, ("accept-language",)) == ("", "", "", "", "", "Pro", "de,en")
    assert asked_with(request, P) == [("host", "a"), ("accept-language", "de, en"), ("x-plan", "Pro")]
    assert parse_policy(P.text()) == P


def test_when_the_client_has_it() -> None:
    tagged = [("etag", 'W/"a"'), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")]
    for request, same in (
        ({"if-none-match": '"b", "a"'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": '"b"', "if-modified-since": "Fri, 02 Jan 2026 00:00:00 GMT"}, False),
        ({"if-modified-since": "Fri, 02 Jan 2026 00:00:00 GMT"}, True),
        ({"if-modified-since": "never"}, False),
        ({}, False),
    ):
        assert is_unchanged(request, tagged) is same, request


def put(store: Store, url: Url, request: dict[str, str], body: bytes = b"", vary: str = "", now: float = 0) -> Kept:
    kept = keep(url.target, 200, [("vary", vary)] if vary else [], body, Lifetime(30, 300), now)
    store.put(url, request, P, kept)
    return kept


def test_an_app_keeps_within_its_bound_and_what_was_asked_last_stays() -> None:
    store = Store()
    urls = [Url("d1", "h", f"/{n}") for n in range(30)]
    for url in urls:
        put(store, url, {}, b"x" * 1000)
        assert store.find(store.key(urls[0], {}, P), P, 1) is not None
    facts = store.facts()["shop/production"]
    assert facts["bytes"] <= P.memory
    assert facts["answers"] == len(store.shelves["shop/production"].pages) < 30
    assert store.find(store.key(urls[1], {}, P), P, 1) is None
    store.sweep(1000)
    assert (store.facts()["shop/production"]["bytes"], store.shelves["shop/production"].pages) == (0, {})


def test_long_words_of_a_client_take_room_as_well() -> None:
    store, long = Store(), "x" * 5000
    asked = [
        (Url("d1", "h", f"/{long}"), {}),
        (Url("d1", long, "/"), {}),
        (Url("d1", "h", "/"), {"accept": long}),
        (Url("d1", "h", "/"), {"x-plan": long}),
    ]
    for number, (url, request) in enumerate(asked):
        put(store, url, request)
        assert store.facts()["shop/production"]["bytes"] > 5000 * (number + 1)
    store.purge("shop/production", None)
    assert store.facts()["shop/production"]["bytes"] == 0

    tracemalloc.start()
    for number in range(100):
        store.let_pass(Url("d1", "h", f"/{number}{long}"), 0)
    assert store.passes(Url("d1", "h", f"/7{long}"), 1)
    assert not store.passes(Url("d1", "h", f"/7{long}"), 11)
    assert tracemalloc.get_traced_memory()[0] < 100_000
    tracemalloc.stop()


def test_answers_of_a_url_are_told_apart_by_what_vary_named() -> None:
    store, url = Store(), Url("d1", "h", "/a")
    german, french = {"accept-language": "de"}, {"accept-language": "fr"}
    put(store, url, german)
    assert store.find(store.key(url, french, P), P, 1) is not None
    kept = put(store, url, german, vary="Accept-Language")
    assert store.find(store.key(url, french, P), P, 1) is None
    assert store.find(store.key(url, german, P), P, 1) is kept
    put(store, url, french)  # once learned it is not forgotten, whatever one answer says
    assert store.find(store.key(url, german, P), P, 1) is kept
    assert store.find(store.key(Url("d2", "h", "/a"), german, P), P, 1) is None
    assert store.find(store.key(url, german, P), P, 331) is None


@pytest.mark.parametrize(
    ("cookies", "own"),
    [
        ("", True),
        ("golive-release=2", True),
        ("golive-release=2; golive-key=k3y", True),
        ("golive-traffic-web=next;golive-key=k3y;", True),
        ("golive-key=k3y,golive-release=1.2", True),
        ("golive-key=", True),
        ("sid=1", False),
        ("golive-release=2; sid=1", False),
        ("sid=1; golive-release=2", False),
        ("golive-release=2 sid=1", False),
        ("golive-pass=tok", False),
        ("golive-keys=1", False),
        ("xgolive-key=1", False),
        ("golive-traffic-=1", False),
        ("golive-key", False),
    ],
)
def test_cookies_of_the_edge_itself(cookies: str, own: bool) -> None:
    assert bool(re.fullmatch(OWN_COOKIES, cookies)) is own
