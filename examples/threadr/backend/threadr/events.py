"""GET /api/events: what happens to a client's threads, in whichever tab, for as long as the page is open."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import StreamingResponse

from threadr.clients import known
from threadr.progress import BEAT, channel
from threadr.services import Running, Services

router = APIRouter(prefix="/api")
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get("/events")
async def events(request: Request, services: Running) -> StreamingResponse:
    """First `hello` (which instance of which release answers), then `thread` for each that is done."""
    client = known(request)
    if not client:
        raise HTTPException(401, "Ask for /api/plan first: it gives you the cookie.")
    return StreamingResponse(_told(services, client), media_type="text/event-stream", headers=HEADERS)


async def _told(services: Services, client: str) -> AsyncIterator[str]:
    hello = {"instance": os.getpid(), "release": services.settings.release}
    yield f"retry: 1000\nevent: hello\ndata: {json.dumps(hello)}\n\n"
    after = await services.progress.latest(channel(client))
    async for event in services.progress.follow(channel(client), after, patience=float("inf")):
        yield ": beat\n\n" if event is BEAT else event.sse()
