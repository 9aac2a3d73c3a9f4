"""WebSockets and event streams keep their instance while traffic moves: rules 2 and 8."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import websockets
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.edge.model import EdgeConfig, Endpoint, Upstream

A, B = "threadr/production/api/d1", "threadr/production/api/d2"


async def events(request: Request) -> bytes:
    """One event every 50 ms until the connection ends."""
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    request.writer.write(head.encode())
    with contextlib.suppress(ConnectionError):
        while not request.writer.transport.is_closing():
            request.writer.write(b"8\r\ndata: A\n\r\n")
            await request.writer.drain()
            await asyncio.sleep(0.05)
    return b""


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[Endpoint]:
    async def echo(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(f"A {message!s}")

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        yield Endpoint(port=next(iter(server.sockets)).getsockname()[1])


def config(envoy: Running, live: str, *ups: Upstream, more: str = "") -> EdgeConfig:
    sites = [site(rule(live), rule(live.replace("api", "ws"), "/ws"))]
    if more:
        sites.append(site(rule(live), domain=more))
    return envoy.config(*sites, upstreams=ups)


async def test_streams_survive_a_switch_a_new_domain_and_the_old_cluster_s_end(
    envoy: Running, upstreams: Upstreams
) -> None:
    async with echoing() as sockets:
        a = (Upstream(A, (await upstreams.serve(events),)), Upstream(A.replace("api", "ws"), (sockets,)))
        new = await upstreams.serve(answer(b"B"))
        b = (Upstream(B, (new,)), Upstream(B.replace("api", "ws"), (new,)))
        await envoy.edge.apply(config(envoy, A, *a))
        url = envoy.edge.url("threadr.localhost")
        client = envoy.client()
        socket = websockets.connect(url.replace("https", "wss") + "/ws", ssl=envoy.trusting(), proxy=None)
        async with client, client.stream("GET", url) as stream, socket as ws:
            lines = stream.aiter_lines()
            await ws.send("1")
            assert (await ws.recv(), await anext(lines)) == ("A 1", "data: A")
            assert await envoy.edge.in_flight(A) == 1
            assert await envoy.edge.in_flight(A.replace("api", "ws")) == 1

            await envoy.edge.apply(config(envoy, B, *a, *b))
            await envoy.edge.apply(config(envoy, B, *a, *b, more="other.localhost"))
            assert (await client.get(url)).text == "B"
            await envoy.edge.apply(config(envoy, B, *b, more="other.localhost"))

            for n in range(5):
                await ws.send(str(n))
                assert (await ws.recv(), await anext(lines)) == (f"A {n}", "data: A")
            assert "content-encoding" not in stream.headers


async def test_in_flight_falls_to_zero_and_is_none_for_strangers(envoy: Running, upstreams: Upstreams) -> None:
    release = asyncio.Event()

    async def slow(request: Request) -> bytes:
        await release.wait()
        return answer(b"A")

    await envoy.edge.apply(
        config(envoy, A, Upstream(A, (await upstreams.serve(slow),)), Upstream(A.replace("api", "ws")))
    )
    assert await envoy.edge.in_flight(A) == 0
    async with envoy.client(http2=True) as client:
        pending = [asyncio.create_task(client.get(envoy.edge.url("threadr.localhost"))) for _ in range(3)]
        async with asyncio.timeout(120):
            while await envoy.edge.in_flight(A) != 3:
                await asyncio.sleep(0.01)
            release.set()
            assert {(await task).text for task in pending} == {"A"}
            while await envoy.edge.in_flight(A) != 0:
                await asyncio.sleep(0.01)
    assert await envoy.edge.in_flight("threadr/production/api/d99") is None
