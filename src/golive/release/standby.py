"""A host that follows another one by what that writes beside its backups, and takes its place: decision 0030.

Everything of a recovery happens beforehand but the last of it: parts and state come with each bundle, and databases
replay what arrives. A promotion is `recover`, which finds nearly all of it there.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from golive.backup import bundle as bundles
from golive.backup import following, keyring, owner
from golive.backup.archive import Key
from golive.backup.bundle import Bundle
from golive.backup.credentials import Credentials
from golive.backup.following import Followed, Seen
from golive.backup.owner import Follower
from golive.errors import Conflict, GoliveError, NotFound, UsageError
from golive.home import Home
from golive.release import host_bundle, recover, recover_data
from golive.release.recover import Recovered, Report, Source, step
from golive.secret import Secret
from golive.system.files import private_directory, remove_tree, write_atomic
from golive.units import human_duration

if TYPE_CHECKING:
    from golive.release.host import Host

LIFE = 60.0
"""Seconds since the host that is followed was heard of, within which it counts as alive."""


@dataclass(frozen=True)
class Standing:
    """What a standby follows. `source.host` is always known; `bundle` is the one that was taken over last."""

    source: Source
    begun: float
    bundle: str
    made: float
    hostname: str
    apps: tuple[str, ...]


def read(home: Home) -> Standing | None:
    """None for a home that is no standby."""
    try:
        kept: dict[str, Any] = json.loads(home.standby.read_text())
    except FileNotFoundError:
        return None
    opened = kept["credentials"]
    for name in ("secret", "token"):
        opened[name] = Secret(opened[name]) if opened[name] is not None else None
    source = Source(kept["from"], Credentials(**opened), Key.parse(kept["key"]), kept["host"])
    return Standing(source, kept["begun"], kept["bundle"], kept["made"], kept["hostname"], tuple(kept["apps"]))


def require(home: Home) -> Standing:
    """NotFound for a home that is no standby."""
    if (found := read(home)) is None:
        raise NotFound(
            "this host is no standby",
            where=str(home.root),
            hint="golive standby --from PLACE makes one of an empty GOLIVE_HOME",
        )
    return found


def _write(home: Home, standing: Standing) -> None:
    """Private, as are the keys beside it: it has to go on by itself when the machine starts."""
    source = standing.source
    opened = dataclasses.asdict(source.credentials)
    for name in ("secret", "token"):
        opened[name] = opened[name].reveal() if opened[name] is not None else None
    kept = {
        "from": source.to, "host": source.host, "begun": standing.begun, "bundle": standing.bundle,
        "made": standing.made, "hostname": standing.hostname, "apps": standing.apps,
        "key": source.key.secret.reveal(), "credentials": opened,
    }  # fmt: skip
    write_atomic(home.standby, json.dumps(kept, indent=2))


async def begin(home: Home, source: Source, open_host: Callable[[], Host], report: Report) -> Standing:
    """Make a standby of an empty home, up to the base backups; the daemon goes on from there. Done once more it goes on
    where it was, and takes another key or other credentials for the same place."""
    with step(report, "look") as say:
        standing = await asyncio.to_thread(_choose, home, source)
        say(f"{standing.hostname}, {', '.join(standing.apps) or 'no app'}")
    with step(report, "parts") as say:
        standing = await refresh(home, report=report)
        made = datetime.fromtimestamp(standing.made, UTC)
        say(f"the host as of {made:%F %T} UTC")
    for each in await databases(home, open_host):
        if each.base is None:
            with step(report, "unpack") as say:
                told = functools.partial(recover.progress, report, each.server.label)
                manifest = await following.begin(each, told)
                what = f"as of {manifest.begun:%F %T} UTC" if manifest else "no backup yet: it waits for one"
                say(f"{each.server.label}: {what}")
    return standing


def _choose(home: Home, source: Source) -> Standing:
    before = read(home)
    if before is not None:
        if before.source.to != source.to:
            raise UsageError(
                f"this host is a standby of what is in {before.source.to}",
                hint=f"empty {home.root}, or choose another GOLIVE_HOME, to follow {source.to}",
            )
        known = dataclasses.replace(source, host=before.source.host)
        bundles.newest(known.location(), known.key, known.host)  # what opens nothing does not replace what does
        standing = dataclasses.replace(before, source=known)
    else:
        recover.require_empty(home)
        newest = bundles.newest(source.location(), source.key, source.host)
        recover.require_fit(newest)
        private_directory(home.root, 0o711 if os.geteuid() == 0 else 0o700)
        for left in recover.state_files(home):
            left.unlink(missing_ok=True)
        known = dataclasses.replace(source, host=newest.host)
        standing = Standing(known, time.time(), "", newest.made.timestamp(), newest.hostname, newest.apps)
    _write(home, standing)
    return standing


async def refresh(home: Home, databases: tuple[dict[str, Any], ...] = (), report: Report = lambda _: None) -> Standing:
    """Take over the newest bundle when there is a newer one, and say how far the `databases` are, see `Follower`.
    Nobody may have the state open."""
    standing = require(home)
    source, location = standing.source, standing.source.location()
    newest = await asyncio.to_thread(bundles.newest, location, source.key, source.host)
    if newest.id != standing.bundle:
        await recover.fetch_parts(home, source, newest, location, report)
        await recover.own_files(home, source, newest, location, anew=True)
        standing = dataclasses.replace(
            standing, bundle=newest.id, made=newest.made.timestamp(), hostname=newest.hostname, apps=newest.apps
        )
        _write(home, standing)
    keyring.add(home.backup_keys, source.key)
    me = Follower(host_bundle.machine(home), time.time(), standing.begun, databases)
    await asyncio.to_thread(owner.follow, location, source.host or "", me)
    return standing


async def databases(home: Home, open_host: Callable[[], Host]) -> list[Followed]:
    """By the state of the newest bundle that is here."""
    source, host = require(home).source, open_host()
    try:
        return await recover_data.followable(host, source.to, source.credentials)
    finally:
        host.state.close()


async def heard(home: Home) -> float | None:
    """When the host that is followed was there last, in seconds since the epoch; None when that is not known."""
    source = require(home).source
    found = await asyncio.to_thread(owner.heard, source.location(), source.host or "")
    return found.timestamp() if found else None


async def look(each: Followed) -> Seen:
    """See `following.look`."""
    return await asyncio.to_thread(following.look, each)


async def is_over(each: Followed) -> bool:
    return await asyncio.to_thread(following.is_over, each)


async def unpack(each: Followed) -> bool:
    """Whether there is a base backup to begin with."""
    return await following.begin(each) is not None


async def drop(each: Followed) -> None:
    """What it has so far, and its server; nothing to do when there is nothing."""
    for folder in (each.work, each.work.with_name(f"{each.work.name}.new")):
        if folder.exists():
            await following.end(each)
            await asyncio.to_thread(remove_tree, folder)


async def promote(
    home: Home, open_host: Callable[[], Host], report: Report, *, without: tuple[str, ...] = (), force: bool = False
) -> Recovered:
    """Take the place of the host that is followed, which must not serve from here on. Everything but the start, as
    `recover`; killed at any point, the same call goes on. Conflict when that host is alive, unless `force`."""
    standing = require(home)
    source = standing.source
    if not home.recovering.exists():
        with step(report, "fence") as say:
            if not force:
                await asyncio.to_thread(_require_silence, home, source)
            await host_bundle.own(home, source.location(), take=True, fence=True)
            say(f"{standing.hostname} must not serve any more")
        begun = time.time()
        with step(report, "state") as say:
            standing = await refresh(home, report=report)
            say(f"as of {datetime.fromtimestamp(standing.made, UTC):%F %T} UTC")
        recover.begin(home, source, await asyncio.to_thread(_bundle, standing), begun, fence=True)
    for each in await databases(home, open_host):
        if each.server.label in without or each.data.exists():  # the latter: killed before the last of it was removed
            await drop(each)
    done = await recover.recover(home, source, open_host, report, without=without, action="standby.promote")
    with contextlib.suppress(GoliveError, OSError):  # forgotten after a day
        await asyncio.to_thread(
            owner.follow_no_more, source.location(), source.host or "", host_bundle.machine(home)
        )  # fmt: skip
    return done


def settle(home: Home) -> None:
    """A promotion that was killed between its last two steps has all it needs: the host is no standby any more."""
    if not home.standby.exists() and home.recovering.exists() and json.loads(home.recovering.read_text()).get("fence"):
        home.recovering.unlink()


def _bundle(standing: Standing) -> Bundle:
    source = standing.source
    return bundles.about(source.location(), source.key, source.host or "", standing.bundle)


def _require_silence(home: Home, source: Source) -> None:
    location, host = source.location(), source.host or ""
    known = owner.find(location, host)
    if known is not None and known.machine == host_bundle.machine(home):
        return  # it is fenced already
    last = owner.heard(location, host)
    if last is None:
        raise Conflict(
            "whether the host that is followed is alive is not known",
            where=str(location),
            why="it says so from its next look on, ten minutes after a standby begins at most, and has not yet",
            hint="make sure that it has ended, then --force; both would serve otherwise",
        )
    ago = (datetime.now(UTC) - last).total_seconds()
    if ago < LIFE:
        raise Conflict(
            f"the host that is followed is alive: it was there {human_duration(max(ago, 0))} ago",
            where=str(location),
            why="what it takes in from now on would be lost",
            hint=f"end it, and try again {human_duration(LIFE)} later; --force takes over now: it ends everything as "
            "soon as it sees that, in 15 s or with its next write",
        )
