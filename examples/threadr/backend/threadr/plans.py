"""What a client's plan allows, and what is left of it."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel

from threadr.clients import Client
from threadr.quota import Usage, Window
from threadr.services import Running

router = APIRouter(prefix="/api")


class WindowView(BaseModel):
    limit: int
    left: int
    resets_at: datetime

    @classmethod
    def of(cls, window: Window) -> WindowView:
        return cls(limit=window.limit, left=window.left, resets_at=window.resets_at)


class PlanView(BaseModel):
    """`client` is the reference to give to Stripe (client_reference_id); it opens nothing."""

    client: str
    plan: str
    day: WindowView
    month: WindowView

    @classmethod
    def of(cls, client: str, plan: str, usage: Usage) -> PlanView:
        return cls(client=client, plan=plan, day=WindowView.of(usage.day), month=WindowView.of(usage.month))


@router.get("/plan")
async def show(client: Client, services: Running, response: Response) -> PlanView:
    plan = await services.store.plan(client)
    usage = await services.quota.usage(client, services.settings.limits(plan))
    response.headers.update({**usage.headers(), "Cache-Control": "no-store"})
    return PlanView.of(client, plan, usage)
