"""Two releases on one site through a real Envoy: who is drawn, who stays, and what the edge counts of each."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.blueprint.models import RateLimit, Service
from golive.blueprint.routing import rules_of
from golive.edge import counts
from golive.edge.model import Canary, Protected, RouteRule, Share, Site, Upstream
from golive.secret import Secret

A, B = "threadr/production/api/d1", "threadr/production/api/d2"
DOMAIN = "threadr.localhost"


def both(percent: int) -> Site:
    share, rest = Share("golive-release", "2", "1.2", percent), Share("golive-release", "1.2", "2", None)
    return replace(site(rule(A)), canary=Canary(share, rest, (rule(B),)))


async def test_strangers_are_drawn_and_stay_and_what_each_release_did_is_counted(
    envoy: Running, upstreams: Upstreams
) -> None:
    numbers = itertools.count(1)

    async def sometimes(_: Request) -> bytes:
        """Every fourth is a 500, every fifth ends without an answer, which the edge hides by another try."""
        number = next(numbers)
        if number % 5 == 0:
            return b""
        return answer(b"B", "500 Oh") if number % 4 == 0 else answer(b"B")

    up = (Upstream(A, (await upstreams.serve(answer(b"A")),)), Upstream(B, (await upstreams.serve(sometimes),)))
    await envoy.edge.apply(envoy.config(both(30), upstreams=up))
    url = envoy.edge.url(DOMAIN)
    seen: Counter[str] = Counter()
    for http2 in (False, True):
        async with envoy.client(http2=http2) as client:
            for _ in range(150):
                found = await client.get(url)
                given = found.headers["set-cookie"]
                key = "1.2" if found.text == "A" else "2"
                assert given == f"golive-release={key}; Path=/; HttpOnly; SameSite=Lax; Secure"
                client.cookies.clear()
                seen[found.text] += 1
            for cookie, text in (("2", "B"), ("1.2", "A")):
                for before in ("", "a=b; "):
                    mine = {"cookie": f"{before}golive-release={cookie}"}
                    asked = [await client.get(url, headers=mine) for _ in range(8)]
                    assert {found.text for found in asked} == {text}
                    assert not [found for found in asked if "set-cookie" in found.headers]
    assert 50 < seen["B"] < 130, seen

    asked = seen["B"] + 32
    async with asyncio.timeout(120):  # Envoy adds its workers' times together once in a while
        while (found := await counts.read(envoy.edge.admin, [A, B, "gone"]) or {})[A].timed < seen["A"] + 32 or (
            found[B].timed < asked
        ):
            await asyncio.sleep(0.2)
    tries = next(numbers) - 1
    failed = sum(n % 5 == 0 or n % 4 == 0 for n in range(1, tries + 1))
    assert found["gone"] == counts.Counts()
    assert (found[A].requests, found[A].failed, found[A].timed) == (seen["A"] + 32, 0, seen["A"] + 32)
    assert (found[B].requests, found[B].failed, found[B].timed) == (tries, failed, asked)
    assert found[A].percentile(0.95) < 1000  # most take less than one, which Envoy tells as none


async def test_a_share_that_grows_moves_nobody(envoy: Running, upstreams: Upstreams) -> None:
    up = (Upstream(A, (await upstreams.serve(answer(b"A")),)), Upstream(B, (await upstreams.serve(answer(b"B")),)))
    url = envoy.edge.url(DOMAIN)
    async with envoy.client() as client:
        for percent, expected in ((0, {"A"}), (100, {"B"})):
            await envoy.edge.apply(envoy.config(both(percent), upstreams=up))
            assert {(await client.get(url, headers={"cookie": ""})).text for _ in range(20)} == expected
            assert (await client.get(url, headers={"cookie": "golive-release=1.2"})).text == "A"
            assert (await client.get(url, headers={"cookie": "golive-release=2"})).text == "B"


async def test_everything_that_a_route_may_have_it_may_have_in_both_releases(
    envoy: Running, upstreams: Upstreams
) -> None:
    """A share within a canary too: who is known by both cookies gets the one service of the one release."""
    settings = {"kind": "web", "redirects": [{"source": "/old/:x", "destination": "/new/:x"}]}
    limits = (RateLimit.model_validate({"limit": "500/min", "path": "/login"}),)
    names = [f"{release}-{service}" for release in "AB" for service in ("web", "next")]
    up = tuple([Upstream(name, (await upstreams.serve(answer(name.encode())),)) for name in names])

    def rules(release: str) -> tuple[RouteRule, ...]:
        own = rules_of(Service.model_validate(settings))
        web = rule(f"{release}-web", rules=own, rate_limits=limits)
        taker, rest = Share("golive-traffic-web", "next", "web", 50), Share("golive-traffic-web", "web", "next", None)
        both = replace(web, share=rest), replace(rule(f"{release}-next", grpc=True), share=taker)
        return (*both, rule(f"{release}-web", prefix="/api", strip_prefix=True, hold=timedelta(seconds=3)))

    share, rest = Share("golive-release", "2", "1.2", 20), Share("golive-release", "1.2", "2", None)
    guard = Protected(Secret("key"), user="me", password=Secret("word"))
    made = replace(site(*rules("A")), canary=Canary(share, rest, rules("B")), protected=guard)
    assert await envoy.edge.apply(envoy.config(made, upstreams=up))
    url = envoy.edge.url(DOMAIN)
    async with envoy.client() as client:

        async def told(path: str, *cookies: str) -> str:
            found = await client.get(url + path, headers={"cookie": "; ".join(cookies)}, auth=("me", "word"))
            client.cookies.clear()
            return found.headers.get("location", found.text)

        for release, key in (("A", "1.2"), ("B", "2")):
            for service in ("web", "next"):
                known = (f"golive-traffic-web={service}", f"golive-release={key}")
                assert await told("/", *known) == f"{release}-{service}"
                assert await told("/login", *known) == f"{release}-{service}"
                assert await told("/api/x", *known) == f"{release}-web"
            assert (await told("/old/1", f"golive-release={key}", "golive-traffic-web=web")).endswith("/new/1")
        strangers = Counter([await told("/") for _ in range(120)])
        assert (await client.get(url)).status_code == 401
    assert {"A-web", "A-next", "B-web"} == set(strangers), strangers
