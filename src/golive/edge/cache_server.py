"""The response cache of all apps: `python -m golive.edge.cache_server --origin SOCKET --socket SOCKET`.

Envoy stands before it and says in a header, which it overwrites, what may be kept; see `cache_policy`. What is not here
is asked of Envoy's inner listener, which sends it to the generation that the header names: retries, limits and draining
are those of any request. A dead cache is passed by: Envoy then asks the inner listener itself.

    x-golive-cache: <policy>                 without it, the request is one of golive's own:
    GET /-/stats                             counts by app, as JSON
    POST /-/purge?app=<app>&path=<path>      forget answers at the path and below
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpcore

from golive.edge import connection
from golive.edge.cache_policy import ORIGIN, POLICY, Headers, Lifetime, Policy, asked_with, lifetime, parse_policy
from golive.edge.cache_store import Kept, Key, Store, Url, end_to_end, head_of, keep
from golive.edge.connection import SLICE, Hub, command_line, connection_limit, listening, serve
from golive.edge.static_http import Request

SWEEP: Final = 30.0
RETRY: Final = 1.0
"""Seconds between two tries to renew an answer whose service does not answer."""
TIMEOUT: Final = {"connect": 5.0, "pool": 30.0, "read": 300.0, "write": 30.0}
BODILESS: Final = (204, 304)
Flight = asyncio.Future[Kept | None]
"""An answer that is being fetched; None when it is not to be kept."""

log = logging.getLogger("golive.cache")


class Server(Hub):
    """What all connections share. `flights` are answers that are being fetched."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_connections: int, origin: Path) -> None:
        super().__init__(loop, max_connections)
        self.store = Store()
        self.flights: dict[Key, Flight] = {}
        self.work: set[asyncio.Task[None]] = set()
        self._pool = httpcore.AsyncConnectionPool(uds=str(origin), max_connections=512, keepalive_expiry=20)

    @asynccontextmanager
    async def ask(self, request: Request, policy: Policy, extra: Headers = ()) -> AsyncIterator[httpcore.Response]:
        """The service's own answer. httpcore's errors when there is none."""
        headers = [*asked_with(request.headers, policy), (ORIGIN, request.headers[ORIGIN]), *extra]
        url = httpcore.URL(scheme=b"http", host=b"origin", port=None, target=request.target.encode("latin-1"))
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        async with self._pool.stream(request.method, url, headers=raw, extensions={"timeout": TIMEOUT}) as response:
            yield response

    def renew(self, request: Request, policy: Policy, key: Key, kept: Kept) -> None:
        """Fetch a newer answer beside the clients, once at a time."""
        now = self.loop.time()
        if key in self.flights or now < kept.retry_at:
            return
        flight = self.flights[key] = self.loop.create_future()
        task = self.loop.create_task(self._renew(request._replace(method="GET"), policy, key, kept))
        self.work.add(task)

        def over(_: asyncio.Task[None]) -> None:
            self.work.discard(task)
            del self.flights[key]
            flight.set_result(None)

        task.add_done_callback(over)

    async def _renew(self, request: Request, policy: Policy, key: Key, kept: Kept) -> None:
        tag = next((value for name, value in kept.headers if name == "etag" and kept.status < 300), None)
        try:
            async with self.ask(request, policy, [("if-none-match", tag)] if tag else []) as response:
                headers = lower(response)
                if response.status >= 500:
                    kept.retry_at = self.loop.time() + RETRY
                    self.store.shelf(policy).counts.failed += 1
                elif response.status == 304:
                    merged = [(n, v) for n, v in kept.headers if n not in dict(headers)] + list(end_to_end(headers))
                    self._keep(request, policy, key, (kept.status, merged, kept.body))
                else:
                    body = None if is_stream(headers) else await whole_body(response, policy.largest)
                    self._keep(request, policy, key, (response.status, headers, body))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            kept.retry_at = self.loop.time() + RETRY
            self.store.shelf(policy).counts.failed += 1
            log.info("%s: a stale answer stays: %s", key.url.target, error or type(error).__name__)

    def _keep(self, request: Request, policy: Policy, key: Key, found: tuple[int, Headers, bytes | None]) -> None:
        status, headers, body = found
        life = lifetime(status, headers, policy)
        if body is None or not isinstance(life, Lifetime):
            self.store.drop(key, policy)
            return
        kept = keep(asked_path(request), status, headers, body, life, self.loop.time())
        self.store.put(key.url, request.headers, policy, kept)

    async def sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self.store.sweep(self.loop.time())


class Connection(connection.Paced):
    """One connection of Envoy, or of golive."""

    server: Server

    def respond(self, request: Request, close: bool) -> None:
        text = request.headers.get(POLICY)
        if text is None:
            self.say(self._own(request), close)
            return
        try:
            policy = parse_policy(text)
            url = Url(request.headers[ORIGIN], request.headers["host"], request.target)
        except (ValueError, KeyError, TypeError):
            self.say(refused(400), close)
            return
        if request.method not in ("GET", "HEAD") or request.body:
            self.say(refused(400), close)
            return
        now = self.server.loop.time()
        key = self.server.store.key(url, request.headers, policy)
        kept = self.server.store.find(key, policy, now)
        if kept is None:
            self.sending = self.server.loop.create_task(self._run(self._miss(request, policy, url), close))
            return
        counts = self.server.store.shelf(policy).counts
        counts.hits += 1
        if now >= kept.fresh_until:
            counts.stale += 1
            self.server.renew(request, policy, key, kept)
        head, body = kept.answer(request.headers, now, "hit")
        if request.method == "HEAD":
            self.say(head, close)
        elif len(body) <= SLICE:
            self.say(head + body, close)
        else:
            self.sending = self.server.loop.create_task(self._run(self.write(head, body), close))

    async def _run(self, answering: Coroutine[Any, Any, bool], close: bool) -> None:
        whole = False
        try:
            whole = await answering
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            log.info("not answered: %s", error or type(error).__name__)
        except Exception:
            log.exception("a request failed")
        finally:
            if self.closing:
                self.sending = None
            else:
                self.sent(whole, close)

    async def _miss(self, request: Request, policy: Policy, url: Url) -> bool:
        """One request asks the service, those who want the same meanwhile wait for it."""
        server, store = self.server, self.server.store
        counts = store.shelf(policy).counts
        counts.misses += 1
        if request.method == "HEAD" or store.passes(url, server.loop.time()):
            counts.passed += 1
            return await self._fetch(request, policy, url, None)
        key = store.key(url, request.headers, policy)
        while flight := server.flights.get(key):
            found = await asyncio.shield(flight)
            key = store.key(url, request.headers, policy)
            kept = store.find(key, policy, server.loop.time())
            if kept is not None:
                counts.joined += 1
                return await self.write(*kept.answer(request.headers, server.loop.time(), "fwd=uri-miss; collapsed"))
            if found is None:
                counts.passed += 1
                return await self._fetch(request, policy, url, None)
        flight = server.flights[key] = server.loop.create_future()
        try:
            return await self._fetch(request, policy, url, flight)
        finally:
            del server.flights[key]
            if not flight.done():
                flight.set_result(None)

    async def _fetch(self, request: Request, policy: Policy, url: Url, flight: Flight | None) -> bool:
        """Ask the service and answer this client. What may be kept is, and ends `flight`; the rest is passed on."""
        store, loop = self.server.store, self.server.loop
        async with self.server.ask(request, policy) as response:
            headers = lower(response)
            life = lifetime(response.status, headers, policy)
            chunks = response.aiter_stream()
            begun = bytearray()
            if (
                flight
                and isinstance(life, Lifetime)
                and announced(headers) <= policy.largest
                and not is_stream(headers)
            ):
                async for chunk in chunks:
                    begun += chunk
                    if len(begun) > policy.largest:
                        break
                else:
                    kept = keep(asked_path(request), response.status, headers, bytes(begun), life, loop.time())
                    store.put(url, request.headers, policy, kept)
                    flight.set_result(kept)
                    status = f"fwd=uri-miss; fwd-status={response.status}; stored"
                    return await self.write(*kept.answer(request.headers, loop.time(), status))
            if flight:
                store.let_pass(url, loop.time())
                flight.set_result(None)
            why = life if isinstance(life, str) else "size" if flight else "passed"
            said = f"golive; fwd=uri-miss; fwd-status={response.status}; detail={why}"
            return await self._pass_on(request, response, chunks, bytes(begun), said)

    async def _pass_on(
        self, request: Request, response: httpcore.Response, chunks: AsyncIterator[bytes], begun: bytes, said: str
    ) -> bool:
        """As it comes, with its length where it was announced, else in chunks."""
        headers = lower(response)
        own = [*end_to_end(headers), ("cache-status", said)]
        length = next((value for name, value in headers if name == "content-length"), None)
        bare = request.method == "HEAD" or response.status in BODILESS
        chunked = length is None and not bare
        framing = [("content-length", length)] if length is not None else []
        framing += [("transfer-encoding", "chunked")] if chunked else []
        age = [(n, v) for n, v in headers if n == "age"]
        if not await self.write(head_of(response.status, [*own, *age, *framing]) + b"\r\n"):
            return False
        if bare:
            return True
        if begun and not await self.write(*framed(begun, chunked)):
            return False
        async for chunk in chunks:
            if not await self.write(*framed(chunk, chunked)):
                return False
        return await self.write(b"0\r\n\r\n") if chunked else True

    def _own(self, request: Request) -> bytes:
        """golive's own questions."""
        url = urlsplit(request.target)
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if (request.method, url.path) == ("POST", "/-/purge") and "app" in asked:
            return as_json({"purged": self.server.store.purge(asked["app"], asked.get("path"))})
        if (request.method, url.path) == ("GET", "/-/stats"):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            return as_json({"apps": self.server.store.facts(), "peak_rss_bytes": peak})
        return refused(404)


def framed(chunk: bytes, chunked: bool) -> tuple[bytes, ...]:
    return (f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n",) if chunked and chunk else (chunk,)


def lower(response: httpcore.Response) -> Headers:
    """Its headers, as text."""
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]


def announced(headers: Headers) -> int:
    """Bytes of the body, zero when they are not said."""
    return next((int(value) for name, value in headers if name == "content-length" and value.isdecimal()), 0)


def is_stream(headers: Headers) -> bool:
    """Events leave as they come."""
    return any(name == "content-type" and value.startswith("text/event-stream") for name, value in headers)


async def whole_body(response: httpcore.Response, largest: int) -> bytes | None:
    """None when it is longer."""
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > largest:
            return None
    return bytes(body)


def asked_path(request: Request) -> str:
    """The path as the client sees it."""
    return request.headers.get("x-envoy-original-path", request.target)


def as_json(value: object) -> bytes:
    body = json.dumps(value).encode()
    head = head_of(200, [("content-type", "application/json"), ("content-length", str(len(body)))])
    return head + b"\r\n" + body


def refused(status: int) -> bytes:
    return head_of(status, [("cache-control", "no-store"), ("content-length", "0")]) + b"\r\n"


async def run(listener: socket.socket, origin: Path) -> None:
    """Serve until told to stop."""
    server = Server(asyncio.get_running_loop(), connection_limit(), origin)
    log.info("serving, asking %s", origin)
    sweeping = asyncio.create_task(server.sweep())
    await serve(listener, server, lambda: Connection(server))
    sweeping.cancel()


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 after a graceful stop, 1 when it cannot listen."""
    parser = command_line("cache_server", __doc__)
    parser.add_argument("--origin", type=Path, required=True, help="Unix socket of the edge's inner listener")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to answer on")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    if (listener := listening(options.socket, options.mode)) is None:
        return 1
    asyncio.run(run(listener, options.origin))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
