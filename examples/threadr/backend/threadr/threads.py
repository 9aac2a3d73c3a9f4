"""The saved threads of a client."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from threadr.clients import Client
from threadr.services import Running
from threadr.store import Thread

router = APIRouter(prefix="/api/threads")


class ThreadView(BaseModel):
    id: UUID
    title: str
    posts: list[str]
    written_by: str
    status: str
    notice: str | None
    created_at: datetime

    @classmethod
    def of(cls, thread: Thread) -> ThreadView:
        return cls(**vars(thread))


@router.get("")
async def listed(
    client: Client, services: Running, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> dict[str, list[ThreadView]]:
    """Newest first."""
    return {"threads": [ThreadView.of(t) for t in await services.store.threads(client, limit)]}


@router.get("/{thread}")
async def one(thread: UUID, client: Client, services: Running) -> ThreadView:
    """Somebody else's thread does not exist."""
    found = await services.store.thread(client, thread)
    if not found:
        raise HTTPException(404, "There is no such thread.")
    return ThreadView.of(found)
