"""An article in; a job whose events tell the thread as it is made."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, field_validator

from threadr.clients import Client, known
from threadr.events import HEADERS
from threadr.jobs import Job
from threadr.plans import PlanView
from threadr.progress import BEAT
from threadr.services import Running, Services
from threadr.split import clean

router = APIRouter(prefix="/api/generate")
LONGEST = 50_000
_STREAM_ID = re.compile(r"\d{1,15}-\d{1,6}")


class Article(BaseModel):
    content: str

    @field_validator("content")
    @classmethod
    def usable(cls, value: str) -> str:
        text = clean(value)
        if not text:
            raise ValueError("there is no text to make a thread of")
        if len(text) > LONGEST:
            raise ValueError(f"the article has {len(text):,} characters; {LONGEST:,} is the most")
        return text


class Accepted(BaseModel):
    id: UUID
    events: str
    thread: str
    plan: PlanView


_REFUSED = {429: {"description": "The plan's limit is reached."}}


@router.post("", status_code=202, response_model=Accepted, responses=_REFUSED)
async def generate(article: Article, client: Client, services: Running, response: Response) -> Accepted | Response:
    """202 with where to watch. 429 with Retry-After when the day's or the month's threads are used up."""
    plan = await services.store.plan(client)
    usage = await services.quota.take(client, services.settings.limits(plan))
    view = PlanView.of(client, plan, usage)
    if not usage.allowed:
        return _refused(view, usage.headers())
    job = Job(uuid4(), client, article.content)
    await _begin(services, job)
    response.headers.update({**usage.headers(), "Location": f"/api/threads/{job.thread}"})
    where = {"events": f"/api/generate/{job.thread}/events", "thread": f"/api/threads/{job.thread}"}
    return Accepted(id=job.thread, plan=view, **where)


@router.get("/{thread}/events")
async def events(
    thread: UUID, request: Request, services: Running, last_event_id: Annotated[str, Header()] = "0"
) -> StreamingResponse:
    """The job's events as text/event-stream; a browser that reconnects goes on where it was."""
    client = known(request)
    if not client or not await services.store.thread(client, thread):
        raise HTTPException(404, "There is no such thread.")
    after = last_event_id if _STREAM_ID.fullmatch(last_event_id) else "0"
    return StreamingResponse(_told(services, str(thread), after), media_type="text/event-stream", headers=HEADERS)


async def _begin(services: Services, job: Job) -> None:
    try:
        await services.store.begin(job.thread, job.client, _title(job.article), job.article)
    except Exception:
        await services.quota.give_back(job.client)
        raise
    services.jobs.start(job)


async def _told(services: Services, thread: str, after: str) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for event in services.progress.follow(thread, after):
        yield ": beat\n\n" if event is BEAT else event.sse()


def _title(article: str) -> str:
    line = " ".join(article.split("\n", 1)[0].split())
    return line if len(line) <= 80 else line[:79].rsplit(" ", 1)[0] + "…"


def _refused(view: PlanView, headers: dict[str, str]) -> JSONResponse:
    which = "today" if view.day.left == 0 else "this month"
    text = f"Your {view.plan} plan's threads for {which} are used up."
    return JSONResponse({"error": text, "plan": view.model_dump(mode="json")}, 429, headers)
