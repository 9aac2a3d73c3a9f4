"""Logical dumps of a PostgreSQL: all that backups can be where only its URL is known, and somebody else has its files.

`pg_dump`'s custom format, sealed like any backup, below `dump/` of the database's own backups in a location. A dump is
kept when it was read back to its end and `pg_restore` could list what is in it; it is proven by `dump_drill`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from golive.backup import catalog, proof, retention
from golive.backup.archive import Key, Writer, read
from golive.backup.catalog import Broken, Manifest
from golive.backup.location import Location
from golive.backup.proof import Verdict
from golive.backup.repository import Repository
from golive.backup.server import NO_FILE, reason
from golive.backup.work import Terms
from golive.engines.engine import Engine
from golive.errors import BackupFailed
from golive.secret import Mask, Secret
from golive.system import streams
from golive.system.files import private_directory

STEP = 8 << 20
"""Bytes between two reports."""
Report = Callable[[Any], None]
_UNKNOWN = Verdict()


@dataclass(frozen=True)
class Source:
    """A database by its connection: libpq's variables, the engine whose `pg_dump` is not older than it, its version."""

    label: str
    engine: Engine
    version: str
    env: Mapping[str, Secret | str] = field(repr=False)

    def environment(self) -> dict[str, str]:
        given = {key: value.reveal() if isinstance(value, Secret) else value for key, value in self.env.items()}
        own = {"PATH": f"{self.engine.bin}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGPASSFILE": NO_FILE}
        return {**own, **self.engine.env, **given, "PGAPPNAME": "golive-dump"}


def dumps_of(repository: Repository) -> Repository:
    """Where the dumps of a database are."""
    return replace(repository, source=f"{repository.source}/dump")


async def create(
    source: Source, repository: Repository, terms: Terms, report: Report = lambda _: None
) -> dict[str, Any]:
    """One dump, read back; then what is kept no longer goes. As JSON with what `went`. BackupFailed says why not, and
    nothing is left of it then."""
    location, where = repository.location(), repository.source
    begun = datetime.now(UTC)
    location.sweep(where)
    id = catalog.new_id(begun, {entry.name.split("/")[-2] for entry in location.list(f"{where}/base")})
    name, key = f"{where}/base/{id}", repository.key()
    with location.put(f"{name}/{catalog.ARCHIVE}") as file:
        writer = Writer(file, key, name)
        await _dump(source, writer, report)
        sealed = writer.close()
    manifest = Manifest(
        source=where, id=id, version=source.version, system="", timeline=0, start_lsn="", stop_lsn="", segment=0,
        begun=begun, ended=datetime.now(UTC), key=key.id, engine="dump", **asdict(sealed),
    )  # fmt: skip
    catalog.write(location, manifest)
    try:
        tables = await tables_in(source.engine, location, manifest, key)
    except BaseException:
        catalog.remove(location, where, id)
        raise
    known = catalog.backups(location, where)
    spared = proof.last_good(location, where, known)
    gone = retention.expired(known, datetime.now(UTC), terms.keep, terms.age, spared)
    for cut in catalog.unfinished(location, where):
        catalog.remove(location, where, cut)
    for each in gone:
        catalog.remove(location, where, each.id)
    return {**view(manifest), "tables": tables, "went": [each.id for each in gone]}


async def _dump(source: Source, writer: Writer, report: Report) -> None:
    copied = 0

    def take(data: bytes) -> None:
        nonlocal copied
        writer.write(data)
        copied += len(data)
        if copied % STEP < len(data):
            report({"what": "dump", "done": copied, "total": 0})

    how = ("--format=custom", "--compress=0", "--no-password", "--lock-wait-timeout=60s")
    tool = streams.Tool((str(source.engine.program("pg_dump")), *how), source.environment(), Path("/"))
    done = await streams.drain(tool, take)
    if done.code:
        said = Mask([v for v in source.env.values() if isinstance(v, Secret)])(done.said)
        raise BackupFailed(
            f"{source.label} could not be dumped",
            where=source.label,
            why=reason(said),
            hint="the account has to read every table; golive db insight shows whether it answers",
            log=said,
        )


async def tables_in(engine: Engine, location: Location, manifest: Manifest, key: Key) -> int:
    """How many tables a dump holds the rows of; all of it is read. BackupFailed when it is not whole."""
    await asyncio.to_thread(catalog.verify, location, manifest, key)
    with tempfile.NamedTemporaryFile() as listed, location.open(manifest.archive) as file:
        argv = (str(engine.program("pg_restore")), "--list", f"--file={listed.name}")
        tool = streams.Tool(argv, {"PATH": "/usr/bin:/bin", "LC_ALL": "C", **engine.env}, Path("/"))
        done = await streams.feed(tool, read(file, key, manifest.name, manifest.sha256))
        if done.code:
            raise BackupFailed(
                f"{manifest.name} cannot be listed by pg_restore {engine.version}",
                where=manifest.name,
                why=reason(done.said),
                hint="use another dump",
            )
        return Path(listed.name).read_text(errors="replace").count(" TABLE DATA ")


async def listing(repository: Repository) -> list[dict[str, Any]]:
    """As JSON, newest first; a dump that cannot be believed has only `id` and `why`."""
    return await asyncio.to_thread(_listing, repository)


def _listing(repository: Repository) -> list[dict[str, Any]]:
    location = repository.location()
    found = catalog.backups(location, repository.source)
    return [
        {"id": d.id, "status": "failed", "why": d.why} if isinstance(d, Broken) else view(d, proof.verdict(location, d))
        for d in reversed(found)
    ]


def view(manifest: Manifest, found: Verdict = _UNKNOWN) -> dict[str, Any]:
    """As JSON: `data` are the bytes of the dump, `size` those of what is kept; `drill` is what the last one found."""
    proven = found.proof
    return {
        "id": manifest.id,
        "status": found.status,
        "why": found.why,
        "version": manifest.version,
        "ended": manifest.ended.timestamp(),
        "data": manifest.plain,
        "size": manifest.size,
        "drill": {**asdict(proven), "at": proven.at.timestamp()} if proven else None,
    }


async def unseal(repository: Repository, id: str | None, folder: Path) -> dict[str, Any]:
    """The dump of that id, the newest when none is named, as a file that pg_restore reads; only its owner may."""
    return await asyncio.to_thread(_unseal, repository, id, folder)


def _unseal(repository: Repository, id: str | None, folder: Path) -> dict[str, Any]:
    location = repository.location()
    manifest = catalog.find(location, repository.source, id)
    key = repository.key_of(manifest)
    path = private_directory(folder) / f"{manifest.id}.dump"
    beside = path.with_suffix(".part")
    try:
        with location.open(manifest.archive) as source, beside.open("wb") as file:
            beside.chmod(0o600)
            for piece in read(source, key, manifest.name, manifest.sha256):
                file.write(piece)
        beside.rename(path)
    except OSError as error:
        raise BackupFailed(
            f"{manifest.name} cannot be written to {path}",
            where=str(path),
            why=error.strerror or str(error),
            hint="free some disk space, then try again",
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return {**view(manifest), "path": str(path)}
