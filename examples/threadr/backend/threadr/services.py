"""What the API talks to, opened once and closed in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Annotated, Any

from fastapi import Depends
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from starlette.requests import HTTPConnection

from threadr.jobs import Jobs
from threadr.progress import Progress
from threadr.quota import Quota
from threadr.quota_rows import QuotaRows
from threadr.settings import Settings
from threadr.store import Store

log = logging.getLogger("threadr")


@dataclass(frozen=True)
class Services:
    settings: Settings
    pool: AsyncConnectionPool
    redis: Redis
    store: Store
    quota: Quota | QuotaRows
    progress: Progress
    jobs: Jobs
    stopping: asyncio.Event

    @classmethod
    @asynccontextmanager
    async def running(cls, settings: Settings) -> AsyncIterator[Services]:
        """Nothing here waits for PostgreSQL or Redis: the process boots, and /readiness says when they answer."""
        stopping = asyncio.Event()
        pool, redis = _pool(settings), _redis(settings)
        store, progress = Store(pool), Progress(redis, settings.redis_prefix, stopping)
        quota = QuotaRows(pool) if settings.quota_store == "postgres" else Quota(redis, settings.redis_prefix)
        jobs = Jobs(settings, store, quota, progress)
        await pool.open(wait=False)
        try:
            with _announced(stopping):
                yield cls(settings, pool, redis, store, quota, progress, jobs, stopping)
        finally:
            stopping.set()
            await jobs.drain()
            await redis.aclose()
            await pool.close()
            log.info("stopped")


def services(connection: HTTPConnection) -> Services:
    running: Services = connection.app.state.services
    return running


Running = Annotated[Services, Depends(services)]


def _pool(settings: Settings) -> AsyncConnectionPool:
    """Connections are tested when they are lent, so that none from before a restart of PostgreSQL reaches a request.

    The short `reconnect_timeout` keeps the pool's own back-off from growing: after a long outage it is back in seconds.
    """
    options: dict[str, Any] = {"connect_timeout": 3, "application_name": "threadr", "autocommit": True}
    return AsyncConnectionPool(
        settings.database_url,
        min_size=1,
        max_size=8,
        open=False,
        timeout=4,
        reconnect_timeout=2,
        kwargs=options,
        check=AsyncConnectionPool.check_connection,
    )


def _redis(settings: Settings) -> Redis:
    return Redis.from_url(
        settings.redis_url,
        decode_responses=True,
        protocol=2,  # the shape of XREAD's answer depends on it
        socket_connect_timeout=2,
        socket_timeout=5,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
    )


@contextmanager
def _announced(stopping: asyncio.Event) -> Iterator[None]:
    """Sets `stopping` at SIGTERM or SIGINT, before the server's own handler.

    A server waits for open responses before it ends the lifespan, and a stream is open until it is told: without this
    a stop would last as long as the longest stream.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def told(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        server = before[signal.Signals(number)]
        if callable(server):
            server(number, frame)

    for number, handler in before.items():
        if callable(handler):
            signal.signal(number, told)
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)
