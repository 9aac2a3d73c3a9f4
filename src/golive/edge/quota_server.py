"""The process that counts quotas: `python -m golive.edge.quota_server --config FILE --socket PATH`.

Envoy asks it by HTTP on a Unix socket (`golive.edge.quota` has the script that asks), it asks the Redis of the app.
It keeps nothing: a kill loses no count, and while it is away Envoy follows `when_away`.

    POST /    place, then a line for each quota     200 counted, 429 refused, 424 not counted
    GET /-/ready                                    200

`--config` is JSON, place → where its Redis is; read again when it changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from golive.edge.connection import command_line, listening
from golive.edge.quota_count import NOT_COUNTED, Answer, Asked, answer, command, parse
from golive.secret import Secret
from golive.system.asgi import uvicorn
from golive.system.resp import Address, Connection, RedisError, Value, connect

if TYPE_CHECKING:
    from uvicorn import Server

TROUBLE: Final = (OSError, TimeoutError, EOFError, RedisError)
WITHIN: Final = 0.5
"""Seconds for Redis to count; Envoy waits for two such times."""
REST: Final = 0.25
"""Seconds for which a Redis that did not answer is not asked again."""
LINGER: Final = 2.0
"""Longer than Envoy keeps an idle connection (`KEEP_ALIVE` of `golive.edge.model`)."""
SAY_EVERY: Final = 10.0
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

log = logging.getLogger("golive.quota")


class Store:
    """One Redis, over one connection that is made again when it broke."""

    def __init__(self, place: str, at: Mapping[str, Any]) -> None:
        tls = ssl.create_default_context() if at["tls"] else None
        self.at = at
        self._place = place
        self._address = Address(at["host"], at["port"], tls=tls)
        self._open = contextlib.AsyncExitStack()
        self._connection: Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._away_until = 0.0
        self._said = -SAY_EVERY

    async def call(self, words: tuple[str | int, ...]) -> Value:
        """One of TROUBLE when Redis does not answer, or refuses."""
        async with self._one_at_a_time:
            if time.monotonic() < self._away_until:
                raise TimeoutError("it did not answer a moment ago")
            try:
                return await self._tried(words)
            except TROUBLE as error:
                self._away_until = time.monotonic() + REST
                if time.monotonic() - self._said >= SAY_EVERY:
                    self._said = time.monotonic()
                    log.warning("quotas of %s are not counted: %s", self._place, str(error) or type(error).__name__)
                raise

    async def _tried(self, words: tuple[str | int, ...]) -> Value:
        """Twice where the connection is an old one: Redis may have been started again since."""
        fresh = self._connection is None
        try:
            async with asyncio.timeout(WITHIN):
                return await (self._connection or await self._connected()).call(*words)
        except (OSError, EOFError) as error:
            await self.close()
            if fresh or isinstance(error, TimeoutError):
                raise
        except BaseException:
            await self.close()  # what is still to come would be taken for the answer to the next
            raise
        return await self._tried(words)

    async def _connected(self) -> Connection:
        password = Secret(self.at["password"])
        self._connection = await self._open.enter_async_context(
            connect(self._address, self.at["user"] or None, password, WITHIN)
        )
        if self.at["database"]:
            await self._connection.call("SELECT", self.at["database"])
        return self._connection

    async def close(self) -> None:
        self._connection = None
        await self._open.aclose()


class Counting:
    """The application that uvicorn serves."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._read: int | None = None
        self._stores: dict[str, Store] = {}
        self.ending = False

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        ready = scope["path"] == "/-/ready"
        made = Answer(200, text="ready") if ready else await self.decide(body.decode("utf-8", "surrogateescape"))
        text = made.text.encode()
        headers = [(name.encode(), value.encode()) for name, value in made.headers]
        headers.append((b"content-length", str(len(text)).encode()))
        if self.ending:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": made.status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def decide(self, body: str) -> Answer:
        """Every failure to count is an answer too."""
        try:
            place, asked = parse(body)
        except ValueError:
            return Answer(400, text="no quotas")
        await self._follow()
        store = self._stores.get(place)
        if store is None:
            return Answer(NOT_COUNTED, text="nobody said where")
        try:
            return await self._counted(store, place, asked)
        except TROUBLE:
            return Answer(NOT_COUNTED, text="Redis is away")

    @staticmethod
    async def _counted(store: Store, place: str, asked: tuple[Asked, ...]) -> Answer:
        now = datetime.now(UTC)
        found = await store.call(command(place, asked, now))
        if not isinstance(found, list) or len(found) != len(asked) + 1:
            raise RedisError("an answer that is none")
        refused, *counts = (int(str(n)) for n in found)
        return answer(asked, bool(refused), tuple(counts), now)

    async def _follow(self) -> None:
        """Where each place's Redis is, as the file says by now."""
        try:
            changed = self._config.stat().st_mtime_ns
            if changed == self._read:
                return
            wanted = json.loads(self._config.read_text())
        except (OSError, ValueError):
            return  # as before: it is being written, or golive was asked to count no more
        self._read = changed
        old = [store for place, store in self._stores.items() if wanted.get(place) != store.at]
        kept = {place: store for place, store in self._stores.items() if wanted.get(place) == store.at}
        self._stores = {place: kept.get(place) or Store(place, at) for place, at in wanted.items()}
        for store in old:
            await store.close()


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 after a graceful stop, 1 when it cannot listen."""
    parser = command_line("quota_server", __doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON: where the Redis of each place is")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to answer on")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    if (listener := listening(options.socket, options.mode)) is None:
        return 1
    counting = Counting(options.config)
    config_type, server_type = uvicorn()
    settings = config_type(
        counting,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    asyncio.run(_serve(counting, server_type(settings), listener))
    return 0


async def _serve(counting: Counting, server: Server, listener: socket.socket) -> None:
    """Until SIGTERM or SIGINT. A successor has the socket's path by then: what Envoy still asks here is answered, and
    its connections are given time to end by themselves."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    await asyncio.wait([serving, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    counting.ending = True
    await asyncio.wait([serving], timeout=LINGER)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    raise SystemExit(main())
