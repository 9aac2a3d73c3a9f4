"""CORS through a real Envoy: who is echoed, what is allowed beforehand, and that the application's word is replaced."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.blueprint.cors import Cors
from golive.blueprint.models import RateLimit, Service
from golive.blueprint.routing import rules_of
from golive.edge.model import Upstream

A, GONE = "threadr/production/api/d1", "threadr/production/gone/d1"
SHOP = "https://shop.dev"
ASKED = {"access-control-request-method": "PUT", "access-control-request-headers": "x-a,x-b"}
STRANGERS = (
    *("null", "https://shop.dev.evil.test", "https://evilshop.dev", "http://shop.dev", "https://shop.dev:8443"),
    *("https://SHOP.dev", "https://shop.dev/", "https://a.shop.dev.evil.test", "https://evil.test/.shop.org", "*"),
    *("https://shop.dev, https://evil.test", "https://evil.test, https://shop.dev", "https://shop.org", "shop.dev"),
    *(
        "https://evil.test/a.shop.org",
        "https://evil.test@a.shop.org",
        "https://evil.shop.org.test",
        "https://xshop.org",
    ),
)


def said(found: httpx.Response) -> dict[str, str]:
    start = "access-control-"
    return {name.removeprefix(start): value for name, value in found.headers.items() if name.startswith(start)}


async def apply(envoy: Running, upstreams: Upstreams, **fields: Any) -> str:
    async def reply(request: Request) -> bytes:
        own = {"access_control_allow_origin": "*", "access_control_allow_credentials": "true", "vary": "Accept"}
        return answer(request.method.encode(), **own)

    settings = {"kind": "web", "redirects": [{"source": "/api/old", "destination": "/api/new"}]}
    limits = (RateLimit.model_validate({"path": "/api/limited", "limit": "1/day"}),)
    cors = Cors.model_validate(fields)
    made = rule(A, "/api", cors=cors, rules=rules_of(Service.model_validate(settings)), rate_limits=limits)
    gone = rule(GONE, "/gone", cors=cors, timeout=timedelta(seconds=0.2))
    ups = (Upstream(A, (await upstreams.serve(reply),)), Upstream(GONE))
    await envoy.edge.apply(envoy.config(site(made, gone, rule(A), https=False), upstreams=ups))
    return envoy.edge.url("threadr.localhost", https=False)


async def test_the_origin_that_asks_is_echoed_and_no_other(envoy: Running, upstreams: Upstreams) -> None:
    listed = [SHOP, "http://localhost:3000", "https://*.shop.org", *(f"https://s{n}.test" for n in range(40))]
    names = {"expose": ["X-Total"], "headers": ["Content-Type", "X-Token"], "methods": ["GET", "PUT"]}
    url = await apply(envoy, upstreams, origins=listed, max_age="2h", credentials=True, **names)
    async with envoy.client() as client:
        for origin in (SHOP, "http://localhost:3000", "https://a.shop.org", "https://a.b.shop.org", "https://s39.test"):
            told = {"allow-origin": origin, "allow-credentials": "true"}
            before = await client.options(f"{url}/api/x", headers={"origin": origin, **ASKED})
            assert (before.status_code, before.text) == (204, "")
            assert said(before) == {
                **told,
                "allow-methods": "GET, PUT",
                "allow-headers": "Content-Type, X-Token",
                "max-age": "7200",
            }
            assert "Origin" in before.headers["vary"]
            found = await client.get(f"{url}/api/x", headers={"origin": origin})
            assert (found.text, said(found)) == ("GET", {**told, "expose-headers": "X-Total"})
            assert found.headers["vary"].replace(" ", "").split(",") == ["Accept", "Origin"]
        for origin in (*STRANGERS, None):
            headers = {"origin": origin} if origin else {}
            assert said(await client.get(f"{url}/api/x", headers=headers)) == {}, origin
            assert said(await client.options(f"{url}/api/x", headers={**headers, **ASKED})) == {}, origin
        assert {seen.method for seen in upstreams.seen} == {"GET", "OPTIONS"}, "one without Origin is the application's"
        assert (await client.options(f"{url}/api/x", headers={"origin": SHOP})).text == "OPTIONS"

        errors = {"/gone": 504, "/api/old": 308, "/api/limited": 200}
        for path, status in [*errors.items(), ("/api/limited", 429)]:
            found = await client.get(url + path, headers={"origin": SHOP})
            assert (found.status_code, said(found).get("allow-origin")) == (status, SHOP), path
        assert said(await client.get(url, headers={"origin": SHOP}))["allow-origin"] == "*", "another service's word"


@pytest.mark.parametrize("origins", [["*"], [SHOP]])
async def test_any_header_and_any_origin(envoy: Running, upstreams: Upstreams, origins: list[str]) -> None:
    url = await apply(envoy, upstreams, origins=origins, headers=["*"])
    async with envoy.client() as client:
        before = said(await client.options(f"{url}/api/x", headers={"origin": SHOP, **ASKED}))
        assert (before["allow-headers"], "allow-credentials" in before) == ("x-a,x-b", False)
        assert before["allow-origin"] == (SHOP if origins == [SHOP] else "*")
        stranger = said(await client.options(f"{url}/api/x", headers={"origin": "https://evil.test", **ASKED}))
        assert stranger.get("allow-origin") == (None if origins == [SHOP] else "*")
        found = await client.get(f"{url}/api/x", headers={"origin": SHOP})
        assert "access-control-allow-credentials" not in found.headers
