"""What clients may ask of an app's databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from golive.daemon import api
from golive.release import db, promotion
from golive.release.host import Host
from golive.state.records import Place

if TYPE_CHECKING:
    from golive.data.maintain import Step


async def insight(host: Host, place: Place, resource: str | None) -> dict[str, Any]:
    return await db.insight(host, place, resource)


async def size(host: Host, place: Place, resource: str | None) -> dict[str, Any]:
    return await db.size(host, place, resource)


async def shell(host: Host, call: api.DatabaseCall, actor: str) -> dict[str, Any]:
    found = await db.shell(host, call.place, call.resource)
    host.state.audit(actor, "db.shell", call.place, resource=found["resource"])
    return found


async def maintain(host: Host, call: api.MaintainCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    """Each step as it comes. It lasts as long as somebody reads: when the client goes, the server stops the work."""
    lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def report(step: Step) -> None:
        lines.put_nowait({"type": "step", **asdict(step)})

    host.state.audit(actor, f"db.{call.work}", call.place, resource=call.resource, name=call.name)
    task = asyncio.create_task(db.maintain(host, call.place, (call.work, call.resource, call.name), report))
    task.add_done_callback(lambda _: lines.put_nowait(None))
    try:
        while (line := await lines.get()) is not None:
            yield line
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def promote(host: Host, call: api.PromoteCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    """What happens, as it does, then the result. Begun, it goes on when the client goes: half of it serves nobody."""
    lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def say(text: str) -> None:
        lines.put_nowait({"type": "step", "text": text})

    host.state.audit(actor, "db.promote", call.place, resource=call.resource, replica=call.replica)
    task = asyncio.create_task(
        promotion.promote(host, call.place, (call.resource, call.replica), say, force=call.force)
    )
    task.add_done_callback(lambda _: lines.put_nowait(None))
    while (line := await lines.get()) is not None:
        yield line
    yield {"type": "result", **(await task)}
