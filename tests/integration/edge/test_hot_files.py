"""Static files that Envoy answers itself: nobody can tell, but the static server, which is not asked."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from edge_harness import Running, site

from golive.blueprint.models import RateLimit, Service
from golive.blueprint.routing import rules_of
from golive.build.static import pack
from golive.edge.hot import LARGEST, hot_files
from golive.edge.model import Closed, EdgeConfig, Endpoint, RouteRule, Upstream
from golive.edge.static_plan import ROOT
from golive.edge.static_server import Connection, Server
from golive.edge.static_store import Store

SCRIPT = "const value = compute(left, right);\n" * 700
BROWSER = {"accept-encoding": "gzip, deflate, br, zstd", "accept": "text/html,*/*;q=0.8"}
OWN = {"date", "x-request-id"}
"""Headers that differ between any two answers."""


class Statics:
    """The static server, its releases, and how many requests have come to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.upstream = Upstream("static", (Endpoint.unix(folder / "static.sock"),))

    async def start(self) -> None:
        self.server = Server(Store(self.folder / "artifacts"), asyncio.get_running_loop(), 100)
        path = str(self.folder / "static.sock")
        self.listening = await asyncio.get_running_loop().create_unix_server(lambda: Connection(self.server), path)
        self._ended = asyncio.ensure_future(self.listening.wait_closed())

    async def stop(self) -> None:
        """With its connections, which Envoy keeps: the test's loop ends before it does."""
        self.listening.close()
        async with asyncio.timeout(120):
            while not self._ended.done():
                for connection in list(self.server.connections):
                    connection.transport.abort()
                await asyncio.sleep(0.01)

    def pack(self, key: str, files: dict[str, str]) -> Path:
        source = self.folder / f"source-{key}"
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(content)
        pack(source, self.folder / "artifacts" / key, cache=self.folder / "cache")
        return self.folder / "artifacts" / key

    def rule(self, key: str, prefix: str = "/", *, hot: bool = True, **fields: Any) -> RouteRule:
        files = hot_files(self.folder / "artifacts" / key, 1) if hot else ()
        made = RouteRule(
            "web", prefix, (("static", 100),), request_headers=((ROOT, key),), compression=False, hot=files
        )
        return replace(made, serves_files=True, **fields)


@pytest.fixture
async def statics() -> AsyncIterator[Statics]:
    folder = Path(tempfile.mkdtemp(prefix="gl-hot-", dir="/tmp"))
    made = Statics(folder)
    made.pack(
        "one",
        {
            "index.html": '<script src="/assets/main.js">',
            "assets/main.js": SCRIPT,
            "assets/index-BdJ3k9Xa.js": SCRIPT + "//hashed",
            "pixel.png": "not really",
            "a b.txt": "odd name",
            "old.txt": "redirected",
            "large.js": SCRIPT * 4,
            "404.html": "<h1>Gone missing</h1>",
        },
    )
    await made.start()
    yield made
    await made.stop()
    shutil.rmtree(folder)


async def asked(envoy: Running) -> int:
    """Requests that reached the static server."""
    stats = await envoy.edge.admin.stats(r"^cluster\.static\.upstream_rq_total$") or {}
    return int(stats["cluster.static.upstream_rq_total"])


async def requests(client: httpx.AsyncClient, url: str) -> dict[str, httpx.Response]:
    """The same of each site: first those that are hot, by name."""
    tag = (await client.get(f"{url}/assets/main.js", headers={"range": "bytes=0-0"})).headers["etag"]
    asks: dict[str, tuple[str, str, dict[str, str]]] = {
        "hot page": ("GET", "/", {}),
        "hot script": ("GET", "/assets/main.js", {}),
        "hot script, coded": ("GET", "/assets/main.js", BROWSER),
        "hot script, Safari": ("GET", "/assets/main.js", {"accept-encoding": "gzip, deflate, br"}),
        "hot hashed": ("GET", "/assets/index-BdJ3k9Xa.js", {}),
        "hot picture": ("GET", "/pixel.png", BROWSER),
        "gzip alone": ("GET", "/assets/main.js", {"accept-encoding": "gzip"}),
        "identity by weight": ("GET", "/assets/main.js", {"accept-encoding": "br;q=0"}),
        "head": ("HEAD", "/assets/main.js", {}),
        "query": ("GET", "/assets/main.js?v=1", {}),
        "range": ("GET", "/assets/main.js", {"range": "bytes=5-9"}),
        "known": ("GET", "/assets/main.js", {"if-none-match": tag}),
        "stale": ("GET", "/assets/main.js", {"if-none-match": '"other"'}),
        "other name": ("GET", "/index.html", {}),
        "large": ("GET", "/large.js", {}),
        "odd": ("GET", "/a%20b.txt", {}),
        "below": ("GET", "/assets/main.js/x", {}),
        "missing": ("GET", "/none", BROWSER),
        "redirect": ("GET", "/old.txt", {}),
        "post": ("POST", "/", {}),
    }

    async def send(method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        request = client.build_request(method, url + path, headers=headers)
        if "accept-encoding" not in headers:
            del request.headers["accept-encoding"]
        return await client.send(request)

    return {name: await send(*ask) for name, ask in asks.items()}


def test_the_start_page_what_it_names_and_what_lies_highest_are_chosen(tmp_path: Path) -> None:
    files = {
        "index.html": "<script src=deep/er/named.js>",
        "deep/er/named.js": "named",
        "empty.txt": "",
        "about.html": "a",
    }
    files |= {f"{n:02}.txt": f"{n}" for n in range(20)} | {"deep/other.js": "other"}
    files |= {"00-large.png": "x" * (LARGEST + 1), "00-one.png": "y" * LARGEST, "00-two.png": "z" * LARGEST}
    source, root = tmp_path / "source", tmp_path / "release"
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    pack(source, root, cache=tmp_path / "cache")
    first = ["/", "/deep/er/named.js"]
    highest = ["/00-one.png", "/00-two.png", *(f"/{n:02}.txt" for n in range(20))]

    def chosen(services: int) -> list[str]:
        return list(dict.fromkeys(file.path for file in hot_files(root, services)))

    assert chosen(1) == first + highest[:6]
    assert chosen(32) == [*first, "/00-one.png", "/00-two.png"]
    assert chosen(64) == first
    assert chosen(65) == []


async def test_they_are_what_the_static_server_would_send(envoy: Running, statics: Statics) -> None:
    settings = {
        "kind": "static",
        "redirects": [{"source": "/old.txt", "destination": "https://new.test/"}],
        "headers": [{"source": "/assets/:path*", "headers": {"X-Path": ":path", "Cache-Control": "max-age=7"}}],
    }
    rules = rules_of(Service.model_validate(settings))
    policy = {"headers": {"ETag": "", "X-Own": "100%", "Accept-Ranges": "none"}}
    for fields, headers in (({}, {}), ({"rules": rules}, {}), ({}, policy)):
        hot = site(statics.rule("one", **fields), domain="hot.localhost", **headers)
        cold = replace(site(statics.rule("one", hot=False, **fields), domain="cold.localhost", **headers), app="cold")
        await envoy.edge.apply(envoy.config(hot, cold, upstreams=(statics.upstream,)))
        if headers:  # without a tag there is no question to ask
            continue
        for http2 in (False, True):
            async with envoy.client(http2=http2) as client:
                before = await asked(envoy)
                found = await requests(client, envoy.edge.url("hot.localhost"))
                middle = await asked(envoy)
                wanted = await requests(client, envoy.edge.url("cold.localhost"))
                after = await asked(envoy)
            for name, answer in wanted.items():
                same = {k: v for k, v in answer.headers.items() if k not in OWN}
                assert found[name].status_code == answer.status_code, name
                assert {k: v for k, v in found[name].headers.items() if k not in OWN} == same, name
                assert found[name].content == answer.content, name
            assert (after - middle) - (middle - before) == sum(name.startswith("hot") for name in wanted) + (not fields)
    async with envoy.client() as client:
        urls = [envoy.edge.url(name) for name in ("hot.localhost", "cold.localhost")]
        one, two = [(await client.get(f"{url}/assets/main.js", headers=BROWSER)).headers for url in urls]
    assert {k: v for k, v in one.items() if k not in OWN} == {k: v for k, v in two.items() if k not in OWN}
    assert (one["x-own"], one["accept-ranges"], "etag" in one) == ("100%", "none", False)


async def test_limits_count_and_closed_sites_are_closed(envoy: Running, statics: Statics) -> None:
    limits = (RateLimit.model_validate({"limit": "5/day"}),)
    url = envoy.edge.url("threadr.localhost")

    async def apply(**fields: Any) -> None:
        limited = site(statics.rule("one", rate_limits=limits, **fields))
        await envoy.edge.apply(envoy.config(limited, upstreams=(statics.upstream,)))

    await apply()
    async with envoy.client() as client:
        paths = ("/", "/none", "/assets/main.js", "/", "/", "/", "/none")
        found = [await client.get(url + path, headers=BROWSER) for path in paths]
        await apply(closed=Closed("Closed", "Back soon."))
        closed = await client.get(url)
        await apply()
        again = await client.get(url)
    assert [answer.status_code for answer in found] == [200, 404, 200, 200, 200, 429, 429]
    assert found[0].headers["x-ratelimit-limit"] == "5"
    assert (closed.status_code, again.status_code) == (503, 429)


async def test_a_switch_changes_them_and_a_body_that_is_lost_comes_back(envoy: Running, statics: Statics) -> None:
    statics.pack("two", {"index.html": "two", "docs/a.js": SCRIPT + "two"})
    url, bodies = envoy.edge.url("threadr.localhost"), envoy.edge.layout.bodies

    def config(key: str, prefix: str = "/") -> EdgeConfig:
        made = statics.rule(key, prefix, strip_prefix=True)
        return envoy.config(site(made), upstreams=(statics.upstream,))

    async with envoy.client() as client:
        await envoy.edge.apply(config("one"))
        first = (await client.get(url)).text
        await envoy.edge.apply(config("two"))
        second = (await client.get(url)).text
        kept = {path.name for path in bodies.iterdir()}
        hashed, forged = f"{url}/assets/index-BdJ3k9Xa.js", {"x-golive-previous": "one", "x-golive-root": "one"}
        assert (await client.get(hashed, headers=forged)).status_code == 404
        after = replace(statics.rule("two"), request_headers=((ROOT, "two"), ("x-golive-previous", "one")))
        await envoy.edge.apply(envoy.config(site(after), upstreams=(statics.upstream,)))
        asset = await client.get(hashed, headers={"x-golive-previous": "none"})
        assert (asset.text[-8:], "immutable" in asset.headers["cache-control"]) == ("//hashed", True)
        assert (await client.get(f"{url}/assets/main.js")).status_code == 404
        await envoy.edge.apply(config("two", "/deep"))
        before = await asked(envoy)
        deep = [(await client.get(f"{url}{path}", headers=BROWSER)).text for path in ("/deep/", "/deep/docs/a.js")]
        assert await asked(envoy) == before
    assert (first, second, deep) == ('<script src="/assets/main.js">', "two", ["two", SCRIPT + "two"])
    names = {file.name for file in hot_files(statics.folder / "artifacts/two", 1)}
    assert kept == names
    # Envoy would refuse the routes of everybody when it starts.
    shutil.rmtree(bodies)
    await envoy.kill()
    envoy.edge.prepare()
    await envoy.start()
    await envoy.edge.apply(config("two"))
    async with envoy.client() as client:
        assert (await client.get(url)).text == "two"


async def test_a_release_that_is_gone_has_none_and_harms_nobody(envoy: Running, statics: Statics) -> None:
    gone = statics.pack("gone", {"index.html": "gone"})
    config = envoy.config(site(statics.rule("gone")), upstreams=(statics.upstream,))
    assert hot_files(gone, 1)
    shutil.rmtree(gone)
    await envoy.edge.apply(config)
    async with envoy.client() as client:
        assert (await client.get(envoy.edge.url("threadr.localhost"))).status_code == 404
    assert hot_files(statics.folder / "never", 1) == ()


async def test_their_lines_in_the_log_say_whose_they_are(envoy: Running, statics: Statics) -> None:
    await envoy.edge.apply(envoy.config(site(statics.rule("one")), upstreams=(statics.upstream,)))
    async with envoy.client() as client:
        body = (await client.get(envoy.edge.url("threadr.localhost"))).content
    async with asyncio.timeout(120):
        while not (text := envoy.edge.layout.access_log.read_text()):
            await asyncio.sleep(0.05)
    line = json.loads(text)
    assert (line["service"], line["status"], line["path"]) == ("threadr/production/web", 200, "/")
    assert line["bytes_out"] == len(body)
