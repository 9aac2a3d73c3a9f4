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
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from golive.edge import static_http
from golive.edge.connection import all_accepted, command_line, listening
from golive.edge.quota_count import NOT_COUNTED, Answer, Asked, answer, command, parse
from golive.edge.static_http import MAX_HEAD, Malformed, Request
from golive.secret import Secret
from golive.system.resp import Address, Connection, RedisError, Value, connect

TROUBLE: Final = (OSError, TimeoutError, EOFError, RedisError)
WITHIN: Final = 0.5
"""Seconds for Redis to count; Envoy waits for two such times."""
REST: Final = 0.25
"""Seconds for which a Redis that did not answer is not asked again."""
LINGER: Final = 2.0
"""Longer than Envoy keeps an idle connection (`KEEP_ALIVE` of `golive.edge.model`)."""
SAY_EVERY: Final = 10.0
AT_ONCE: Final = 200
"""Commands that Redis is sent together; what comes meanwhile goes with the next."""
LONGEST: Final = 2**20
"""Bytes of a request: several quotas may each have the same header's value."""
READY: Final = "/-/ready"
REFUSED: Final = "it did not answer a moment ago"
CLOSING: Final = (("connection", "close"),)
Command = tuple[str | int, ...]

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
        self._waiting: list[tuple[Command, asyncio.Future[Value]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._said = -SAY_EVERY

    async def call(self, words: Command) -> Value:
        """One of TROUBLE when Redis does not answer, or refuses."""
        if time.monotonic() < self._away_until:
            raise TimeoutError(REFUSED)
        answered: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._waiting.append((words, answered))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return await answered

    async def _send(self) -> None:
        """What waits, until nothing does."""
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            for (_, answered), value in zip(batch, await self._tried([words for words, _ in batch]), strict=True):
                if answered.done():  # nobody waits for it any more
                    continue
                if isinstance(value, Exception):
                    answered.set_exception(value)
                else:
                    answered.set_result(value)

    async def _tried(self, commands: list[Command]) -> list[Value | Exception]:
        """The answers, with what went wrong in place of one."""
        if time.monotonic() < self._away_until:
            return [TimeoutError(REFUSED)] * len(commands)
        try:
            found = await self._asked(commands)
        except TROUBLE as error:
            found = [error] * len(commands)
        except Exception as error:  # of whatever answers there: those who wait have to be told
            found = [RedisError(repr(error))] * len(commands)
        wrong = next((value for value in found if isinstance(value, Exception)), None)
        if wrong:
            await self.close()
            self._away(wrong)
        return found

    def _away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + REST
        if time.monotonic() - self._said >= SAY_EVERY:
            self._said = time.monotonic()
            log.warning("quotas of %s are not counted: %s", self._place, str(error) or type(error).__name__)

    async def _asked(self, commands: list[Command]) -> list[Value | Exception]:
        """Twice where the connection is an old one: Redis may have been started again since."""
        fresh = self._connection is None
        try:
            async with asyncio.timeout(WITHIN):
                return [*await (self._connection or await self._connected()).many(commands)]
        except (OSError, EOFError) as error:
            await self.close()
            if fresh or isinstance(error, TimeoutError):
                raise
        except BaseException:
            await self.close()  # what is still to come would be taken for the answer to the next
            raise
        return await self._asked(commands)

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
    """What answers requests. `ending`: no connection outlives its answer."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._read: int | None = None
        self._stores: dict[str, Store] = {}
        self.ending = False
        self.clients: set[Client] = set()

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


class Client(asyncio.Protocol):
    """One connection of Envoy: a request is answered before the next is read."""

    transport: asyncio.Transport

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._buffer = b""
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._counting.clients.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._counting.clients.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answering is None:
            self._next()
        elif len(self._buffer) > LONGEST:
            self.transport.abort()

    def _next(self) -> None:
        """Begin with the request that is there as a whole."""
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD:
            self._say(Answer(431), close=True)
        elif end:
            try:
                request = static_http.parse(head)
            except Malformed as error:
                self._say(Answer(error.status), close=True)
                return
            if not 0 <= request.body <= LONGEST:
                self._say(Answer(413), close=True)
            elif len(rest) >= request.body:
                self._buffer = rest[request.body :]
                self._answering = asyncio.create_task(self._answer(request, rest[: request.body]))

    async def _answer(self, request: Request, body: bytes) -> None:
        if request.target == READY:
            made = Answer(200, text="ready")
        else:
            try:
                made = await self._counting.decide(body.decode("utf-8", "surrogateescape"))
            except Exception:  # a fault of ours: who waits is told, and the connection goes on
                log.exception("a request was not counted")
                made = Answer(NOT_COUNTED, text="a fault of the counting")
        self._answering = None
        self._say(made, close=not request.keep_alive or self._counting.ending)
        if self._buffer and not self.transport.is_closing():
            self._next()

    def _say(self, made: Answer, *, close: bool) -> None:
        body = made.text.encode()
        lines = [f"HTTP/1.1 {made.status} {HTTPStatus(made.status).phrase}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (*made.headers, *(CLOSING if close else ()))]
        self.transport.write("\r\n".join((*lines, "", "")).encode() + body)
        if close:
            self.transport.close()


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 after a graceful stop, 1 when it cannot listen."""
    parser = command_line("quota_server", __doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON: where the Redis of each place is")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to answer on")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    if (listener := listening(options.socket, options.mode)) is None:
        return 1
    asyncio.run(_serve(Counting(options.config), listener))
    return 0


async def _serve(counting: Counting, listener: socket.socket) -> None:
    """Until SIGTERM or SIGINT. A successor has the socket's path by then: what Envoy still asks here is answered, and
    its connections are given time to end by themselves."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    accepting = await loop.create_unix_server(lambda: Client(counting), sock=listener)
    await stop.wait()
    counting.ending = True
    await all_accepted(listener)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while counting.clients:
                await asyncio.sleep(0.01)
    accepting.close()


if __name__ == "__main__":
    raise SystemExit(main())
