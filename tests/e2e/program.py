"""The app that tests deploy: raw ASGI on uvicorn, started in a quarter of a second. Copied into checkouts as main.py.

`settings.json` beside it says which version it is and how it misbehaves, so that a change of it is a change of source.
"""

import asyncio
import http.server
import itertools
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs

SETTINGS = json.loads(Path(__file__).with_name("settings.json").read_text())
FAIL = SETTINGS.get("fail")
ANSWERS = itertools.count(1)
SCHEMA = "CREATE TABLE IF NOT EXISTS written (n bigint PRIMARY KEY)"

print(f"version {SETTINGS['version']} starts", flush=True)
if FAIL == "exit":
    print("cannot find the moon", flush=True)
    sys.exit(3)
if FAIL == "tell":
    print("API_KEY is", os.environ["API_KEY"], "at", os.environ["DATABASE_URL"], flush=True)
    sys.exit(4)
if FAIL == "deaf":
    print("listening to nobody", flush=True)
    time.sleep(600)
if FAIL == "elsewhere":
    handler = http.server.BaseHTTPRequestHandler
    server = http.server.HTTPServer(("127.0.0.1", int(SETTINGS["port"])), handler)
    print(f"listening on {SETTINGS['port']}", flush=True)
    server.serve_forever()
while SETTINGS.get("gate") and not Path(SETTINGS["gate"]).exists():
    time.sleep(0.02)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await websocket(receive, send)
    else:
        await answer(scope, receive, send)


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def websocket(receive, send):
    """Says which process it is, then repeats what it hears."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": identity()})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


async def answer(scope, receive, send):
    query = {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
    path = scope["path"].rpartition("/")[2]
    if path != "ready" and (pause := SETTINGS.get("pause")):
        await asyncio.sleep(pause)
    if path == "ready" and FAIL == "unready":
        await reply(send, 500, "the database is on fire")
    elif path == "ready" and FAIL == "later" and scope["headers"]:
        await reply(send, 200, "ready")
    elif path != "ready" and (nth := SETTINGS.get("errors")) and next(ANSWERS) % nth == 0:
        await reply(send, 500, "one of many")
    elif path == "broken" or (FAIL == "broken" and path != "ready"):
        await reply(send, 500, "broken")
    elif path == "slow":
        await asyncio.sleep(float(query.get("seconds", 1)))
        await reply(send, 200, identity())
    elif path == "sse":
        await events(receive, send)
    elif path == "echo":
        await reply(send, 200, (await body(receive)).decode())
    elif path == "env":
        await reply(send, 200, os.environ.get(query["name"], ""))
    elif path == "say":
        print(query["text"], flush=True)
        await reply(send, 200, "said")
    elif path == "write":
        await write(int(query["n"]), send)
    elif path == "read":
        await reply(send, 200, json.dumps(await asyncio.to_thread(STORES[SETTINGS["store"]].everything)))
    else:
        await reply(send, 200, identity())


def identity():
    release = os.environ.get("GOLIVE_RELEASE")
    return json.dumps({"version": SETTINGS["version"], "pid": os.getpid(), "release": release})


async def body(receive):
    data, more = b"", True
    while more:
        message = await receive()
        data, more = data + message.get("body", b""), message.get("more_body", False)
    return data


async def events(receive, send):
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    number = 0
    gone = asyncio.ensure_future(until_gone(receive))
    while not (gone.done() or STOPPING.is_set()):
        await send({"type": "http.response.body", "body": f"data: {number}\n\n".encode(), "more_body": True})
        number += 1
        await asyncio.sleep(0.1)
    gone.cancel()
    await send({"type": "http.response.body", "body": b"event: end\ndata: bye\n\n", "more_body": False})


STOPPING = threading.Event()
"""uvicorn, whose handler is in force when this is read, tells an application nothing until all requests have ended."""
stop = signal.getsignal(signal.SIGTERM)


def stopping(*heard):
    STOPPING.set()
    if callable(stop):
        stop(*heard)


signal.signal(signal.SIGTERM, stopping)


async def until_gone(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def reply(send, status, text):
    headers = [(b"content-type", b"application/json" if text[:1] in "{[" else b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


async def write(number, send):
    """200 only when the store has acknowledged the commit."""
    try:
        await asyncio.to_thread(STORES[SETTINGS["store"]].write, number)
    except Exception as error:
        await reply(send, 503, type(error).__name__)
    else:
        await reply(send, 200, "committed")


class Postgres:
    @staticmethod
    def _connect():
        import psycopg

        return psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5)

    @classmethod
    def write(cls, number):
        with cls._connect() as connection:
            connection.execute(SCHEMA)
            connection.execute("INSERT INTO written VALUES (%s)", (number,))

    @classmethod
    def everything(cls):
        with cls._connect() as connection:
            return [row[0] for row in connection.execute("SELECT n FROM written ORDER BY n")]


class Redis:
    @staticmethod
    def _connect():
        import redis

        return redis.Redis.from_url(os.environ["REDIS_URL"], socket_connect_timeout=5, retry=None)

    @classmethod
    def write(cls, number):
        cls._connect().rpush("written", number)

    @classmethod
    def everything(cls):
        return sorted(int(n) for n in cls._connect().lrange("written", 0, -1))


STORES = {"postgres": Postgres, "redis": Redis}
