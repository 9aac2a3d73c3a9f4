"""What every site gets without asking: headers, redirects, limits, log, clean paths, and refusals."""

from __future__ import annotations

import asyncio
import json
import ssl
from datetime import timedelta
from typing import Any

import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.blueprint.csp import Csp
from golive.blueprint.models import EdgePolicy, RateLimit, Service
from golive.blueprint.routing import rules_of
from golive.edge.headers import SECURITY
from golive.edge.model import Endpoint, RouteRule, Site, Upstream

A = "threadr/production/api/d1"


async def serve(envoy: Running, endpoint: Endpoint, *rules: RouteRule, **policy: object) -> str:
    """One site; its https URL."""
    await envoy.edge.apply(envoy.config(site(*(rules or (rule(A),)), **policy), upstreams=(Upstream(A, (endpoint,)),)))
    return envoy.edge.url("threadr.localhost", https=policy.get("https") is not False)


async def raw(envoy: Running, data: bytes, *, tls: bool = False) -> bytes:
    """What comes back for these bytes, until the edge closes or is silent for a moment after its answer began."""
    port = envoy.edge.layout.https_port if tls else envoy.edge.layout.http_port
    context = envoy.trusting() if tls else None
    reader, writer = await asyncio.open_connection("threadr.localhost", port, ssl=context)
    writer.write(data)
    found = await reader.read(65536)
    try:
        async with asyncio.timeout(0.3):
            while chunk := await reader.read(65536):
                found += chunk
    except TimeoutError:
        pass
    writer.close()
    return found


async def test_security_headers_are_on_every_answer(envoy: Running, upstreams: Upstreams) -> None:
    up = await upstreams.serve(answer(b"ok", server="gunicorn", x_powered_by="Express", x_frame_options="SAMEORIGIN"))

    async def reset(request: Request) -> bytes:
        request.writer.transport.abort()
        return b""

    dead = Upstream("threadr/production/dead/d1", (await upstreams.serve(reset),))
    rules = (
        rule(A, rate_limits=(RateLimit.model_validate({"path": "/limited", "limit": "1/min"}),)),
        rule(dead.name, "/dead"),
    )
    await envoy.edge.apply(envoy.config(site(*rules, max_body=1000), upstreams=(Upstream(A, (up,)), dead)))
    url, http = envoy.edge.url("threadr.localhost"), envoy.edge.url("threadr.localhost", https=False)
    async with envoy.client() as client:
        await client.get(f"{url}/limited")
        got = {
            "app": await client.get(url),
            429: await client.get(f"{url}/limited"),
            413: await client.post(url, content=b"x" * 1001),
            503: await client.post(f"{url}/dead", content=b"x" * 900),
            400: await client.get(url, headers={"under_score": "1"}),
            404: await client.get(url, headers={"host": "unknown.localhost"}),
            307: await client.get(f"{http}/a?b=c"),
        }
    for name, response in got.items():
        assert name == "app" or response.status_code == name
        missing = {k for k in SECURITY if k not in response.headers}
        assert not missing, (name, missing)
        assert not {k for k in response.headers if k.startswith("x-envoy") or k in ("server", "x-powered-by")}, name
        # Only where the site is known, and never over plain HTTP (RFC 6797, 7.2).
        assert ("strict-transport-security" in response.headers) == (name not in (307, 400, 404)), name
    assert got["app"].headers["x-frame-options"] == "SAMEORIGIN"
    assert int(got[429].headers["retry-after"]) in range(1, 61)
    assert got[307].headers["location"] == f"{url}/a?b=c"


async def test_a_policy_overrides_and_removes_headers(envoy: Running, upstreams: Upstreams) -> None:
    up = await upstreams.serve(answer(b"ok", x_custom="from the app", referrer_policy="unsafe-url"))
    chosen = {"X-Frame-Options": "", "Referrer-Policy": "", "X-Custom": "100%", "server": "mine"}
    url = await serve(envoy, up, headers=chosen, hsts=0)
    async with envoy.client() as client:
        got = (await client.get(url)).headers
    assert (got["x-custom"], got["server"], got["x-content-type-options"]) == ("100%", "mine", "nosniff")
    assert not {"x-frame-options", "referrer-policy", "strict-transport-security"} & set(got)


async def test_limits_count_by_address_path_and_survive_a_route_change(envoy: Running, upstreams: Upstreams) -> None:
    up = await upstreams.serve(answer(b"ok"))
    limits = tuple(
        RateLimit.model_validate(x)
        for x in (
            {"path": "/ai", "limit": "5/day"},
            {"limit": "20/day"},
            {"per": "service", "path": "/all", "limit": "3/day"},
        )
    )
    url = await serve(envoy, up, rule(A, rate_limits=limits))

    async def statuses(path: str, count: int) -> list[int]:
        spoofed = [{"x-forwarded-for": f"6.6.6.{n}"} for n in range(count)]
        async with envoy.client(http2=True) as client:
            return [(await client.get(url + path, headers=h)).status_code for h in spoofed]

    assert await statuses("/ai", 7) == [200] * 5 + [429] * 2
    # Another app's routes, and a new weight here: RDS changes, the buckets stay.
    more = site(rule(A), domain="other.localhost")
    await envoy.edge.apply(
        envoy.config(site(rule(A, rate_limits=limits, strip_prefix=True)), more, upstreams=(Upstream(A, (up,)),))
    )
    assert await statuses("/ai/deeper", 1) == [429]
    assert await statuses("/all", 4) == [200] * 3 + [429]
    assert (await statuses("/", 20)).count(200) in range(8, 16)


@pytest.mark.parametrize("https", [True, False])
async def test_a_domain_that_only_leads_to_another(envoy: Running, upstreams: Upstreams, https: bool) -> None:
    shop, www = "shop.localhost", "www.shop.localhost"
    policy = EdgePolicy.model_validate({"https": https, "redirect": {www: shop}})
    up = Upstream(A, (await upstreams.serve(answer(b"ok")),))
    await envoy.edge.apply(
        envoy.config(Site("threadr", "production", (shop, www), (rule(A),), policy), upstreams=(up,))
    )
    there = envoy.edge.url(shop, https=https)
    async with envoy.client(http2=https) as client:
        got = await client.post(f"{envoy.edge.url(www, https=https)}/a%20b?c=d&e", content=b"kept")
        assert (got.status_code, got.headers["location"]) == (307, f"{there}/a%20b?c=d&e")
        assert ("strict-transport-security" in got.headers) == https
        assert (await client.get(there)).text == "ok"
        if https:  # over HTTP a name becomes HTTPS before it leads anywhere: HSTS of each
            plain = await client.get(envoy.edge.url(www, https=False))
            assert plain.headers["location"] == envoy.edge.url(www) + "/"
    assert [request.headers["host"].partition(":")[0] for request in upstreams.seen] == [shop]


async def test_bodies_above_the_limit_are_refused_with_and_without_a_length(
    envoy: Running, upstreams: Upstreams
) -> None:
    async def length(request: Request) -> bytes:
        return answer(str(len(request.body)).encode())

    url = await serve(envoy, await upstreams.serve(length), max_body=1000)

    async def chunks(size: int) -> Any:
        for _ in range(size // 100):
            yield b"x" * 100

    for http2 in (False, True):
        async with envoy.client(http2=http2) as client:
            assert (await client.post(url, content=b"x" * 1000)).text == "1000"
            assert (await client.post(url, content=b"x" * 1001)).status_code == 413
            assert (await client.post(url, content=chunks(1000))).text == "1000"
            assert (await client.post(url, content=chunks(1100))).status_code == 413
    assert [len(r.body) for r in upstreams.seen] == [1000] * 4


async def test_text_is_compressed_as_the_client_likes(envoy: Running, upstreams: Upstreams) -> None:
    up = await upstreams.serve(answer(b"golive " * 1000, content_type="text/html; charset=utf-8"))
    url = await serve(envoy, up)
    async with envoy.client() as client:

        async def encoding(accept: str) -> str | None:
            async with client.stream("GET", url, headers={"accept-encoding": accept}) as response:
                found: str | None = response.headers.get("content-encoding")
                return found

        got = [await encoding(a) for a in ("gzip, deflate, br, zstd", "gzip, br", "gzip", "identity")]
        assert got == ["zstd", "br", "gzip", None]
        await serve(envoy, up, compression=False)
        assert await encoding("gzip, br, zstd") is None


async def test_the_log_says_what_happened_and_not_the_query(envoy: Running, upstreams: Upstreams) -> None:
    up = await upstreams.serve(answer(b"hello"))
    quiet = Site("quiet", "production", ("quiet.localhost",), (rule(A),), site(access_log=False).policy)
    await envoy.edge.apply(
        envoy.config(site(rule(A, "/api", strip_prefix=True)), quiet, upstreams=(Upstream(A, (up,)),))
    )
    async with envoy.client(http2=True) as client:
        await client.get(envoy.edge.url("quiet.localhost"))
        got = await client.get(envoy.edge.url("threadr.localhost") + "/api/x?token=CANARY", headers={"user-agent": "t"})
        await client.get(envoy.edge.url("threadr.localhost") + "/elsewhere")
    text = ""
    async with asyncio.timeout(120):
        while text.count("\n") < 2:
            text = envoy.edge.layout.access_log.read_text()
            await asyncio.sleep(0.05)
    lines = [json.loads(line) for line in text.splitlines()]
    assert "CANARY" not in text
    assert [(x["service"], x["status"], x["path"]) for x in lines] == [
        ("threadr/production/api", 200, "/api/x"), ("threadr/production", 404, "/elsewhere")
    ]  # fmt: skip
    expected = {"generation": A, "method": "GET", "bytes_out": 5}
    expected |= {"protocol": "HTTP/2", "client": "127.0.0.1", "user_agent": "t", "upstream": f"127.0.0.1:{up.port}"}
    assert expected.items() <= lines[0].items()
    assert lines[0]["request_id"] == got.headers["x-request-id"]
    assert (envoy.edge.layout.access_log.stat().st_mode & 0o077) == 0
    assert await envoy.edge.rotate_access_log(max_bytes=10, keep=3)
    assert not await envoy.edge.rotate_access_log(max_bytes=10**6, keep=3)
    async with envoy.client() as client, asyncio.timeout(120):
        await client.get(envoy.edge.url("threadr.localhost") + "/api/after")
        while "/api/after" not in (
            envoy.edge.layout.access_log.read_text() if envoy.edge.layout.access_log.exists() else ""
        ):
            await asyncio.sleep(0.05)
    assert envoy.edge.layout.access_log.with_name("access.log.1").read_text() == text


async def test_every_address_has_its_own_bucket_and_none_is_forgotten(envoy: Running, upstreams: Upstreams) -> None:
    limit = RateLimit.model_validate({"limit": "2/day"})
    await serve(envoy, await upstreams.serve(answer(b"ok")), rule(A, rate_limits=(limit,)), https=False)

    async def statuses(address: str, count: int) -> list[bytes]:
        found = []
        for _ in range(count):
            port = envoy.edge.layout.http_port
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            writer.write(b"GET / HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n")
            found.append((await reader.readline()).split()[1])
            writer.close()
        return found

    addresses = [f"127.0.1.{n}" for n in range(1, 41)]
    assert [await statuses(a, 2) for a in addresses] == [[b"200", b"200"]] * 40
    assert [await statuses(a, 1) for a in addresses] == [[b"429"]] * 40


async def test_the_application_learns_who_asked_and_clients_cannot_pretend(
    envoy: Running, upstreams: Upstreams
) -> None:
    async def slowly(request: Request) -> bytes:
        await asyncio.sleep(0.05)
        return answer(b"ok")

    up = await upstreams.serve(slowly)
    static = (("x-golive-root", "threadr/7"),)
    url = await serve(envoy, up, rule(A, "/api", strip_prefix=True), rule(A, request_headers=static))
    lies = {"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "http", "x-forwarded-host": "evil.test"}
    lies |= {"x-real-ip": "6.6.6.6", "x-golive-root": "other/1", "x-forwarded-prefix": "/evil", "x-request-id": "mine"}
    envoys = {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-original-path": "/admin", "x-envoy-retry-on": "5xx"}
    lies |= envoys
    async with envoy.client() as client:
        await client.get(url + "/page?q=1", headers=lies)
        await client.get(url + "/api/items", headers=lies)
        await client.get(url + "/apix")
        # Were it believed, the timeout of one millisecond would end this request.
        assert (await client.get(url + "/api", headers=envoys)).status_code == 200
    first, second, third, fourth = upstreams.seen
    assert (first.path, second.path, third.path, fourth.path) == ("/page?q=1", "/items", "/apix", "/")
    port = envoy.edge.layout.https_port
    truth = {"x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https", "x-forwarded-port": str(port)}
    truth |= {"x-forwarded-host": f"threadr.localhost:{port}", "host": f"threadr.localhost:{port}"}
    assert truth.items() <= first.headers.items()
    assert first.headers["x-golive-root"] == "threadr/7"
    assert second.headers["x-forwarded-prefix"] == "/api"
    assert first.headers["x-request-id"] != "mine"
    gone = {"x-forwarded-prefix", "x-real-ip", *envoys}
    assert not gone & set(first.headers)


SMUGGLED = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n"
DISHONEST = {
    "POST / HTTP/1.1\r\n{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED: 400,
    "POST / HTTP/1.1\r\n{host}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde": 400,
    "POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED: 501,
    "POST / HTTP/1.1\r\n{host}Transfer-Encoding : chunked\r\n\r\n" + SMUGGLED: 400,
    "GET / HTTP/1.1\r\n{host}X: a\0b\r\n\r\n": 400,
    "GET / HTTP/1.1\r\n\r\n": 400,
    "GET /a%2f..%2fb HTTP/1.1\r\n{host}\r\n": 307,
    "GET /a%00b HTTP/1.1\r\n{host}\r\n": 400,
}


async def test_what_no_honest_client_sends_is_stopped(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, await upstreams.serve(answer(b"ok")), https=False)
    host = "Host: threadr.localhost\r\n"
    answers = await asyncio.gather(*(raw(envoy, sent.replace("{host}", host).encode()) for sent in DISHONEST))
    for (sent, status), got in zip(DISHONEST.items(), answers, strict=True):
        assert got.split(b" ", 2)[1] == str(status).encode(), (sent, got)
        assert got.count(b"HTTP/1.1 ") == 1, sent
    assert not upstreams.seen


async def test_paths_are_made_clean_before_they_are_matched(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, await upstreams.serve(answer(b"ok")), https=False)
    for path in (b"/a//b/./c/../d?x=//y", b"/a/%2e%2e/%2E%2e/%2e%2e/etc/passwd"):
        head = b" HTTP/1.1\r\nHost: threadr.localhost\r\nConnection: close\r\n\r\n"
        assert (await raw(envoy, b"GET " + path + head)).startswith(b"HTTP/1.1 200")
    assert [r.path for r in upstreams.seen] == ["/a/b/d?x=//y", "/etc/passwd"]


async def test_an_unknown_name_is_refused_with_the_alert_for_it(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, await upstreams.serve(answer(b"ok")))
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        await asyncio.open_connection("other.localhost", envoy.edge.layout.https_port, ssl=context)


async def test_a_domain_without_a_certificate_says_so_over_http(envoy: Running, upstreams: Upstreams) -> None:
    from golive.edge.model import EdgeConfig

    up = Upstream(A, (await upstreams.serve(answer(b"ok")),))
    await envoy.edge.apply(EdgeConfig((site(rule(A)),), (up,)))
    async with envoy.client() as client:
        got = await client.get(envoy.edge.url("threadr.localhost", https=False))
    assert (got.status_code, got.text) == (503, "This domain has no certificate yet\n")


async def test_http_two_and_http_one_over_tls_and_a_session_of_each(envoy: Running, upstreams: Upstreams) -> None:
    url = await serve(envoy, await upstreams.serve(answer(b"ok")))
    for http2, spoken in ((True, "HTTP/2"), (False, "HTTP/1.1")):
        async with envoy.client(http2=http2) as client:
            got = await client.get(url)
            assert (got.http_version, got.text) == (spoken, "ok")


async def test_a_policy_of_a_service_holds_on_all_its_routes_and_a_path_may_have_another(
    envoy: Running, upstreams: Upstreams
) -> None:
    async def reply(request: Request) -> bytes:
        own = {"content_security_policy": "sandbox"} if request.path.endswith("/own") else {}
        return answer(b"ok", **own)

    settings = {
        "kind": "web",
        "rewrites": [{"source": "/to-web", "destination": "/page"}],
        "redirects": [{"source": "/admin/old", "destination": "/admin"}],
        "headers": [{"source": "/admin/embed", "headers": {"Content-Security-Policy": "frame-ancestors *"}}],
    }
    loose = Csp(directives={"script-src": ("https:",)})
    strict = Csp(directives={"default-src": ("'none'",)})
    limits = (RateLimit.model_validate({"path": "/admin/limited", "limit": "1/day"}),)
    admin = rule(A, "/admin", csp=strict, rules=rules_of(Service.model_validate(settings)), rate_limits=limits)
    gone = rule("threadr/production/gone/d1", "/gone", csp=strict, timeout=timedelta(seconds=0.2))
    ups = (Upstream(A, (await upstreams.serve(reply),)), Upstream("threadr/production/gone/d1"))
    made = site(rule(A), admin, gone, csp=loose)
    await envoy.edge.apply(envoy.config(made, upstreams=ups))
    wanted = {
        "/": loose.text(),
        "/page/own": "sandbox",
        "/admin": strict.text(),
        "/admin/a?b": strict.text(),
        "/admin/own": "sandbox",
        "/admin/embed": "frame-ancestors *",
        "/admin/limited": strict.text(),
        "/admin/old": loose.text(),
        "/gone": strict.text(),
    }
    async with envoy.client() as client:
        url = envoy.edge.url("threadr.localhost")
        for path, policy in wanted.items():
            assert (await client.get(url + path)).headers.get_list("content-security-policy") == [policy], path
        limited = await client.get(f"{url}/admin/limited")
        assert (limited.status_code, limited.headers["content-security-policy"]) == (429, strict.text())
        await envoy.edge.apply(envoy.config(site(rule(A)), upstreams=ups))
        assert "frame-ancestors 'none'" in (await client.get(url)).headers["content-security-policy"]


async def test_limits_count_by_a_header_and_without_one_by_address(envoy: Running, upstreams: Upstreams) -> None:
    named = RateLimit.model_validate({"limit": "2/day", "per": "header:X-Api-Key"})
    wide = RateLimit.model_validate({"limit": "9/day"})
    url = await serve(envoy, await upstreams.serve(answer(b"ok")), rule(A, rate_limits=(named, wide)))
    async with envoy.client() as client:

        async def asked(count: int, *values: str) -> list[int]:
            headers = [("x-api-key", value) for value in values]
            return [(await client.get(url, headers=headers)).status_code for _ in range(count)]

        assert await asked(3, "one") == [200, 200, 429]
        assert await asked(3, "two") == [200, 200, 429]
        assert await asked(3) == [200, 200, 429]
        assert await asked(2, "") == [429, 429], "an empty one is none"
        assert 429 in [(await asked(1, f"more{n}"))[0] for n in range(9)], "the other limit counts all of them"
