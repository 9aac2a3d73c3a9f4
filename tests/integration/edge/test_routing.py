"""Redirects, rewrites, headers by path and slashes: what is written in the blueprint, what a client asks and gets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from edge_harness import Request, Running, Upstreams, answer

from golive.blueprint.models import EdgePolicy, RateLimit, Service
from golive.blueprint.pattern_size import MOST, program_size
from golive.blueprint.routing import rules_of
from golive.build.static import pack
from golive.edge.model import EdgeConfig, Endpoint, RouteRule, Site, Upstream

Json = dict[str, Any]


def redirect(source: str, to: str, status: int = 308, **fields: Any) -> Json:
    return {"source": source, "destination": to, "status": status, **fields}


def rewrite(source: str, to: str, **fields: Any) -> Json:
    return {"source": source, "destination": to, **fields}


def header(source: str, name: str, value: str, **fields: Any) -> Json:
    return {"source": source, "headers": {name: value}, **fields}


def one(kind: str, key: str | None = None, value: str | None = None) -> list[Json]:
    return [{"type": kind, "key": key, "value": value}]


@dataclass(frozen=True)
class Case:
    """`gets` is a Location when the status is 3xx, else the path that the service was asked, or a page's text."""

    app: str
    asks: str
    status: int
    gets: str
    sends: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str | None] = field(default_factory=dict)
    method: str = "GET"


APPS: dict[str, dict[str, Json]] = {
    "moved": {
        "web": {
            "redirects": [
                redirect("/a301", "/b", 301),
                redirect("/a302", "/b", 302),
                redirect("/a307", "/b", 307),
                redirect("/a308", "/b"),
                redirect("/blog/:slug", "/news/:slug"),
                redirect("/docs/:path*", "https://docs.example.com/v2/:path*"),
                redirect("/old/(.*)", "/new/$1"),
                redirect("/find/:term", "/search?q=:term&from=old"),
                redirect("/v/:id(\\d+)", "/version/:id#top-:id"),
                redirect("/raw(.*)", "/$1"),
                redirect("/twice", "/first"),
                redirect("/twice", "/second"),
                redirect("/100%25", "/50%25"),
                redirect("/no/:rest((?!keep/).*)", "/gone/:rest"),
            ],
            "headers": [header("/blog/(.*)", "x-late", "never"), header("/(.*)", "x-all", "100% 'sure'")],
        }
    },
    "asked": {
        "web": {
            "redirects": [
                redirect("/in", "/beta", 307, has=one("cookie", "beta", "yes")),
                redirect("/in", "/:lang/in", 307, has=one("header", "X-Lang", "(?<lang>de|fr)")),
                redirect("/in", "/page/:page", 307, has=one("query", "page", "(?<page>\\d+)")),
                redirect("/in", "/anonymous", 307, missing=one("header", "authorization")),
                redirect("/m", "/plain", 307, missing=one("query", "debug", "1|true")),
                redirect("/c", "/sign-in", 307, missing=one("cookie", "session")),
                redirect("/h", "/www", 307, has=one("host", None, "www\\..*")),
                redirect("/k", "/key/:token", 307, has=one("query", "token")),
                redirect("/both", "/yes", 307, has=one("header", "x-a") + one("header", "x-b", "1")),
            ]
        }
    },
    "under": {
        "web": {
            "rewrites": [
                rewrite("/user/:id", "/profile/:id"),
                rewrite("/post/:slug", "/article"),
                rewrite("/call/(.*)", "/api/v1/$1"),
                rewrite("/api/(.*)", "/mine"),
                rewrite("/lang", "/l/:tongue", has=one("header", "x-lang", "(?<tongue>[a-z]+).*")),
                rewrite("/any/:path*", "/"),
            ],
            "headers": [
                header("/user/:id", "x-user", "u-:id: 1"),
                header("/(.*)", "cache-control", "no-store"),
                header("/post/(.*)", "Cache-Control", "public, max-age=60"),
                header("/(.*)", "x-german", "ja", has=one("header", "x-lang", "de.*")),
                header("/(.*)", "x-no-cookie", "%41)%", missing=one("cookie", "seen")),
                header("/(.*)", "x-frame-options", "SAMEORIGIN"),
            ],
        },
        "api": {
            "route": ["/api"],
            "strip_prefix": True,
            "rewrites": [rewrite("/api/old/(.*)", "/api/$1")],
            "redirects": [redirect("/api/gone", "/api/here", 302), redirect("/user/:id", "/not-mine")],
        },
    },
    "slash": {"web": {"trailing_slash": True, "redirects": [redirect("/r/", "/s/")]}},
    "bare": {"web": {"trailing_slash": False}},
    "html": {"web": {"redirect_html": True, "trailing_slash": False}},
    "other": {"web": {}},
    "files": {
        "web": {
            "kind": "static",
            "redirects": [redirect("/start", "/about")],
            "rewrites": [
                rewrite("/about", "/wrong.html"),
                rewrite("/first", "/about.html", before_files=True),
                rewrite("/(.*)", "/index.html"),
            ],
            "headers": [header("/(.*).html", "x-page", "1"), header("/(.*)", "cache-control", "no-cache")],
        }
    },
    "slashed": {"web": {"kind": "static", "trailing_slash": True}},
    "unslashed": {"web": {"kind": "static", "trailing_slash": False}},
}
"""Each app is at `<name>.localhost`, and at `www.<name>.localhost`."""

HERE = "https://{host}"
CASES = [
    Case("moved", "/a301", 301, HERE + "/b"),
    Case("moved", "/a302", 302, HERE + "/b", method="HEAD"),
    Case("moved", "/a307", 307, HERE + "/b", method="POST"),
    Case("moved", "/a308?x=1&y=%20", 308, HERE + "/b?x=1&y=%20", method="PUT"),
    Case("moved", "/blog/hello?utm=1", 308, HERE + "/news/hello?utm=1", answers={"x-late": None, "x-all": None}),
    Case("moved", "/BLOG/Hello", 308, HERE + "/news/Hello"),
    Case("moved", "/blog/a/b", 200, "web /blog/a/b", answers={"x-late": "never", "x-all": "100% 'sure'"}),
    Case("moved", "/docs/a/b?v=1", 308, "https://docs.example.com/v2/a/b?v=1"),
    Case("moved", "/docs", 308, "https://docs.example.com/v2/"),
    Case("moved", "/old/caf%C3%A9/%3F%26?x", 308, HERE + "/new/caf%C3%A9/%3F%26?x"),
    Case("moved", "/find/tea?page=2", 308, HERE + "/search?q=tea&from=old&page=2"),
    Case("moved", "/find/tea", 308, HERE + "/search?q=tea&from=old"),
    Case("moved", "/find/tea?", 308, HERE + "/search?q=tea&from=old"),
    Case("moved", "/v/12?x=1", 308, HERE + "/version/12?x=1#top-12"),
    Case("moved", "/v/x", 200, "web /v/x"),
    Case("moved", "/twice", 308, HERE + "/first"),
    Case("moved", "/100%25", 308, HERE + "/50%25"),
    Case("moved", "/no/x?y=keep/", 308, HERE + "/gone/x?y=keep/"),
    Case("moved", "/no/keep/x", 200, "web /no/keep/x"),
    # Nothing that a client asks leads to another host.
    Case("moved", "/raw//evil.example", 308, HERE + "//evil.example"),
    Case("moved", "/raw/\\evil.example", 308, HERE + "//evil.example"),
    Case("moved", "/raw/%5Cevil.example", 307, "/raw/evil.example"),
    Case("moved", "/old//evil.example", 308, HERE + "/new/evil.example"),
    Case("moved", "//evil.example/a301", 200, "web /evil.example/a301"),
    Case("moved", "/old/%0d%0aset-cookie:x", 308, HERE + "/new/%0d%0aset-cookie:x", answers={"set-cookie": None}),
    Case("asked", "/in", 307, HERE + "/beta", sends={"cookie": "a=1; beta=yes; b=2"}),
    Case("asked", "/in", 307, HERE + "/anonymous", sends={"cookie": "beta=yesterday; xbeta=yes"}),
    Case("asked", "/in?x=1", 307, HERE + "/de/in?x=1", sends={"x-lang": "de"}),
    Case("asked", "/in?page=7", 307, HERE + "/page/7?page=7"),
    Case("asked", "/in?page=x&y=page=7", 307, HERE + "/anonymous?page=x&y=page=7"),
    Case("asked", "/in", 200, "web /in", sends={"authorization": "b"}),
    Case("asked", "/m", 307, HERE + "/plain"),
    Case("asked", "/m?a=1&debug=true", 200, "web /m?a=1&debug=true"),
    Case("asked", "/m?debug=truest", 307, HERE + "/plain?debug=truest"),
    Case("asked", "/c", 307, HERE + "/sign-in", sends={"cookie": "sessions=1"}),
    Case("asked", "/c", 200, "web /c", sends={"cookie": "session=1"}),
    Case("asked", "/h", 200, "web /h"),
    Case("www.asked", "/h", 307, HERE + "/www"),
    Case("asked", "/k?token=a%2Fb&c=d", 307, HERE + "/key/a%2Fb?token=a%2Fb&c=d"),
    Case("asked", "/k?token=//evil.example", 307, HERE + "/key///evil.example?token=//evil.example"),
    Case("asked", "/both", 200, "web /both", sends={"x-a": "1"}),
    Case("asked", "/both", 307, HERE + "/yes", sends={"x-a": "0", "x-b": "1"}),
    Case("under", "/user/7?x=1", 200, "web /profile/7?x=1", answers={"x-user": "u-7: 1", "cache-control": "no-store"}),
    Case("under", "/user/%C3%A9%20b", 200, "web /profile/%C3%A9%20b", answers={"x-user": "u-%C3%A9%20b: 1"}),
    Case("under", "/user/7", 200, "web /profile/7", method="POST"),
    Case("under", "/post/a?x=1&y=%20+", 200, "web /article?slug=a&x=1&y=%20+"),
    Case("under", "/post/a", 200, "web /article?slug=a", answers={"cache-control": "public, max-age=60"}),
    Case("under", "/call/x/y?z", 200, "api /v1/x/y?z", answers={"x-frame-options": "SAMEORIGIN"}),
    Case("under", "/api/x", 200, "api /x", answers={"cache-control": None, "x-frame-options": "DENY"}),
    Case("under", "/api/old/x", 200, "api /x"),
    Case("under", "/api/gone", 302, HERE + "/api/here"),
    Case("under", "/lang", 200, "web /l/de", sends={"x-lang": "de-AT"}, answers={"x-german": "ja"}),
    Case("under", "/lang", 200, "web /lang", answers={"x-german": None, "x-no-cookie": "%41)%"}),
    Case("under", "/x", 200, "web /x", sends={"cookie": "seen=1"}, answers={"x-no-cookie": None}),
    Case("under", "/any/thing/at/all", 200, "web /?path=thing/at/all"),
    Case("slash", "/about?x=1", 308, HERE + "/about/?x=1"),
    Case("slash", "/about/", 200, "web /about/"),
    Case("slash", "/app.js", 200, "web /app.js"),
    Case("slash", "/app.js/", 308, HERE + "/app.js"),
    Case("slash", "/.well-known/acme", 200, "web /.well-known/acme"),
    Case("slash", "/r", 308, HERE + "/r/"),
    Case("slash", "/r/", 308, HERE + "/s/"),
    Case("bare", "/a/b/?x", 308, HERE + "/a/b?x"),
    Case("bare", "/", 200, "web /"),
    Case("html", "/a/index.html?x=1", 308, HERE + "/a?x=1"),
    Case("html", "/about.html", 308, HERE + "/about"),
    # The rules of one app are none of another's.
    Case("other", "/a301", 200, "web /a301"),
    Case("other", "/user/7", 200, "web /user/7", answers={"x-user": None, "x-frame-options": "DENY"}),
    Case("other", "/about/", 200, "web /about/"),
    Case("files", "/about", 200, "about", answers={"cache-control": "no-cache", "x-page": None}),
    Case("files", "/about.html", 200, "about", answers={"x-page": "1"}),
    Case("files", "/first", 200, "about"),
    Case("files", "/app.js", 200, "script"),
    Case("files", "/deep/link?x=1", 200, "index"),
    Case("files", "/deep/link", 200, "index", sends={"x-golive-fallback": "/about.html", "x-golive-root": "x"}),
    Case("files", "/start", 308, HERE + "/about"),
    Case("slashed", "/about", 308, HERE + "/about/"),
    Case("slashed", "/about/", 200, "about"),
    Case("unslashed", "/docs/", 308, HERE + "/docs"),
    Case("unslashed", "/docs", 200, "docs"),
]
FILES = {"index.html": "index", "about.html": "about", "app.js": "script", "docs/index.html": "docs"}


@contextlib.asynccontextmanager
async def static_server(folder: Path) -> AsyncIterator[Endpoint]:
    """The server of static releases with one release, `site`."""
    for name, text in FILES.items():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / name).write_text(text)
    pack(folder / "source", folder / "artifacts" / "site", cache=folder / "cache", spa=False)
    path = Path(tempfile.mkdtemp()) / "static.sock"
    command = [sys.executable, "-m", "golive.edge.static_server", "--artifacts", str(folder / "artifacts")]
    process = await asyncio.create_subprocess_exec(*command, "--socket", str(path))
    try:
        async with asyncio.timeout(120):
            while not path.exists():
                await asyncio.sleep(0.02)
        yield Endpoint.unix(path)
    finally:
        process.kill()
        await process.wait()


def site(name: str, services: Mapping[str, Json]) -> Site:
    rules = []
    for service_name, given in services.items():
        service = Service.model_validate({"kind": "web", "route": ["/"], **given})
        static = service.kind == "static"
        sent: tuple[tuple[str, str], ...] = (("x-golive-root", "site"),) if static else ()
        if service.trailing_slash is not None:
            sent = (*sent, ("x-golive-slash", "edge"))
        rules += [
            RouteRule(
                service_name,
                prefix,
                (("static" if static else service_name, 100),),
                strip_prefix=service.strip_prefix,
                rate_limits=service.rate_limit,
                request_headers=sent,
                compression=not static,
                rules=rules_of(service),
                serves_files=static,
            )
            for prefix in service.route
        ]
    return Site(name, "production", (f"{name}.localhost", f"www.{name}.localhost"), tuple(rules), EdgePolicy())


def echo(name: str) -> Any:
    async def reply(request: Request) -> bytes:
        return answer(f"{name} {request.path}".encode())

    return reply


async def ask(client: httpx.AsyncClient, envoy: Running, case: Case) -> list[str]:
    """What differs from what is wanted."""
    host = f"{case.app}.localhost:{envoy.edge.layout.https_port}"
    url = httpx.URL(f"https://{host}", raw_path=case.asks.encode())
    got = await client.send(httpx.Request(case.method, url, headers=dict(case.sends)))
    given = got.headers.get("location", "") if got.is_redirect else got.text
    wanted = case.gets.format(host=host)
    wrong = [] if (got.status_code, given) == (case.status, wanted) else [f"{got.status_code} {given}"]
    return wrong + [f"{k}: {got.headers.get(k)}" for k, v in case.answers.items() if got.headers.get(k) != v]


async def test_every_rule_does_what_it_says(envoy: Running, upstreams: Upstreams, tmp_path: Path) -> None:
    sites = [site(name, services) for name, services in APPS.items()]
    ups = [Upstream(name, (await upstreams.serve(echo(name)),)) for name in ("web", "api")]
    async with static_server(tmp_path / "static") as endpoint, envoy.client() as client:
        await envoy.edge.apply(envoy.config(*sites, upstreams=(*ups, Upstream("static", (endpoint,)))))
        found = [(case, await ask(client, envoy, case)) for case in CASES]
    wrong = "\n".join(f"{c.method} {c.app} {c.asks} {dict(c.sends)}: {w}" for c, w in found if w)
    assert not wrong, wrong


async def test_limits_count_rewritten_requests_and_retries_hide_a_restart(envoy: Running, upstreams: Upstreams) -> None:
    limit = RateLimit.model_validate({"limit": "1/min", "path": "/limited"})
    services = {"web": {"rate_limit": [limit], "rewrites": [rewrite("/(.*)", "/app/$1")]}}
    there = await upstreams.serve(echo("web"))
    cfg: EdgeConfig = envoy.config(site("limits", services), upstreams=(Upstream("web", (there,)),))
    await envoy.edge.apply(cfg)
    url = f"https://limits.localhost:{envoy.edge.layout.https_port}"
    async with envoy.client() as client:
        statuses = [(await client.get(f"{url}/limited/{n}")).status_code for n in range(2)]
        assert statuses == [200, 429]
        assert (await client.get(f"{url}/free")).text == "web /app/free"
        await upstreams.stop(there)
        waiting = asyncio.create_task(client.get(f"{url}/free?x=1"))
        await asyncio.sleep(0)
        await upstreams.serve(echo("web"), there.port)
        assert (await waiting).text == "web /app/free?x=1"


async def test_envoy_takes_every_kind_of_pattern(envoy: Running, upstreams: Upstreams) -> None:
    """Expressions with all that the translation has to look at: classes, anchors, alternatives, look-aheads."""
    sources = [
        "^/a[^/.]+$|^/b[\\]x]$",
        "/:x([\\s\\S]*)",
        "/((?!api/|_next$|.*\\.html$).*)",
        "/:a-:b",
        "/x{/:y}?",
        "^/\\S+\\.\\w$",
    ]
    service = {"headers": [header(source, f"x-{n}", "1") for n, source in enumerate(sources)]}
    await envoy.edge.apply(
        envoy.config(
            site("kinds", {"web": service}), upstreams=(Upstream("web", (await upstreams.serve(echo("web")),)),)
        )
    )
    wanted = {
        "/aq?x=/": "01 2",
        "/b]": "0 12",
        "/api/x": "1",
        "/_next?y": "1",
        "/_nextx?y=api/": "12",
        "/a/b.html?x": "1",
        "/q-r?s-t": "123",
        "/x/y?z": "124",
        "/x.y?q": "125",
    }
    url = f"https://kinds.localhost:{envoy.edge.layout.https_port}"
    async with envoy.client() as client:
        for path, numbers in wanted.items():
            got = await client.get(httpx.URL(url, raw_path=path.encode()))
            assert {n for n in range(6) if f"x-{n}" in got.headers} == {int(n) for n in numbers if n != " "}, path


LARGE = [
    "[^/]{80}",
    ".{100}",
    "(?:" + "a|" * 300 + "b)",
    "k" * 240,
    "ab" * 350,
    "[a-z0-9_-]{85}",
    "\\w{350}",
    "(a?){240}",
]


async def test_envoy_takes_every_expression_that_the_blueprint_does(envoy: Running, upstreams: Upstreams) -> None:
    """All that is just small enough, in each place where an expression ends up."""
    services: Json = {"redirects": [], "headers": []}
    for number, large in enumerate(LARGE):
        assert MOST * 0.8 < program_size(large) <= MOST, large
        services["redirects"].append(redirect(f"^/(x{number}{large})$", "/y/$1?z=$1"))
        services["headers"].append(header("/(.*)", f"x-{number}", "1", has=one("query", "q", large)))
    upstream = Upstream("web", (await upstreams.serve(echo("web")),))
    await envoy.edge.apply(envoy.config(site("large", {"web": services}), upstreams=(upstream,)))
    async with envoy.client() as client:
        url = f"https://large.localhost:{envoy.edge.layout.https_port}"
        got = await client.get(f"{url}/?q={'ab' * 350}")
        assert [name for name in got.headers if name.startswith("x-") and name[2:].isdigit()] == ["x-4"]
        moved = await client.get(f"{url}/x0{'q' * 80}?w")
        assert moved.headers["location"] == f"{url}/y/x0{'q' * 80}?z=x0{'q' * 80}&w"


async def test_the_guide_does_what_it_says(envoy: Running, upstreams: Upstreams, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/guides/routing.md").read_text(encoding="utf-8")
    blueprint = tomllib.loads(re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0])
    services = {name: {**given, "route": [given["route"]]} for name, given in blueprint["services"].items()}
    rows = re.findall(r"^\| `(.+?)` \| (\d+) `(.+?)` \|$", page, re.MULTILINE)
    cases = [
        Case("shop", path, int(status), HERE + gets if status[0] == "3" and gets[0] == "/" else gets)
        for path, status, gets in rows
    ]
    assert len(cases) >= 7
    cases.append(Case("shop", "/", 307, HERE + "/de", sends={"accept-language": "de-AT, en"}))
    cases.append(Case("shop", "/api/x", 200, "api /x", answers={"cache-control": "no-store"}))
    async with static_server(tmp_path / "static") as endpoint, envoy.client() as client:
        ups = (Upstream("api", (await upstreams.serve(echo("api")),)), Upstream("static", (endpoint,)))
        await envoy.edge.apply(envoy.config(site("shop", services), upstreams=ups))
        found = [(case, await ask(client, envoy, case)) for case in cases]
    wrong = [(case.asks, differs) for case, differs in found if differs]
    assert not wrong, wrong


@pytest.mark.parametrize("name", sorted(APPS))
def test_the_table_is_about_every_app(name: str) -> None:
    assert any(case.app in (name, f"www.{name}") for case in CASES)
