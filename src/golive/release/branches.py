"""Branches of a database: its present, masked, as a copy that its owner may do anything with."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from golive.backup.restoring import Wish
from golive.blueprint.models import Resource
from golive.data import clone
from golive.data.postgres import Postgres
from golive.data.postgres_plan import LIGHT
from golive.errors import Conflict, NotFound, ResourceFailed, UsageError
from golive.release import backups, copies, databases, resources, restores
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Copy, Place
from golive.system.files import remove_tree
from golive.system.offload import Offload

Report = Callable[[str], None]


async def create(  # noqa: PLR0913 - what the command takes
    host: Host,
    place: Place,
    resource: str | None,
    label: str,
    wish: Wish | None = None,
    *,
    actor: str,
    expires_at: float | None,
    report: Report,
) -> dict[str, Any]:
    """As JSON, see `view`. Broken off or failed, nothing of it is left. With a `wish` it is of what backups have."""
    if wish is not None:
        return await _create_from_backup(
            host, place, resource, label, wish, actor=actor, expires_at=expires_at, report=report
        )
    async with host.copying(place), long_work() as offload:
        source, declared = await source_of(host, place, resource)
        copy = copies.declare(
            host, place, source.name, label, "branch",
            actor=actor, origin="live", expires_at=expires_at, settings=LIGHT,
        )  # fmt: skip
        host.state.audit(actor, "db.branch", place, copy=copy.name)
        try:
            copy = await fill(host, offload, copy, source, declared.mask, report)
        except BaseException:
            await copies.drop(host, copy)
            raise
        return await view(host, copy)


async def _create_from_backup(  # noqa: PLR0913 - what `create` takes, and the moment
    host: Host,
    place: Place,
    resource: str | None,
    label: str,
    wish: Wish,
    *,
    actor: str,
    expires_at: float | None,
    report: Report,
) -> dict[str, Any]:
    """The same of what a restore brings back: the WAL to a moment, or a backup as it was taken."""
    source, declared = await source_of(host, place, resource)
    found = await backups.find(host, place, source.name)
    async with host.copying(place), backups.alone(host, place, source.name, "a restore") as offload:
        copy = copies.declare(
            host, place, source.name, label, "branch",
            actor=actor, origin="a restore that is being made", expires_at=expires_at, settings=LIGHT,
        )  # fmt: skip
        host.state.audit(actor, "db.branch", place, copy=copy.name)
        try:
            done = await restores.bring(offload, found, wish, await _postgres(host, copy), _steps(report))
            report("starting it")
            copy = await _open(host, offload, copy, declared.mask, restores.origin(wish, done), report)
        except BaseException:
            await asyncio.shield(restores.taken_back(host, copy))
            raise
        return await view(host, copy)


def _steps(report: Report) -> Callable[[dict[str, Any]], None]:
    """What a restore reports again and again, once each."""
    names = {"unpack": "unpacking the backup", "replay": "replaying what was written since"}
    said: set[str] = set()

    def tell(line: dict[str, Any]) -> None:
        if line["what"] not in said:
            said.add(line["what"])
            report(names.get(line["what"], line["what"]))

    return tell


async def reset(
    host: Host, place: Place, name: str, *, actor: str, expires_at: float | None, report: Report
) -> dict[str, Any]:
    """The source's present again, under the same port and password. It serves until the new data is there; when that
    fails before, it stays as it was."""
    async with host.copying(place), long_work() as offload:
        copy = branch(host, place, name)
        source, declared = await source_of(host, place, copy.resource)
        host.state.audit(actor, "db.branch.reset", place, copy=copy.name)
        if expires_at is not None:
            host.state.set_copy(copy, copy.state, expires_at=expires_at)
        try:
            await fill(host, offload, copy, source, declared.mask, report)
        except BaseException:
            await _give_up(host, copy)
            raise
        return await view(host, branch(host, place, copy.name))


async def _give_up(host: Host, copy: Copy) -> None:
    """With its old data it goes on; with the new, which may not be masked yet, it stops until it is reset again."""
    now = host.state.copy(copy.place, copy.name)
    if now is not None and now.state == "changing":
        await copies.stop(host, now)
    await asyncio.to_thread(remove_tree, host.home.resource(*copy.place, copy.name) / "data.new")


async def drop(host: Host, place: Place, name: str, *, actor: str) -> dict[str, Any]:
    if host.copying(place).locked():
        raise Conflict(f"a copy of a database of {place} is being made", hint="wait until it has ended")
    async with host.copying(place):
        copy = branch(host, place, name)
        host.state.audit(actor, "db.branch.drop", place, copy=copy.name)
        await copies.drop(host, copy)
    return {"dropped": copy.name}


async def fill(
    host: Host, offload: Offload, copy: Copy, source: Postgres, rules: dict[str, str], report: Report
) -> Copy:
    """The source's present in place of what it has, masked before anybody but golive gets in; then `ready`."""
    target = await _postgres(host, copy)
    if rules:
        await databases.check_masks(offload, source, rules)
    cloned = await clone.clone(source, target, report)
    if copy.state != "making":
        host.state.set_copy(copy, "changing")
        copy = replace(copy, state="changing")
        await copies.stop(host, copy)
        await target.before_start()
    await asyncio.to_thread(clone.adopt, target)
    report("recovering")
    of = origin(cloned.at, shared=cloned.shared)
    if not rules:
        return await copies.open_clone(host, copy, of)
    return await _open(host, offload, copy, rules, of, report)


async def _open(host: Host, offload: Offload, copy: Copy, rules: dict[str, str], of: str, report: Report) -> Copy:
    """Started with what is in its data folder, masked, and ready."""
    await copies.start(host, copy, offload)
    if rules:
        await databases.mask(
            offload, await _postgres(host, copy), rules, mask_key(host, copy.place, copy.resource), report
        )
    return await copies.settle(host, copy, "ready", origin=of, offload=offload)


def origin(at: datetime, *, shared: bool) -> str:
    return f"live at {at:%Y-%m-%d %H:%M:%S} UTC, {'cloned' if shared else 'copied'}"


def mask_key(host: Host, place: Place, resource: str) -> Secret:
    """The same for every branch of a resource, so that all show the same people."""
    row = next(row for row in host.state.resources(place) if row.name == resource)
    password = host.state.resource_password(row).reveal()
    return Secret(hashlib.sha256(f"golive mask {password}".encode()).hexdigest())


async def source_of(host: Host, place: Place, resource: str | None) -> tuple[Postgres, Resource]:
    """The running PostgreSQL of that name, or the first; what golive.toml says of it. Only what golive runs."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    blueprint = host.release_blueprint(place, app.live)
    declared = {name: each for name, each in blueprint.resources.items() if each.engine == "postgres"}
    if resource is None and declared:
        resource = next(iter(declared))
    if resource is None or resource not in blueprint.resources:
        known = f"it has {', '.join(blueprint.resources)}" if blueprint.resources else None
        raise NotFound(f"{place} has no database {resource or 'of PostgreSQL'}", hint=known)
    if resource not in declared:
        raise UsageError(f"{resource} is no PostgreSQL", hint="branches are of PostgreSQL")
    if declared[resource].url_from is not None:
        raise UsageError(
            f"{resource} is run by somebody else", hint="its provider makes branches; golive clones what it runs itself"
        )
    store = (await resources.declare(host, place, blueprint))[resource]
    if not isinstance(store, Postgres):
        raise ResourceFailed(f"{resource} is no PostgreSQL", where=resource)
    return store, declared[resource]


async def _postgres(host: Host, copy: Copy) -> Postgres:
    store = await copies.store(host, copy)
    if not isinstance(store, Postgres):
        raise ResourceFailed(f"{copy.name} is no PostgreSQL", where=copy.name)
    return store


@asynccontextmanager
async def long_work() -> AsyncIterator[Offload]:
    """A process of its own, so that short checks do not wait behind it, nor end with it."""
    offload = Offload()
    try:
        yield offload
    finally:
        await offload.close()


def branch(host: Host, place: Place, name: str) -> Copy:
    copy = copies.find(host, place, name)
    if copy.kind != "branch":
        raise UsageError(f"{copy.name} is no branch: it is {copy.kind}", hint="golive db branch list shows those")
    return copy


async def view(host: Host, copy: Copy) -> dict[str, Any]:
    """See `copies.view`; with `url`, which is a secret."""
    url = (await copies.store(host, copy)).variables()["url"]
    return {**await copies.view(host, copy), "url": url.reveal() if isinstance(url, Secret) else url}
