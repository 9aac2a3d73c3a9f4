"""What is in a location: a manifest for each backup, written last. A backup without one does not exist.

<app>/<environment>/<resource>/base/<id>/data.golive      the archive
                                         files.golive     the list of its files, where an increment may be built on it
                                         drill.json       how it went when it was restored last, see `proof`
                                         damage.json      what was wrong when it was read last; absent when nothing was
                                         manifest.json    this
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from golive.backup.archive import Key, read
from golive.backup.location import Location
from golive.errors import BackupFailed, BackupUntried, NotFound, nearest

FORMAT = 1
MANIFEST = "manifest.json"
ARCHIVE = "data.golive"
PROOF = "drill.json"
DAMAGE = "damage.json"
FILES = "files.golive"
ID = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
"""A name that `new_id` gives."""


@dataclass(frozen=True)
class Manifest:
    """One base backup, or an increment of one. Sizes in bytes; `begun` and `ended` in UTC; `key` is the id of the key,
    see `archive.Key`.

    Recovery reads the WAL from `start_lsn` and may stop at `stop_lsn` or anywhere after it; the archive holds what is
    between. `system` is the cluster's identifier: WAL of another cluster does not fit.
    """

    source: str
    id: str
    version: str
    system: str
    timeline: int
    start_lsn: str
    stop_lsn: str
    segment: int
    begun: datetime
    ended: datetime
    plain: int
    size: int
    sha256: str
    key: str
    engine: str = "postgres"
    """Of a `redis` there is no WAL: what is said of it here is empty."""
    stream: str = ""
    """Where the writes since are, see `wal`; empty when they were not received."""
    parent: str = ""
    """The id of the backup that this is an increment of; empty of a whole one."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def name(self) -> str:
        return f"{self.source}/base/{self.id}"

    @property
    def archive(self) -> str:
        return f"{self.name}/{ARCHIVE}"


@dataclass(frozen=True)
class Broken:
    """A backup whose manifest cannot be believed."""

    id: str
    why: str


def source(app: str, environment: str, resource: str) -> str:
    """The name of a database's backups in a location."""
    return f"{app}/{environment.replace('/', '~')}/{resource}"


def new_id(now: datetime, taken: set[str]) -> str:
    """The time in UTC. Names follow one another as what they name does: where that time is not later than those that
    are `taken` (a second one in a second, a clock that was set back), the last of them with a number behind it. What
    is no such name counts for nothing."""
    found, last = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"), max(filter(ID.fullmatch, taken), default="")
    if found > last:
        return found
    head, _, number = last.partition("-")
    return f"{head}-{int(number or 1) + 1:04}"


def encode(manifest: Manifest) -> bytes:
    fields = dataclasses.asdict(manifest)
    if not manifest.parent:  # an earlier golive reads it too
        del fields["parent"]
    fields |= {"begun": manifest.begun.isoformat(), "ended": manifest.ended.isoformat()}
    body = {"format": FORMAT, **fields}
    return json.dumps({**body, "checksum": _checksum(body)}, indent=2).encode() + b"\n"


def decode(raw: bytes) -> Manifest:
    """ValueError says why it cannot be believed."""
    try:
        body: dict[str, Any] = json.loads(raw)
        stated = body.pop("checksum")
        form = body.pop("format")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("its manifest is damaged") from error
    if _checksum({"format": form, **body}) != stated:
        raise ValueError("its manifest is damaged")
    if form != FORMAT:
        raise ValueError("it was written by a newer golive")
    body |= {name: datetime.fromisoformat(body[name]) for name in ("begun", "ended")}
    return Manifest(**body)


def write(location: Location, manifest: Manifest) -> None:
    with location.put(f"{manifest.name}/{MANIFEST}") as file:
        file.write(encode(manifest))


def backups(location: Location, source: str) -> list[Manifest | Broken]:
    """Oldest first. Archives without a manifest were never finished, and are not among them."""
    return sorted(_found(location, source), key=lambda backup: backup.id)


def _found(location: Location, source: str) -> Iterator[Manifest | Broken]:
    for entry in location.list(f"{source}/base"):
        if entry.name.endswith(f"/{MANIFEST}"):
            id = entry.name.split("/")[-2]
            try:
                with location.open(entry.name) as file:
                    manifest = decode(file.read())
                yield manifest if (manifest.source, manifest.id) == (source, id) else Broken(id, "it was moved here")
            except ValueError as error:
                yield Broken(id, str(error))


def unfinished(location: Location, source: str) -> list[str]:
    """Ids of what was cut off before its manifest was written, or after that was removed. Of the newest nobody knows:
    it may be under way."""
    ids: dict[str, bool] = {}
    for entry in location.list(f"{source}/base"):
        id, name = entry.name.split("/")[-2:]
        ids[id] = ids.get(id, False) or name == MANIFEST
    newest = max((id for id, whole in ids.items() if whole), default="")
    cut = [id for id, whole in ids.items() if not whole and ID.fullmatch(id) and id < newest]
    return [id for id in cut if not _is_there(location, f"{source}/base/{id}/{MANIFEST}")]


def _is_there(location: Location, name: str) -> bool:
    try:
        with location.open(name):
            return True
    except NotFound:
        return False


def find(location: Location, source: str, id: str | None = None) -> Manifest:
    """The backup of that id, or the newest. NotFound names the nearest; BackupFailed when it cannot be believed."""
    known = backups(location, source)
    for backup in reversed(known):
        if isinstance(backup, Manifest) and id in (None, backup.id):
            return backup
        if backup.id == id and isinstance(backup, Broken):
            raise BackupFailed(
                f"the backup {id} of {source} cannot be used",
                where=source,
                why=backup.why,
                hint="use another one; nothing was changed",
            )
    near = nearest(id, [backup.id for backup in known]) if id else None
    raise NotFound(
        f"{source} has no backup {id}" if id else f"{source} has no backup",
        where=source,
        hint=f"did you mean {near}?" if near else "look whether the disk of the backups is mounted",
    )


def chain(location: Location, manifest: Manifest) -> list[Manifest]:
    """What a restore of it needs, the base backup first and itself last. BackupFailed when one of them is gone."""
    found = [manifest]
    while found[0].parent:
        wanted = f"{manifest.source}/base/{found[0].parent}"
        try:
            with location.open(f"{wanted}/{MANIFEST}") as file:
                found.insert(0, decode(file.read()))
        except (NotFound, ValueError) as error:
            raise BackupFailed(
                f"{manifest.name} is an increment, and {wanted}, which it builds on, cannot be used",
                where=wanted,
                why=str(error),
                hint="use another backup; nothing was changed",
            ) from error
    return found


def verify(location: Location, manifest: Manifest, key: Key) -> int:
    """Read all of it, and compare. Bytes of the data in it; BackupFailed says what is wrong with it."""
    require_key(manifest, key)
    with location.open(manifest.archive) as file:
        count = sum(len(data) for data in read(file, key, manifest.name, manifest.sha256))
    if count != manifest.plain:
        raise BackupFailed(
            f"{manifest.name} holds {count} bytes, and its manifest says {manifest.plain}",
            where=manifest.name,
            hint="use another backup",
        )
    return count


def require_key(manifest: Manifest, key: Key) -> None:
    """Before anything is read."""
    if manifest.key != key.id:
        raise BackupUntried(
            f"{manifest.name} is sealed with another key",
            where=manifest.name,
            why=f"it wants key {manifest.key}, and this is {key.id}",
            hint="give the key that was kept when this backup was made; nothing was changed",
        )


def remove(location: Location, source: str, id: str) -> None:
    """The manifest first: what is left if this is cut short was never a backup."""
    for name in (MANIFEST, PROOF, DAMAGE, FILES, ARCHIVE):
        location.delete(f"{source}/base/{id}/{name}")


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
