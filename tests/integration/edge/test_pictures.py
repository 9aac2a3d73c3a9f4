"""The image service through a real Envoy: pictures, and what it refuses: bombs, other servers, what is no picture."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpcore
import httpx
import psutil
import pytest
from edge_harness import Request, Running, Upstreams, answer, rule, site
from PIL import Image

from golive.edge import image_policy
from golive.edge.image_policy import PATH, POLICY, Policy
from golive.edge.image_server import Public
from golive.edge.model import EdgeConfig, Endpoint, Tokens, Upstream
from golive.secret import Secret

API = "threadr/production/api/d1"
PUBLIC = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
"""RFC 8037, appendix A.2."""
IMAGES = {"sources": ["/uploads/*", "https://cdn.localhost/*"], "widths": [64, 320]}


def picture(size: tuple[int, int], kind: str = "PNG", **options: Any) -> bytes:
    made = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(made, kind, **options)
    return made.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


TURNED = Image.Exif()
TURNED[0x0112] = 6
"""Orientation: the picture was taken with the camera on its side."""
FILES = {
    "/uploads/photo.png": picture((640, 400)),
    "/uploads/turned.jpg": picture((200, 100), "JPEG", exif=TURNED),
    "/uploads/bomb.png": bomb(60_000, 60_000),
    "/uploads/wide.png": bomb(2**31 - 1, 1),
    "/uploads/drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "/uploads/page.png": b"<html><script>alert(1)</script></html>",
    "/uploads/cut.png": picture((640, 400))[:2000],
    "/uploads/long.png": bytes(3 * 10**6),
    "/uploads/private/photo.png": picture((10, 10)),
    "/secret.png": picture((10, 10)),
}  # fmt: skip
asked: list[Request] = []


async def files(request: Request) -> bytes:
    asked.append(request)
    if request.path == "/uploads/moved.png":
        return answer(b"", "302 Found", location="/secret.png")
    body = FILES.get(request.path)
    return answer(b"no", "404 Not Found") if body is None else answer(body, content_type="image/png", set_cookie="a=b")


@pytest.fixture
async def service(envoy: Running) -> AsyncIterator[asyncio.subprocess.Process]:
    layout = envoy.edge.layout
    command = [sys.executable, "-m", "golive.edge.image_server", "--socket", str(layout.images)]
    command += ["--inside", str(layout.images.parent), "--folder", str(layout.directory / "images")]
    process = await asyncio.create_subprocess_exec(*command)
    async with asyncio.timeout(120):
        while not layout.images.exists():
            assert process.returncode is None
            await asyncio.sleep(0.01)
    yield process
    if process.returncode is None:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()


def config(envoy: Running, at: Endpoint, **images: Any) -> EdgeConfig:
    return envoy.config(site(rule(API), images={**IMAGES, **images}), upstreams=(Upstream(API, (at,)),))


async def get(envoy: Running, client: httpx.AsyncClient, url: str, width: int = 64, **headers: str) -> httpx.Response:
    target = envoy.edge.url("threadr.localhost") + "/_golive/image"
    return await client.get(target, params={"url": url, "w": str(width)}, headers=headers)


async def test_pictures_are_made_smaller_in_a_format_that_is_taken(
    envoy: Running, upstreams: Upstreams, service: asyncio.subprocess.Process
) -> None:
    asked.clear()
    at = await upstreams.serve(files)
    await envoy.edge.apply(config(envoy, at))
    async with envoy.client() as client:
        first = await get(envoy, client, "/uploads/photo.png", accept="image/avif,image/webp,*/*", cookie="sid=1")
        assert (first.status_code, first.headers["content-type"]) == (200, "image/avif"), first.text
        assert Image.open(io.BytesIO(first.content)).size == (64, 40)
        assert "accept" in first.headers["vary"]
        assert first.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in first.headers
        assert "cookie" not in asked[0].headers
        again = await get(envoy, client, "/uploads/photo.png", accept="image/avif,image/webp,*/*")
        assert (again.content, "hit" in again.headers["cache-status"], len(asked)) == (first.content, True, 1)
        tag = {"if-none-match": first.headers["etag"]}
        assert (await get(envoy, client, "/uploads/photo.png", accept="image/avif", **tag)).status_code == 304
        other = await get(envoy, client, "/uploads/photo.png", accept="image/webp")
        assert other.headers["content-type"] == "image/webp"
        turned = await get(envoy, client, "/uploads/turned.jpg", 320, accept="*/*")
        made = Image.open(io.BytesIO(turned.content))
        assert (made.format, made.size) == ("JPEG", (100, 200)), "upright, and not enlarged"
        assert not made.getexif()
        await envoy.edge.apply(config(envoy, at, ttl="2d"))
        assert "hit" in (await get(envoy, client, "/uploads/photo.png", accept="image/webp")).headers["cache-status"]


async def test_what_is_no_picture_or_too_much_of_one_is_refused(
    envoy: Running, upstreams: Upstreams, service: asyncio.subprocess.Process
) -> None:
    asked.clear()
    await envoy.edge.apply(config(envoy, await upstreams.serve(files), max_size="2MB"))
    async with envoy.client() as client:
        for url, status, why in (
            ("/uploads/bomb.png", 415, "million pixels"),
            ("/uploads/wide.png", 415, ""),
            ("/uploads/drawing.svg", 415, "no JPEG"),
            ("/uploads/page.png", 415, "no JPEG"),
            ("/uploads/cut.png", 415, "no JPEG"),
            ("/uploads/long.png", 413, "bytes"),
            ("/uploads/none.png", 404, "404"),
            ("/uploads/moved.png", 502, "302"),
            ("/secret.png", 400, "sources"),
            ("/uploads/../secret.png", 400, "plain path"),
            ("https://evil.example/a.png", 400, "sources"),
            ("https://cdn.localhost/a.png", 502, "cannot be asked"),
        ):
            got = await get(envoy, client, url, accept="image/webp")
            assert (got.status_code, why in got.text) == (status, True), (url, got.status_code, got.text)
            assert got.headers["cache-control"] == "no-store"
        assert not [request for request in asked if request.path == "/secret.png"]
        assert service.returncode is None
        assert (await get(envoy, client, "/uploads/photo.png")).status_code == 200


async def test_a_picture_that_many_read_slowly_is_in_memory_once(
    envoy: Running, upstreams: Upstreams, service: asyncio.subprocess.Process
) -> None:
    frames, moving = [Image.effect_noise((1000, 800), 80) for _ in range(3)], io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    body = moving.getvalue()
    await envoy.edge.apply(config(envoy, await upstreams.serve(answer(body, content_type="image/gif"))))
    async with envoy.client() as client:
        assert (await get(envoy, client, "/uploads/moving.gif")).content == body
    process = psutil.Process(service.pid)
    before = process.memory_info().rss
    text = Policy("shop/production", "", True, ("/uploads/*",), (64,), (75,), ("webp",), 3600, 10**7).text()
    asks = f"GET {PATH}?url=/uploads/moving.gif&w=64 HTTP/1.1\r\nhost: threadr.localhost\r\n{POLICY}: {text}\r\n\r\n"
    writers = []
    for _ in range(20):
        reader, writer = await asyncio.open_unix_connection(str(envoy.edge.layout.images), limit=2048)
        writers.append(writer)
        writer.write(asks.encode())
        assert f"content-length: {len(body)}".encode() in await reader.readuntil(b"\r\n\r\n")
    assert process.memory_info().rss - before < 10 * len(body)
    for writer in writers:
        writer.close()


async def test_who_has_no_token_gets_no_picture_that_needs_one(
    envoy: Running, upstreams: Upstreams, service: asyncio.subprocess.Process
) -> None:
    asked.clear()
    tokens = Tokens(keys=PUBLIC, paths=("/uploads/private",), claims=(("x-user-id", "sub"),))
    made = replace(site(rule(API, tokens=tokens), images=IMAGES), probe=Secret("sesame"))
    await envoy.edge.apply(envoy.config(made, upstreams=(Upstream(API, (await upstreams.serve(files),)),)))
    async with envoy.client() as client:
        got = await get(envoy, client, "/uploads/private/photo.png")
        assert (got.status_code, got.text, asked) == (403, "the source answers with 401\n", [])
        assert (await get(envoy, client, "/uploads/photo.png")).status_code == 200
        own = {"x-golive-probe": "sesame"}
        url = envoy.edge.url("threadr.localhost") + "/uploads/private/photo.png"
        assert (await client.get(url, headers=own)).status_code == 200


ADDRESSES = ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))


async def test_a_name_that_leads_into_the_own_network_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that is looked at is the one that is used: a second answer of DNS changes nothing."""
    connected: list[str] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append("inside")
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = Public()
    for host in ("inside.localhost", "127.0.0.1", "localhost"):
        with pytest.raises(httpcore.ConnectError, match="not public"):
            await backend.connect_tcp(host, port, 2)
    assert not connected
    monkeypatch.setattr(image_policy, "is_public", lambda address: True)
    entries = [(family, socket.SOCK_STREAM, 0, "", (at, port)) for family, at in ADDRESSES]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    stream = await backend.connect_tcp("both.test", port, 2)  # the first of them does not answer
    await stream.aclose()
    server.close()
