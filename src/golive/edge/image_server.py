"""Pictures made smaller, for all apps: `python -m golive.edge.image_server --socket SOCKET --inside DIR --folder DIR`.

Envoy stands before it and says in a header, which it overwrites, what a site allows; see `image_policy`. A picture of
the app's own is asked of the edge itself, by its inner listeners `inside-http.sock` and `inside-https.sock`; one of
another server by HTTPS, at an address that was looked at, and nothing is followed anywhere else. What comes is decoded
in a process of its own, see `image_work`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import httpcore

from golive.edge import connection, image_policy
from golive.edge.cache_store import head_of
from golive.edge.connection import Hub, command_line, connection_limit, listening, serve
from golive.edge.image_policy import OWN, POLICY, TYPES, Policy, Refused, Wanted, parse_policy
from golive.edge.image_store import Picture, Recent, Store, name_of
from golive.edge.static_http import Request

AT_ONCE: Final = 2
"""Pictures that are made at the same time."""
WAITING: Final = 200
"""Requests that wait for one; more are told to come back."""
WITHIN: Final = 15.0
"""Seconds for a source to arrive."""
MAKING: Final = 30.0
"""Seconds for a picture to be made, of the clock; its process has fewer of the processor's."""
DISK: Final = 512 * 10**6
MEMORY: Final = 16 * 10**6
PASSED_ON: Final = {401: 403, 403: 403, 404: 404, 410: 410, 503: 503}
"""What a source's answer says to whoever asked; a 401 would have to say how to show a token here."""
ACCEPTED: Final = ", ".join(TYPES.values())

log = logging.getLogger("golive.images")


class Public(httpcore.AsyncNetworkBackend):
    """Connections to public addresses only: the one that was looked at is the one that is used."""

    def __init__(self) -> None:
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} is not known") from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if not all(map(image_policy.is_public, addresses)):
            raise httpcore.ConnectError(f"{host} has an address that is not public")
        failure = None
        for address in addresses:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class Server(Hub):
    """What all connections share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, inside: Path, store: Store) -> None:
        super().__init__(loop, connection_limit())
        self.store = store
        self.recent = Recent(MEMORY)
        self.gate = asyncio.Semaphore(AT_ONCE)
        self.making: dict[str, asyncio.Task[Picture]] = {}
        self.waiting = 0
        self._given: WeakValueDictionary[str, Picture] = WeakValueDictionary()
        """What is being sent: once in memory, to however many."""
        self._inside = {
            tls: httpcore.AsyncConnectionPool(uds=str(inside / f"inside-{name}.sock"), max_connections=20)
            for tls, name in ((True, "https"), (False, "http"))
        }
        self._outside = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=Public(), max_connections=20, keepalive_expiry=1
        )

    async def picture(self, request: Request, wanted: Wanted, policy: Policy) -> tuple[Picture, bool]:
        """The picture, and whether it was there. Whoever asks for the same meanwhile gets the same. Refused."""
        name = name_of(wanted, policy)
        found = self._given.get(name)
        if found is None or time.time() >= found.until:
            found = await asyncio.to_thread(self.store.find, name, time.time())
        if found:
            self._given[name] = found
            return found, True
        if self.waiting >= WAITING:
            raise Refused(503, "too many pictures are being made; try again in a moment")
        task = self.making.get(name)
        if task is None:
            task = self.making[name] = self.loop.create_task(self._make(request, wanted, policy, name))
            task.add_done_callback(lambda done: (self.making.pop(name), done.cancelled() or done.exception()))
        self.waiting += 1
        try:
            return await asyncio.shield(task), False
        finally:
            self.waiting -= 1

    async def _make(self, request: Request, wanted: Wanted, policy: Policy, name: str) -> Picture:
        async with self.gate:
            source = await self._source(request, wanted, policy)
            kind, body = await made_of(source, wanted)
        picture = Picture(kind, time.time() + policy.ttl, body)
        await asyncio.to_thread(self.store.put, name, picture)
        return picture

    async def _source(self, request: Request, wanted: Wanted, policy: Policy) -> bytes:
        headers = {"accept": ACCEPTED, "user-agent": "golive-images"}
        pool = self._outside
        if wanted.origin == OWN:
            pool = self._inside[policy.tls]
            copied = ("x-forwarded-for", "x-forwarded-proto", "x-request-id")
            headers |= {name: request.headers[name] for name in copied if name in request.headers}
            headers |= {"host": request.headers["host"], POLICY: "source"}
            headers |= {"x-golive-probe": policy.probe} if policy.probe else {}
        url = ("http://edge" if wanted.origin == OWN else wanted.origin) + wanted.path
        try:
            async with asyncio.timeout(WITHIN), pool.stream("GET", url, headers=list(headers.items())) as response:
                if response.status != 200:
                    raise Refused(PASSED_ON.get(response.status, 502), f"the source answers with {response.status}")
                body = bytearray()
                async for chunk in response.aiter_stream():
                    body += chunk
                    if len(body) > policy.largest:
                        raise Refused(413, f"the source has more than {policy.largest} bytes")
                return bytes(body)
        except TimeoutError:
            raise Refused(504, "the source does not arrive in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            log.info("%s: %s", url, error or type(error).__name__)
            raise Refused(502, "the source cannot be asked") from None


async def made_of(source: bytes, wanted: Wanted) -> tuple[str, bytes]:
    """Pillow's name of the format and the bytes. Refused when it is no picture, or too much of one."""
    command = [sys.executable, "-m", "golive.edge.image_work", str(wanted.width), str(wanted.quality), wanted.format]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(MAKING):
            out, _ = await process.communicate(source)
    except TimeoutError:
        raise Refused(413, "the picture takes too long to make") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    kind, _, body = out.partition(b"\n")
    if process.returncode == 1:
        raise Refused(415, out.decode(errors="replace")[:200])
    if process.returncode or kind.decode(errors="replace") not in TYPES:
        raise Refused(413, "the picture needs too much memory or time")
    return kind.decode(), body


class Connection(connection.Paced):
    """One connection of Envoy."""

    server: Server

    def respond(self, request: Request, close: bool) -> None:
        self.sending = self.server.loop.create_task(self._run(request, close))

    async def _run(self, request: Request, close: bool) -> None:
        try:
            head, body = await self._answer(request)
        except Refused as error:
            head, body = said(error.status, str(error))
        except Exception:
            log.exception("a request failed")
            head, body = said(500, "the picture could not be made")
        whole = await self.write(head, b"" if request.method == "HEAD" else body)
        if self.closing:
            self.sending = None
        else:
            self.sent(whole, close)

    async def _answer(self, request: Request) -> tuple[bytes, bytes]:
        """Head and body."""
        try:
            policy = parse_policy(request.headers[POLICY])
        except (KeyError, ValueError, TypeError):
            raise Refused(400, "only the edge asks here") from None
        if request.method not in ("GET", "HEAD") or request.body:
            raise Refused(400, "a picture is asked for with GET")
        asked = (request.headers[POLICY], request.target, request.headers.get("accept", ""))
        picture, there = self.server.recent.find(asked, time.time()), True
        if picture is None:
            picture, there = await self._found(request, policy)
            self.server.recent.put(asked, picture)
        left = max(0, int(picture.until - time.time()))
        scope = "private" if policy.probe else "public"
        headers = [
            ("content-type", TYPES[picture.kind]),
            ("vary", "accept"),
            ("etag", picture.etag),
            ("cache-control", f"{scope}, max-age={left}"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("cache-status", f"golive-images; {'hit' if there else 'fwd=uri-miss; stored'}"),
        ]
        if picture.etag in request.headers.get("if-none-match", ""):
            return head_of(304, headers) + b"\r\n", b""
        return head_of(200, [*headers, ("content-length", str(len(picture.body)))]) + b"\r\n", picture.body

    async def _found(self, request: Request, policy: Policy) -> tuple[Picture, bool]:
        try:
            wanted = image_policy.wanted(request.target, request.headers.get("accept", ""), policy)
        except UnicodeDecodeError:
            raise Refused(400, "url is not in UTF-8") from None
        return await self.server.picture(request, wanted, policy)


def said(status: int, why: str) -> tuple[bytes, bytes]:
    """A refusal, never kept by a cache."""
    body = f"{why}\n".encode()
    headers = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]
    headers += [("retry-after", "1")] if status == 503 else []
    return head_of(status, [*headers, ("content-length", str(len(body)))]) + b"\r\n", body


async def run(listener: socket.socket, inside: Path, folder: Path) -> None:
    """Serve until told to stop."""
    os.nice(5)
    server = Server(asyncio.get_running_loop(), inside, Store(folder, DISK))
    log.info("serving")
    await serve(listener, server, lambda: Connection(server))


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 after a graceful stop, 1 when it cannot listen."""
    parser = command_line("image_server", __doc__)
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to answer on")
    parser.add_argument("--inside", type=Path, required=True, help="folder of the edge's inner listeners")
    parser.add_argument("--folder", type=Path, required=True, help="where made pictures are kept")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    if (listener := listening(options.socket, options.mode)) is None:
        return 1
    asyncio.run(run(listener, options.inside, options.folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
