"""A host made again on an empty machine, out of the location of its backups and the key.

    recovering.json      in the home from the first moment to the last: no daemon starts beside it, and the same command
                         goes on from where it was ended
    .recovering/         what is not whole yet; everything leaves it by rename

Parts, then the state with what belongs to it, then each database: what is there already is not fetched again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golive.backup import bundle as bundles
from golive.backup import keyring
from golive.backup.bundle import Bundle
from golive.backup.location import Location, location_for
from golive.build.artifact import LAYER_FILE, Artifact, Layer
from golive.errors import Conflict, NotFound, StateError, UsageError
from golive.home import Home
from golive.release import host_bundle, recover_data
from golive.release.arrive import arrive
from golive.release.host_bundle import FILES
from golive.release.relocate import relocate
from golive.system.files import private_directory, remove_tree, write_atomic
from golive.system.machine import inspect

if TYPE_CHECKING:
    from golive.backup.archive import Key
    from golive.backup.credentials import Credentials
    from golive.release.host import Host

WORK = ".recovering"
_OURS = ("state.db", "key", "backup-keys", "apps", "artifacts", "layers", "ca")


@dataclass(frozen=True)
class Source:
    """Where from: `to` as `[backups]` names it, the host there when it has several, the key."""

    to: str
    credentials: Credentials
    key: Key
    host: str | None = None

    def location(self) -> Location:
        return location_for(self.to, self.credentials)


Report = Callable[[dict[str, Any]], None]
"""Events like those of a deployment: `{"type": "step" | "progress" | "note", …}`."""


@dataclass(frozen=True)
class Recovered:
    """`databases` are names, each with what was restored of it; `empty` are those that run with nothing in them. `left`
    is what did not come along, in words. `begun` is when the first try did, in seconds since the epoch;
    `objective` the most it may take, in seconds."""

    bundle: Bundle
    databases: tuple[tuple[str, str], ...]
    empty: tuple[str, ...]
    left: tuple[str, ...]
    begun: float
    objective: float


async def recover(
    home: Home,
    source: Source,
    open_host: Callable[[], Host],
    report: Report,
    *,
    without: tuple[str, ...] = (),
    rehearse: bool = False,
    action: str = "recover",
) -> Recovered:
    """Everything but the start. `open_host` opens the home once its state is there; `without` are databases, as
    app/environment/resource, that begin empty. Errors say what is missing; the same call then goes on.

    The backups are this machine's from then on, and the old one writes none any more; not so to `rehearse`.
    """
    location = source.location()
    with step(report, "look") as say:
        chosen, since = await asyncio.to_thread(_choose, home, source, location)
        say(f"{chosen.hostname}, {', '.join(chosen.apps) or 'no app'}, as of {chosen.made:%F %T} UTC")
    with step(report, "parts") as say:
        await fetch_parts(home, source, chosen, location, report)
        say(f"{len(chosen.parts)} artifacts, layers and engines")
    with step(report, "state"):
        await own_files(home, source, chosen, location)
    host = open_host()
    try:
        with step(report, "ports"):
            left = await arrive(host)
        left += [f"{key}, an image: golive up builds it again" for key in _images(host, chosen)]
        objective = _objective(host)
        restored = []
        found = await recover_data.find(host, source.to, source.credentials, without, home.root / WORK)
        empty = tuple(store.place.label(store.name) for store in found.empty)
        left += [f"the data of {label}, which begins empty" for label in empty]
        for kept in found.kept:
            if kept.passed_over:
                what = f"{kept.label} out of {', '.join(kept.passed_over)}, which failed"
                left.append(f"{what}: it began with {kept.manifest.id}, and later writes may be missing")
            with step(report, "restore") as say:
                told = functools.partial(progress, report, kept.label)
                restored.append((kept.label, await recover_data.restore(host, kept, home.root / WORK, told)))
                say(": ".join(restored[-1]))
        for store, label in zip(found.empty, empty, strict=True):
            with step(report, "begin") as say:
                await recover_data.begin_empty(store, home.root / WORK)
                say(f"{label}: empty")
        host.state.audit("golive", action, source=source.to, bundle=chosen.id, rehearse=rehearse)
        if not rehearse:
            await _take_over(host, source)
    finally:
        host.state.close()
    remove_tree(home.root / WORK)
    home.standby.unlink(missing_ok=True)
    home.recovering.unlink()
    return Recovered(chosen, tuple(restored), empty, tuple(left), since, objective)


def progress(report: Report, name: str, what: str, done: int, total: int) -> None:
    report({"type": "progress", "what": f"{name}, {what}", "done": done, "total": total or None})


@contextlib.contextmanager
def step(report: Report, name: str) -> Iterator[Callable[[str], None]]:
    """What is said in the block is the step's detail."""
    said: list[str] = []
    report({"type": "step", "name": name, "state": "running"})
    began = time.monotonic()
    yield said.append
    seconds = round(time.monotonic() - began, 3)
    report({"type": "step", "name": name, "state": "done", "detail": ", ".join(said), "seconds": seconds})


def _choose(home: Home, source: Source, location: Location) -> tuple[Bundle, float]:
    """The newest bundle, or the one that was begun with; written down before anything else is."""
    journal = home.recovering
    if journal.exists():
        kept = json.loads(journal.read_text())
        if kept["from"] != source.to:
            raise UsageError(
                f"a recovery from {kept['from']} has begun here",
                hint=f"end it: golive recover --from {kept['from']}; or empty {home.root} to begin another one",
            )
        return bundles.about(location, source.key, kept["host"], kept["bundle"]), kept["begun"]
    require_empty(home)
    chosen = bundles.newest(location, source.key, source.host)
    require_fit(chosen)
    private_directory(home.root, 0o711 if os.geteuid() == 0 else 0o700)
    since = time.time()
    begin(home, source, chosen, since)
    for left in state_files(home):
        left.unlink(missing_ok=True)
    return chosen, since


def begin(home: Home, source: Source, chosen: Bundle, since: float, *, fence: bool = False) -> None:
    """From here on no daemon starts, and `recover` goes on with that bundle. `fence`: of a standby, see `standby`."""
    kept = {"from": source.to, "host": chosen.host, "bundle": chosen.id, "begun": since, "fence": fence}
    write_atomic(home.recovering, json.dumps(kept, indent=2))


def require_fit(chosen: Bundle) -> None:
    """UsageError when what was built there does not run here."""
    here = inspect().platform
    if chosen.platform != here:
        raise UsageError(
            f"{chosen.hostname} was a machine of {chosen.platform}, and this is {here}",
            why="what was built there does not run here",
            hint=f"recover on {chosen.platform}; the databases alone can be restored with golive restore",
        )


def require_empty(home: Home) -> None:
    """Conflict when golive has something here. A state in which nothing is counts as none."""
    home.require_own()
    there = [name for name in _OURS if (home.root / name).exists()]
    if not there or _is_bare(home):
        return
    raise Conflict(
        f"{home.root} is not empty: it has {', '.join(there)}",
        why="a recovery would replace it",
        hint="set GOLIVE_HOME to an empty folder, or move this one away",
    )


def _is_bare(home: Home) -> bool:
    """A daemon was started here, and that is all."""
    if not home.state.exists() or any((home.root / name).exists() for name in ("apps", "artifacts", "backup-keys")):
        return False
    try:
        with contextlib.closing(sqlite3.connect(home.state, timeout=5)) as db:
            tables = ("app", "variable", "deployment")
            return not any(db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables)  # noqa: S608
    except sqlite3.DatabaseError:
        return False


def state_files(home: Home) -> tuple[Path, ...]:
    return (home.key, *(home.state.with_name(home.state.name + end) for end in ("", "-wal", "-shm")))


async def fetch_parts(home: Home, source: Source, bundle: Bundle, location: Location, report: Report) -> None:
    """Artifacts, layers and engines that are not here yet."""
    for folder in (home.layers, home.engines, home.cache):
        private_directory(folder, 0o711 if os.geteuid() == 0 else 0o700)
    private_directory(home.artifacts, 0o755)
    prefix = f"host/{bundle.host}/parts/"
    sizes = {entry.name.removeprefix(prefix): entry.size for entry in location.list(prefix.rstrip("/"))}
    missing = {part: sizes.get(part, 0) for part in bundle.parts if not (home.root / part).exists()}
    total, done = sum(missing.values()), 0
    for part in bundle.parts:
        target = home.root / part
        if part in missing:
            report({"type": "progress", "what": part, "done": done, "total": total})
            done += missing[part]
            made = await bundles.fetch_part(location, source.key, bundle, part, home.root / WORK / "part")
            await asyncio.to_thread(relocate, made, bundle.home, str(home.root))
            target.parent.mkdir(mode=0o711, exist_ok=True)
            made.rename(target)
    for part in bundle.parts:
        target = home.root / part
        if target.parent == home.layers:
            layer = Layer.model_validate_json((target / LAYER_FILE).read_bytes())
            _require_program(Path(layer.interpreter), f"{layer.kind.capitalize()} {layer.python}")
        elif target.parent == home.artifacts:
            for link in (path for path in target.glob("bin/*") if path.is_symlink()):
                _require_program(link.readlink(), link.name)


def _require_program(path: Path, what: str) -> None:
    """What runs an app is the machine's own where it was there: it does not travel."""
    if path.is_absolute() and not os.access(path, os.X_OK):
        raise NotFound(
            f"there is no {path} here, and an app runs on it",
            why=f"it was {what} on the machine that is recovered",
            hint="install that there, in the same version; then golive recover again: it goes on",
        )


async def own_files(home: Home, source: Source, bundle: Bundle, location: Location, *, anew: bool = False) -> None:
    """The state comes last: where it is, all of this is. With `anew` it takes the place of another one, which nobody
    may have open."""
    if home.state.exists() and not anew:
        return
    own = home.root / WORK / "own"
    await bundles.fetch(location, source.key, bundle, own)
    for name in FILES:
        if (own / name).exists():
            (home.root / name).parent.mkdir(mode=0o700, exist_ok=True)
            remove_tree(home.root / name)
            (own / name).rename(home.root / name)
    keyring.add(home.backup_keys, source.key)
    _require_whole(own / "state.db")
    for beside in state_files(home)[2:]:  # of the one before: it would be replayed into this one
        beside.unlink(missing_ok=True)
    (own / "state.db").rename(home.state)


def _require_whole(state: Path) -> None:
    with contextlib.closing(sqlite3.connect(state)) as db:
        said = db.execute("PRAGMA integrity_check").fetchone()[0]
    if said != "ok":
        raise StateError("the state in this bundle is damaged", why=said, hint="use an older one: --bundle")


async def _take_over(host: Host, source: Source) -> None:
    fence = True if json.loads(host.home.recovering.read_text()).get("fence") else None
    places = {to: repository.location() for to, (_, repository) in host_bundle.locations(host).items()}
    for location in (places | {source.to: source.location()}).values():
        await host_bundle.own(host.home, location, take=True, fence=fence)


def _objective(host: Host) -> float:
    """Of the app that waits least patiently."""
    live = [(app.place, app.live) for app in host.state.apps() if app.live is not None]
    rto = (host.release_blueprint(place, number).backups.rto for place, number in live)
    return min((each.total_seconds() for each in rto), default=0.0)


def _images(host: Host, bundle: Bundle) -> list[str]:
    found: list[Artifact] = [artifact for artifact in host.builder.store.list() if artifact.image is not None]
    return [artifact.key[:12] for artifact in found if f"artifacts/{artifact.key}" in bundle.parts]
