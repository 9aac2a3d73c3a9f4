"""A small HTTP/1.1 server on asyncio: connections of Envoy, each request answered before the next is read.

What the static server, the response cache and the image service share; docs/decisions/0003 says why there is no
framework below them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from golive.edge.static_http import MAX_HEAD, UNTIL_CLOSE, Malformed, Request, parse
from golive.edge.static_plan import BUSY, refusal

log = logging.getLogger("golive.edge")
_LINGER: Final = 2.0
_STOP_WITHIN: Final = 10.0
_NEW: Final = 1.0
"""Seconds in which a new connection asks: it was opened for that."""
SLICE: Final = 64 * 1024
"""Bytes of a body that are given to the kernel at once."""


class Hub:
    """What all connections of a server share. Above `max_connections` requests are answered with 503."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_connections: int) -> None:
        self.loop = loop
        self.max_connections = max_connections
        self.connections: set[Connection] = set()
        self.stopping = False


class Connection(asyncio.Protocol):
    """One connection of Envoy: a request is answered before the next is read. Servers say how, in `respond`."""

    transport: asyncio.Transport

    def __init__(self, server: Hub) -> None:
        self.server = server
        self.buffer = b""
        self.skip = 0
        self.paused = False
        self.closing = False
        self.refused = False
        self.asked = False
        self.since = server.loop.time()
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
        self.asked = True
        try:
            request = parse(head)
        except Malformed as error:
            self._finish(refusal(error.status, "Bad request", close=True).head)
            return
        if self.refused:
            self._finish(BUSY.head)
            return
        self.skip = max(0, request.body)
        self.respond(request, not request.keep_alive or request.body == UNTIL_CLOSE or self.server.stopping)

    def respond(self, request: Request, close: bool) -> None:
        """Answer by `say`, or set `sending` to a task that ends with `sent`. `close`: it is the last answer."""
        raise NotImplementedError

    def say(self, message: bytes, close: bool) -> None:
        """A whole answer."""
        if close:
            self._finish(message)
        else:
            self.transport.write(message)

    def sent(self, whole: bool, close: bool) -> None:
        """The end of `sending`. An answer that is not whole ends the connection, so that Envoy knows."""
        self.sending = None
        if not whole:
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
        """End when idle; an answer under way is finished first. One that is new is about to ask."""
        if not self.asked and self.server.loop.time() - self.since < _NEW:
            return
        if self.sending is None and not self.closing and not self.transport.get_write_buffer_size():
            self.transport.close()


class Paced(Connection):
    """One whose answers wait for a client that reads slowly, and take no memory meanwhile."""

    def __init__(self, server: Hub) -> None:
        super().__init__(server)
        self._flowing = asyncio.Event()
        self._flowing.set()

    def pause_writing(self) -> None:
        self._flowing.clear()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._flowing.set()
        super().resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._flowing.set()
        super().connection_lost(error)

    async def write(self, *parts: bytes) -> bool:
        """Whether all of it was written."""
        for part in parts:
            for start in range(0, len(part), SLICE):
                await self._flowing.wait()
                if self.closing:
                    return False
                self.transport.write(part[start : start + SLICE])
        return True


def command_line(module: str, about: str) -> argparse.ArgumentParser:
    """A server's command line, with what each of them takes. `about`: its first line is shown."""
    parser = argparse.ArgumentParser(prog=f"python -m golive.edge.{module}", description=about.splitlines()[0])
    parser.add_argument("--mode", type=lambda text: int(text, 8), default=0o600, help="of the socket, octal")
    parser.add_argument("--version", help="of the golive that started it; for the process list")
    return parser


def listening(where: Path | int, mode: int = 0o600) -> socket.socket | None:
    """On a Unix socket or a loopback port; None when that cannot be, which the log says."""
    try:
        return listen_unix(where, mode) if isinstance(where, Path) else listen_tcp(where)
    except OSError as error:
        log.warning("cannot listen on %s: %s", where, error.strerror or error)
        return None


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


async def serve(listener: socket.socket, server: Hub, accept: Callable[[], Connection]) -> None:
    """Answer on `listener` until SIGTERM or SIGINT, then finish what is under way, for at most 10 s."""
    loop = server.loop
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    path = listener.getsockname() if listener.family == socket.AF_UNIX else None
    if path is None:
        accepting = await loop.create_server(accept, sock=listener)
    else:
        accepting = await loop.create_unix_server(accept, sock=listener)
    await stop.wait()
    server.stopping = True
    await all_accepted(listener)
    accepting.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_WITHIN):
            while server.connections:
                for connection in list(server.connections):
                    connection.stop()
                await asyncio.sleep(0.01)


async def all_accepted(listener: socket.socket) -> None:
    """Once there is a connection for each who connected: who still waits for one when a listener closes is cut off.
    After a second others may come as quickly as they are accepted."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_NEW):
            while waiting.poll(0):
                await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)  # the loop makes a connection of what was accepted in its next turns


def connection_limit() -> int:
    """Each connection may have a file open beside its socket; the rest is for listeners, logs and manifests."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(16, (min(soft, 8192) - 64) // 2)
