"""An aiohttp application: GET, POST, server-sent events, a WebSocket that echoes.

aiohttp, because it sends a small answer in one system call. Uvicorn sends the head, then the body: an instance that is
killed between the two has begun an answer that no proxy can take back. Six runs of `deploy --kill` with uvicorn
lost 2 of 368,459 GETs, one of them provably so.
"""

import asyncio
import os
import random

from aiohttp import WSCloseCode, web

RELEASE = "0"
ERRORS = 0.0
"""Share of the answers at / that are 500."""
HANG_UP = False
"""Closes the connection instead, which the edge hides by asking again."""
SOCKETS = web.AppKey("sockets", set)
STOPPING = web.AppKey("stopping", asyncio.Event)


async def ok(request):
    if request.path == "/" and random.random() < ERRORS:
        if HANG_UP:
            request.transport.abort()
        return web.json_response({"status": "broken"}, status=500)
    return web.json_response({"status": "ok"})


async def version(_request):
    return web.json_response({"release": RELEASE, "pid": os.getpid()})


async def post(request):
    return web.json_response({"bytes": len(await request.read())})


async def events(request):
    response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-store"})
    await response.prepare(request)
    stopping = request.app[STOPPING]
    number = 0
    while not stopping.is_set():
        await response.write(f"id: {number}\ndata: {RELEASE}\n\n".encode())
        number += 1
        await asyncio.wait({asyncio.ensure_future(stopping.wait())}, timeout=1)
    return response


async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    request.app[SOCKETS].add(socket)
    try:
        async for message in socket:
            await socket.send_str(message.data)
    finally:
        request.app[SOCKETS].discard(socket)
    return socket


async def stop(app):
    app[STOPPING].set()
    for socket in set(app[SOCKETS]):
        await socket.close(code=WSCloseCode.SERVICE_RESTART)


def build():
    app = web.Application()
    app[SOCKETS], app[STOPPING] = set(), asyncio.Event()
    app.on_shutdown.append(stop)
    app.add_routes(
        [
            web.get("/events", events),
            web.get("/ws", echo),
            web.get("/version", version),
            web.get("/{path:.*}", ok),
            web.post("/{path:.*}", post),
        ]
    )
    return app


if __name__ == "__main__":
    web.run_app(build(), host="127.0.0.1", port=int(os.environ["PORT"]), print=None, access_log=None)
