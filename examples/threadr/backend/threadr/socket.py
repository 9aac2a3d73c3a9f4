"""WS /api/ws: echo, and the events of a thread, as JSON messages.

The client sends {"type": "ping", "data": …} or {"type": "watch", "id": "<thread>"}; the server answers "pong", the
events, or "error", greets with "hello" (which instance of which release this is) and closes with 1012 when it is being
replaced.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, WebSocket

from threadr.clients import known
from threadr.progress import BEAT
from threadr.services import Running, Services

router = APIRouter(prefix="/api")
log = logging.getLogger("threadr.socket")
_LONGEST = 64 * 1024
_WATCHES = 8


@router.websocket("/ws")
async def talk(socket: WebSocket, services: Running) -> None:
    if not _welcome(socket, services):
        await socket.close(1008, "origin")
        return
    await socket.accept()
    await socket.send_json({"type": "hello", "instance": os.getpid(), "release": services.settings.release})
    listening = asyncio.create_task(_listen(socket, services))
    stopping = asyncio.create_task(services.stopping.wait())
    try:
        await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            await socket.close(1012, "restart")
    finally:
        for task in (listening, stopping):
            task.cancel()
        await asyncio.gather(listening, stopping, return_exceptions=True)


async def _listen(socket: WebSocket, services: Services) -> None:
    """Until the client goes; what it watches ends with it."""
    watches: set[asyncio.Task[None]] = set()
    try:
        while (received := await socket.receive())["type"] == "websocket.receive":
            await _answer(socket, services, _message(received.get("text") or ""), watches)
    finally:
        for watch in watches:
            watch.cancel()


async def _answer(
    socket: WebSocket, services: Services, message: dict[str, Any], watches: set[asyncio.Task[None]]
) -> None:
    if message.get("type") == "ping":
        await socket.send_json({"type": "pong", "data": message.get("data"), "instance": os.getpid()})
    elif message.get("type") == "watch" and len(watches) < _WATCHES:
        watch = asyncio.create_task(_watch(socket, services, message.get("id")))
        watches.add(watch)
        watch.add_done_callback(watches.discard)
    else:
        await socket.send_json({"type": "error", "error": f"Send a ping, or watch up to {_WATCHES} threads of yours."})


async def _watch(socket: WebSocket, services: Services, wanted: Any) -> None:
    """A store that fails ends the watch, not the socket: the client can ask again."""
    try:
        thread = await _own(socket, services, wanted)
        if not thread:
            await socket.send_json({"type": "error", "id": wanted, "error": "There is no such thread."})
            return
        async for event in services.progress.follow(str(thread)):
            if event is not BEAT:
                await socket.send_json({"type": event.name, "id": str(thread), **event.data})
    except Exception as error:
        log.warning("a watch ended: %s", type(error).__name__)
        await socket.send_json({"type": "error", "id": wanted, "error": "Not available at the moment; watch again."})


async def _own(socket: WebSocket, services: Services, wanted: Any) -> UUID | None:
    client = known(socket)
    try:
        thread = UUID(str(wanted))
    except ValueError:
        return None
    return thread if client and await services.store.thread(client, thread) else None


def _message(text: str) -> dict[str, Any]:
    """Anything that is not a JSON object of a sane size is an empty message."""
    try:
        message = json.loads(text) if len(text) <= _LONGEST else None
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _welcome(socket: WebSocket, services: Services) -> bool:
    """Browsers send cookies with a socket from any page, and CORS does not cover it: the origin is ours to check."""
    origin = socket.headers.get("origin")
    if not origin or origin in services.settings.cors_origins:
        return True
    return urlsplit(origin).netloc == socket.headers.get("host")
