"""What a host is made of, kept beside the backups of its databases: enough to make it again on an empty machine.

    host/<host>/made/<id>             its state, keys and certificates; begins with what it is and which parts it has
    host/<host>/parts/<kind>/<name>   artifacts, layers, engines: never changed once made, so each goes up once

Everything is sealed, the names of apps too. `<host>` is derived from the host's own key, and stays when it is recovered
elsewhere.
"""

from __future__ import annotations

import dataclasses
import json
import tarfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from golive.backup import archive
from golive.backup.archive import Key, Reader, Writer
from golive.backup.catalog import new_id
from golive.backup.location import Location
from golive.errors import BackupFailed, NotFound, UsageError, nearest
from golive.system import streams
from golive.system.files import remove_tree, write_atomic

FORMAT = 1
ABOUT = "about.json"
NEWEST = 10
DAILY = timedelta(days=30)
"""Kept: so many of the newest, and the last one of each day of this long."""
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Bundle:
    """`parts` are names below `parts/` and below the home; `home` is where they were, `platform` what they run on.

    `apps` are `app/environment` of all that is live. `hostname` and `apps` are for people who have to choose.
    """

    host: str
    id: str
    made: datetime
    golive: str
    platform: str
    hostname: str
    home: str
    apps: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"host/{self.host}/made/{self.id}"


@dataclass(frozen=True)
class Step:
    """Progress: `done` of `total` parts."""

    what: str
    done: int
    total: int


Report = Callable[[Step], None]


async def make(
    location: Location, key: Key, about: Bundle, home: Path, staged: Path, report: Report, *, thorough: bool = False
) -> Bundle:
    """Parts that the location lacks, then the bundle: it exists when this returns. `staged` holds what goes into it.

    `about.id` is chosen here. `thorough` reads the parts that are there, and puts those that are damaged again.
    BackupFailed says why not; the bundles before stand then.
    """
    top = f"host/{about.host}"
    location.sweep(top)
    known = [entry.name for entry in location.list(top)]
    bundle = dataclasses.replace(about, id=new_id(about.made, {_id(name) for name in known}))
    good = [name for name in known if not thorough or _is_whole(location, key, name)]
    missing = [part for part in bundle.parts if f"{top}/parts/{part}" not in good]
    for number, part in enumerate(missing):
        report(Step(part, number, len(missing) + 1))
        await _pack(location, key, f"{top}/parts/{part}", (home / part).parent, [(home / part).name])
    report(Step("the state", len(missing), len(missing) + 1))
    write_atomic(staged / ABOUT, _encoded(bundle))
    names = [ABOUT, *sorted(path.name for path in staged.iterdir() if path.name != ABOUT)]
    await _pack(location, key, bundle.name, staged, names)
    report(Step("the state", len(missing) + 1, len(missing) + 1))
    return bundle


def tidy(location: Location, key: Key, host: str, now: datetime) -> None:
    """Remove bundles that are past their time, and the parts that no other one names."""
    ids = _bundles(location).get(host, [])
    gone = superfluous(ids, now)
    for id in gone:
        location.delete(f"host/{host}/made/{id}")
    needed = {part for id in ids if id not in gone for part in about(location, key, host, id).parts}
    prefix = f"host/{host}/parts"
    for entry in location.list(prefix):
        if entry.name.removeprefix(f"{prefix}/") not in needed:
            location.delete(entry.name)


def superfluous(ids: Sequence[str], now: datetime) -> list[str]:
    """Pure: ids that may go; see `NEWEST` and `DAILY`."""
    ordered = sorted(ids)
    last_of_day = {id[:8]: id for id in ordered}
    since = (now - DAILY).strftime("%Y%m%d")
    kept = {*ordered[-NEWEST:], *(id for day, id in last_of_day.items() if day >= since)}
    return [id for id in ordered if id not in kept]


def newest(location: Location, key: Key, host: str | None = None) -> Bundle:
    """The newest bundle, of the one host that there is or of `host`. NotFound and UsageError say what there is."""
    found = _bundles(location)
    if not found:
        raise NotFound(
            f"there is no host in {location}",
            hint="look whether it is the place that was set for backups: golive writes host/ there after each deploy",
        )
    if host is None and len(found) > 1:
        known = [about(location, key, each, ids[-1]) for each, ids in sorted(found.items())]
        lines = [
            f"{one.host}: {one.hostname}, {', '.join(one.apps) or 'no app'}, {one.made:%F %R} UTC" for one in known
        ]
        raise UsageError("this location has several hosts", why="; ".join(lines), hint="choose one with --host")
    chosen = host or next(iter(found))
    if chosen not in found:
        near = nearest(chosen, found)
        raise NotFound(
            f"this location has no host {chosen}",
            hint=f"did you mean {near}?" if near else f"it has {', '.join(found)}",
        )
    return about(location, key, chosen, found[chosen][-1])


def about(location: Location, key: Key, host: str, id: str) -> Bundle:
    """Only its beginning is read."""
    name = f"host/{host}/made/{id}"
    with location.open(name) as file, tarfile.open(fileobj=Reader(archive.read(file, key, name)), mode="r|") as tar:
        first = tar.next()
        content = tar.extractfile(first) if first and first.name == ABOUT else None
        if content is None:
            raise BackupFailed(f"{name} does not begin with {ABOUT}", where=name, hint="use another bundle: --bundle")
        bundle = _decoded(content.read(), name)
    if (bundle.host, bundle.id) != (host, id):
        raise BackupFailed(f"{name} is the bundle {bundle.name}", where=name, hint="use another bundle: --bundle")
    return bundle


async def fetch(location: Location, key: Key, bundle: Bundle, folder: Path) -> None:
    """What is in the bundle itself, into a new folder."""
    await _unpack(location, key, bundle.name, folder)


async def fetch_part(location: Location, key: Key, bundle: Bundle, part: str, folder: Path) -> Path:
    """One part into a new folder; where it lies in it."""
    await _unpack(location, key, f"host/{bundle.host}/parts/{part}", folder)
    return folder / part.rpartition("/")[2]


def _is_whole(location: Location, key: Key, name: str) -> bool:
    try:
        with location.open(name) as file:
            return sum(len(data) for data in archive.read(file, key, name)) > 0
    except BackupFailed:
        return False


async def _pack(location: Location, key: Key, name: str, folder: Path, names: Collection[str]) -> None:
    with location.put(name) as file:
        writer = Writer(file, key, name)
        tool = streams.Tool(("tar", "-c", "-f", "-", "-C", str(folder), "--", *names), _ENV, folder)
        done = await streams.drain(tool, writer.write)
        if done.code:
            raise BackupFailed(
                f"{', '.join(names)} in {folder} could not be packed", where=str(folder), why=_last(done.said),
                hint="golive tries again at the next turn; bundles made before stand",
            )  # fmt: skip
        writer.close()


async def _unpack(location: Location, key: Key, name: str, folder: Path) -> None:
    remove_tree(folder)
    folder.mkdir(mode=0o700, parents=True)
    # What was packed by root belongs to whoever unpacks it.
    tool = streams.Tool(("tar", "-x", "-p", "-o", "-f", "-", "-C", str(folder)), _ENV, folder)
    with location.open(name) as file:
        done = await streams.feed(tool, archive.read(file, key, name))
    if done.code:
        why = "the disk is full" if "No space left" in done.said else _last(done.said)
        hint = "mend that, then try again: it goes on where it was"
        raise BackupFailed(f"{name} could not be unpacked in {folder}", where=str(folder), why=why, hint=hint)


def _bundles(location: Location) -> dict[str, list[str]]:
    """Host → ids, oldest first."""
    found: dict[str, list[str]] = {}
    for entry in location.list("host"):
        match entry.name.split("/"):
            case ["host", host, "made", id]:
                found.setdefault(host, []).append(id)
    return {host: sorted(ids) for host, ids in found.items()}


def _id(name: str) -> str:
    return name.rpartition("/")[2]


def _encoded(bundle: Bundle) -> bytes:
    return json.dumps({"format": FORMAT, **dataclasses.asdict(bundle), "made": bundle.made.isoformat()}).encode()


def _decoded(raw: bytes, name: str) -> Bundle:
    fields = json.loads(raw)
    if fields.pop("format") != FORMAT:
        raise BackupFailed(f"{name} was written by a newer golive", where=name, hint="upgrade golive, then try again")
    lists: Mapping[str, tuple[str, ...]] = {each: tuple(fields[each]) for each in ("apps", "parts")}
    return Bundle(**{**fields, **lists, "made": datetime.fromisoformat(fields["made"]).astimezone(UTC)})


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "tar said nothing"
