"""What clients may ask of an app's databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from golive.backup.restoring import Wish
from golive.daemon import api
from golive.release import branches, copies, db, promotion
from golive.release import upgrade as upgrades
from golive.release.host import Host
from golive.state.records import Place

if TYPE_CHECKING:
    from golive.data.maintain import Step


Say = Callable[[dict[str, Any]], None]


async def insight(host: Host, place: Place, resource: str | None) -> dict[str, Any]:
    return await db.insight(host, place, resource)


async def size(host: Host, place: Place, resource: str | None) -> dict[str, Any]:
    return await db.size(host, place, resource)


async def shell(host: Host, call: api.DatabaseCall, actor: str) -> dict[str, Any]:
    found = await db.shell(host, call.place, call.resource)
    host.state.audit(actor, "db.shell", call.place, resource=found["resource"])
    return found


async def maintain(host: Host, call: api.MaintainCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    """Each step as it comes."""
    host.state.audit(actor, f"db.{call.work}", call.place, resource=call.resource, name=call.name)

    async def work(say: Say) -> None:
        def report(step: Step) -> None:
            say({"type": "step", **asdict(step)})

        await db.maintain(host, call.place, (call.work, call.resource, call.name), report)

    async for line in lasting(work):
        yield line


async def branches_of(host: Host, place: Place) -> dict[str, Any]:
    return {"branches": await copies.listing(host, place, "branch")}


async def branch(host: Host, call: api.BranchCall, actor: str) -> dict[str, Any]:
    """With its URL, so it is written down who asked."""
    found = branches.branch(host, call.place, call.name)
    host.state.audit(actor, "db.branch.url", call.place, copy=found.name)
    return await branches.view(host, found)


async def make_branch(host: Host, call: api.MakeBranchCall, actor: str, *, anew: bool) -> AsyncIterator[dict[str, Any]]:
    """Each step as it comes, the branch last. `anew`: it is there, and gets the present again."""
    expires_at = time.time() + call.expires if call.expires is not None else None

    async def work(say: Say) -> None:
        def report(text: str) -> None:
            say({"type": "step", "text": text})

        if anew:
            made = await branches.reset(host, call.place, call.name, actor=actor, expires_at=expires_at, report=report)
        else:
            wish = Wish(call.backup, datetime.fromtimestamp(call.at, UTC) if call.at is not None else None)
            made = await branches.create(
                host, call.place, call.resource, call.name, wish if wish != Wish() else None,
                actor=actor, expires_at=expires_at, report=report,
            )  # fmt: skip
        say({"type": "branch", **made})

    async for line in lasting(work):
        yield line


async def drop_branch(host: Host, call: api.BranchCall, actor: str) -> dict[str, Any]:
    return await branches.drop(host, call.place, call.name, actor=actor)


async def lasting(work: Callable[[Say], Awaitable[None]]) -> AsyncIterator[dict[str, Any]]:
    """What it says. It lasts as long as somebody reads: when the client goes, the work is cancelled."""
    lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(lines.put_nowait))
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
    chosen = (call.resource, call.replica)
    host.state.audit(actor, "db.promote", call.place, resource=call.resource, replica=call.replica)
    async for line in _told(lambda say: promotion.promote(host, call.place, chosen, say, force=call.force)):
        yield line


async def upgrade(host: Host, call: api.UpgradeCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    host.state.audit(actor, "db.upgrade", call.place, **call.model_dump(include={"resource", "to", "rehearse"}))

    def work(say: upgrades.Say) -> Coroutine[Any, Any, dict[str, Any]]:
        if call.to is None:
            return upgrades.undo(host, call.place, call.resource, say, force=call.force)
        return upgrades.upgrade(host, call.place, (call.resource, call.to, call.rehearse), say)

    async for line in _told(work):
        yield line


async def _told(work: Callable[[upgrades.Say], Coroutine[Any, Any, dict[str, Any]]]) -> AsyncIterator[Any]:
    """What happens, as it does, then the result. Begun, it goes on when the client goes: half of it serves nobody."""
    lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    task = asyncio.create_task(work(lambda text: lines.put_nowait({"type": "step", "text": text})))
    task.add_done_callback(lambda _: lines.put_nowait(None))
    while (line := await lines.get()) is not None:
        yield line
    yield {"type": "result", **(await task)}
