"""What HTTP/1.1 would read as two requests, sent in HTTP/2 frames: a service behind the edge gets none of it."""

from __future__ import annotations

import asyncio
import contextlib

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from edge_harness import Running, Upstreams, answer, rule, site

from golive.edge.model import Upstream

A = "threadr/production/api/d1"
HOST = "threadr.localhost"
HIDDEN = b"GET /admin HTTP/1.1\r\nHost: threadr.localhost\r\n\r\n"
LINE = "\r\n\r\nGET /admin HTTP/1.1\r\nHost: threadr.localhost"
Fields = list[tuple[str, str]]


def fields(*more: tuple[str, str], method: str = "POST", path: str = "/form", host: str = HOST) -> Fields:
    return [(":method", method), (":scheme", "https"), (":authority", host), (":path", path), *more]


FORMS: dict[str, tuple[Fields, bytes]] = {
    "TE": (fields(("transfer-encoding", "chunked")), b"0\r\n\r\n" + HIDDEN),
    "length too short": (fields(("content-length", "4")), b"abcd" + HIDDEN),
    "length too long": (fields(("content-length", "400")), b"abcd"),
    "two lengths": (fields(("content-length", "4"), ("content-length", "100")), b"abcd" + HIDDEN),
    "a line in a value": (fields(("x", f"a{LINE}")), b""),
    "a length in a value": (fields(("x", "a\r\ncontent-length: 0")), HIDDEN),
    "a bare LF in a value": (fields(("x", "a\ntransfer-encoding: chunked")), b"0\r\n\r\n" + HIDDEN),
    "NUL in a value": (fields(("x", "a\x00b")), b""),
    "a line in a name": (fields(("x: a\r\ntransfer-encoding", "chunked")), b"0\r\n\r\n" + HIDDEN),
    "a colon in a name": (fields(("transfer-encoding: chunked\r\nx", "a")), b"0\r\n\r\n" + HIDDEN),
    "a space in a name": (fields(("transfer-encoding ", "chunked")), b"0\r\n\r\n" + HIDDEN),
    "letters in a name": (fields(("Transfer-Encoding", "chunked")), b"0\r\n\r\n" + HIDDEN),
    "a line in the path": (fields(path=f"/form HTTP/1.1\r\nHost: {HOST}{LINE}"), b""),
    "a space in the path": (fields(path="/admin HTTP/1.1 /form"), b""),
    "a path without a slash": (fields(path="admin"), b""),
    "no path": (fields(path=""), b""),
    "a line in the method": (fields(method=f"GET /admin HTTP/1.1\r\nHost: {HOST}\r\n\r\nGET"), b""),
    "a space in the method": (fields(method="GET /admin HTTP/1.1"), b""),
    "a line in the authority": (fields(host=f"{HOST}{LINE}"), b""),
    "a user in the authority": (fields(host=f"{HOST}:@evil.test"), b""),
    "two authorities": ([*fields(), (":authority", "evil.test")], b""),
    "two paths": ([*fields(), (":path", "/admin")], b""),
    "pseudo after": ([(":method", "GET"), (":scheme", "https"), ("x", "a"), (":path", "/admin")], b""),
    "a pseudo of no standard": (fields((":evil", "a")), b""),
    "connection": (fields(("connection", "transfer-encoding"), ("transfer-encoding", "chunked")), b"0\r\n\r\n"),
    "CONNECT": ([(":method", "CONNECT"), (":authority", "127.0.0.1:22")], b""),
}


async def ask(envoy: Running, sent: Fields, body: bytes) -> str:
    """The status, or how it ended."""
    unchecked = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8"
    )
    context = envoy.trusting()
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", envoy.edge.layout.https_port, ssl=context, server_hostname=HOST
    )
    http = h2.connection.H2Connection(unchecked)
    http.initiate_connection()
    http.send_headers(1, sent, end_stream=not body)
    if body:
        http.send_data(1, body, end_stream=True)
    found = "closed"
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(120):
            writer.write(http.data_to_send())
            while data := await reader.read(65536):
                for event in http.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        found = dict(event.headers)[":status"]  # type: ignore[call-overload]
                    elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                        found = "reset" if found == "closed" else found
                    elif not isinstance(event, h2.events.StreamEnded):
                        continue
                    if not isinstance(event, h2.events.ResponseReceived):
                        writer.close()
                        return str(found)
    writer.close()
    return str(found)


async def test_no_request_hides_in_frames(envoy: Running, upstreams: Upstreams) -> None:
    up = Upstream(A, (await upstreams.serve(answer(b"ok")),))
    await envoy.edge.apply(envoy.config(site(rule(A)), upstreams=(up,)))
    answers = await asyncio.gather(*(ask(envoy, sent, body) for sent, body in FORMS.values()))
    found = dict(zip(FORMS, answers, strict=True))
    passed = {name: status for name, status in found.items() if status not in ("reset", "closed", "400", "404")}
    assert passed == {}, [(seen.method, seen.path, seen.headers, seen.body) for seen in upstreams.seen]
    assert upstreams.seen == []
    assert await ask(envoy, fields(), b"abcd") == "200"
    assert upstreams.seen[0].body == b"abcd"
