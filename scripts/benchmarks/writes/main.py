"""An aiohttp application that writes a row for each POST, and answers when it is committed."""

import os

import asyncpg
from aiohttp import web

POOL = web.AppKey("pool", asyncpg.Pool)
INSERT = "INSERT INTO entry (device, value) VALUES ($1, $2)"


async def write(request):
    sent = await request.json()
    await request.app[POOL].execute(INSERT, sent["device"], sent["value"])
    return web.Response(status=201)


async def ready(request):
    await request.app[POOL].fetchval("SELECT 1")
    return web.Response()


async def pool(app):
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=30, max_size=30) as app[POOL]:
        yield


def build():
    app = web.Application()
    app.cleanup_ctx.append(pool)
    app.add_routes([web.get("/ready", ready), web.post("/entries", write)])
    return app


if __name__ == "__main__":
    web.run_app(build(), host="127.0.0.1", port=int(os.environ["PORT"]), print=None, access_log=None)
