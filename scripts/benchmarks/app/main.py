"""A bare ASGI application: GET, POST, server-sent events, a WebSocket that echoes."""

import asyncio
import os

RELEASE = "0"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _echo(receive, send)
    elif scope["path"] == "/events":
        await _events(receive, send)
    elif scope["method"] == "POST":
        await _answer(send, b'{"bytes":%d}' % len(await _body(receive)))
    elif scope["path"] == "/version":
        await _answer(send, b'{"release":"%s","pid":%d}' % (RELEASE.encode(), os.getpid()))
    else:
        await _answer(send, b'{"status":"ok"}')


async def _lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(send, body):
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _events(receive, send):
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.create_task(receive_disconnect(receive))
    number = 0
    while not gone.done():
        event = f"id: {number}\ndata: {RELEASE}\n\n".encode()
        await send({"type": "http.response.body", "body": event, "more_body": True})
        number += 1
        await asyncio.wait({gone}, timeout=1)


async def receive_disconnect(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def _echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})
