"""Files reaching Envoy, or not: rules 1, 9, 10 and 11, restarts, and what a refusal leaves behind."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.model import EdgeConfig, Endpoint, Upstream
from golive.edge.push import Pusher, Write, plan
from golive.edge.render import render
from golive.errors import EdgeRejected

A, B = "threadr/production/api/d1", "threadr/production/api/d2"


def config(envoy: Running, *ups: Upstream, live: str = A) -> EdgeConfig:
    return envoy.config(site(rule(live)), upstreams=ups)


async def version(envoy: Running) -> str:
    return await stat(envoy, "version_text")


async def stat(envoy: Running, name: str) -> str:
    full = f"cluster_manager.cds.{name}"
    return (await envoy.edge.admin.stats(f"^{full}$") or {})[full]


async def test_an_unknown_field_is_refused_and_the_last_good_file_restored(
    envoy: Running, upstreams: Upstreams
) -> None:
    await envoy.edge.apply(config(envoy, Upstream(A, (await upstreams.serve(answer(b"A")),))))
    path = envoy.edge.layout.resource("cds")
    good = path.read_bytes()
    content = json.loads(good)
    content["version_info"] = "other"
    content["resources"][0]["conect_timeout"] = "1s"
    with pytest.raises(EdgeRejected, match="refused the new cds") as caught:
        await Pusher(envoy.edge.layout, envoy.edge.admin).push([Write("cds", content)], running=True)
    assert "conect_timeout" in (caught.value.why or "")
    assert path.read_bytes() == good
    async with envoy.client() as client:
        assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "A"


async def test_a_bad_endpoint_is_refused_whole_and_a_good_set_follows(envoy: Running, upstreams: Upstreams) -> None:
    up = Upstream(A, (await upstreams.serve(answer(b"A")),))
    await envoy.edge.apply(config(envoy, up))
    with pytest.raises(EdgeRejected) as caught:
        await envoy.edge.apply(config(envoy, up, Upstream(B, (Endpoint("not-an-address", 1),)), live=B))
    assert "not-an-address" in f"{caught.value.why} {caught.value.log}"
    async with envoy.client() as client:
        assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "A"
        await envoy.edge.apply(config(envoy, up, Upstream(B, (await upstreams.serve(answer(b"B")),)), live=B))
        assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "B"


async def test_routes_to_a_cluster_that_is_not_there_are_refused(envoy: Running, upstreams: Upstreams) -> None:
    await envoy.edge.apply(config(envoy, Upstream(A, (await upstreams.serve(answer(b"A")),))))
    text = envoy.edge.layout.resource("rds-https").read_text()
    content = json.loads(text.replace(A, "nobody/knows/this/d9"))
    content["version_info"] = "other"
    with pytest.raises(EdgeRejected, match="rds-https"):
        await Pusher(envoy.edge.layout, envoy.edge.admin).push([Write("rds-https", content)], running=True)
    async with envoy.client() as client:
        assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "A"


async def test_envoy_notices_a_rename_and_not_a_write_in_place(envoy: Running, upstreams: Upstreams) -> None:
    await envoy.edge.apply(config(envoy, Upstream(A, (await upstreams.serve(answer(b"A")),))))
    path, before = envoy.edge.layout.resource("cds"), await version(envoy)
    text = path.read_text().replace(before, "changed")
    path.write_text(text)
    attempts = await stat(envoy, "update_attempt")
    # Nothing is to happen, so there is nothing to wait for but time: ten times what a rename takes.
    await asyncio.sleep(0.3)
    assert (await version(envoy), await stat(envoy, "update_attempt")) == (before, attempts)
    await Pusher(envoy.edge.layout, envoy.edge.admin).push([Write("cds", json.loads(text))], running=True)
    assert await version(envoy) == "changed"


async def test_written_while_envoy_is_down_served_when_it_is_up(envoy: Running, upstreams: Upstreams) -> None:
    await envoy.kill()
    assert envoy.edge.layout.admin.exists()
    await envoy.edge.apply(config(envoy, Upstream(A, (await upstreams.serve(answer(b"A")),))))
    assert await envoy.edge.in_flight(A) is None
    envoy.edge.prepare()
    await envoy.start()
    async with envoy.client() as client:
        assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "A"


async def test_routes_go_back_when_the_listeners_are_refused(envoy: Running, upstreams: Upstreams) -> None:
    a, b = [Upstream(n, (await upstreams.serve(answer(n[-1].encode())),)) for n in (A, B)]
    await envoy.edge.apply(config(envoy, a))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        layout = replace(envoy.edge.layout, https_port=taken.getsockname()[1])
        pusher = Pusher(layout, envoy.edge.admin)
        with pytest.raises(EdgeRejected, match="refused the new lds") as caught:
            await pusher.push(plan(pusher.current(), render(config(envoy, a, b, live=B), layout)), running=True)
    assert "Address already in use" in f"{caught.value.why}"
    async with envoy.client() as client:
        assert (await client.get(envoy.edge.url("threadr.localhost"))).text == "1"
        got = await client.get(envoy.edge.url("threadr.localhost", https=False))
        assert got.headers["location"] == envoy.edge.url("threadr.localhost") + "/"


async def test_a_bad_set_is_refused_while_envoy_is_down_too(envoy: Running) -> None:
    await envoy.kill()
    files = {p: p.read_bytes() for p in envoy.edge.layout.directory.rglob("*.json")}
    with pytest.raises(EdgeRejected, match="Envoy refuses these files") as caught:
        await envoy.edge.apply(config(envoy, Upstream(A, (Endpoint("not-an-address", 1),))))
    assert "not-an-address" in str(caught.value.why)
    assert files == {p: p.read_bytes() for p in envoy.edge.layout.directory.rglob("*.json")}


async def test_sixty_domains_cost_no_more_watches_than_one(envoy: Running, upstreams: Upstreams) -> None:
    assert envoy.process is not None
    up = Upstream(A, (await upstreams.serve(answer(b"A")),))
    domains = [f"app{n}.localhost" for n in range(60)]
    await envoy.edge.apply(envoy.config(*(site(rule(A), domain=d) for d in domains[:1]), upstreams=(up,)))
    one = watches(envoy.process.pid)
    await envoy.edge.apply(envoy.config(*(site(rule(A), domain=d) for d in domains), upstreams=(up,)))
    assert watches(envoy.process.pid) == one <= 8
    async with envoy.client() as client:
        got = [await client.get(envoy.edge.url(d)) for d in domains]
    assert [r.text for r in got] == ["A"] * 60


def watches(pid: int) -> int:
    """Inotify instances of a process."""
    links = (str(p.readlink()) for p in Path(f"/proc/{pid}/fd").iterdir() if p.is_symlink())
    return sum(1 for link in links if "inotify" in link)


async def test_a_certificate_is_replaced_without_touching_the_listener(envoy: Running, upstreams: Upstreams) -> None:
    up = Upstream(A, (await upstreams.serve(answer(b"A")),))
    await envoy.edge.apply(config(envoy, up))
    first = envoy.edge.layout.resource("lds").read_bytes()

    async def served() -> bytes:
        context = envoy.trusting()
        _, writer = await asyncio.open_connection("threadr.localhost", envoy.edge.layout.https_port, ssl=context)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    before = await served()
    (envoy.ca.root.parent / "leaves" / "threadr.localhost.pem").unlink()
    leaf = envoy.certificate("threadr.localhost").chain.partition("-----END CERTIFICATE-----")
    new = ssl.PEM_cert_to_DER_cert("".join(leaf[:2]))
    await envoy.edge.apply(config(envoy, up))
    async with asyncio.timeout(120):
        while await served() != new:
            await asyncio.sleep(0.1)
    assert before != new
    assert envoy.edge.layout.resource("lds").read_bytes() == first
