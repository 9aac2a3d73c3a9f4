"""What was restored takes the place of the database: both end, their data folders are exchanged in one step, and the
app goes on. What was replaced stays, stopped, as a copy that `undo` puts back.

A file beside the copy's data says which of the two folders is which, so a daemon that was killed in the middle is
finished or undone by the next: `exchange` holds the inode of the folder that is to be the database's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.backup import stream
from golive.data.postgres import Postgres
from golive.data.redis import Redis
from golive.errors import Conflict, GoliveError, NotFound, ResourceFailed
from golive.release import backups, copies, databases, replicas, resources, restores, snapshots
from golive.release.backups import Kept
from golive.release.holding import held
from golive.release.host import Host
from golive.state.records import Copy, CopyKind, Place
from golive.system.files import exchange, write_atomic

log = logging.getLogger("golive.swap")
Say = Callable[[str], None]
MARK = "exchange"


@dataclass
class Swap:
    """One exchange of a database and a copy. `left` is what the database's data is called then."""

    host: Host
    found: Kept
    copy: Copy
    other: Postgres | Redis
    left: CopyKind
    say: Say

    async def run(self) -> dict[str, Any]:
        host, place = self.host, self.found.place
        began = time.monotonic()
        for replica in replicas.of(host, place, self.found.name):
            self.say(f"{replica.name} follows what is replaced: it is made anew afterwards")
            await copies.drop(host, replica)
        host.state.set_copy(self.copy, "changing")
        async with held(host, place, self.say) as begin:
            stopped = time.monotonic()
            try:
                await self._exchange()
                self.say(f"{self.copy.name} is the database now")
                await begin()
            except BaseException as error:
                await asyncio.shield(self._take_back(error))
                if isinstance(error, GoliveError):
                    stands = f"{self.found.name} is as it was, and {self.copy.name} is there to be looked at"
                    error.hint = f"{stands}; {error.hint}" if error.hint else stands
                raise
        away = time.monotonic() - stopped
        kept = await _keep(host, self.found, self.copy, self.other, self.left)
        return {
            "resource": self.found.name,
            "swapped": self.copy.name,
            "kept": kept.name,
            "expires_at": kept.expires_at,
            "seconds_away": round(away, 3),
            "seconds": round(time.monotonic() - began, 3),
        }

    async def _exchange(self) -> None:
        await self._stop_both()
        _mark(self.other)
        await asyncio.to_thread(exchange, self.found.store.data, self.other.data)
        await self._start()

    async def _stop_both(self) -> None:
        """In order, so that the receiver has had all of it; whoever else runs on these folders ends too."""
        host, place, name = self.host, self.found.place, self.found.name
        await resources.stop(host, place, name)
        await backups.stop_receiving(host, place, name)
        await copies.stop(host, self.copy)
        for store in (self.found.store, self.other):
            await store.before_start()
        await asyncio.to_thread(stream.end, self.found.received)

    async def _start(self) -> None:
        await resources.keep_running(self.host, self.found.place, self.found.name, self.found.store)
        await databases.bring_up(self.host.offload, self.found.store, resources.READY)

    async def _take_back(self, cause: BaseException) -> None:
        """As if nothing had been; the copy is ready once more. ResourceFailed when that fails too."""
        try:
            await self._as_before()
        except (GoliveError, OSError) as error:
            name = self.found.name
            raise ResourceFailed(
                f"{self.copy.name} did not take the place of {name}, and {name} does not run as before",
                where=str(self.found.place),
                why=f"{_cause(cause)}; then {_cause(error)}",
                hint="nothing is lost, both folders are whole: mend that, then golive daemon restart finishes or "
                "undoes it",
            ) from error

    async def _as_before(self) -> None:
        await self._stop_both()
        if _is_exchanged(self.found.store, self.other):
            await asyncio.to_thread(exchange, self.found.store.data, self.other.data)
        _unmark(self.other)
        await self._start()
        await _settled(self.host, self.copy)
        self.say(f"{self.found.name} is as it was")


def _cause(error: BaseException) -> str:
    if isinstance(error, GoliveError) and error.why:
        return f"{error.what}: {error.why}"
    return str(error) or type(error).__name__


async def swap(host: Host, place: Place, name: str | None, actor: str, say: Say) -> dict[str, Any]:
    """The copy of that name, else the newest that was restored, becomes the database. As JSON: what is kept, and how
    long nobody was answered. Conflict while something else changes the environment."""
    return await _change(host, place, (name, "restored", "replaced"), actor, say)


async def undo(host: Host, place: Place, name: str | None, actor: str, say: Say) -> dict[str, Any]:
    """What was replaced last is the database again; what took its place stays as a copy, with all that came since."""
    return await _change(host, place, (name, "replaced", "restored"), actor, say)


async def _change(
    host: Host, place: Place, what: tuple[str | None, CopyKind, CopyKind], actor: str, say: Say
) -> dict[str, Any]:
    name, kind, left = what
    if host.changing(place).locked() or host.copying(place).locked():
        raise Conflict(
            f"something else changes {place} now",
            hint="wait until it has ended (golive status), then try again; nothing was changed",
        )
    async with host.changing(place), host.copying(place):
        copy = restores.chosen(host, place, name, (kind,))
        found = await _kept(host, copy)
        async with backups.alone(host, place, found.name, "a restore"):
            other = await copies.store(host, copy)
            if not isinstance(other, Postgres | Redis) or not _has_data(other):
                raise NotFound(f"{copy.name} has no data", hint="golive restore makes another one")
            _require_form(found, other)
            host.state.audit(actor, "restore.undo" if kind == "replaced" else "restore.swap", place, copy=copy.name)
            done = await Swap(host, found, copy, other, left, say).run()
    return done


async def _kept(host: Host, copy: Copy) -> Kept:
    """What it is a copy of."""
    row = next((row for row in host.state.resources(copy.place) if row.name == copy.name), None)
    if row is not None and row.engine == "redis":
        return await snapshots.snapped(host, copy.place, copy.resource)
    return await backups.backed(host, copy.place, copy.resource)


def _has_data(other: Postgres | Redis) -> bool:
    if isinstance(other, Postgres):
        return (other.data / "PG_VERSION").exists()
    return other.data.is_dir() and any(other.data.iterdir())


def _require_form(found: Kept, other: Postgres | Redis) -> None:
    """Conflict when a Redis keeps its data in another form by now: it would look for files that are not there."""
    if isinstance(other, Redis) and isinstance(found.store, Redis) and other.kept != found.store.kept:
        raise Conflict(
            f"{other.name} keeps its data as {other.kept}, and {found.name} as {found.store.kept} by now",
            why="persistence was changed in golive.toml since it was restored",
            hint="golive restore makes another one, in the new form; nothing was changed",
        )


async def _keep(host: Host, found: Kept, copy: Copy, other: Postgres | Redis, left: CopyKind) -> Copy:
    """What was the database until now, under a name that says so, in place of the copy that is the database now."""
    kept = _begun(host, found) or copies.declare(
        host, copy.place, found.name, restores.label(host, copy.place, found.name, left), left,
        actor="golive", origin=f"the database until {copy.name} took its place",
        expires_at=time.time() + restores.KEPT.total_seconds(),
    )  # fmt: skip
    # Before it has the data: what is found `making` is removed.
    kept = await copies.settle(host, kept, "kept")
    folder = host.home.resource(*copy.place, kept.name)
    await asyncio.to_thread(other.folder.rename, folder)
    _unmark(other, folder)
    await copies.drop(host, copy)
    return kept


def _begun(host: Host, found: Kept) -> Copy | None:
    """The copy that a daemon which was killed had declared for what was replaced, and not filled."""
    for each in host.state.copies(found.place):
        folder = host.home.resource(*found.place, each.name)
        if each.resource == found.name and each.state == "kept" and not folder.exists():
            return each
    return None


async def _settled(host: Host, copy: Copy) -> None:
    with contextlib.suppress(GoliveError):
        if copy.kind == "restored":
            await copies.start(host, copy)
    await copies.settle(host, copy, "ready" if copy.kind == "restored" else "kept")


def _mark(other: Postgres | Redis) -> None:
    """Before: the folder of the copy is to be the database's."""
    write_atomic(other.folder / MARK, f"{other.data.stat().st_ino}\n")


def _unmark(other: Postgres | Redis, folder: Path | None = None) -> None:
    ((folder or other.folder) / MARK).unlink(missing_ok=True)


def _is_exchanged(store: Postgres | Redis, other: Postgres | Redis) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return store.data.stat().st_ino == int((other.folder / MARK).read_text())
    return False


async def settle_interrupted(host: Host) -> None:
    """At the daemon's start, before any database is started: an exchange that was cut off is finished when the folders
    had changed places, else it never was."""
    for copy in host.state.copies():
        if copy.kind in ("restored", "replaced") and copy.state == "changing":
            try:
                await _settle(host, copy)
            except (GoliveError, OSError) as error:
                log.warning("the exchange of %s of %s: %s", copy.name, copy.place, error)


async def _settle(host: Host, copy: Copy) -> None:
    found = await _kept(host, copy)
    other = await copies.store(host, copy)
    if not isinstance(other, Postgres | Redis):
        return
    if not other.folder.exists():  # it is the kept one already; its own row is settled
        host.state.forget_copy(copy)
    elif _is_exchanged(found.store, other):
        await asyncio.to_thread(stream.end, found.received)
        await resources.keep_running(host, copy.place, found.name, found.store)
        # It came with the copy's own password, which the app does not have.
        await databases.bring_up(host.offload, found.store, resources.READY)
        await _keep(host, found, copy, other, "replaced" if copy.kind == "restored" else "restored")
        log.info("the exchange of %s of %s was finished", copy.name, copy.place)
    else:
        await copies.stop(host, copy)
        _unmark(other)
        await copies.settle(host, copy, "ready" if copy.kind == "restored" else "kept")
        log.info("the exchange of %s of %s was undone", copy.name, copy.place)
