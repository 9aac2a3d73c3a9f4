"""Making threads in the background of a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from uuid import UUID

from threadr import upstream
from threadr.progress import Progress, channel
from threadr.quota import Quota
from threadr.quota_rows import QuotaRows
from threadr.settings import Settings
from threadr.split import split
from threadr.store import Store

log = logging.getLogger("threadr.jobs")
_DRAIN = 8.0


@dataclass(frozen=True)
class Job:
    thread: UUID
    client: str
    article: str


class Jobs:
    def __init__(self, settings: Settings, store: Store, quota: Quota | QuotaRows, progress: Progress) -> None:
        self._settings = settings
        self._store = store
        self._quota = quota
        self._progress = progress
        self._running: set[asyncio.Task[None]] = set()

    def start(self, job: Job) -> None:
        task = asyncio.create_task(self._run(job))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self) -> None:
        """Let what is under way finish; what does not in time is told to its client as failed."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=_DRAIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        try:
            await self._make(job)
        except asyncio.CancelledError:
            await self._failed(job, "The server was stopped before the thread was done. Please try again.")
            raise
        except Exception:
            log.exception("thread %s failed", job.thread)
            await self._failed(job, "The thread could not be saved. It does not count against your plan.")

    async def _make(self, job: Job) -> None:
        key = str(job.thread)
        await self._progress.tell(key, "started", characters=len(job.article))
        text, written_by, notice = await self._text(job, key)
        posts = split(text)
        for n, post in enumerate(posts, 1):
            await self._progress.tell(key, "post", n=n, of=len(posts), text=post)
        await self._store.finish(job.thread, posts, written_by, notice)
        await self._progress.tell(key, "done", id=key, posts=len(posts), written_by=written_by, notice=notice)
        await _tried(self._progress.tell(channel(job.client), "thread", id=key))

    async def _text(self, job: Job, key: str) -> tuple[str, str, str | None]:
        """The text to split, who wrote it, and what the reader should know."""
        if not self._settings.openai_api_key:
            return job.article, "threadr", None
        await self._progress.tell(key, "asking", model=self._settings.openai_model)
        try:
            return await upstream.rewrite(self._settings, job.article), "model", None
        except upstream.UpstreamFailed as error:
            log.warning("upstream failed: %s", error)
            return job.article, "threadr", f"{error} Threadr split your text itself."

    async def _failed(self, job: Job, reason: str) -> None:
        """Each on its own: what failed the job may well be one of these three."""
        await _tried(self._store.fail(job.thread, reason))
        await _tried(self._quota.give_back(job.client))
        await _tried(self._progress.tell(str(job.thread), "failed", error=reason))


async def _tried(step: Awaitable[None]) -> None:
    try:
        await step
    except Exception as error:
        log.warning("after a failed thread: %s", type(error).__name__)
