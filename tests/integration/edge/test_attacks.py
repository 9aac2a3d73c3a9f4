"""What attackers send, in bytes, through a real Envoy: none of it reaches a service that did not ask for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
import struct
from datetime import timedelta
from typing import Any

import httpx
import psutil
import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site

from golive.blueprint.models import RateLimit, Service
from golive.blueprint.routing import rules_of
from golive.edge import limits, render
from golive.edge.model import RouteRule, Upstream

A = "threadr/production/api/d1"
HOST = b"Host: threadr.localhost\r\n"
HIDDEN = b"GET /admin HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n"


async def serve(envoy: Running, upstreams: Upstreams, *rules: RouteRule, reply: Any = None, **policy: Any) -> None:
    up = Upstream(A, (await upstreams.serve(reply or answer(b"ok")),))
    await envoy.edge.apply(envoy.config(site(*(rules or (rule(A),)), https=False, **policy), upstreams=(up,)))


async def send(envoy: Running, data: bytes, *, patience: float = 0.3) -> list[bytes]:
    """The status of each answer to these bytes, in order."""
    reader, writer = await asyncio.open_connection("127.0.0.1", envoy.edge.layout.http_port)
    found = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(data)
        async with asyncio.timeout(60):
            found = await reader.read(65536)
        async with asyncio.timeout(patience):
            while chunk := await reader.read(65536):
                found += chunk
    writer.close()
    return [line.split(b" ")[1] for line in found.split(b"\r\n") if line.startswith(b"HTTP/1.")]


def post(*lines: bytes, body: bytes) -> bytes:
    return b"\r\n".join([b"POST /form HTTP/1.1", HOST.strip(), *lines, b"", body])


LENGTH, CHUNKED = b"Content-Length: 4", b"Transfer-Encoding: chunked"
REFUSED = {
    "CL and TE": post(LENGTH, CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
    "TE and CL": post(CHUNKED, b"Content-Length: %d" % (5 + len(HIDDEN)), body=b"0\r\n\r\n" + HIDDEN),
    "two TE": post(CHUNKED, b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + HIDDEN),
    "TE list": post(b"Transfer-Encoding: identity, chunked", body=b"0\r\n\r\n" + HIDDEN),
    "TE in other letters": post(b"Transfer-Encoding: chunKed", LENGTH, body=b"0\r\n\r\n" + HIDDEN),
    "TE unknown": post(b"Transfer-Encoding: xchunked", LENGTH, body=b"0\r\n\r\n" + HIDDEN),
    "TE with a tab": post(b"Transfer-Encoding:\tchunked", LENGTH, body=b"0\r\n\r\n" + HIDDEN),
    "TE with a vertical tab": post(b"Transfer-Encoding: \x0bchunked", LENGTH, body=b"0\r\n\r\n" + HIDDEN),
    "TE before a colon": post(b"Transfer-Encoding : chunked", LENGTH, body=b"0\r\n\r\n" + HIDDEN),
    "TE folded": post(b"Transfer-Encoding:\r\n chunked", LENGTH, body=b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(LENGTH, b"Content-Length: 5", body=b"abcd" + HIDDEN),
    "length list": post(b"Content-Length: 4, 5", body=b"abcd" + HIDDEN),
    "length with a plus": post(b"Content-Length: +4", body=b"abcd" + HIDDEN),
    "length below zero": post(b"Content-Length: -4", body=b"abcd" + HIDDEN),
    "length in hex": post(b"Content-Length: 0x4", body=b"abcd" + HIDDEN),
    "length too long": post(b"Content-Length: 99999999999999999999999", body=b"abcd" + HIDDEN),
    "length before a colon": post(b"Content-Length : 4", body=b"abcd" + HIDDEN),
    "bad chunk size": post(CHUNKED, body=b"0x4\r\nabcd\r\n0\r\n\r\n" + HIDDEN),
    "chunk size below zero": post(CHUNKED, body=b"-1\r\nabcd\r\n0\r\n\r\n" + HIDDEN),
    "huge chunk size": post(CHUNKED, body=b"fffffffffffffffff\r\nabcd\r\n0\r\n\r\n" + HIDDEN),
    "bare LF": post(LENGTH, CHUNKED, body=b"0\r\n\r\n" + HIDDEN).replace(b"\r\n", b"\n"),
    "NUL": b"GET /form HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "no colon": b"GET /form HTTP/1.1\r\n" + HOST + b"Header\r\n\r\n",
    "empty name": b"GET /form HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
    "two hosts": b"GET /form HTTP/1.1\r\n" + HOST + b"Host: evil.test\r\n\r\n",
    "no host": b"GET /form HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /form\r\n",
    "HTTP/1.0 kept": b"GET /form HTTP/3.7\r\n" + HOST + b"\r\n",
    "spaces in the target": b"GET /form /admin HTTP/1.1\r\n" + HOST + b"\r\n",
    "no method": b" /form HTTP/1.1\r\n" + HOST + b"\r\n",
}


TOLERATED = {
    "TE in a fold": (post(b"X: a\r\n TE: chunked", LENGTH, body=b"abcd"), "a TE: chunked", b"abcd"),
    "bare CR": (post(b"X: a\rTE: chunked", LENGTH, body=b"abcd"), "aTE: chunked", b"abcd"),
    "chunk that ends early": (post(b"X: a", CHUNKED, body=b"2\r\nabcd\r\n0\r\n\r\n"), "a", b"ab"),
    "h2c": (post(b"X: a", LENGTH, b"Connection: Upgrade", b"Upgrade: h2c", body=b"abcd"), "a", b"abcd"),
}
"""Taken by Envoy, and passed on in the one form that cannot be read in two ways."""


async def test_no_request_hides_in_another(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams)
    answers = dict(zip(REFUSED, await asyncio.gather(*(send(envoy, data) for data in REFUSED.values())), strict=True))
    assert {name: got for name, got in answers.items() if got not in ([b"400"], [b"501"], [b"426"], [b"404"])} == {}
    assert upstreams.seen == []
    for name, (data, x, body) in TOLERATED.items():
        assert await send(envoy, data, patience=0.1) == [b"200"], name
        seen = upstreams.seen.pop()
        assert (seen.method, seen.path, seen.headers["x"], seen.body) == ("POST", "/form", x, body), name
        assert seen.headers["content-length"] == str(len(body)), name
        assert not {"transfer-encoding", "upgrade", "connection"} & seen.headers.keys(), name


LARGE = {
    "a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n",
    "a path": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a head without an end": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000,
}


async def test_headers_have_a_size(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams)
    answers = dict(zip(LARGE, await asyncio.gather(*(send(envoy, data) for data in LARGE.values())), strict=True))
    assert answers == {name: [b"431"] for name in LARGE}
    many = [("host", "threadr.localhost"), *(("cookie", f"a{n}={'b' * 900}") for n in range(90))]
    await serve_tls(envoy, upstreams)
    async with envoy.client(http2=True) as client:
        url = envoy.edge.url("threadr.localhost")
        with contextlib.suppress(httpx.RemoteProtocolError):  # the stream, or the whole connection, is reset
            assert (await client.get(url, headers=many[1:])).status_code == 431
        assert (await client.get(url)).text == "ok"


async def serve_tls(envoy: Running, upstreams: Upstreams) -> None:
    up = Upstream(A, (await upstreams.serve(answer(b"ok")),))
    await envoy.edge.apply(envoy.config(site(rule(A)), upstreams=(up,)))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for a request's headers instead of ten."""
    made = render.render_listeners

    def quickly(*args: Any, **options: Any) -> Any:
        text = json.dumps(made(*args, **options))
        assert '"request_headers_timeout": "10s"' in text
        return json.loads(text.replace('"request_headers_timeout": "10s"', '"request_headers_timeout": "0.5s"'))

    monkeypatch.setattr(render, "render_listeners", quickly)


@pytest.mark.usefixtures("hasty")
async def test_slow_clients_are_sent_away(envoy: Running, upstreams: Upstreams) -> None:
    await serve(envoy, upstreams, rule(A, idle_timeout=timedelta(seconds=0.5)))

    async def drip(begin: bytes) -> bytes:
        """Half a byte more at a time, for as long as the edge listens."""
        reader, writer = await asyncio.open_connection("127.0.0.1", envoy.edge.layout.http_port)
        writer.write(begin)
        got = asyncio.create_task(reader.read(65536))
        with contextlib.suppress(ConnectionError):
            while begin.startswith(b"GET") and not got.done():
                writer.write(b"x")
                await asyncio.sleep(0.05)
        async with asyncio.timeout(120):
            found = await got
        writer.close()
        return found[:12]

    heads = [drip(b"GET / HTTP/1.1\r\n" + HOST + b"X: ") for _ in range(50)]
    bodies = [drip(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nab") for _ in range(50)]
    assert set(await asyncio.gather(*heads)) == {b"HTTP/1.1 408"}
    assert set(await asyncio.gather(*bodies)) == {b"HTTP/1.1 408"}
    assert await send(envoy, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") == [b"200"]


HOSTS = ("threadr.localhost:@evil.test", "threadr.localhost:80@evil.test", "threadr.localhost:evil.test")
HOSTS = (*HOSTS, "threadr.localhost@evil.test", "evil.test", "threadr.localhost,evil.test", "threadr.localhost/x")
GOOD_HOSTS = ("threadr.localhost", "THREADR.localhost.", "threadr.localhost:8080", "threadr.localhost:")


async def test_the_host_is_one_of_the_site_and_a_port(envoy: Running, upstreams: Upstreams) -> None:
    leads = rules_of(Service.model_validate({"kind": "web", "redirects": [{"source": "/old", "destination": "/new"}]}))
    await serve(envoy, upstreams, rule(A, rules=leads))
    for path in ("/", "/old"):
        for host in HOSTS:
            data = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.test\r\n\r\n".encode()
            assert await send(envoy, data, patience=0.05) in ([b"400"], [b"404"]), host
            other = f"GET http://{host}{path} HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n".encode()
            if "@" not in host and "/" not in host:  # in a target these end a user's name, and the host
                assert await send(envoy, other, patience=0.05) in ([b"400"], [b"404"]), host
    assert upstreams.seen == []
    for host in GOOD_HOSTS:
        assert await send(envoy, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), patience=0.05) == [b"200"], host
    await serve_tls(envoy, upstreams)  # the redirect to HTTPS
    for host in HOSTS:
        got = await send(envoy, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), patience=0.05)
        assert got in ([b"400"], [b"404"]), host


PIECES = ("/", "/", "%2f", "%5c", "\\", ".", "..", "%2e", "%2e%2e", "evil.test", ";", "x", "%61", "old/", "go/", "to/")


async def test_no_path_leads_to_another_host_or_round_a_rule(envoy: Running, upstreams: Upstreams) -> None:
    settings = {"kind": "web", "trailing_slash": False, "redirects": [
        {"source": "/old/:path*", "destination": "/:path*"}, {"source": "/go/(.*)", "destination": "/$1"}
    ], "rewrites": [{"source": "/to/(.*)", "destination": "/$1"}]}  # fmt: skip
    limit = RateLimit.model_validate({"path": "/limited", "limit": "1/day"})
    leads = rules_of(Service.model_validate(settings))
    await serve(envoy, upstreams, rule(A, rules=leads, rate_limits=(limit,)))
    chance = random.Random(7)
    paths = ["/" + "".join(chance.choices(PIECES, k=chance.randint(1, 7))) for _ in range(1500)]

    async def ask(some: list[str]) -> list[tuple[str, str]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", envoy.edge.layout.http_port)
        found = []
        for path in some:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(fields.get("content-length", 0)))
            found.append((path, fields.get("location", "")))
            if fields.get("connection") == "close":
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", envoy.edge.layout.http_port)
        writer.close()
        return found

    found = [pair for part in await asyncio.gather(*(ask(paths[n::8]) for n in range(8))) for pair in part]
    assert sum(bool(place) for _, place in found) > 300
    # `//` alone names no host; a browser goes nowhere.
    strange = {place for _, place in found if not re.match(r"$|http://threadr\.localhost/|/(?![/\\])|//$", place)}
    assert strange == set()
    for seen in upstreams.seen:
        assert not re.search(r"//|/\.\.?(/|$)|\\|%2f|%5c", seen.path.lower().partition("?")[0]), seen.path
    same = ("/limited", "//limited", "/x/../limited", "/x/%2e%2e/limited", "/%6cimited", "/\\limited", "/./limited")
    asked = [f"GET {path} HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n".encode() for path in same]
    assert [(await send(envoy, data, patience=0.05)) for data in asked] == [[b"200"], *[[b"429"]] * 6]


BROKEN: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "nothing": (b"", (b"503",)),
    "noise": (b"\x00\x01\x02garbage\r\n\r\n", (b"502",)),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nok", (b"502",)),
    "CL and TE": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (b"502",)),
    "a head without an end": (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000, (b"502",)),
    "no colon": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nHeader\r\n\r\nok", (b"502",)),
    "NUL": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\x00b\r\n\r\nok", (b"502",)),
    "a status that is none": (b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok", (b"502",)),
}


async def test_a_broken_service_harms_only_itself(envoy: Running, upstreams: Upstreams) -> None:
    async def reply(request: Request) -> bytes:
        name = request.headers.get("x-how")
        if name == "never":
            await asyncio.sleep(3600)
        if name == "two":
            return answer(b"ok") + answer(b"poison", "200 OK", x_mine="no")
        if name:
            request.writer.write(BROKEN[name][0])
            await request.writer.drain()
            return b""
        return answer(b"well")

    await serve(envoy, upstreams, rule(A, timeout=timedelta(seconds=0.5)), reply=reply)
    for name, (_, wanted) in BROKEN.items():
        data = f"POST / HTTP/1.1\r\nHost: threadr.localhost\r\nX-How: {name}\r\nContent-Length: 0\r\n\r\n".encode()
        (got,) = await send(envoy, data, patience=0.05)
        assert got in wanted, (name, got)
    never = b"POST / HTTP/1.1\r\n" + HOST + b"X-How: never\r\nContent-Length: 0\r\n\r\n"
    assert await send(envoy, never) == [b"504"]
    async with envoy.client() as client:
        url = envoy.edge.url("threadr.localhost", https=False)
        for _ in range(5):
            assert (await client.get(url, headers={"x-how": "two"})).text == "ok"
            assert (await client.get(url)).text == "well"


def from_many(port: int, first: int, count: int) -> int:
    """How many addresses, from `first` on in 127.0.0.0/8, get 200 for a request each."""
    good = 0
    for number in range(first, first + count):
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.bind((f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", 0))
            connection.settimeout(20)
            connection.connect(("127.0.0.1", port))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n")
            good += connection.recv(12) == b"HTTP/1.1 200"
    return good


async def test_addresses_are_remembered_up_to_a_number(
    envoy: Running, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ADDRESSES", 200)
    port = envoy.edge.layout.http_port
    await serve(envoy, upstreams, rule(A, rate_limits=(RateLimit.model_validate({"limit": "1/day"}),)))
    assert await asyncio.to_thread(from_many, port, 0, 1000) == 1000
    assert await asyncio.to_thread(from_many, port, 950, 50) == 0  # the newest are known
    assert (
        await asyncio.to_thread(from_many, port, 0, 50) == 50
    )  # the oldest are forgotten, and nobody is refused for it


@pytest.mark.nightly
async def test_a_hundred_thousand_addresses_take_bounded_memory(envoy: Running, upstreams: Upstreams) -> None:
    port = envoy.edge.layout.http_port
    await serve(envoy, upstreams, rule(A, rate_limits=(RateLimit.model_validate({"limit": "1/day"}),)))
    assert envoy.process is not None
    process = psutil.Process(envoy.process.id.pid)
    memory = [process.memory_info().rss]
    for first in range(0, 100_000, 25_000):
        assert await asyncio.to_thread(from_many, port, first, 25_000) == 25_000
        memory.append(process.memory_info().rss)
    print("MB:", [round(value / 1e6, 1) for value in memory])
    assert memory[-1] - memory[0] < 100e6
    assert memory[-1] - memory[2] < 15e6  # from 50,000 on the oldest go
