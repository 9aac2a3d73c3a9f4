"""Moving traffic between generations: rules 2, 8, 10 and 11, and that nobody notices."""

from __future__ import annotations

import asyncio

from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.model import EdgeConfig, Endpoint, Upstream

A, B = "threadr/production/api/d1", "threadr/production/api/d2"


def generations(envoy: Running, a: Endpoint, b: Endpoint, live: str) -> EdgeConfig:
    """Only what is live: the other cluster goes in the same `apply`."""
    return envoy.config(site(rule(live)), upstreams=(Upstream(live, (a if live == A else b,)),))


async def test_new_requests_follow_a_switch_at_once_and_none_fails(envoy: Running, upstreams: Upstreams) -> None:
    a, b = await upstreams.serve(answer(b"A")), await upstreams.serve(answer(b"B"))
    await envoy.edge.apply(generations(envoy, a, b, A))
    url = envoy.edge.url("threadr.localhost")
    stop = False
    statuses: list[int] = []

    async def traffic(http2: bool) -> None:
        async with envoy.client(http2=http2) as client:
            while not stop:
                statuses.append((await client.get(url)).status_code)
                statuses.append((await client.post(url, content=b"x")).status_code)

    async with asyncio.TaskGroup() as group:
        for http2 in (False, True):
            group.create_task(traffic(http2))
        async with envoy.client() as client:
            for live, body in [(B, "B"), (A, "A")] * 5:
                assert await envoy.edge.apply(generations(envoy, a, b, live))
                assert [(await client.get(url)).text for _ in range(3)] == [body] * 3
        stop = True
    assert len(statuses) > 20
    assert set(statuses) == {200}


async def test_applying_the_same_again_writes_nothing(envoy: Running, upstreams: Upstreams) -> None:
    config = generations(envoy, await upstreams.serve(answer(b"A")), Endpoint(port=9), A)
    assert await envoy.edge.apply(config)
    before = {p: p.stat().st_mtime_ns for p in envoy.edge.layout.directory.rglob("*.json")}
    assert not await envoy.edge.apply(config)
    assert before == {p: p.stat().st_mtime_ns for p in envoy.edge.layout.directory.rglob("*.json")}
