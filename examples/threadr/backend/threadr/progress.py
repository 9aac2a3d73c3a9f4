"""What happens to a job, told through a Redis stream, so that any instance can show what another one does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

KEPT = timedelta(minutes=15)
LAST = ("done", "failed")
_BEAT = 1.0
_SILENT_FOR = 150.0


@dataclass(frozen=True)
class Event:
    """`id` is the stream's own, ascending: a client that comes back says the last one it has."""

    id: str
    name: str
    data: dict[str, Any]

    def sse(self) -> str:
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.name}\ndata: {json.dumps(self.data, ensure_ascii=False)}\n\n"


BEAT = Event("", "beat", {})
"""Nothing happened for a moment: keeps the connection from looking dead."""
RESTART = Event("", "restart", {"message": "This server is being replaced; the stream goes on after a reconnect."})


def channel(client: str) -> str:
    """The stream of a client, beside those of its jobs."""
    return f"client-{client}"


class Progress:
    def __init__(self, redis: Redis, prefix: str, stopping: asyncio.Event) -> None:
        self._redis = redis
        self._prefix = prefix
        self._stopping = stopping

    async def tell(self, job: str, name: str, **data: Any) -> None:
        key = self._key(job)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.xadd(key, {"name": name, "data": json.dumps(data)}, maxlen=2000)
            pipeline.expire(key, KEPT)
            await pipeline.execute()

    async def follow(self, job: str, after: str = "0", patience: float = _SILENT_FOR) -> AsyncIterator[Event]:
        """Every event after `after`, then as they come, up to the last one; beats in between.

        Ends with RESTART when this process stops, and with a failed event when the job's process must have died.
        """
        silent = 0.0
        while not self._stopping.is_set():
            answer = await self._redis.xread({self._key(job): after}, block=int(_BEAT * 1000), count=100)
            for after, fields in answer[0][1] if answer else []:
                silent = 0
                yield Event(after, fields["name"], json.loads(fields["data"]))
                if fields["name"] in LAST:
                    return
            if not answer:
                silent += _BEAT
                yield BEAT
            if silent >= patience:
                yield Event("", "failed", {"error": "The server that worked on this thread stopped. Please try again."})
                return
        yield RESTART

    async def latest(self, job: str) -> str:
        """The id of the last event so far, to follow only what comes."""
        last = await self._redis.xrevrange(self._key(job), count=1)
        return str(last[0][0]) if last else "0"

    def _key(self, job: str) -> str:
        return f"{self._prefix}job:{job}"
