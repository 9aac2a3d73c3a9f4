"""Two Redis side by side: how many keys, what they take, and the newest entries of their streams, by kinds of keys.

A kind is what stands before the first colon of a name. Redis does not keep when a key was written; of a stream it does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from golive.backup.redis import TROUBLE, RedisServer
from golive.errors import BackupFailed
from golive.system import resp
from golive.system.resp import Connection

MOST = 200_000
"""Keys that are looked at; what there is beyond is only counted."""
AT_ONCE, SAMPLE = 1000, 20
KINDS = 100
"""That are told apart, the most frequent ones; the others are one."""
OTHERS, EVERYTHING = "others", "all keys"


@dataclass(frozen=True)
class Kind:
    """Keys of one kind, `bytes` going by some of them; not `exact` where there were more than were looked at. `newest`
    is when the last entry of a stream among them was added, in UTC; empty without one."""

    keys: int
    bytes: int
    exact: bool = True
    newest: str = ""


async def side_by_side(live: RedisServer, copy: RedisServer) -> list[dict[str, Any]]:
    """As JSON, a line for each kind of either, all keys first; `live` and `copy` are null where there is none."""
    here, there = await kinds(live), await kinds(copy)
    names = [EVERYTHING, *sorted({*here, *there} - {EVERYTHING})]
    return [{"kind": name, "live": _view(here.get(name)), "copy": _view(there.get(name))} for name in names]


def _view(kind: Kind | None) -> dict[str, Any] | None:
    return asdict(kind) if kind else None


async def kinds(server: RedisServer) -> dict[str, Kind]:
    """By name, with the number of its database before it where that is not 0. BackupFailed when it does not answer."""
    try:
        async with resp.connect(resp.Address(socket=server.socket), server.user, server.password) as connection:
            info = await connection.info("keyspace", "memory")
            counts = {
                int(n[2:]): int(text.split(",")[0].partition("=")[2]) for n, text in info.items() if n[:2] == "db"
            }
            found: dict[str, Kind] = {}
            for database in sorted(counts):
                await connection.call("SELECT", database)
                found |= await _database(connection, f"{database}/" if database else "")
    except TROUBLE as error:
        raise BackupFailed(
            f"{server.label} does not answer",
            where=server.label,
            why=str(error) or type(error).__name__,
            hint="look whether it runs: golive status",
        ) from error
    everything = Kind(sum(counts.values()), int(info.get("used_memory_dataset", info.get("used_memory", "0"))))
    return {EVERYTHING: everything} | found


async def _database(connection: Connection, prefix: str) -> dict[str, Kind]:
    counted: Counter[str] = Counter()
    samples: dict[str, list[str]] = defaultdict(list)
    cursor, looked = "0", 0
    while True:
        cursor, keys = await _scan(connection, cursor)
        looked += len(keys)
        for key in keys:
            name = kind_of(key)
            counted[name] += 1
            if len(samples[name]) < SAMPLE:
                samples[name].append(key)
        if cursor == "0" or looked >= MOST:
            break
    exact = cursor == "0"
    newest = await _streams(connection)
    kept = dict(counted.most_common(KINDS))
    found: dict[str, Kind] = {}
    for name, count in kept.items():
        sizes = await connection.many([("MEMORY", "USAGE", key) for key in samples[name]])
        known = [size for size in sizes if isinstance(size, int)]
        size = sum(known) * count // len(known) if known else 0
        found[prefix + name] = Kind(count, size, exact, newest.get(name, ""))
    if rest := counted.total() - sum(kept.values()):
        found[prefix + OTHERS] = Kind(rest, 0, exact)
    return found


async def _scan(connection: Connection, cursor: str, *more: str | int) -> tuple[str, list[str]]:
    answer = await connection.call("SCAN", cursor, "COUNT", AT_ONCE, *more)
    if not isinstance(answer, list) or not isinstance(answer[1], list):
        raise resp.RedisError("SCAN answers what it should not")
    return str(answer[0]), [str(key) for key in answer[1]]


async def _streams(connection: Connection) -> dict[str, str]:
    """The newest entry of each kind's streams: its id begins with the time."""
    latest: dict[str, int] = {}
    cursor, looked = "0", 0
    while True:
        cursor, keys = await _scan(connection, cursor, "TYPE", "stream")
        looked += AT_ONCE
        for key, entry in zip(
            keys, await connection.many([("XREVRANGE", k, "+", "-", "COUNT", 1) for k in keys]), strict=True
        ):
            if isinstance(entry, list) and entry and isinstance(entry[0], list):
                moment = int(str(entry[0][0]).partition("-")[0])
                latest[kind_of(key)] = max(latest.get(kind_of(key), 0), moment)
        if cursor == "0" or looked >= MOST:
            return {name: _time(moment) for name, moment in latest.items()}


def _time(moment: int) -> str:
    """Of milliseconds since the epoch; empty where an app makes ids of its own that are no times."""
    try:
        return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


def kind_of(key: str) -> str:
    """`session:*` of `session:8f2a`; what has no colon is of its own kind, all together."""
    head, colon, _ = key.partition(":")
    return f"{head.encode(errors='surrogateescape').decode(errors='replace')}:*" if colon else "*"
