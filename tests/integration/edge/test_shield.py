"""The shield in a real Envoy: what is stopped, what is only logged, and the report made of the log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.model import EdgeConfig, Site, Upstream
from golive.edge.shield_log import Count, count, lines_of
from golive.secret import Secret

A = "threadr/production/api/d1"
ASKED = ("/.env", "/wp-login.php", "/?q=%3Cscript%3E", "/ok?f=../../x", "/fine?q=a+<+b")


def shielded(**fields: Any) -> Site:
    return replace(site(rule(A), https=False, shield=fields), probe=Secret("sesame"))


async def ask(envoy: Running, path: str, client: str = "127.0.0.1", **headers: str) -> int:
    """From an address of this machine, in bytes: a client would tidy the path."""
    port = envoy.edge.layout.http_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(client, 0))
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: threadr.localhost",
        *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


async def logged(envoy: Running, wanted: int) -> list[Count]:
    async with asyncio.timeout(120):
        while True:
            lines = list(lines_of(envoy.edge.layout.access_log))
            if len(lines) >= wanted:
                return count(lines, "threadr", "production")
            await asyncio.sleep(0.05)


async def serve(envoy: Running, upstreams: Upstreams, made: Site) -> EdgeConfig:
    config = envoy.config(made, upstreams=(Upstream(A, (await upstreams.serve(answer(b"ok")),)),))
    await envoy.edge.apply(config)
    return config


async def test_scans_are_stopped_and_counted(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams, shielded(deny=["127.0.9.0/24"], **{"except": ["/hooks"]}))
    got = [await ask(envoy, path) for path in ASKED]
    assert got == [404, 404, 403, 403, 200]
    assert await ask(envoy, "/", user_agent="sqlmap/1.7") == 403
    assert [await ask(envoy, "/", "127.0.9.7"), await ask(envoy, "/", "127.0.8.7")] == [403, 200]
    # What a client claims about itself changes nothing, and golive's own requests always pass.
    assert await ask(envoy, "/", "127.0.9.7", x_forwarded_for="192.0.2.1", x_envoy_external_address="192.0.2.1") == 403
    assert await ask(envoy, "/.env", "127.0.9.7", x_golive_probe="sesame") == 200
    assert await ask(envoy, "/hooks/stripe?f=../../x") == 200
    assert not any("x-golive-probe" in request.headers for request in upstreams.seen)
    found = {one.rule: one.stopped for one in await logged(envoy, 11)}
    payloads = {"payload:script": 1, "payload:traversal": 1}
    assert found == {"deny": 2, "agent": 1, "scanner:cms": 1, "scanner:dotfiles": 1, **payloads}


async def test_in_log_mode_everything_passes_and_the_log_tells(envoy: Running, upstreams: Upstreams) -> None:
    config = await serve(envoy, upstreams, shielded(mode="log", deny=["127.0.9.0/24"]))
    assert [await ask(envoy, path) for path in ASKED] == [200] * 5
    assert await ask(envoy, "/", "127.0.9.7") == 200
    assert await ask(envoy, "/.env", x_golive_probe="sesame") == 200
    found = await logged(envoy, 7)
    assert sorted((one.rule, one.stopped, one.logged) for one in found) == [
        ("deny", 0, 1),
        ("payload:script", 0, 1),
        ("payload:traversal", 0, 1),
        ("scanner:cms", 0, 1),
        ("scanner:dotfiles", 0, 1),
    ]
    (dots,) = (one for one in found if one.rule == "scanner:dotfiles")
    assert (dict(dots.clients), dict(dots.paths)) == ({"127.0.0.1": 1}, {"/.env": 1})
    assert count(lines_of(envoy.edge.layout.access_log), "other", "production") == []
    assert count(lines_of(envoy.edge.layout.access_log), "threadr", "production", "2999-01-01T00:00:00Z") == []
    # The filter stays when nobody needs it any more: its coming and going would drain every connection.
    before = envoy.edge.layout.resource("lds").read_text()
    await envoy.edge.apply(replace(config, sites=(site(rule(A), https=False),)))
    assert await ask(envoy, "/.env") == 200
    assert envoy.edge.layout.resource("lds").read_text() == before
    # With Envoy away the set is checked as a whole by the program itself.
    await envoy.kill()
    assert await envoy.edge.apply(replace(config, sites=(shielded(allow=["10.0.0.0/8"]),)))
