"""Sites and services that are closed: what strangers are told, who passes, and nothing else changes."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime

import httpx
from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.headers import SECURITY
from golive.edge.model import Closed, Site, Upstream
from golive.secret import Secret

A, B = "threadr/production/api/d1", "threadr/production/web/d2"
BROWSER = {"accept": "text/html,application/xhtml+xml"}
MAINTENANCE = Closed("Down for maintenance", "Back soon.", None, None, (), Secret("s3cret"))


async def serve(envoy: Running, upstreams: Upstreams, made: Site) -> str:
    ups = [Upstream(name, (await upstreams.serve(answer(name.encode())),)) for name in (A, B)]
    await envoy.edge.apply(envoy.config(made, upstreams=tuple(ups)))
    return envoy.edge.url("threadr.localhost")


async def test_strangers_are_told_and_those_with_the_pass_are_served(envoy: Running, upstreams: Upstreams) -> None:
    until = time.time() + 3600
    url = await serve(envoy, upstreams, replace(site(rule(A)), closed=replace(MAINTENANCE, until=until)))
    async with envoy.client() as client:
        browser = await client.get(url, headers=BROWSER)
        program = await client.post(f"{url}/any/where", json={})
        grpc = await client.post(f"{url}/a.B/C", headers={"content-type": "application/grpc"})
        wrong = await client.get(f"{url}/.golive/pass?key=guess")
        right = await client.get(f"{url}/.golive/pass?key=s3cret")
        inside = await client.get(f"{url}/page", headers={"cookie": "a=b; golive-pass=s3cret; c=d"})
        near = await client.get(f"{url}/page", headers={"cookie": "golive-pass=s3cretx"})
        http = await client.get(envoy.edge.url("threadr.localhost", https=False))
    for refused in (browser, program, wrong, near):
        assert refused.status_code == 503
        assert abs(parsedate_to_datetime(refused.headers["retry-after"]).timestamp() - until) < 2
        assert refused.headers["cache-control"] == "no-store"
        assert {name: refused.headers[name] for name in SECURITY} == SECURITY
        assert "strict-transport-security" in refused.headers
    assert browser.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>Down for maintenance</h1>" in browser.text
    assert program.json()["error"] == "Down for maintenance. Back soon."
    assert grpc.headers["grpc-status"] == "14"
    assert "Down for maintenance" in grpc.headers["grpc-message"]
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert right.headers["set-cookie"] == "golive-pass=s3cret; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert inside.text == A
    assert http.is_redirect
    assert http.headers["location"].startswith("https://")


async def test_requests_from_allowed_networks_pass_whatever_others_claim(envoy: Running, upstreams: Upstreams) -> None:
    closed = replace(MAINTENANCE, allow=("127.0.0.8/29", "2001:db8::/32"))
    url = await serve(envoy, upstreams, replace(site(rule(A)), closed=closed))
    claimed = {"x-forwarded-for": "127.0.0.9", "x-envoy-external-address": "127.0.0.9", "x-real-ip": "127.0.0.9"}
    async with envoy.client() as client:
        assert (await client.get(url, headers=claimed)).status_code == 503
    transport = httpx.AsyncHTTPTransport(verify=envoy.trusting(), local_address="127.0.0.9")
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        assert (await client.get(url)).text == A


async def test_one_service_is_closed_with_a_long_page_and_the_others_answer(
    envoy: Running, upstreams: Upstreams
) -> None:
    closed = replace(MAINTENANCE, page="<p>" + "é%REQ(:path)%" * 2000)
    url = await serve(envoy, upstreams, site(rule(A, "/api", closed=closed), rule(B, "/")))
    async with envoy.client() as client:
        assert (await client.get(f"{url}/api/x", headers=BROWSER)).text == closed.page
        assert (await client.get(f"{url}/apis")).text == B
        assert (await client.get(f"{url}/api", headers={"cookie": "golive-pass=s3cret"})).text == A


async def test_closing_and_opening_is_in_the_access_log_and_costs_no_request(
    envoy: Running, upstreams: Upstreams
) -> None:
    url = await serve(envoy, upstreams, site(rule(A)))
    async with envoy.client() as client:
        statuses = [(await client.get(f"{url}/1")).status_code]
        url = await serve(envoy, upstreams, replace(site(rule(A)), closed=MAINTENANCE))
        statuses.append((await client.get(f"{url}/2")).status_code)
        await serve(envoy, upstreams, site(rule(A)))
        statuses.append((await client.get(f"{url}/3")).status_code)
    assert statuses == [200, 503, 200]
    async with asyncio.timeout(120):  # Envoy flushes its log every second
        while "/3" not in (text := envoy.edge.layout.access_log.read_text()):
            await asyncio.sleep(0.05)
    assert [json.loads(line)["status"] for line in text.splitlines()] == statuses
