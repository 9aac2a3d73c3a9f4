"""Who is let in to a protected site, through a real Envoy."""

from __future__ import annotations

from dataclasses import replace

import httpx
from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.model import Protected, Site, Upstream
from golive.secret import Secret

A = "threadr/production/api/d1"
GUARD = Protected(Secret("k3y"), "preview", Secret("pä:ss %1"), link=True, open=("/hooks",))


def guarded(guard: Protected | None) -> Site:
    return replace(site(rule(A)), protected=guard, probe=Secret("sesame"))


async def test_a_password_a_cookie_a_link_and_nobody_else(envoy: Running, upstreams: Upstreams) -> None:
    up = (Upstream(A, (await upstreams.serve(answer(b"ok", set_cookie="session=1; Path=/")),)),)
    await envoy.edge.apply(envoy.config(guarded(None), upstreams=up))
    url = envoy.edge.url("threadr.localhost")
    async with envoy.client() as open_before, envoy.client(http2=True) as client:
        assert (await open_before.get(url)).text == "ok"
        await envoy.edge.apply(envoy.config(guarded(GUARD), upstreams=up))
        # Also on the connection that was there before.
        refused = await open_before.get(url)
        assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
        assert refused.headers["strict-transport-security"]
        wrong = httpx.BasicAuth("preview", "other")
        assert (await open_before.get(url, auth=wrong)).status_code == 401
        assert (await open_before.get(url, headers={"cookie": "golive-key=k3"})).status_code == 401
        for path in (
            "/hooksx",
            "/hooks/../secret",
            "/hooks/%2e%2e/secret",
            "/hooks%2f..%2fsecret",
            "/hooks\\..\\secret",
        ):
            request = client.build_request("GET", url)
            request.url = request.url.copy_with(raw_path=path.encode())
            assert (await client.send(request)).status_code in (307, 400, 401), path
        seen = len(upstreams.seen)

        client.cookies.clear()
        let_in = await client.get(url, auth=httpx.BasicAuth("preview", "pä:ss %1"))
        assert [c.split(";")[0] for c in let_in.headers.get_list("set-cookie")] == ["session=1", "golive-key=k3y"]
        assert "authorization" not in upstreams.seen[seen].headers
        # From then on Authorization is the application's own.
        own = {"authorization": "Bearer mine", "cookie": "a=b; golive-key=k3y"}
        assert (await client.get(url, headers=own)).text == "ok"
        assert upstreams.seen[-1].headers["authorization"] == "Bearer mine"

        client.cookies.clear()
        link = await client.get(f"{url}/.golive/pass?key=k3y")
        assert (link.status_code, link.headers["location"]) == (303, "/")
        assert link.headers["set-cookie"].startswith("golive-key=k3y; Path=/; HttpOnly; SameSite=Lax; Secure")
        client.cookies.clear()
        assert (await client.get(f"{url}/.golive/pass?key=k3")).status_code == 401
        assert (await client.post(f"{url}/hooks/stripe", content=b"x")).text == "ok"
        assert (await client.get(url, headers={"x-golive-probe": "sesame"})).text == "ok"
        assert "x-golive-probe" not in upstreams.seen[-1].headers
    for name in ("rds-https", "rds-http"):
        assert envoy.edge.layout.resource(name).stat().st_mode & 0o077 == 0
