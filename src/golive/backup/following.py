"""A database that follows its backups on another machine: a base backup, and a server that replays what arrives.

    <data>.following/
        data/             of a server that stays in recovery (`standby.signal`) and lets golive alone read
        wal/              segments out of the location that it has still to replay, and what there is of the newest one
        manifest.json     the base backup that it began with
        seen.json         how far it was at the last look; `first`, `partial.json`: what need not be fetched again

Its end is `<data>`: the last WAL is fetched, the server replays it as a restore does, and the folder is renamed.
Whatever is killed, `standby.signal`, `recovery.signal` or neither says how far it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.backup import archive, catalog, proof, recovery, restore, wal
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.backup.location import Entry
from golive.backup.recovery import Latest
from golive.backup.repository import Repository
from golive.backup.restore import Report, Restored
from golive.backup.server import Server, environment
from golive.errors import BackupFailed, NotFound
from golive.system import leftovers
from golive.system.files import private_directory, remove_tree, write_atomic
from golive.system.processes import Spec, run

SIGNAL, RECOVER = "standby.signal", "recovery.signal"
PARTIAL, PARTIALS = ".partial", "partial.json"
_WHOLE = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")
_LIMITS = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
"""Of pg_controldata: a standby that may be read from refuses to run with less than its primary."""
_ASK = """
SELECT pg_last_wal_replay_lsn()::text, extract(epoch FROM pg_last_xact_replay_timestamp())::float8,
       (pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC')::text, pg_is_wal_replay_paused(),
       (SELECT redo_wal_file FROM pg_control_checkpoint())"""
GRACE = 60.0
"""Seconds for a server to end in order."""
AT_ONCE, MOST = 4, 64
"""Segments fetched at a time (a bucket is far away), and at a look: they take room until they are replayed."""


@dataclass(frozen=True)
class Followed:
    """`data` is where the database's data will be; `server` says how the one that replays runs."""

    server: Server
    repository: Repository
    data: Path

    @property
    def work(self) -> Path:
        return self.data.with_name(f"{self.data.name}.following")

    @property
    def wal(self) -> Path:
        return self.work / "wal"

    @property
    def base(self) -> Manifest | None:
        """What it began with; None before that is unpacked."""
        with contextlib.suppress(FileNotFoundError):
            return catalog.decode((self.work / catalog.MANIFEST).read_bytes())
        return None


@dataclass(frozen=True)
class Seen:
    """At a look. Positions in bytes of WAL: `end` of what has arrived, `replayed` of what is in the data; `files` are
    segments that wait. `last` is when the newest transaction in it was committed, in seconds since the epoch, and
    `words` the same in UTC. `news`: something has come since the look before, `came` when that was so last.
    `paused`: it wants to be started anew."""

    base: str
    end: int
    replayed: int = 0
    files: int = 0
    last: float | None = None
    words: str = ""
    news: bool = False
    came: float | None = None
    paused: bool = False

    @property
    def behind(self) -> int:
        """Bytes that have arrived and are not in the data."""
        return max(self.end - self.replayed, 0)


async def begin(followed: Followed, report: Report = lambda _what, _done, _total: None) -> Manifest | None:
    """Unpack the newest base backup that has not failed, unless what is here follows on that; None while there is none.
    The server must not run. Killed at any point, it may be done once more."""
    repository, work = followed.repository, followed.work
    location = repository.location()
    if (manifest := _newest(repository)) is None:
        return None
    base = followed.base
    if base is not None and base.stream == manifest.stream and not (manifest.id > base.id and _is_cut_off(followed)):
        return base
    key, beside = repository.key_of(manifest), work.with_name(f"{work.name}.new")
    await restore.tidy(beside)
    restore.require(followed.server, manifest, key, followed.data, restore.needed(location, manifest))
    restore.make_work(beside, followed.server)
    user = followed.server.user
    private_directory(beside / "wal", 0o750 if user else 0o700)
    if user:
        os.chown(beside / "wal", 0, user.gid)
    await restore.unpack(followed.server, location, manifest, key, beside, report, SIGNAL)
    write_atomic(beside / catalog.MANIFEST, catalog.encode(manifest))
    await restore.tidy(work)
    beside.rename(work)
    return manifest


def is_over(followed: Followed) -> bool:
    """Whether a newer base backup is what it has to begin with again: one of another stream of WAL, since nothing more
    will come in this one, or where WAL is gone that was not fetched in time."""
    base, repository = followed.base, followed.repository
    if base is None:
        return True
    top = f"{repository.source}/base"
    names = (entry.name for entry in repository.location().list(top))
    newest = max((name.split("/")[-2] for name in names if name.endswith(f"/{catalog.MANIFEST}")), default="")
    if newest <= base.id:
        return False
    manifest = f"{top}/{newest}/{catalog.MANIFEST}"
    with contextlib.suppress(NotFound, ValueError), repository.location().open(manifest) as file:
        if catalog.decode(file.read()).stream == base.stream:  # as nearly always: the others need not be read
            return _is_cut_off(followed)
    chosen = _newest(repository)
    return chosen is not None and chosen.id > base.id and chosen.stream != base.stream


def _is_cut_off(followed: Followed) -> bool:
    """It was away for so long that the segment which it replays next was kept no longer. Only asked of the location
    while more has arrived than it has."""
    base, seen = _base(followed), _before(followed)
    replayed = max(int(seen.get("replayed", 0)), wal.position(base.start_lsn))
    wanted = replayed // base.segment
    if int(seen.get("end", 0)) // base.segment <= wanted:
        return False
    return all(_lacks(followed, base, wanted) for _ in range(2))  # a list of what changes meanwhile may lack one


def _lacks(followed: Followed, base: Manifest, number: int) -> bool:
    """Whether there are later segments than that one, and it is not there."""
    names = [entry.name.rsplit("/", 1)[1] for entry in _arrived(followed, base)]
    here = [path.name for path in followed.wal.iterdir()]
    known = {each.number for each in wal.segments([*names, *here], base.segment)}
    return number not in known and max(known, default=number) > number


def _arrived(followed: Followed, base: Manifest) -> list[Entry]:
    """WAL in the location that the server may ask for. A month of it is many pages of a bucket's list, so what it needs
    no more is not asked for; what comes first, the history of its timeline, is here by then."""
    repository, first = followed.repository, _first(followed)
    folder = f"{repository.source}/wal/{base.stream}"
    after = f"{folder}/{wal.segment_name(first - 1, base.timeline, base.segment)}" if first else ""
    return repository.location().list(folder, after) if base.stream else []


def _newest(repository: Repository) -> Manifest | None:
    location = repository.location()
    known = [each for each in catalog.backups(location, repository.source) if isinstance(each, Manifest)]
    return proof.choose(location, known, Latest())[0] if known else None


def look(followed: Followed) -> Seen:
    """Fetch what has arrived, ask the server, and drop what it needs no more. BackupFailed for what is damaged."""
    base = _base(followed)
    end, news = fetch(followed, base)
    seen = _asked(followed, base, end, news)
    write_atomic(followed.work / "seen.json", json.dumps(dataclasses.asdict(seen)), sync=False)
    return seen


def _base(followed: Followed) -> Manifest:
    base = followed.base
    if base is None:
        raise NotFound(f"{followed.server.label} follows nothing yet", where=str(followed.work))
    return base


def _before(followed: Followed) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        found: dict[str, Any] = json.loads((followed.work / "seen.json").read_text())
        return found
    return {}


def _asked(followed: Followed, base: Manifest, end: int, news: bool) -> Seen:
    """A server that lets nobody in yet replays towards the first moment at which it may."""
    before = _before(followed)
    seen = Seen(base.id, end, wal.position(base.start_lsn), last=before.get("last"), words=before.get("words", ""))
    try:
        with followed.server.session() as session:
            row = session.execute(_ASK).fetchone()
    except BackupFailed:
        row = None
    if row and row[0]:
        replayed, segment = wal.position(row[0]), base.segment
        _drop(followed, row[4], segment)
        files = max(-(-end // segment) - replayed // segment - 1, 0) if end > replayed else 0
        last, words = (row[1], row[2]) if row[1] else (seen.last, seen.words)
        seen = Seen(base.id, end, replayed, files, last, words, paused=bool(row[3]))
    return dataclasses.replace(seen, news=news, came=time.time() if news else before.get("came"))


def _drop(followed: Followed, redo: str, segment: int) -> None:
    """It begins again at `redo` after a restart, and needs nothing before: that is not fetched again either."""
    first = max((each.number for each in wal.segments([redo], segment)), default=0)
    if first > _first(followed):
        write_atomic(followed.work / "first", str(first), sync=False)
    for path in followed.wal.iterdir():
        if any(each.number < first for each in wal.segments([path.name], segment)):
            path.unlink()


def _first(followed: Followed) -> int:
    """The number of the oldest segment that may be asked for, as far as is known."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((followed.work / "first").read_text())
    return 0


def fetch(followed: Followed, base: Manifest, *, anew: bool = False) -> tuple[int, bool]:
    """Segments in the location that are not here, the oldest first and so many at a time, and the part of the newest
    one when it has grown. With `anew` all of them, and that part in any case. Where what is there ends, in bytes, and
    whether something came."""
    repository = followed.repository
    key = repository.key_of(base)
    known = {entry.name.rsplit("/", 1)[1]: entry for entry in _arrived(followed, base)}
    sizes = {} if anew else _sizes(followed)
    missing = _missing(followed, base, known, sizes)
    wanted = missing if anew else missing[:MOST]

    def one(name: str) -> bool:
        try:
            _take(followed, repository, key, known[name].name, name)
        except NotFound:  # it is whole by now: at the next look
            return False
        (followed.wal / f"{name}{PARTIAL}").unlink(missing_ok=True)
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        came = [name for name, done in zip(wanted, pool.map(one, wanted), strict=True) if done]
    if came:
        sizes = {name: size for name, size in sizes.items() if name in known}
        sizes |= {name: known[name].size for name in came if name.endswith(PARTIAL)}
        write_atomic(followed.work / PARTIALS, json.dumps(sizes), sync=False)
    return _end(followed, base, known, bool(came)), bool(came)


def _sizes(followed: Followed) -> dict[str, int]:
    """Of the parts of segments that were fetched. Nothing where a machine that lost its power has left a torn file."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        found: dict[str, int] = json.loads((followed.work / PARTIALS).read_text())
        return found
    return {}


def _missing(followed: Followed, base: Manifest, known: Mapping[str, Entry], sizes: Mapping[str, int]) -> list[str]:
    """Names in the location, in order, of what the server may ask for and has not been given."""
    here = {path.name for path in followed.wal.iterdir() if not _is_short(path, base.segment)}
    first = max(wal.position(base.start_lsn) // base.segment, _first(followed))
    found = []
    for name, entry in sorted(known.items()):
        if name.endswith(PARTIAL):
            stale = name.removesuffix(PARTIAL) in known or (name in here and sizes.get(name) == entry.size)
        else:
            stale = name in here or not _WHOLE.fullmatch(name)
        needed = name.endswith(".history") or any(s.number >= first for s in wal.segments([name], base.segment))
        if needed and not stale:
            found.append(name)
    return found


def _is_short(path: Path, segment: int) -> bool:
    """A segment of which a power cut has left only a part: PostgreSQL would refuse it for ever."""
    return bool(wal.segments([path.name], segment)) and path.stat().st_size != segment


def _end(followed: Followed, base: Manifest, known: Iterable[str], news: bool) -> int:
    """Of the part of a segment that is where the zeros begin that pg_receivewal fills it up with."""
    if not news and (before := _before(followed).get("end")):
        return int(before)
    found = wal.segments(known, base.segment)
    if not found:
        return wal.position(base.stop_lsn)
    newest = found[-1]
    if not newest.partial:
        return (newest.number + 1) * base.segment
    part = followed.wal / f"{wal.segment_name(newest.number, newest.timeline, base.segment)}{PARTIAL}"
    return newest.number * base.segment + (len(part.read_bytes().rstrip(b"\0")) if part.exists() else 0)


def _take(followed: Followed, repository: Repository, key: Key, source: str, name: str) -> None:
    """It appears whole: the server may ask for it at any time."""
    beside = followed.work / f"{name}.new"
    with repository.location().open(source) as file, beside.open("wb") as target:
        for data in archive.read(file, key, source):
            target.write(data)
        target.flush()
        os.fsync(target.fileno())  # what has its name is never fetched again
    if followed.server.user is not None:
        os.chown(beside, 0, followed.server.user.gid)
        beside.chmod(0o640)
    beside.rename(followed.wal / name)


async def spec(followed: Followed) -> Spec:
    """The server that replays for as long as it runs. Whoever starts it ends what is `left` first."""
    server, work = followed.server, followed.work
    given = recovery.settings(Latest(), None) | {
        "hot_standby": "on",
        "restore_command": _restore_command(followed.wal),
        "wal_retrieve_retry_interval": "2s",
        "log_min_messages": "fatal",  # a word for each segment and each look otherwise
        **restore.addresses(server, work),
        **await _limits(followed),
    }
    arguments = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    return Spec(
        (str(server.engine.program("postgres")), "-D", str(work / "data"), *arguments),
        env=environment(server.engine), cwd=work / "data", output=work / "postgres.log", user=server.user,
        private=True, name=f"{server.label}/standby",
    )  # fmt: skip


def _restore_command(folder: Path) -> str:
    """A segment; what there is of it only when it has grown since PostgreSQL, which asks all the time, had it last."""
    quoted = shlex.quote(str(folder)).replace("%", "%%")
    return (
        f'test -f {quoted}/%f && exec cp {quoted}/%f "%p"; test -f {quoted}/%f.partial || exit 1; '
        f'test -f pg_wal/%f && ! test {quoted}/%f.partial -nt pg_wal/%f && exit 1; exec cp {quoted}/%f.partial "%p"'
    )


async def _control(followed: Followed) -> dict[str, str]:
    server, data = followed.server, followed.work / "data"
    program = str(server.engine.program("pg_controldata"))
    done = await run((program, str(data)), env=environment(server.engine), cwd=data, user=server.user)
    lines = (line.partition(":") for line in done.output.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


async def _limits(followed: Followed) -> dict[str, str]:
    found = await _control(followed)
    return {setting: found[name] for name, setting in _LIMITS.items() if name in found}


async def end(followed: Followed) -> None:
    """Of a server that works there, whoever started it: in order, so that it begins again where it was."""
    data = followed.work / "data"
    found = await asyncio.to_thread(leftovers.working_in, data, ("postgres",))
    pid = _pid(data)
    await leftovers.end([each for each in found if each.pid == pid], signal.SIGINT, GRACE)
    found = await asyncio.to_thread(leftovers.working_in, data, ("postgres",))
    await leftovers.end(found, signal.SIGQUIT, 2)
    with contextlib.suppress(OSError):
        (data / "postmaster.pid").unlink()


def _pid(data: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((data / "postmaster.pid").read_text(errors="replace").split()[0])
    return None


async def finish(followed: Followed, report: Report = lambda _what, _done, _total: None) -> Restored:
    """Everything that has arrived is replayed, and the data is the database's: a clean folder, as of a restore.

    Done once more it goes on where it was. BackupFailed says what is missing or damaged.
    """
    began, base, work = time.monotonic(), _base(followed), followed.work
    server, data, log = followed.server, work / "data", work / "postgres.log"
    await end(followed)
    if (data / SIGNAL).exists() or (data / RECOVER).exists():
        report("WAL", 0, 0)
        fetch(followed, base, anew=True)
        await _as_user(followed, "touch", RECOVER)
        await _as_user(followed, "rm", "-f", SIGNAL)
        log.unlink(missing_ok=True)
    from_here = await _since(followed, base)
    names = [path.name for path in followed.wal.iterdir()]
    recovery.require_wal(from_here, names, Latest())
    report("replay", 0, 0)
    async with restore.serving(server, from_here, Latest(), work, followed.wal):
        recovery.require_end(from_here, names, Latest(), log.read_text(errors="replace"))
        last = restore.last_commit(server) or str(_before(followed).get("words", ""))
    (work / "data").rename(followed.data)
    remove_tree(work)
    return Restored(followed.data, base, last, time.monotonic() - began)


async def _since(followed: Followed, base: Manifest) -> Manifest:
    """The base as it would be if it had been taken where the server stands: nothing before is asked for."""
    found = await _control(followed)
    at = found.get("Latest checkpoint's REDO location", base.stop_lsn)
    return dataclasses.replace(base, stop_lsn=at) if wal.position(at) > wal.position(base.stop_lsn) else base


async def _as_user(followed: Followed, program: str, *arguments: str) -> None:
    """golive does not write in a folder of another user."""
    data = followed.work / "data"
    words = [each if each.startswith("-") else str(data / each) for each in arguments]
    done = await run(
        (program, *words), env=environment(followed.server.engine), cwd=data, user=followed.server.user
    )  # fmt: skip
    if done.code:
        raise BackupFailed(
            f"{followed.server.label} could not be taken over", where=str(data), why=done.output.strip() or None,
            hint="mend that, then try again: it goes on where it was",
        )  # fmt: skip
