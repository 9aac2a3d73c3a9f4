"""Copies of a resource: clusters beside it, such as branches, what was restored or replaced, rehearsals, standbys.

A copy is a resource row `<resource>@<label>`: folder, port, password, unit and adoption after a daemon's end are those
of any resource. The row in `copy` says what it is. Who fills its data folder is somebody else: `declare` it, fill
`store(...).data`, `start` it, `settle` it, with `host.copying(place)` held from the first to the last. Nothing here
makes an empty database.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from golive.blueprint.models import Resource
from golive.data import clone
from golive.data.pool_plan import pool_name
from golive.data.postgres import Postgres
from golive.data.store import Store, store_for
from golive.errors import Conflict, GoliveError, NotFound, ResourceFailed, UsageError, nearest
from golive.release import databases, resources
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Copy, CopyKind, CopyState, Place, ResourceRow
from golive.system import extents, ports
from golive.system.files import remove_tree
from golive.system.offload import Offload

log = logging.getLogger("golive.copies")
LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")


def full_name(resource: str, label: str) -> str:
    return f"{resource}@{label}"


def declare(  # noqa: PLR0913 - what the row says
    host: Host,
    place: Place,
    resource: str,
    label: str,
    kind: CopyKind,
    *,
    actor: str,
    origin: str,
    expires_at: float | None = None,
    settings: Mapping[str, str] | None = None,
    password: Secret | None = None,
) -> Copy:
    """Its rows, with a port and (unless given) a password of its own; state `making`. Starts nothing, makes no folder.

    `origin` says in words where the data is from; `settings` outrank golive's own for the engine. UsageError for a
    label that is none, NotFound without the resource, Conflict when there is one of that name.
    """
    if not LABEL.fullmatch(label) or full_name(resource, label) == pool_name(resource):
        raise UsageError(
            f"{label!r} cannot be the name of a copy",
            hint="lower-case letters, digits and dashes, at most 30, such as try-1; pool is taken",
        )
    name = full_name(resource, label)
    rows = {row.name: row for row in host.state.resources(place)}
    if name in rows:
        raise Conflict(f"there is a {name} already", hint="choose another name, or drop that one")
    if resource not in rows:
        near = nearest(resource, [each for each in rows if "@" not in each])
        raise NotFound(f"{place} has no resource {resource!r}", hint=f"did you mean {near}?" if near else None)
    of = rows[resource]
    row = ResourceRow(place, name, of.engine, of.version, ports.choose(avoid=host.state.ports()), b"")
    copy = Copy(place, name, resource, kind, "making", origin, dict(settings or {}), time.time(), actor, expires_at)
    with host.state.transaction():
        host.state.add_resource(row, password or Secret(secrets.token_urlsafe(32)))
        host.state.add_copy(copy)
    return copy


async def store(host: Host, copy: Copy) -> Store:
    """As any resource's. Until the copy is `ready`, its pg_hba.conf lets nobody in but golive."""
    row = _row(host, copy)
    engine = await host.engines.find(row.engine, int(row.version.split(".")[0]))
    password = host.state.resource_password(row)
    made = store_for(
        _declared(host, copy, row), row.name, place=resources.placement(host, row), engine=engine, password=password
    )
    if isinstance(made, Postgres):
        closed = copy.state in ("making", "changing")
        # Nothing is lost with it before it is ready, and what is cloned need not go to the disk first.
        hasty = {"fsync": "off"} if closed and copy.kind in ("branch", "rehearsal") else {}
        return replace(made, settings={**copy.settings, **hasty}, closed=closed)
    return made


def _row(host: Host, copy: Copy) -> ResourceRow:
    row = next((row for row in host.state.resources(copy.place) if row.name == copy.name), None)
    if row is None:
        raise NotFound(f"there is no {copy.name} any more", hint="golive db branch list shows what there is")
    return row


def _declared(host: Host, copy: Copy, row: ResourceRow) -> Resource:
    """What golive.toml says of the resource that it is a copy of, where it still does."""
    app = host.state.app(copy.place)
    live = host.release_blueprint(copy.place, app.live).resources if app and app.live else {}
    found = live.get(copy.resource)
    if found is not None and found.engine == row.engine and found.url_from is None:
        return found.model_copy(update={"pool": None})
    return Resource.model_validate({"engine": row.engine})


async def start(host: Host, copy: Copy, offload: Offload | None = None, *, passing: bool = False) -> Store:
    """Adopt or start it; returns when it takes connections. ResourceFailed when it has no data. Its state stays.

    `offload`: the process that a long job has of its own. `passing` as of a Postgres."""
    made = await _launch(host, copy, passing=passing)
    await host.supervisor.wait_ready(resources.unit_name(copy.place, copy.name), resources.READY, timedelta(0))
    await databases.ready(offload or host.offload, made, resources.READY)
    return made


async def open_clone(host: Host, copy: Copy, origin: str) -> Copy:
    """Start it on a copy of a database that was provisioned, and make it `ready`: what `start` and `settle` do, by
    nothing but what such a copy needs, since a branch is waited for."""
    made = await _launch(host, copy)
    assert isinstance(made, Postgres)  # noqa: S101 - nothing else is cloned
    unit = resources.unit_name(copy.place, copy.name)
    alive = asyncio.ensure_future(host.supervisor.wait_ready(unit, resources.READY, timedelta(0)))
    there = asyncio.ensure_future(clone.recovered(made, resources.READY))
    try:
        await asyncio.wait([alive, there], return_when=asyncio.FIRST_COMPLETED)
        if not there.done():
            await alive
        await there
    finally:
        for task in (alive, there):
            task.cancel()
        await asyncio.gather(alive, there, return_exceptions=True)
    changed = replace(copy, state="ready", origin=origin)
    await (await store(host, changed)).prepare()
    await clone.hand_over(made)
    host.state.set_copy(copy, "ready", origin=origin)
    return changed


async def _launch(host: Host, copy: Copy, *, passing: bool = False) -> Store:
    made = await store(host, copy)
    if isinstance(made, Postgres):
        made = replace(made, passing=passing)
    if isinstance(made, Postgres) and not (made.data / "PG_VERSION").exists():
        raise ResourceFailed(
            f"{copy.name} has no data", where=str(made.data), hint="drop it, and make it anew: golive db branch"
        )
    await resources.keep_running(host, copy.place, copy.name, made)
    return made


async def stop(host: Host, copy: Copy) -> None:
    """End its server, by whatever daemon it was started; its data stays."""
    await resources.stop(host, copy.place, copy.name)


async def settle(
    host: Host, copy: Copy, state: CopyState, *, origin: str | None = None, offload: Offload | None = None
) -> Copy:
    """Write its state down. `ready` of one that runs first lets the app's role in, with the copy's own password."""
    changed = replace(copy, state=state, origin=origin or copy.origin)
    if state == "ready" and _runs(host, copy) and copy.kind != "standby":
        made = await store(host, changed)
        await made.prepare()
        await databases.bring_up(offload or host.offload, made, resources.READY)
    host.state.set_copy(copy, state, origin=origin)
    return changed


async def drop(host: Host, copy: Copy) -> None:
    """Its server ended, its data and its rows gone. Killed in the middle, the next start of the daemon ends it."""
    host.state.set_copy(copy, "making")
    await stop(host, copy)
    folder = host.home.resource(*copy.place, copy.name)
    if (folder / "data").exists():
        made = await store(host, copy)
        await made.before_start()  # what a daemon that was killed left in there
    await asyncio.to_thread(remove_tree, folder)
    for row in host.state.resources(copy.place):
        if row.name == copy.name:
            await asyncio.to_thread(remove_tree, resources.placement(host, row).sockets(row.engine, row.name))
    host.state.forget_copy(copy)


def find(host: Host, place: Place, name: str) -> Copy:
    """By `<resource>@<label>`, or by its label where only one has it. NotFound says what there is."""
    found = {copy.name: copy for copy in host.state.copies(place)}
    if name in found:
        return found[name]
    same = [copy for copy in found.values() if copy.label == name]
    if len(same) == 1:
        return same[0]
    if same:
        raise UsageError(f"{name} could be {' or '.join(copy.name for copy in same)}", hint="name it in full")
    near = nearest(name, [*found, *(copy.label for copy in found.values())])
    hint = f"did you mean {near}?" if near else f"it has {', '.join(found) or 'none'}"
    raise NotFound(f"{place} has no copy {name!r}", hint=hint)


async def listing(host: Host, place: Place, kind: CopyKind | None = None) -> list[dict[str, Any]]:
    """By name, see `view`; all kinds when none is named."""
    return [await view(host, copy) for copy in host.state.copies(place) if kind in (None, copy.kind)]


async def view(host: Host, copy: Copy) -> dict[str, Any]:
    """As JSON. `size` is what its files hold, `disk` what would be free without it, both in bytes; times in seconds
    since the epoch. `running` is said of its server."""
    row, folder = _row(host, copy), host.home.resource(*copy.place, copy.name)
    size, disk = await asyncio.to_thread(extents.sizes, folder)
    return {
        "name": copy.name,
        "resource": copy.resource,
        "kind": copy.kind,
        "state": copy.state,
        "running": _runs(host, copy),
        "engine": row.engine,
        "version": row.version,
        "port": row.port,
        "origin": copy.origin,
        "created_at": copy.created_at,
        "by": copy.actor,
        "expires_at": copy.expires_at,
        "size": size,
        "disk": disk,
    }


async def settle_interrupted(host: Host) -> None:
    """At the daemon's start: what was being made is undone, what is ready runs."""
    for copy in host.state.copies():
        if copy.state == "making":
            await _attempt(copy, "undone: it was being made", drop(host, copy))
    await keep_in_line(host)


async def keep_in_line(host: Host) -> None:
    """Those past their time go; those that are ready run while their app is live."""
    for known in host.state.copies():
        if host.copying(known.place).locked():
            continue
        async with host.copying(known.place):
            copy = host.state.copy(known.place, known.name)
            if copy is None or copy.state == "making":
                continue
            if copy.expires_at is not None and copy.expires_at <= time.time():
                host.state.audit("golive", "db.expire", copy.place, copy=copy.name)
                await _attempt(copy, "removed: it was past its time", drop(host, copy))
            elif copy.state == "ready" and not _runs(host, copy) and _is_live(host, copy.place):
                await _attempt(copy, "started", _launch(host, copy))


def _runs(host: Host, copy: Copy) -> bool:
    unit = host.supervisor.state(resources.unit_name(copy.place, copy.name))
    return unit is not None and not unit.over


def _is_live(host: Host, place: Place) -> bool:
    app = host.state.app(place)
    return app is not None and app.live is not None


async def _attempt(copy: Copy, what: str, action: Awaitable[object]) -> None:
    """One that cannot must not keep the others."""
    try:
        await action
        log.info("%s of %s %s", copy.name, copy.place, what)
    except (GoliveError, OSError) as error:
        log.warning("%s of %s: %s", copy.name, copy.place, error)
