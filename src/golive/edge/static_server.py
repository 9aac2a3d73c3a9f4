"""The one server of all static releases: `python -m golive.edge.static_server --artifacts DIR --socket PATH`.

Envoy stands before it and names the release in a header that it overwrites, so a switch is one route write and nothing
here is ever reloaded. One process, one thread, an answer in one write: why not granian is in docs/decisions/0003.

    x-golive-root: <artifact key>            the release
    x-golive-previous: <key>,<key>           optional; hashed files that the release lacks may come from these
    x-golive-fallback: /path                 optional; answered when there is no file at the one that is asked for
    x-golive-slash: edge                     optional; a page answers with and without a slash, nothing is redirected
    GET /-/ready without x-golive-root       health and memory, as JSON; Envoy's requests always have the header
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from golive.edge.static_http import MAX_HEAD, UNTIL_CLOSE, Malformed, Request, parse
from golive.edge.static_index import BadManifest, Response, build_head
from golive.edge.static_plan import BUSY, NOT_FOUND, NOT_FOUND_HEAD, ROOT, UNREADABLE, plan, refusal
from golive.edge.static_store import IN_MEMORY, Store

PREVIOUS: Final = "x-golive-previous"
READY: Final = "/-/ready"
_MAX_PREVIOUS: Final = 4
_LINGER: Final = 2.0
_STOP_WITHIN: Final = 10.0

log = logging.getLogger("golive.static")


class Server:
    """What all connections share."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, max_connections: int) -> None:
        self.store = store
        self.loop = loop
        self.max_connections = max_connections
        self.connections: set[Connection] = set()
        self.stopping = False

    def answer(self, request: Request) -> Response:
        """The response to one request; every failure of the disk is an answer too."""
        key = request.headers.get(ROOT)
        if key is None:
            ready = request.target == READY and request.method == "GET"
            return self._ready() if ready else _not_found(request)
        now = self.loop.time()
        try:
            index = self.store.release(key, now)
            if index is None:
                return _not_found(request)
            older = request.headers.get(PREVIOUS)
            if older is None:
                return plan(request, index)
            keys = [name.strip() for name in older.split(",")][:_MAX_PREVIOUS]
            return plan(request, index, [i for name in keys if (i := self.store.release(name, now))])
        except BadManifest as error:
            log.warning("release %s cannot be served: %s", key, error)
            return UNREADABLE

    def _ready(self) -> Response:
        facts = {
            "status": "ready",
            "releases": len(self.store.held),
            "files": sum(len(held.index.records) for held in self.store.held.values()),
            "cached_bytes": self.store.bytes,
            "connections": len(self.connections),
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024),
        }
        body = json.dumps(facts).encode()
        head = build_head(200, (("content-type", "application/json"), ("cache-control", "no-store")), len(body))
        return Response(200, head + body)


class Connection(asyncio.Protocol):
    """One connection of Envoy: a request is answered before the next is read."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = b""
        self.skip = 0
        self.paused = False
        self.closing = False
        self.refused = False
        self.sending: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.refused = len(self.server.connections) >= self.server.max_connections
        self.server.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.closing = True
        self.server.connections.discard(self)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._advance()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.buffer = self.buffer + data if self.buffer else data
        self._advance()
        if (self.paused or self.sending) and len(self.buffer) > MAX_HEAD:
            self.transport.pause_reading()

    def _advance(self) -> None:
        """Answer what has arrived whole, as long as answers leave."""
        while self.buffer and not (self.paused or self.closing or self.sending):
            if self.skip:
                dropped = min(self.skip, len(self.buffer))
                self.skip -= dropped
                self.buffer = self.buffer[dropped:]
                continue
            end = self.buffer.find(b"\r\n\r\n")
            if end > MAX_HEAD or (end < 0 and len(self.buffer) > MAX_HEAD):
                self._finish(refusal(431, "Request header fields too large", close=True).head)
                return
            if end < 0:
                break
            head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            self._respond(head)
        if not self.closing and not self.transport.is_reading() and not (self.paused or self.sending):
            self.transport.resume_reading()

    def _respond(self, head: bytes) -> None:
        try:
            request = parse(head)
        except Malformed as error:
            self._finish(refusal(error.status, "Bad request", close=True).head)
            return
        if self.refused:
            self._finish(BUSY.head)
            return
        response = self.server.answer(request)
        close = not request.keep_alive or request.body == UNTIL_CLOSE or self.server.stopping
        self.skip = max(0, request.body)
        if response.length > IN_MEMORY:
            self.sending = self.server.loop.create_task(self._send_file(response, close))
            return
        try:
            message = self.server.store.message(response) if response.file else response.head
        except OSError as error:
            log.warning("%s", error)
            message = UNREADABLE.head
        if close:
            self._finish(message)
        else:
            self.transport.write(message)

    async def _send_file(self, response: Response, close: bool) -> None:
        """Head, then the file from the page cache. What cannot be sent whole ends the connection: Envoy then knows."""
        try:
            with self.server.store.open(response) as file:
                self.transport.write(response.head)
                sent = await self.server.loop.sendfile(self.transport, file, response.start, response.length)
        except (OSError, RuntimeError) as error:  # RuntimeError: the transport was closed meanwhile
            sent = 0
            if not self.closing:
                log.warning("%s", error)
        self.sending = None
        if sent != response.length:
            self.transport.abort()
        elif close or self.server.stopping:
            self._finish(b"")
        else:
            self._advance()

    def _finish(self, message: bytes) -> None:
        """Send the last message. What the client is still sending is read and dropped, else it would see a reset."""
        self.closing = True
        self.buffer = b""
        self.transport.write(message)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.server.loop.call_later(_LINGER, self._give_up)
        else:
            self.transport.close()

    def _give_up(self) -> None:
        """The client did not close: end it, unless it is still reading the answer."""
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size():
            self.server.loop.call_later(_LINGER, self._give_up)
        else:
            self.transport.close()

    def stop(self) -> None:
        """End when idle; an answer under way is finished first."""
        if self.sending is None and not self.closing and not self.transport.get_write_buffer_size():
            self.transport.close()


def _not_found(request: Request) -> Response:
    return NOT_FOUND_HEAD if request.method == "HEAD" else NOT_FOUND


def listen_unix(path: Path, mode: int) -> socket.socket:
    """A listening socket that appears at `path` in one step: the one before keeps its clients and stops getting new
    ones, so the server is replaced without a refused connection."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(part))
    finally:
        os.umask(before)
    part.chmod(mode)
    listener.listen(1024)
    part.replace(path)
    return listener


def listen_tcp(port: int) -> socket.socket:
    """A listening socket on the loopback."""
    return socket.create_server(("127.0.0.1", port), backlog=1024, reuse_port=False)


async def serve(listener: socket.socket, store: Store) -> None:
    """Answer on `listener` until SIGTERM or SIGINT, then finish what is under way, for at most 10 s."""
    loop = asyncio.get_running_loop()
    server = Server(store, loop, _connection_limit())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    path = listener.getsockname() if listener.family == socket.AF_UNIX else None
    if path is None:
        accepting = await loop.create_server(lambda: Connection(server), sock=listener)
    else:
        accepting = await loop.create_unix_server(lambda: Connection(server), sock=listener)
    log.info("serving %s", store.artifacts)
    await stop.wait()
    server.stopping = True
    accepting.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_WITHIN):
            while server.connections:
                for connection in list(server.connections):
                    connection.stop()
                await asyncio.sleep(0.01)


def _connection_limit() -> int:
    """Each connection may have a file open beside its socket; the rest is for listeners, logs and manifests."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(16, (min(soft, 8192) - 64) // 2)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 after a graceful stop, 1 when it cannot listen."""
    parser = argparse.ArgumentParser(prog="python -m golive.edge.static_server", description=__doc__.splitlines()[0])
    parser.add_argument("--artifacts", type=Path, required=True, help="folder of artifacts, each with a static.json")
    parser.add_argument("--inside", default="", help="folder in each artifact that holds its static.json")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", type=Path, help="Unix socket to answer on")
    where.add_argument("--port", type=int, help="loopback port to answer on")
    parser.add_argument("--mode", type=lambda text: int(text, 8), default=0o600, help="of the socket, octal")
    parser.add_argument("--memory", type=int, default=64, help="MiB of files kept in memory")
    parser.add_argument("--version", help="of the golive that started it; for the process list")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        listener = listen_unix(options.socket, options.mode) if options.socket else listen_tcp(options.port)
    except OSError as error:
        log.warning("cannot listen on %s: %s", options.socket or options.port, error.strerror or error)
        return 1
    asyncio.run(serve(listener, Store(options.artifacts, inside=options.inside, budget=options.memory * 2**20)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
