"""What clients notice when an instance dies, refuses or is not there yet: rules 4 and 12, retries and holding."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.edge import routes
from golive.edge.model import EdgeConfig, Endpoint, Upstream
from golive.system import ports

NAME = "threadr/production/api/d1"


def config(envoy: Running, *endpoints: Endpoint, hold: float | None = None) -> EdgeConfig:
    held = timedelta(seconds=hold) if hold else None
    return envoy.config(site(rule(NAME, hold=held)), upstreams=(Upstream(NAME, endpoints),))


async def test_an_instance_killed_and_started_again_is_not_noticed(envoy: Running, upstreams: Upstreams) -> None:
    one = await upstreams.serve(answer(b"one"))
    await envoy.edge.apply(config(envoy, one))
    url = envoy.edge.url("threadr.localhost")
    async with envoy.client(http2=True) as client:
        assert (await client.get(url)).text == "one"
        await upstreams.stop(one)
        waiting = [asyncio.create_task(client.get(url)) for _ in range(40)]
        posting = asyncio.create_task(client.post(url, content=b"body"))
        await asyncio.sleep(0.7)
        assert not any(task.done() for task in waiting)
        await upstreams.serve(answer(b"again"), one.port)
        assert [(await task).text for task in waiting] == ["again"] * 40
        # Nobody listened, so nobody can have seen the POST: it waits as well.
        assert (await posting).text == "again"


async def test_a_get_in_flight_when_its_instance_is_killed_is_answered_by_the_next(
    envoy: Running, upstreams: Upstreams
) -> None:
    reached = asyncio.Event()

    async def never(request: Request) -> bytes:
        reached.set()
        await asyncio.Event().wait()
        return b""

    one = await upstreams.serve(never)
    await envoy.edge.apply(config(envoy, one))
    async with envoy.client() as client:
        pending = asyncio.create_task(client.get(envoy.edge.url("threadr.localhost")))
        await reached.wait()
        await upstreams.stop(one)
        await asyncio.sleep(0.3)
        await upstreams.serve(answer(b"again"), one.port)
        assert (await pending).text == "again"


async def test_with_two_instances_one_dead_every_get_is_answered(envoy: Running, upstreams: Upstreams) -> None:
    one, two = await upstreams.serve(answer(b"one")), await upstreams.serve(answer(b"two"))
    await envoy.edge.apply(config(envoy, one, two))
    async with envoy.client() as client:
        for dead, port in ((one, one.port), (two, two.port)):
            await upstreams.stop(dead)
            got = [await client.get(envoy.edge.url("threadr.localhost")) for _ in range(25)]
            assert {r.status_code for r in got} == {200}
            await upstreams.serve(answer(b"back"), port)


async def test_a_post_that_was_seen_is_never_sent_twice(envoy: Running, upstreams: Upstreams) -> None:
    async def reset(request: Request) -> bytes:
        request.writer.transport.abort()
        return b""

    await envoy.edge.apply(config(envoy, await upstreams.serve(reset)))
    async with envoy.client() as client:
        got = await client.post(envoy.edge.url("threadr.localhost"), content=b"charge the card")
    assert got.status_code == 503
    assert [r.body for r in upstreams.seen] == [b"charge the card"]


async def test_the_application_s_own_errors_pass_through_once(envoy: Running, upstreams: Upstreams) -> None:
    statuses = iter(("502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "500 Oops"))

    async def fail(request: Request) -> bytes:
        return answer(b"my own words", next(statuses))

    await envoy.edge.apply(config(envoy, await upstreams.serve(fail)))
    async with envoy.client() as client:
        got = [await client.get(envoy.edge.url("threadr.localhost")) for _ in range(4)]
    assert [(r.status_code, r.text) for r in got] == [(s, "my own words") for s in (502, 503, 504, 500)]
    assert len(upstreams.seen) == 4


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is not held waits for a moment instead of five seconds."""
    monkeypatch.setattr(routes, "RETRY_FOR", timedelta(seconds=0.1))


@pytest.mark.usefixtures("impatient")
async def test_requests_are_held_until_the_new_instance_is_there(envoy: Running, upstreams: Upstreams) -> None:
    await envoy.edge.apply(config(envoy, hold=20))
    url = envoy.edge.url("threadr.localhost")

    async def echo(request: Request) -> bytes:
        return answer(request.method.encode() + b" " + request.body)

    # Longer than a request without `hold` waits.
    async with envoy.client() as client, envoy.client(http2=True) as other:
        held = [asyncio.create_task(c.get(url)) for c in (client, other)]
        held += [asyncio.create_task(c.post(url, content=b"x" * 100_000)) for c in (client, other)]
        await asyncio.sleep(2)
        assert not any(task.done() for task in held)
        await envoy.edge.apply(config(envoy, await upstreams.serve(echo), hold=20))
        texts = [(await task).text for task in held]
    assert texts == ["GET ", "GET ", "POST " + "x" * 100_000, "POST " + "x" * 100_000]
    assert len(upstreams.seen) == 4


async def test_a_large_upload_is_held_too(envoy: Running, upstreams: Upstreams) -> None:
    await envoy.edge.apply(config(envoy, hold=20))

    async def length(request: Request) -> bytes:
        return answer(str(len(request.body)).encode())

    async with envoy.client() as client:
        held = asyncio.create_task(client.post(envoy.edge.url("threadr.localhost"), content=b"x" * 3_000_000))
        await asyncio.sleep(0.5)
        await envoy.edge.apply(config(envoy, await upstreams.serve(length), hold=20))
        got = await held
    assert (got.status_code, got.text) == (200, "3000000")


@pytest.mark.usefixtures("impatient")
async def test_nobody_there_is_said_in_plain_words(envoy: Running) -> None:
    await envoy.edge.apply(config(envoy, Endpoint(port=ports.choose())))
    url = envoy.edge.url("threadr.localhost")
    async with envoy.client() as client:
        asked = [asyncio.create_task(client.get(url, headers={"accept": x})) for x in ("application/json", "text/html")]
        # Too long to be kept: refused at once, and not with Envoy's 507.
        long = await client.post(url, content=b"x" * 2_000_000)
        as_json, plain = [await task for task in asked]
    assert as_json.status_code == plain.status_code == 503
    assert as_json.json() == {
        "error": "The application is not answering. Try again in a moment",
        "status": 503,
        "request_id": as_json.headers["x-request-id"],
    }
    assert plain.text.endswith(f"Request id: {plain.headers['x-request-id']}\n")
    assert "refused" not in plain.text
    assert (long.status_code, long.text[:20]) == (503, "503 The application ")
