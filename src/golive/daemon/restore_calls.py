"""What clients may ask of restores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from golive.daemon import api
from golive.daemon.backup_calls import reported
from golive.daemon.daemon import Daemon
from golive.errors import UsageError
from golive.release import backups, copies, restores, snapshots, swap
from golive.release.host import Host
from golive.release.restores import Asked
from golive.state.records import Place


async def listing(host: Host, place: Place) -> dict[str, Any]:
    found = [each for each in await copies.listing(host, place) if each["kind"] in ("restored", "replaced")]
    return {"app": place.app, "environment": place.environment, "copies": found}


async def restore(daemon: Daemon, call: api.RestoreCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    host = daemon.host
    await daemon.backups.step_aside(call.place)
    if snapped := await snapshots.find(host, call.place, call.resource):
        if call.at is not None or call.before_migration:
            why = "there is nothing between two snapshots of a Redis"
            raise UsageError(f"{snapped.name} is a Redis", why=why, hint="golive restore -r NAME --backup ID")
        async for line in reported(lambda report: snapshots.restore(host, snapped, call.id, actor, report)):
            yield line
        return
    found = await backups.find(host, call.place, call.resource)
    asked = Asked(call.id, datetime.fromtimestamp(call.at, UTC) if call.at is not None else None, call.before_migration)
    async for line in reported(lambda report: restores.make(host, found, asked, actor, report)):
        yield line


async def exchange(daemon: Daemon, call: api.CopyCall, actor: str, *, undo: bool) -> AsyncIterator[dict[str, Any]]:
    await daemon.backups.step_aside(call.place)
    work = swap.undo if undo else swap.swap
    lines = reported(
        lambda report: work(daemon.host, call.place, call.copy_name, actor, lambda text: report({"what": text}))
    )
    try:
        async for line in lines:
            yield line
    finally:
        daemon.backups.wake()


async def drop(host: Host, call: api.CopyCall, actor: str) -> dict[str, Any]:
    return await restores.drop(host, call.place, call.copy_name, actor)
