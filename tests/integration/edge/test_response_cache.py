"""The response cache through a real Envoy: what is kept, for whom and how long, and that nothing fails without it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.blueprint.caching import CachedPath
from golive.blueprint.csp import Csp
from golive.edge.model import Canary, EdgeConfig, Endpoint, Protected, Share, Upstream
from golive.secret import Secret
from golive.system.http import Connection

D1, D2 = "threadr/production/api/d1", "threadr/production/api/d2"
ALICE = {"authorization": "Bearer alice"}


class Cache:
    """The real process behind the edge of a test."""

    def __init__(self, envoy: Running) -> None:
        self.envoy = envoy
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        layout = self.envoy.edge.layout
        command = [sys.executable, "-m", "golive.edge.cache_server", "--origin", str(layout.origin)]
        before = layout.cache.stat().st_ino if layout.cache.exists() else None
        self.process = await asyncio.create_subprocess_exec(*command, "--socket", str(layout.cache))
        async with asyncio.timeout(120):
            while not layout.cache.exists() or layout.cache.stat().st_ino == before:
                assert self.process.returncode is None
                await asyncio.sleep(0.01)

    async def end(self, number: signal.Signals) -> None:
        if self.process and self.process.returncode is None:
            os.kill(self.process.pid, number)
            await self.process.wait()

    async def ask(self, method: str, target: str) -> dict[str, Any]:
        socket = str(self.envoy.edge.layout.cache)
        connection = Connection(lambda: asyncio.open_unix_connection(socket), "cache")
        found: dict[str, Any] = json.loads((await connection.request(method, target)).text)
        await connection.close()
        return found

    async def counts(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("GET", "/-/stats"))["apps"]["threadr/production"]
        return found


@pytest.fixture
async def cache(envoy: Running) -> AsyncIterator[Cache]:
    made = Cache(envoy)
    await made.start()
    yield made
    await made.end(signal.SIGKILL)


def config(envoy: Running, at: Endpoint, live: str = D1, **policy: Any) -> EdgeConfig:
    kept = CachedPath.model_validate({"path": "/api/public/*", "ttl": "30s", **policy})
    made = rule(live, "/api", cache=(kept,), strip_prefix=True, csp=Csp(directives={"sandbox": ()}))
    return envoy.config(site(made, rule(live)), upstreams=(Upstream(live, (at,)),))


class Counting:
    """An upstream that says how often it was asked; `headers` and `status` are those of its answers."""

    def __init__(self, **headers: str) -> None:
        self.asked: list[Request] = []
        self.headers = headers
        self.status = "200 OK"
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, request: Request) -> bytes:
        self.asked.append(request)
        await self.gate.wait()
        who = request.headers.get("accept-language", "")
        return answer(f"{len(self.asked)} {request.path} {who}".encode(), self.status, **self.headers)


@contextlib.asynccontextmanager
async def served(
    envoy: Running, upstreams: Upstreams, reply: Counting, **policy: Any
) -> AsyncIterator[httpx.AsyncClient]:
    await envoy.edge.apply(config(envoy, await upstreams.serve(reply), **policy))
    async with envoy.client() as client:
        client.base_url = httpx.URL(envoy.edge.url("threadr.localhost"))
        yield client


async def test_an_answer_is_kept_for_whoever_asks_the_same(envoy: Running, upstreams: Upstreams, cache: Cache) -> None:
    reply = Counting(etag='"v1"', cache_control="public", content_type="text/plain")
    async with served(envoy, upstreams, reply, vary=["Accept-Language"]) as client:
        german = {"accept-language": "de"}
        first = await client.get("/api/public/prices?a=1", headers=german)
        second = await client.get("/api/public/prices?a=1", headers=german)
        assert first.text == second.text == "1 /public/prices?a=1 de"
        assert "uri-miss" in first.headers["cache-status"] and "stored" in first.headers["cache-status"]
        assert second.headers["cache-status"].startswith("golive; hit; ttl=")
        assert second.headers["age"] == "0"
        assert second.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in (policy := first.headers["content-security-policy"])
        assert second.headers["content-security-policy"] == policy
        same = await client.get("/api/public/prices?a=1", headers={**german, "if-none-match": 'W/"v1"'})
        assert (same.status_code, same.text) == (304, "")
        head = await client.head("/api/public/prices?a=1", headers=german)
        assert (head.status_code, head.headers["content-length"], head.text) == (200, str(len(first.text)), "")
        assert len(reply.asked) == 1
        for other in (("/api/public/prices?a=2", german), ("/api/public/prices?a=1", {"accept-language": "fr"})):
            assert "hit" not in (await client.get(other[0], headers=other[1])).headers["cache-status"]
        assert len(reply.asked) == 3
        assert reply.asked[0].headers["x-forwarded-prefix"] == "/api"
        assert reply.asked[0].headers["host"] == "threadr.localhost:" + str(envoy.edge.layout.https_port)
        assert not [name for name in reply.asked[0].headers if name.startswith(("x-golive", "x-envoy-internal"))]
        counts = await cache.counts()
        assert (counts["hits"], counts["misses"], counts["answers"]) == (3, 3, 3)


async def test_what_is_somebody_s_own_is_never_kept_nor_answered(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    reply = Counting()
    async with served(envoy, upstreams, reply) as client:
        await client.get("/api/public/a")
        for headers in (ALICE, {"cookie": "sid=1"}, {"range": "bytes=0-1"}):
            got = await client.get("/api/public/a", headers=headers)
            assert "cache-status" not in got.headers
            assert all(reply.asked[-1].headers[name] == value for name, value in headers.items())
        assert "cache-status" not in (await client.post("/api/public/a", content=b"x")).headers
        assert "cache-status" not in (await client.get("/api/other")).headers
        assert len(reply.asked) == 6
        for name, value in (
            ("set_cookie", "sid=2"),
            ("cache_control", "private, max-age=60"),
            ("cache_control", "no-store"),
            ("cache_control", "max-age=0"),
            ("vary", "*"),
        ):
            reply.headers = {name: value}
            path = f"/api/public/{len(reply.asked)}"
            texts = {(await client.get(path)).text for _ in range(2)}
            assert len(texts) == 2, (name, value)
        reply.headers, reply.status = {}, "500 Internal Server Error"
        assert len({(await client.get("/api/public/broken")).text for _ in range(2)}) == 2
        assert (await cache.counts())["answers"] == 1


async def test_a_header_that_is_not_in_the_key_does_not_reach_the_service(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    """Else what one client sends there would get into everybody's answer."""
    reply = Counting()
    async with served(envoy, upstreams, reply, cookies="ignore", vary=["X-Plan"]) as client:
        odd = {"x-original-url": "/evil", "x-http-method-override": "POST", "x-plan": "pro", "cookie": "a=b"}
        await client.get("/api/public/a", headers=odd)
        seen = reply.asked[0].headers
        assert seen["x-plan"] == "pro"
        assert not {"x-original-url", "x-http-method-override", "cookie", "accept-encoding"} & set(seen)
        again = await client.get("/api/public/a", headers={"x-plan": "pro", "cookie": "a=c"})
        assert again.headers["cache-status"].startswith("golive; hit")
        assert "hit" not in (await client.get("/api/public/a", headers={"x-plan": "free"})).headers["cache-status"]


async def test_what_vary_says_is_learned(envoy: Running, upstreams: Upstreams, cache: Cache) -> None:
    reply = Counting(vary="Accept-Language, Accept-Encoding, Cookie")
    async with served(envoy, upstreams, reply) as client:
        for language in ("de", "fr", "de", "fr"):
            got = await client.get("/api/public/a", headers={"accept-language": language})
            assert got.text.endswith(language)
        assert len(reply.asked) == 2


async def test_a_redirect_to_the_other_scheme_is_not_kept_for_both(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    """Behind a proxy that ends TLS."""

    async def reply(request: Request) -> bytes:
        if request.headers["x-forwarded-proto"] == "http":
            return answer(b"", "301 Moved Permanently", location="https://threadr.localhost/")
        return answer(b"ok")

    kept = CachedPath.model_validate({"path": "/*", "ttl": "30s"})
    made = site(rule(D1, cache=(kept,)), https=False, trusted_proxies=["127.0.0.0/8"])
    up = Upstream(D1, (await upstreams.serve(reply),))
    await envoy.edge.apply(envoy.config(made, upstreams=(up,)))
    url = envoy.edge.url("threadr.localhost", https=False)
    async with envoy.client() as client:
        for scheme, status in (("http", 301), ("https", 200)) * 2:
            got = await client.get(url, headers={"x-forwarded-proto": scheme})
            assert got.status_code == status
        assert "hit" in got.headers["cache-status"]


async def test_many_wait_for_one(envoy: Running, upstreams: Upstreams, cache: Cache) -> None:
    reply = Counting()
    reply.gate.clear()
    async with served(envoy, upstreams, reply) as client:
        asking = [asyncio.create_task(client.get("/api/public/slow")) for _ in range(20)]
        async with asyncio.timeout(120):
            while (await cache.ask("GET", "/-/stats"))["apps"].get("threadr/production", {}).get("misses") != 20:
                await asyncio.sleep(0.01)
        reply.gate.set()
        assert {got.text for got in await asyncio.gather(*asking)} == {"1 /public/slow "}
        assert len(reply.asked) == 1
        assert (await cache.counts())["joined"] == 19
        reply.headers = {"set_cookie": "a=b"}
        reply.gate.clear()
        asking = [asyncio.create_task(client.get("/api/public/own")) for _ in range(5)]
        async with asyncio.timeout(120):
            while (await cache.counts())["misses"] != 25:
                await asyncio.sleep(0.01)
        reply.gate.set()
        assert len({got.text for got in await asyncio.gather(*asking)}) == 5


async def test_a_stale_answer_is_given_while_a_newer_one_is_fetched(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    reply = Counting(cache_control="s-maxage=1")
    async with served(envoy, upstreams, reply, stale="5m") as client:
        assert (await client.get("/api/public/a")).text.startswith("1 ")
        reply.status = "503 Service Unavailable"

        async def stale() -> httpx.Response:
            return await client.get("/api/public/a")

        async with asyncio.timeout(120):
            while len(reply.asked) < 2:  # until it is too old, and its renewal fails
                got = await stale()
                assert (got.status_code, got.text) == (200, "1 /public/a ")
                await asyncio.sleep(0.05)
        assert "ttl=-" in (await stale()).headers["cache-status"] or "ttl=0" in (await stale()).headers["cache-status"]
        reply.status = "200 OK"
        async with asyncio.timeout(120):
            while (got := await stale()).text.startswith("1 "):
                await asyncio.sleep(0.05)
        assert got.status_code == 200
        assert (await cache.counts())["failed"] >= 1


async def test_only_a_success_is_unchanged(envoy: Running, upstreams: Upstreams, cache: Cache) -> None:
    reply = Counting(etag='"v1"', cache_control="s-maxage=1")
    reply.status = "404 Not Found"
    async with served(envoy, upstreams, reply, stale="5m") as client:
        known = {"if-none-match": '"v1"'}
        async with asyncio.timeout(120):
            while len(reply.asked) < 2:  # until it is too old, and renewed
                got = await client.get("/api/public/a", headers=known)
                assert (got.status_code, got.text[2:]) == (404, "/public/a ")
                await asyncio.sleep(0.05)
        assert "hit" in got.headers["cache-status"]
        assert "if-none-match" not in reply.asked[-1].headers


async def test_a_new_release_begins_with_nothing_and_purge_forgets(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    old, new = Counting(), Counting(x_release="new")
    first, second = await upstreams.serve(old), await upstreams.serve(new)
    await envoy.edge.apply(config(envoy, first))
    async with envoy.client() as client:
        client.base_url = httpx.URL(envoy.edge.url("threadr.localhost"))
        for path in ("/api/public/a", "/api/public/a/b", "/api/public/c"):
            await client.get(path)
        assert await cache.ask("POST", "/-/purge?app=threadr/production&path=/api/public/a") == {"purged": 2}
        assert await cache.ask("POST", "/-/purge?app=other/production") == {"purged": 0}
        assert "hit" not in (await client.get("/api/public/a")).headers["cache-status"]
        assert "hit" in (await client.get("/api/public/c")).headers["cache-status"]
        await envoy.edge.apply(config(envoy, second, D2))
        assert (await client.get("/api/public/c")).headers["x-release"] == "new"
        assert (await client.get("/api/public/c")).headers["cache-status"].startswith("golive; hit")


async def test_what_is_too_long_or_never_ends_is_passed_on_as_it_comes(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    async def reply(request: Request) -> bytes:
        kind = "text/event-stream" if request.path.endswith("events") else "application/octet-stream"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        request.writer.write(head.encode() + b"4\r\ntick\r\n")
        if kind == "text/event-stream":
            await ended.wait()
        for _ in range(40):
            request.writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        return b"0\r\n\r\n"

    ended = asyncio.Event()
    at = await upstreams.serve(reply)
    await envoy.edge.apply(config(envoy, at, max_size="64KB"))
    async with envoy.client() as client:
        client.base_url = httpx.URL(envoy.edge.url("threadr.localhost"))
        for _ in range(2):
            got = await client.get("/api/public/long")
            assert len(got.content) == 4 + 40 * 0x4000
            assert "stored" not in got.headers["cache-status"]
        async with client.stream("GET", "/api/public/events") as stream:
            assert (await anext(stream.aiter_bytes()))[:4] == b"tick"
            ended.set()
    assert (await cache.counts())["answers"] == 0


@pytest.mark.nightly  # test_cached_answers kills it under load, through the daemon
async def test_nothing_fails_while_the_cache_is_killed_and_comes_back(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    reply = Counting()
    stop = asyncio.Event()
    seen: list[int] = []

    async def load(client: httpx.AsyncClient, number: int) -> None:
        while not stop.is_set():
            for path in (f"/api/public/{len(seen) % 50}?{number}", f"/api/public/miss-{number}-{len(seen)}"):
                seen.append((await client.get(path)).status_code)

    async def more() -> None:
        wanted = len(seen) + 100
        async with asyncio.timeout(120):
            while len(seen) < wanted:
                await asyncio.sleep(0.005)

    async with served(envoy, upstreams, reply) as client:
        users = [asyncio.create_task(load(client, number)) for number in range(8)]
        await more()
        for number in (signal.SIGKILL, signal.SIGTERM):
            await cache.end(number)
            await more()
            await cache.start()
            await more()
        stop.set()
        await asyncio.gather(*users)
    assert set(seen) == {200}, f"{len(seen)} requests"


def hit(found: httpx.Response) -> bool:
    return found.headers.get("cache-status", "").startswith("golive; hit")


async def test_visitors_of_a_canary_are_answered_from_the_cache_of_their_release(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    old, new = Counting(x_release="old"), Counting(x_release="new")
    at = (await upstreams.serve(old), await upstreams.serve(new))
    kept = CachedPath.model_validate({"path": "/api/public/*", "ttl": "30s"})
    share, rest = Share("golive-release", "2", "1.2", 50), Share("golive-release", "1.2", "2", None)
    both = replace(site(rule(D1, cache=(kept,))), canary=Canary(share, rest, (rule(D2, cache=(kept,)),)))
    ups = (Upstream(D1, (at[0],)), Upstream(D2, (at[1],)))
    await envoy.edge.apply(envoy.config(both, upstreams=ups))
    url = envoy.edge.url("threadr.localhost") + "/api/public/a"
    async with envoy.client() as client:
        for _ in range(60):  # strangers, of whom each is drawn
            found = await client.get(url)
            client.cookies.clear()
            wanted = {"old": "golive-release=1.2", "new": "golive-release=2"}[found.headers["x-release"]]
            assert found.headers.get_list("set-cookie")[0].split(";")[0] == wanted
        for key, release in (("2", "new"), ("1.2", "old")):
            for cookie in (f"golive-release={key}", f"golive-traffic-web=x; golive-release={key};"):
                found = await client.get(url, headers={"cookie": cookie})
                assert (found.headers["x-release"], hit(found)) == (release, True)
                assert "set-cookie" not in found.headers, "the cookie of a stranger was kept with his answer"
            mine = await client.get(url, headers={"cookie": f"golive-release={key}; sid=1"})
            assert (mine.headers["x-release"], hit(mine)) == (release, False)
        forged = await client.get(url, headers={"cookie": "golive-release=3"})
        client.cookies.clear()
        assert hit(forged)
    for service in (old, new):
        assert ["cookie" in request.headers for request in service.asked] == [False, True]


async def test_a_protected_site_is_kept_only_for_those_who_are_let_in(
    envoy: Running, upstreams: Upstreams, cache: Cache
) -> None:
    reply = Counting(cache_control="public, s-maxage=60")
    up = (Upstream(D1, (await upstreams.serve(reply),)),)
    kept = CachedPath.model_validate({"path": "/api/*", "ttl": "30s"})
    guard = Protected(Secret("k3y"), "preview", Secret("word"), link=True, open=("/api/open",))
    made = replace(site(rule(D1, cache=(kept,))), protected=guard, probe=Secret("sesame"))
    await envoy.edge.apply(envoy.config(made, upstreams=up))
    url, key = envoy.edge.url("threadr.localhost"), {"cookie": "golive-key=k3y"}
    async with envoy.client() as client:
        first, second = [await client.get(f"{url}/api/a", headers=key) for _ in range(2)]
        assert (first.text, hit(first), hit(second)) == (second.text, False, True)
        assert second.headers["cache-control"] == "public, s-maxage=60,private"  # no CDN may keep it
        for cookie in (None, "golive-key=k3", "golive-key=", "golive-key=k3y2", "golive-release=2", "xgolive-key=k3y"):
            for path in ("/api/a", "/api/open/../a", "/api/open%2f..%2fa", "//api/a", "/api/./a", "/api/a?"):
                request = client.build_request("GET", url, headers={"cookie": cookie} if cookie else {})
                request.url = request.url.copy_with(raw_path=path.encode())
                found = await client.send(request)
                assert found.status_code in (307, 401), (cookie, path)
                assert "cache-status" not in found.headers
                assert found.text != first.text
                client.cookies.clear()
        assert (await client.get(f"{url}/api/a", headers={"if-none-match": "*"})).status_code == 401
        assert (await client.head(f"{url}/api/a")).status_code == 401
        let_in = await client.get(f"{url}/api/a", auth=httpx.BasicAuth("preview", "word"))
        client.cookies.clear()
        assert not hit(let_in) and "golive-key=k3y" in let_in.headers["set-cookie"]
        own = await client.get(f"{url}/api/a", headers={**key, "authorization": "Bearer mine"})
        session = await client.get(f"{url}/api/a", headers={"cookie": "golive-key=k3y; sid=1"})
        assert not hit(own) and not hit(session)
        assert [hit(await client.get(f"{url}/api/open/x")) for _ in range(2)] == [False, True]
        # Another word: who has the old one is a stranger, to what is kept too.
        other = replace(made, protected=replace(guard, key=Secret("n3w")))
        await envoy.edge.apply(envoy.config(other, upstreams=up))
        assert (await client.get(f"{url}/api/a", headers=key)).status_code == 401
        assert hit(await client.get(f"{url}/api/a", headers={"cookie": "golive-key=n3w"}))
    assert "cookie" not in reply.asked[0].headers


async def test_a_site_without_a_cache_has_no_trace_of_it(envoy: Running, upstreams: Upstreams) -> None:
    at = await upstreams.serve(answer(b"A"))
    await envoy.edge.apply(config(envoy, at))
    assert await envoy.edge.ready()
    assert envoy.edge.layout.origin.exists()
    await envoy.edge.apply(envoy.config(site(rule(D1)), upstreams=(Upstream(D1, (at,)),)))
    listeners = await envoy.edge.admin.get("/listeners")
    assert listeners is not None and "origin::" not in listeners
    assert await envoy.edge.wait_ready(timedelta(seconds=1))
