"""Small HTTP/1.1 requests over asyncio and h11, to this machine: the edge, its admin socket.

A client library brings a certificate store, a command line and 16 MB of memory with it; the daemon has to stay small.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

TIMEOUT = 10.0
"""Seconds for a request, when not told otherwise."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Opener = Callable[[], Awaitable[Streams]]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """`headers` have lower-case names; of a repeated one the last is kept."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class Connection:
    """One keep-alive connection. A closed one is opened again at the next request.

    Requests raise OSError, EOFError, TimeoutError or ValueError (not HTTP) when there is no answer.
    """

    def __init__(self, opener: Opener, host: str, timeout: float = TIMEOUT) -> None:
        self._open = opener
        self._host = host
        self._timeout = timeout
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._http: Any = None

    async def get(self, path: str, headers: Headers = ()) -> Answer:
        return await self.request("GET", path, headers)

    async def request(self, method: str, path: str, headers: Headers = ()) -> Answer:
        import h11

        async with asyncio.timeout(self._timeout):
            try:
                await self._connect()
                return await self._exchange(method, path, headers)
            except h11.RemoteProtocolError as error:
                raise ValueError(f"not an HTTP answer: {error}") from error

    async def _connect(self) -> None:
        import h11

        if self._http is not None and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            if self._reader and not self._reader.at_eof():
                return
        await self.close()
        self._reader, self._writer = await self._open()
        self._http = h11.Connection(h11.CLIENT)

    async def _exchange(self, method: str, path: str, headers: Headers) -> Answer:
        import h11

        if self._reader is None or self._writer is None:
            raise EOFError("not connected")
        sent = [("Host", self._host), ("User-Agent", "golive"), ("Accept", "*/*"), *headers]
        self._writer.write(self._http.send(h11.Request(method=method, target=path, headers=sent)))
        self._writer.write(self._http.send(h11.EndOfMessage()))
        await self._writer.drain()
        status, found, body = 0, {}, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = await self._reader.read(65536)
                if not data and not status:
                    raise EOFError("the connection was closed without an answer")
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                found = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, found, bytes(body))

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await self._writer.wait_closed()
        self._reader = self._writer = self._http = None
