"""The bundle of this host: which parts of the home belong in it. Made in a process of its own; the daemon only asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import platform
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import golive
from golive.backup import owner
from golive.backup.repository import Repository
from golive.errors import StateError
from golive.home import Home
from golive.release import backups
from golive.release.host import Host
from golive.state import keyfile
from golive.state.keyfile import host_id
from golive.state.records import Place
from golive.system.files import write_atomic
from golive.system.machine import inspect
from golive.system.offload import Offload

if TYPE_CHECKING:
    from golive.backup.archive import Key
    from golive.backup.bundle import Bundle, Report, Step
    from golive.backup.location import Location

FILES = ("key", "backup-keys", "ca", "edge/ports.json")
"""Of the home, beside the state."""
_LIVE = "SELECT app, environment FROM app WHERE live IS NOT NULL ORDER BY app, environment"
NAME = "host"
"""Of what is backed up, beside the names of databases."""
RELEASES = 2
"""Of each environment: the live one, and the one to roll back to."""
STAGING = ".bundle-"
_EDGE = ("envoy", "pgbouncer")


def locations(host: Host) -> dict[str, tuple[Place, Repository]]:
    """Where live apps have their backups, but for a folder in this home: that is lost with it."""
    found: dict[str, tuple[Place, Repository]] = {}
    for app in host.state.apps():
        if app.live is None:
            continue
        policy = host.release_blueprint(app.place, app.live).backups
        if policy.to is not None and policy.wanted(app.place.environment):
            found.setdefault(policy.to, (app.place, backups.repository(host, app.place, NAME, policy)))
    return found


async def check(offload: Offload, home: Home, location: Location) -> list[owner.Follower]:
    """The standbys that follow. Conflict when another machine writes there for this host."""
    return await offload.call(own, home, location, take=False)


async def take_over(offload: Offload, home: Home, location: Location) -> None:
    """From now on this machine does."""
    await offload.call(own, home, location, take=True)


async def own(home: Home, location: Location, *, take: bool, fence: bool | None = None) -> list[owner.Follower]:
    """As `check` or `take_over`, in this process. `fence`: whoever it was before must not serve; None: as it was."""
    return await asyncio.to_thread(_own, home, location, take, fence)


def guard(home: Home) -> owner.Guard:
    """For whoever else writes there."""
    return owner.Guard(home.key, home.machine)


def _own(home: Home, location: Location, take: bool, fence: bool | None) -> list[owner.Follower]:
    host, now = host_id(home.key.read_bytes()), datetime.now(UTC)
    if take:
        owner.claim(location, host, machine(home), now, fence=fence)
    else:
        owner.require(location, host, machine(home), now)
    followed = owner.followers(location, host, now)
    if followed:
        home.followed.touch(0o600)
        owner.beat(location, host, machine(home), now)
    return followed


def machine(home: Home) -> str:
    """A number of this home's own, made at first use."""
    with contextlib.suppress(FileNotFoundError):
        return home.machine.read_text().strip()
    write_atomic(home.machine, secrets.token_hex(8) + "\n")
    return home.machine.read_text().strip()


async def make(
    offload: Offload, home: Home, location: Location, key: Key, report: Callable[[Step], None], *, thorough: bool
) -> Bundle:
    """Write the bundle of this home; `thorough` also reads what is there, and takes away what is past its time.

    BackupFailed says why not; those before stand then.
    """
    return await offload.reporting(report, _make, home, location, key, thorough)


async def _make(home: Home, location: Location, key: Key, thorough: bool, report: Report = lambda _: None) -> Bundle:
    from golive.backup import bundle

    now = datetime.now(UTC)
    await own(home, location, take=False)
    with _staged(home) as staged:
        about = describe(home, staged / "state.db", now)
        made = await bundle.make(location, key, about, home.root, staged, report, thorough=thorough)
    if thorough:
        bundle.tidy(location, key, about.host, now)
    return made


@contextmanager
def _staged(home: Home) -> Iterator[Path]:
    """A folder with a snapshot of the state and what else is the host's own; gone after the block."""
    for left in home.root.glob(f"{STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=home.root) as name:
        folder = Path(name)
        _snapshot_with_key(home, folder)
        for file in FILES[1:]:
            source, target = home.root / file, folder / file
            with contextlib.suppress(FileNotFoundError):
                target.parent.mkdir(mode=0o700, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, target)
                else:
                    shutil.copy2(source, target)
        yield folder


def _snapshot_with_key(home: Home, folder: Path) -> None:
    """The state, and the key that it is sealed with: that is another one when the key is being changed."""
    for _ in range(3):
        first = home.key.read_bytes()
        _snapshot(home.state, folder / "state.db")
        with contextlib.closing(sqlite3.connect(folder / "state.db")) as db:
            row = db.execute("SELECT key FROM vault").fetchone()
        if row is None:  # never changed when it was copied; since then it may have been
            write_atomic(folder / home.key.name, first, sync=False)
            return
        for path in (home.key, keyfile.following(home.key)):
            with contextlib.suppress(FileNotFoundError):
                raw = path.read_bytes()
                if keyfile.parse(raw, path).id == row[0]:
                    write_atomic(folder / home.key.name, raw, sync=False)
                    return
        (folder / "state.db").unlink()
    raise StateError("golive's state cannot be copied", why="its key is not beside it", where=str(home.key))


def _snapshot(source: Path, target: Path) -> None:
    """As of one moment, while the daemon writes on."""
    try:
        with (
            contextlib.closing(sqlite3.connect(source, timeout=10)) as live,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        raise StateError("golive's state cannot be copied", where=str(source), why=str(error)) from error


def describe(home: Home, state: Path, now: datetime) -> Bundle:
    """What belongs to the host, by that copy of its state."""
    from golive.backup.bundle import Bundle

    with contextlib.closing(sqlite3.connect(state)) as db:
        db.row_factory = sqlite3.Row
        apps = [Place(*row) for row in db.execute(_LIVE)]
        artifacts = _artifacts(db)
        used = {(engine, _major(version)) for engine, version in db.execute("SELECT engine, version FROM resource")}
    kept = sorted(key for key in artifacts if (home.artifacts / key).is_dir())
    texts = {key: (home.artifacts / key / "artifact.json").read_text() for key in kept}
    layers = sorted({layer for text in texts.values() if (layer := json.loads(text)["layer"])})
    texts |= {key: (home.layers / key / "layer.json").read_text() for key in layers}
    return Bundle(
        host=host_id(home.key.read_bytes()),
        id="",
        made=now,
        golive=golive.__version__,
        platform=inspect().platform,
        hostname=platform.node(),
        home=str(home.root),
        apps=tuple(map(str, apps)),
        parts=(
            *(f"artifacts/{key}" for key in kept),
            *(f"layers/{key}" for key in layers),
            *_engines(home, used, "".join(texts.values())),
        ),
    )


def _artifacts(db: sqlite3.Connection) -> set[str]:
    """Keys of the newest releases that can run, of every environment, and of what runs."""
    needed: set[str] = set()
    for app in db.execute("SELECT app, environment, live FROM app WHERE live IS NOT NULL").fetchall():
        rows = db.execute(
            "SELECT artifacts FROM release WHERE app = ? AND environment = ? AND state = 'ready'"
            " ORDER BY number = ? DESC, number DESC LIMIT ?",
            (*app, RELEASES),
        )
        needed |= {key for row in rows for key in json.loads(row[0]).values()}
    running = db.execute(
        "SELECT artifacts, service FROM generation JOIN release USING (app, environment)"
        " WHERE generation.release = release.number AND generation.state = 'live'"
    )
    return needed | {json.loads(row[0])[row[1]] for row in running}


def _engines(home: Home, used: set[tuple[str, str]], texts: str) -> list[str]:
    """Those that were fetched and are in use: by the edge, a resource, or an artifact that names its folder."""
    found = []
    for folder in sorted(home.engines.glob("*/*")):
        name, version = folder.parent.name, folder.name
        wanted = name in _EDGE or (name, _major(version)) in used
        if folder.is_dir() and (wanted or f"{home.engines}/{name}/{version}/" in texts):
            found.append(f"engines/{name}/{version}")
    return found


def _major(version: str) -> str:
    return version.partition(".")[0]
