"""JSON Web Tokens through a real Envoy: who passes, what the service learns, and that nobody gets round it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from edge_harness import Running, Upstreams, answer, rule, site

from golive.blueprint.models import RateLimit, Service
from golive.blueprint.routing import rules_of
from golive.edge.model import Site, Tokens, Upstream
from golive.secret import Secret

A = "threadr/production/api/d1"
KEY = ec.generate_private_key(ec.SECP256R1())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwks(key: ec.EllipticCurvePrivateKey = KEY) -> str:
    numbers = key.public_key().public_numbers()
    x, y = (b64(n.to_bytes(32)) for n in (numbers.x, numbers.y))
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "one", "x": x, "y": y}]})


def token(key: ec.EllipticCurvePrivateKey = KEY, alg: str = "ES256", **claims: Any) -> str:
    body = {"iss": "https://id.test", "aud": "shop", "sub": "ann", "exp": int(time.time()) + 600, **claims}
    body = {name: value for name, value in body.items() if value is not None}
    head = {"alg": alg, "kid": "one", "typ": "JWT"}
    signed = ".".join(b64(json.dumps(part).encode()) for part in (head, body))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32)) if alg != 'none' else ''}"


WANTED = Tokens(
    keys=jwks(),
    issuer="https://id.test",
    audience=("shop",),
    paths=("/api", "/open/admin"),
    exempt=("/api/health", "/open"),
    cookie="session",
    forward=False,
    claims=(("X-User-Id", "sub"), ("x-role", "user.role")),
)


def asking(tokens: Tokens, **fields: Any) -> Site:
    return replace(site(rule(A, tokens=tokens, **fields)), probe=Secret("sesame"))


async def serve(envoy: Running, upstreams: Upstreams, *sites: Site) -> str:
    up = Upstream(A, (await upstreams.serve(answer(b"ok")),))
    await envoy.edge.apply(envoy.config(*sites, upstreams=(up,)))
    return envoy.edge.url("threadr.localhost")


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def test_only_a_token_that_holds_passes(envoy: Running, upstreams: Upstreams) -> None:
    url = await serve(envoy, upstreams, asking(WANTED))
    other = ec.generate_private_key(ec.SECP256R1())
    head, body, signature = token().split(".")
    forged = b64(json.dumps({"iss": "https://id.test", "aud": "shop", "sub": "root", "exp": 9**10}).encode())
    refused = {
        "": 401,
        "nonsense": 401,
        token(exp=int(time.time()) - 600): 401,
        token(exp=None): 401,
        token(nbf=int(time.time()) + 600): 401,
        token(iss="https://evil.test"): 401,
        token(aud="blog"): 403,
        token(other): 401,
        token(alg="none"): 401,
        f"{head}.{forged}.{signature}": 401,
        f"{head}.{body}.": 401,
    }
    async with envoy.client() as client:
        for text, status in refused.items():
            got = await client.get(f"{url}/api/items", headers=bearer(text) if text else {})
            assert got.status_code == status, text
            assert got.headers["x-content-type-options"] == "nosniff"
        for path in ("/api", "/api/", "/api//items", "/api/health/../items", "/open/admin", "/open/../api"):
            request = client.build_request("GET", url)
            request.url = request.url.copy_with(raw_path=path.encode())
            assert (await client.send(request)).status_code == 401, path
        assert not upstreams.seen
        lies = {"x-user-id": "root", "x-role": "admin"}
        for path in ("/apix", "/open/x", "/", "/api/health"):
            assert (await client.get(url + path, headers=lies)).text == "ok"
            assert not lies.keys() & upstreams.seen[-1].headers.keys()
        good = token(user={"role": "editor"})
        for headers in (bearer(good), {"cookie": f"a=b; session={good}"}):
            assert (await client.get(f"{url}/api/items?x=1", headers={**lies, **headers})).text == "ok"
            seen = upstreams.seen[-1].headers
            assert (seen["x-user-id"], seen["x-role"], "authorization" in seen) == ("ann", "editor", False)
        assert (await client.get(f"{url}/api", headers={**lies, **bearer(token())})).text == "ok"
        assert "x-role" not in upstreams.seen[-1].headers
        # What a browser asks first carries no token, and golive's own requests need none.
        before = {"origin": "https://web.test", "access-control-request-method": "PUT", **lies}
        assert (await client.options(f"{url}/api/items", headers=before)).text == "ok"
        assert not lies.keys() & upstreams.seen[-1].headers.keys()
        assert (await client.get(f"{url}/api/items", headers={"x-golive-probe": "sesame", **lies})).text == "ok"
        assert not {*lies, "x-golive-probe"} & upstreams.seen[-1].headers.keys()
        assert (await client.get(f"{url}/api/items", headers={"x-golive-probe": "wrong"})).status_code == 401


async def test_a_token_is_not_believed_any_more_when_the_keys_are_others(envoy: Running, upstreams: Upstreams) -> None:
    other, mine = ec.generate_private_key(ec.SECP256R1()), bearer(token())
    async with envoy.client() as client:
        for key, status in ((KEY, 200), (other, 401), (KEY, 200)):
            url = await serve(envoy, upstreams, asking(replace(WANTED, keys=jwks(key))))
            for _ in range(6):  # by each of Envoy's threads
                assert (await client.get(f"{url}/api/items", headers=mine)).status_code == status


async def test_nobody_is_refused_while_what_a_token_must_be_changes(envoy: Running, upstreams: Upstreams) -> None:
    """By routes that still ask for what was before."""
    url, mine, statuses = await serve(envoy, upstreams, asking(WANTED)), bearer(token(aud=["shop", "till"])), Counter()

    async def ask(client: httpx.AsyncClient) -> None:
        while not changed.is_set():
            statuses[(await client.get(f"{url}/api/items", headers=mine)).status_code] += 1

    changed = asyncio.Event()
    async with envoy.client() as client, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(ask(client))
        for audience in ("till", "shop", "till", "shop"):
            await serve(envoy, upstreams, asking(replace(WANTED, audience=(audience,))))
        changed.set()
    assert statuses.keys() == {200}


async def test_a_limit_counts_by_who_the_token_names(envoy: Running, upstreams: Upstreams) -> None:
    limit = RateLimit.model_validate({"limit": "2/day", "per": "claim:sub"})
    url = await serve(envoy, upstreams, asking(replace(WANTED, paths=(), exempt=("/open",)), rate_limits=(limit,)))

    async def statuses(path: str, headers: dict[str, str]) -> list[int]:
        async with envoy.client() as client:
            return [(await client.get(url + path, headers=headers)).status_code for _ in range(3)]

    assert await statuses("/", bearer(token())) == [200, 200, 429]
    assert await statuses("/", bearer(token(sub="bob"))) == [200, 200, 429]
    assert await statuses("/open", {}) == [200, 200, 429]


async def test_nobody_gets_round_it_by_an_older_connection_or_another_name(
    envoy: Running, upstreams: Upstreams
) -> None:
    other = replace(site(rule(A), domain="other.localhost"), app="other")
    url = await serve(envoy, upstreams, site(rule(A)), other)
    async with envoy.client() as older:
        assert (await older.get(f"{url}/api")).text == "ok"
        await serve(envoy, upstreams, asking(WANTED), other)
        got = await older.get(f"{url}/api", headers=bearer(token()))
        assert (got.status_code, got.headers["connection"]) == (421, "close")
        assert (await older.get(f"{url}/api", headers=bearer(token()))).text == "ok"
    # TLS for one domain, a request for another: as browsers do over HTTP/2.
    port = envoy.edge.layout.https_port
    reader, writer = await asyncio.open_connection("other.localhost", port, ssl=envoy.trusting())
    writer.write(f"GET /api HTTP/1.1\r\nHost: threadr.localhost:{port}\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()
    # A rewrite of another service leads to what needs a token.
    settings = {"kind": "web", "rewrites": [{"source": "/back/:path*", "destination": "/api/:path*"}]}
    front = rule(A, rules=rules_of(Service.model_validate(settings)))
    both = site(replace(front, service="front"), rule(A, "/api", tokens=replace(WANTED, paths=(), exempt=())))
    await serve(envoy, upstreams, both, other)
    async with envoy.client() as client:
        assert (await client.get(f"{url}/back/x")).status_code == 401
        assert (await client.get(f"{url}/back/x", headers=bearer(token()))).text == "ok"
        assert (upstreams.seen[-1].path, upstreams.seen[-1].headers["x-user-id"]) == ("/api/x", "ann")
    # With Envoy away its own program judges the whole set.
    await envoy.kill()
    assert await envoy.edge.apply(envoy.config(asking(WANTED), upstreams=(Upstream(A),)))


@asynccontextmanager
async def key_server(envoy: Running, folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Keys over HTTPS, by a certificate of the test's own authority; its URL, and what was asked."""
    made = envoy.ca.certificate_for(("localhost",))
    (folder / "chain.pem").write_text(made.chain)
    (folder / "key.pem").write_text(made.key.reveal())
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    asked: list[str] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0])
            writer.write(answer(jwks().encode(), content_type="application/json"))
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/jwks.json", asked
    finally:
        server.close()


async def test_keys_are_asked_for_over_tls_that_holds(envoy: Running, upstreams: Upstreams, tmp_path: Path) -> None:
    async with key_server(envoy, tmp_path) as (address, asked), envoy.client() as client:
        trusted = envoy.ca.ensure().read_text()
        remote = replace(WANTED, keys=None, url=address, ca=trusted)
        strangers = (
            replace(remote, ca=""),
            replace(remote, ca=(await asyncio.to_thread(other_authority, tmp_path))),
            replace(remote, url=address.replace("localhost", "127.0.0.1")),
        )
        for doubtful in strangers:
            url = await serve(envoy, upstreams, asking(doubtful))
            assert (await client.get(f"{url}/api", headers=bearer(token()))).status_code in (401, 421)
            assert (await client.get(f"{url}/api", headers=bearer(token()))).status_code == 401
        assert not asked
        url = await serve(envoy, upstreams, asking(remote))
        async with asyncio.timeout(120):
            while (got := await client.get(f"{url}/api", headers=bearer(token()))).status_code != 200:
                await asyncio.sleep(0.05)
        assert got.text == "ok"
        assert set(asked) == {"GET /jwks.json HTTP/1.1"}
    for name in ("ecds-jwt", "cds"):
        assert envoy.edge.layout.resource(name).stat().st_mode & 0o077 == 0


def other_authority(folder: Path) -> str:
    from golive.edge.ca import LocalCA

    return LocalCA(folder / "other").ensure().read_text()
