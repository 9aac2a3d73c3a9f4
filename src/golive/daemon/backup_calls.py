"""What clients may ask of backups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from golive.backup import keyring
from golive.backup.archive import Key
from golive.daemon import api
from golive.errors import NotFound
from golive.release import backups, dumps, snapshots
from golive.release.host import Host
from golive.release.snapshots import Snapped
from golive.state.records import Place
from golive.system import memory

Work = Callable[[Callable[[dict[str, Any]], None]], Awaitable[dict[str, Any]]]


async def listing(host: Host, place: Place, resource: str | None) -> dict[str, Any]:
    wanted = snapshots.names(host, place) if resource is None else [resource]
    chosen = [name for name in wanted if name in snapshots.names(host, place)]
    found = [await snapshots.one(host, await snapshots.snapped(host, place, name)) for name in chosen]
    if found and (resource is not None or not backups.names(host, place)):
        kept = keyring.is_kept(host.home.backup_keys)
        return {"app": place.app, "environment": place.environment, "key_kept": kept, "databases": found}
    listed = await backups.listing(host, place, resource)
    return {**listed, "databases": [*listed["databases"], *found]}


async def create(host: Host, call: api.CreateBackupCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    snapped = await snapshots.find(host, call.place, call.resource)
    found = snapped or await backups.find(host, call.place, call.resource)
    host.state.audit(actor, "backup.create", call.place, resource=found.name)

    async def work(report: backups.Report) -> dict[str, Any]:
        if isinstance(found, Snapped):
            return await snapshots.create(host, found, report)
        return await backups.create(host, found, report, increment=call.increment)

    async for line in reported(work):
        yield line


async def prove(host: Host, call: api.BackupCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    snapped = await snapshots.find(host, call.place, call.resource)
    found = snapped or await backups.find(host, call.place, call.resource)
    host.state.audit(actor, "backup.drill", call.place, resource=found.name, backup=call.id)

    async def work(report: backups.Report) -> dict[str, Any]:
        if isinstance(found, Snapped):
            return await snapshots.prove(host, found, call.id, report)
        return await backups.prove(host, found, call.id, report)

    async for line in reported(work):
        yield line


async def dumped(host: Host, call: api.DumpCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    def work(report: Callable[[dict[str, Any]], None]) -> Awaitable[dict[str, Any]]:
        if call.work == "list":
            return dumps.listing(host, call.place, call.resource)
        host.state.audit(actor, f"dump.{call.work}", call.place, resource=call.resource, id=call.id)
        if call.work == "open":
            return dumps.unseal(host, call.place, call.resource, call.id)
        if call.work == "drill":
            return dumps.prove(host, call.place, call.resource, call.id, report)
        return dumps.create(host, call.place, call.resource, report)

    async for line in reported(work):
        yield line


async def reported(work: Work) -> AsyncIterator[dict[str, Any]]:
    """What is reported, line by line, then the result. It lasts as long as somebody reads: when the client goes, the
    work is stopped, and cleans up."""
    lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def run() -> dict[str, Any]:
        return await work(lambda line: lines.put_nowait({"type": "progress", **line}))

    task = asyncio.create_task(run())
    task.add_done_callback(lambda _: lines.put_nowait(None))
    try:
        while (line := await lines.get()) is not None:
            yield line
        yield {"type": "done", **await task}
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        memory.give_back()


async def verify(host: Host, call: api.BackupCall) -> dict[str, Any]:
    return await backups.verify(host, await _either(host, call), call.id)


async def _either(host: Host, call: api.BackupCall) -> backups.Kept:
    return await snapshots.find(host, call.place, call.resource) or await backups.find(host, call.place, call.resource)


async def delete(host: Host, call: api.BackupCall, actor: str) -> dict[str, Any]:
    found = await _either(host, call)
    if call.id is None:
        raise NotFound("no backup was named", hint="golive backup list shows them")
    return await backups.delete(host, found, call.id, actor)


def key(host: Host, call: api.KeyCall, actor: str) -> dict[str, Any]:
    """The key as text, made now when there is none."""
    folder: Path = host.home.backup_keys
    if call.add is not None:
        added = Key.parse(call.add)
        changes = keyring.current(folder) != added
        keyring.add(folder, added)
        keyring.keep(folder)
        if changes:
            backups.begin_anew(host)
        host.state.audit(actor, "backup.key.add", None, key=added.id)
        return {"id": added.id, "changed": changes}
    found = keyring.current(folder)
    if call.kept:
        keyring.keep(folder)
        return {"id": found.id, "kept": True}
    host.state.audit(actor, "backup.key.show", None, key=found.id)
    return {"id": found.id, "key": found.secret.reveal(), "kept": keyring.is_kept(folder)}
