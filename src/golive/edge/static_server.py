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

import asyncio
import json
import logging
import resource
import socket
import sys
from pathlib import Path
from typing import Final

from golive.edge import connection
from golive.edge.connection import Hub, command_line, connection_limit, listening, serve
from golive.edge.static_http import Request
from golive.edge.static_index import BadManifest, Response, build_head
from golive.edge.static_plan import NOT_FOUND, NOT_FOUND_HEAD, ROOT, UNREADABLE, plan
from golive.edge.static_store import IN_MEMORY, Store

PREVIOUS: Final = "x-golive-previous"
READY: Final = "/-/ready"
_MAX_PREVIOUS: Final = 4

log = logging.getLogger("golive.static")


class Server(Hub):
    """What all connections share."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, max_connections: int) -> None:
        super().__init__(loop, max_connections)
        self.store = store

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


class Connection(connection.Connection):
    """One connection of Envoy."""

    server: Server

    def respond(self, request: Request, close: bool) -> None:
        response = self.server.answer(request)
        if response.length > IN_MEMORY:
            self.sending = self.server.loop.create_task(self._send_file(response, close))
            return
        try:
            message = self.server.store.message(response) if response.file else response.head
        except OSError as error:
            log.warning("%s", error)
            message = UNREADABLE.head
        self.say(message, close)

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
        self.sent(sent == response.length, close)


def _not_found(request: Request) -> Response:
    return NOT_FOUND_HEAD if request.method == "HEAD" else NOT_FOUND


async def _serve(listener: socket.socket, store: Store) -> None:
    server = Server(store, asyncio.get_running_loop(), connection_limit())
    log.info("serving %s", store.artifacts)
    await serve(listener, server, lambda: Connection(server))


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 after a graceful stop, 1 when it cannot listen."""
    parser = command_line("static_server", __doc__)
    parser.add_argument("--artifacts", type=Path, required=True, help="folder of artifacts, each with a static.json")
    parser.add_argument("--inside", default="", help="folder in each artifact that holds its static.json")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", type=Path, help="Unix socket to answer on")
    where.add_argument("--port", type=int, help="loopback port to answer on")
    parser.add_argument("--memory", type=int, default=64, help="MiB of files kept in memory")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if (listener := listening(options.socket or options.port, options.mode)) is None:
        return 1
    asyncio.run(_serve(listener, Store(options.artifacts, inside=options.inside, budget=options.memory * 2**20)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
