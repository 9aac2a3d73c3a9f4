"""Who a client is, through a real Envoy: by its connection, or by the word of a proxy that is trusted; one address for
limits, the shield, the log and the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import httpx
import pytest
from edge_harness import Running, Upstreams, answer, rule, site

from golive.blueprint.models import RateLimit
from golive.blueprint.proxies import CLAIMED
from golive.edge.model import Closed, Upstream

A = "threadr/production/api/d1"
PROXY, OTHER = "127.0.0.9", "127.0.0.10"
"""Where the load balancer is, and where a visitor who is none."""
TRUSTED = [f"{PROXY}/32", "203.0.113.0/24", "2001:db8:cd::/48"]
NEAR, FAR = "203.0.113.5", "198.51.100.7"
"""Another proxy, and a visitor."""


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    for visitor in Visitor.made:
        await visitor.client.aclose()
    Visitor.made.clear()


async def serve(envoy: Running, upstreams: Upstreams, *, limit: str = "1000/min", **policy: Any) -> None:
    up = Upstream(A, (await upstreams.serve(answer(b"ok")),))
    limits = (RateLimit.model_validate({"limit": limit}),)
    made = site(rule(A, rate_limits=limits), **{"https": False, "trusted_proxies": TRUSTED, **policy})
    await envoy.edge.apply(envoy.config(made, upstreams=(up,)))


class Visitor:
    """Asks from one address of this machine, by IPv4, over HTTP or TLS."""

    made: ClassVar[list[Visitor]] = []

    def __init__(self, envoy: Running, source: str, *, https: bool = False) -> None:
        transport = httpx.AsyncHTTPTransport(verify=envoy.trusting(), local_address=source)
        self.client = httpx.AsyncClient(transport=transport, timeout=20, trust_env=False)
        self.url = envoy.edge.url("threadr.localhost", https=https)
        self.made.append(self)

    async def ask(self, *forwarded: str, **headers: str) -> httpx.Response:
        fields = [("x-forwarded-for", value) for value in forwarded]
        fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
        return await self.client.get(self.url, headers=fields)


SAID: dict[str, tuple[tuple[str, ...], str | None]] = {
    "nothing": ((), PROXY),
    "one": ((FAR,), FAR),
    "forged before it": ((f"8.8.8.8, {FAR}",), FAR),
    "several headers": (("8.8.8.8", "1.1.1.1", FAR), FAR),
    "through another proxy": ((f"8.8.8.8, {FAR}, {NEAR}",), FAR),
    "through two, spaced": ((f"{FAR} ,\t{NEAR},{PROXY}",), FAR),
    "proxies alone": ((f"{NEAR}, {PROXY}",), NEAR),
    "IPv6": (("2001:db8::7, 2001:db8:cd::1",), "2001:db8::7"),
    "IPv6 written long": (("2001:0DB8:0:0:0:0:0:7",), "2001:db8::7"),
    "a proxy on a socket of both": ((f"{FAR}, ::ffff:203.0.113.5",), FAR),
    "garbage before it": ((f"<script>, ${{jndi:x}}, {FAR}",), FAR),
    "garbage last": ((f"{FAR}, unknown",), None),
    "garbage behind a proxy": ((f"{FAR}, unknown, {NEAR}",), None),
    "a port": ((f"{FAR}:4711",), None),
    "brackets": (("[2001:db8::7]:80",), None),
    "a zone": (("fe80::1%nowhere9",), None),
    "octal": (("0306.063.0144.07",), None),
    "a number": (("3325256711",), None),
    "the proxy alone": ((f"{PROXY}, {PROXY}",), PROXY),
    "empty": (("",), PROXY),
    "commas": ((",,,",), PROXY),
    "a comma at its end": ((f"{FAR},",), None),
    "20": ((", ".join(["8.8.8.8"] * 19) + f", {FAR}",), FAR),
    "21": ((", ".join(["8.8.8.8"] * 20) + f", {FAR}",), None),
    "21 of the proxy": ((", ".join([PROXY] * 20) + f", {FAR}",), None),
    "very long": ((", ".join(["8.8.8.8"] * 5000) + f", {FAR}",), None),
    "very long garbage": (("9" * 50_000 + f", {FAR}",), FAR),
    "all of it proxies": ((", ".join([NEAR] * 3000),), None),
}


async def test_a_trusted_proxy_says_who_asks(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams, https=True)
    proxy, other = (Visitor(envoy, source, https=True) for source in (PROXY, OTHER))
    for name, (values, wanted) in SAID.items():
        assert (await proxy.ask(*values)).status_code == (200 if wanted else 400), name
        assert (upstreams.seen.pop().headers["x-forwarded-for"] if wanted else None) == wanted, name
        assert (await other.ask(*values)).status_code == 200, name
        assert upstreams.seen.pop().headers["x-forwarded-for"] == OTHER, name
    lines = await logged(envoy, len(SAID) * 2)
    assert [line["client"] for line in lines] == [a for _, wanted in SAID.values() for a in (wanted or PROXY, OTHER)]


async def logged(envoy: Running, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(120):
        while True:
            text = envoy.edge.layout.access_log.read_text() if envoy.edge.layout.access_log.exists() else ""
            if text.count("\n") >= count:
                return [json.loads(line) for line in text.splitlines()]
            await asyncio.sleep(0.05)


async def test_limits_and_the_shield_go_by_that_address(envoy: Running, upstreams: Upstreams) -> None:
    guards = {"deny": ["198.51.100.66/32"], "allow": ["198.51.100.0/24", "2001:db8::/64", "127.0.0.0/8"]}
    await serve(envoy, upstreams, limit="2/day", shield=guards)
    proxy, other = (Visitor(envoy, source) for source in (PROXY, OTHER))
    forged = [f"8.8.8.{n}, {FAR}" for n in range(4)]
    assert [(await proxy.ask(value)).status_code for value in forged] == [200, 200, 429, 429]
    assert [(await proxy.ask("2001:db8::7")).status_code for _ in range(3)] == [200, 200, 429]
    assert [(await other.ask(f"198.51.100.{n}")).status_code for n in range(4)] == [200, 200, 429, 429]
    refused = ("198.51.100.66", "::ffff:198.51.100.66", "8.8.8.8", "198.51.100.7, 8.8.8.8", "2001:db8:1::7")
    assert {(await proxy.ask(value)).status_code for value in refused} == {403}
    assert (await other.ask("198.51.100.66")).status_code == 429  # it is 127.0.0.10, whatever it says
    assert (await proxy.ask("::ffff:198.51.100.9")).status_code == 200
    assert (await proxy.ask(x_envoy_external_address="-")).status_code == 200  # the proxy itself, which may


async def test_who_passes_maintenance_goes_by_that_address(envoy: Running, upstreams: Upstreams) -> None:
    up = Upstream(A, (await upstreams.serve(answer(b"ok")),))
    closed = Closed("Back soon", "", allow=("198.51.100.7/32",))
    made = site(rule(A, closed=closed), https=False, trusted_proxies=TRUSTED)
    await envoy.edge.apply(envoy.config(made, upstreams=(up,)))
    proxy, other = (Visitor(envoy, source) for source in (PROXY, OTHER))
    assert (await proxy.ask(FAR)).status_code == 200
    assert (await proxy.ask(f"{FAR}, 8.8.8.8")).status_code == 503
    assert (await proxy.ask(", ".join([FAR] * 20) + ", 8.8.8.8")).status_code == 400
    assert (await proxy.ask(x_envoy_external_address=FAR)).status_code == 503
    assert (await other.ask(FAR, x_envoy_external_address=FAR)).status_code == 503
    assert (await other.ask(FAR, x_envoy_external_address="-")).status_code == 503


async def test_what_else_a_proxy_says(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams)
    proxy, other = (Visitor(envoy, source) for source in (PROXY, OTHER))
    port = str(envoy.edge.layout.http_port)
    for visitor, said, wanted in (
        (proxy, "https", "https"),
        (proxy, "http", "http"),
        (proxy, "https,http", "http"),
        (proxy, "javascript", "http"),
        (proxy, "", "http"),
        (other, "https", "http"),
    ):
        await visitor.ask(FAR, x_forwarded_proto=said, x_forwarded_port="22", x_forwarded_host="evil.test")
        seen = upstreams.seen.pop().headers
        assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == (wanted, port), said
        assert seen["x-forwarded-host"] == f"threadr.localhost:{port}"
    given = {"x_request_id": "mine", "x_envoy_upstream_rq_timeout_ms": "1", "x_envoy_decorator_operation": "x"}
    given |= {f"x_envoy_{name}": "/evil" for name in ("original_path", "original_host", "downstream_service_node")}
    for visitor in (proxy, other):
        await visitor.ask(FAR, **given)
        seen = upstreams.seen.pop().headers
        assert seen["x-request-id"] != "mine"
        assert not [name for name in seen if name.startswith("x-envoy-")]


async def test_what_came_to_a_proxy_over_tls_is_not_redirected(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams, https=True)
    proxy, other = (Visitor(envoy, source) for source in (PROXY, OTHER))
    found = await proxy.ask(FAR, x_forwarded_proto="https")
    assert (found.text, found.headers["strict-transport-security"]) == ("ok", "max-age=31536000")
    seen = upstreams.seen.pop().headers
    assert (seen["x-forwarded-proto"], seen["x-forwarded-for"]) == ("https", FAR)
    for visitor, said in ((proxy, "http"), (proxy, "https, http"), (proxy, "HTTPS"), (other, "https"), (other, "http")):
        moved = await visitor.ask(FAR, x_forwarded_proto=said)
        assert (moved.status_code, moved.headers["location"][:26]) == (307, "https://threadr.localhost:"), said
    assert upstreams.seen == []


async def test_nobody_says_anything_about_himself(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams, trusted_proxies=[])
    visitor = Visitor(envoy, PROXY)
    claims = {name.replace("-", "_"): FAR for name in CLAIMED}
    await visitor.ask(FAR, **claims, x_forwarded_proto="https", x_forwarded_host="evil.test", x_forwarded_port="22")
    seen = upstreams.seen.pop().headers
    assert not set(CLAIMED) & seen.keys()
    assert FAR not in str(seen)
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == (PROXY, "http")
    assert seen["x-forwarded-port"] == str(envoy.edge.layout.http_port)
    assert "evil" not in str(seen)


async def test_a_network_is_added_without_cutting_anybody(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams, trusted_proxies=[])
    visitor = Visitor(envoy, OTHER)
    await visitor.ask(FAR)
    before = connections(visitor)
    await serve(envoy, upstreams)
    assert (await visitor.ask(FAR)).status_code == 200
    assert connections(visitor) == before
    await Visitor(envoy, PROXY).ask(FAR)
    assert [seen.headers["x-forwarded-for"] for seen in upstreams.seen] == [OTHER, OTHER, FAR]


def connections(visitor: Visitor) -> list[int]:
    transport = visitor.client._transport
    assert isinstance(transport, httpx.AsyncHTTPTransport)
    return [id(connection) for connection in transport._pool.connections]
