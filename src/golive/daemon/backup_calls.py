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
from golive.release import backups, dumps
from golive.release.host import Host
from golive.state.records import Place

Work = Callable[[Callable[[dict[str, Any]], None]], Awaitable[dict[str, Any]]]


async def listing(host: Host, place: Place, resource: str | None) -> dict[str, Any]:
    return await backups.listing(host, place, resource)


async def create(host: Host, call: api.BackupCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    found = await backups.find(host, call.place, call.resource)
    host.state.audit(actor, "backup.create", call.place, resource=found.name)
    async for line in reported(lambda report: backups.create(host, found, report)):
        yield line


async def prove(host: Host, call: api.BackupCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    found = await backups.find(host, call.place, call.resource)
    host.state.audit(actor, "backup.drill", call.place, resource=found.name, backup=call.id)
    async for line in reported(lambda report: backups.prove(host, found, call.id, report)):
        yield line


async def dumped(host: Host, call: api.DumpCall, actor: str) -> AsyncIterator[dict[str, Any]]:
    def work(report: Callable[[dict[str, Any]], None]) -> Awaitable[dict[str, Any]]:
        if call.work == "list":
            return dumps.listing(host, call.place, call.resource)
        host.state.audit(actor, f"dump.{call.work}", call.place, resource=call.resource, id=call.id)
        if call.work == "open":
            return dumps.unseal(host, call.place, call.resource, call.id)
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


async def verify(host: Host, call: api.BackupCall) -> dict[str, Any]:
    found = await backups.find(host, call.place, call.resource)
    return await backups.verify(host, found, call.id)


async def delete(host: Host, call: api.BackupCall, actor: str) -> dict[str, Any]:
    found = await backups.find(host, call.place, call.resource)
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
