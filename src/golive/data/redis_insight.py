"""What Redis knows about itself, and, pure, what of it wants mending (redis.io, INFO and SLOWLOG)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from golive.data.insight import Finding, Level, worst_first
from golive.system.resp import Connection, RedisError, Value
from golive.units import human_duration, human_size

SECTIONS = ("server", "memory", "stats", "persistence", "clients", "keyspace", "replication")
MIB = 2**20


@dataclass(frozen=True)
class SlowCommand:
    """`at` in seconds since 1970, `took` in seconds. The key is the first argument; values are left out."""

    at: int
    took: float
    command: str
    key: str


@dataclass(frozen=True)
class KeySpace:
    keys: int
    expiring: int


@dataclass(frozen=True)
class RedisFacts:
    """Sizes in bytes, `up` and `unsaved_for` in seconds. `slow` is None where the account may not read the slow log."""

    version: str
    up: int
    used: int
    limit: int
    policy: str
    fragmentation: float
    evicted: int
    hits: int
    misses: int
    clients: int
    max_clients: int
    rejected: int
    blocked: int
    aof: bool
    saves: bool | None
    failing: tuple[str, ...]
    unsaved: int
    unsaved_for: int
    replicas: int
    keys: dict[str, KeySpace] = field(default_factory=dict)
    slow: tuple[SlowCommand, ...] | None = None
    latency: float = 0.0
    """Seconds that a PING took."""

    @property
    def hit_rate(self) -> float | None:
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


@dataclass(frozen=True)
class Limits:
    """From where something is worth a word."""

    memory: float = 0.75
    memory_critical: float = 0.9
    lookups: int = 1000
    hit_rate: float = 0.8
    clients: float = 0.8
    fragmentation: float = 1.5
    fragmented_size: int = 100 * MIB
    unsaved_for: float = 3600
    slow: float = 0.01


USUAL = Limits()
FAILING = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


async def read_facts(connection: Connection) -> RedisFacts:
    """RedisError when the account may not even ask for INFO."""
    info = await connection.info(*SECTIONS)
    began = time.perf_counter()
    await connection.call("PING")
    latency = time.perf_counter() - began
    facts = facts_from(info, await _saves(connection), await _slow(connection), await _now(connection))
    return replace(facts, latency=latency)


async def _saves(connection: Connection) -> bool | None:
    """Whether it writes snapshots by itself; None where CONFIG is not allowed."""
    try:
        answer = await connection.call("CONFIG", "GET", "save")
    except RedisError:
        return None
    return isinstance(answer, list) and len(answer) == 2 and bool(answer[1])


async def _slow(connection: Connection) -> tuple[SlowCommand, ...] | None:
    try:
        answer = await connection.call("SLOWLOG", "GET", 32)
    except RedisError:
        return None
    found = [_slow_command(entry) for entry in answer if isinstance(entry, list)] if isinstance(answer, list) else []
    return tuple(sorted(found, key=lambda each: -each.took)[:10])


def _slow_command(entry: list[Value]) -> SlowCommand:
    """An entry is id, time, microseconds, the words of the command, and more."""
    words = [str(word) for word in entry[3]] if isinstance(entry[3], list) else []
    key = words[1] if len(words) > 1 and words[0].upper() not in ("AUTH", "HELLO", "ACL", "CONFIG", "EVAL") else ""
    return SlowCommand(_int(entry[1]), _int(entry[2]) / 1e6, words[0].upper() if words else "?", key[:60])


async def _now(connection: Connection) -> int:
    try:
        answer = await connection.call("TIME")
    except RedisError:
        return 0
    return _int(answer[0]) if isinstance(answer, list) and answer else 0


def facts_from(info: dict[str, str], saves: bool | None, slow: tuple[SlowCommand, ...] | None, now: int) -> RedisFacts:
    """Pure: INFO as Redis prints it, and what was asked beside."""
    whole = {name: _int(value) for name, value in info.items()}.get
    saved = whole("rdb_last_save_time") or now
    return RedisFacts(
        version=info.get("valkey_version") or info.get("redis_version", "unknown"),
        up=whole("uptime_in_seconds") or 0,
        used=whole("used_memory") or 0,
        limit=whole("maxmemory") or 0,
        policy=info.get("maxmemory_policy", "unknown"),
        fragmentation=_float(info.get("mem_fragmentation_ratio", "1")),
        evicted=whole("evicted_keys") or 0,
        hits=whole("keyspace_hits") or 0,
        misses=whole("keyspace_misses") or 0,
        clients=whole("connected_clients") or 0,
        max_clients=whole("maxclients") or 0,
        rejected=whole("rejected_connections") or 0,
        blocked=whole("blocked_clients") or 0,
        aof=info.get("aof_enabled") == "1",
        saves=saves,
        failing=tuple(name for name in FAILING if info.get(name, "ok") != "ok"),
        unsaved=whole("rdb_changes_since_last_save") or 0,
        unsaved_for=max(now - saved, 0),
        replicas=whole("connected_slaves") or 0,
        keys={name: _key_space(value) for name, value in info.items() if name[:2] == "db" and name[2:].isdigit()},
        slow=slow,
    )


def _key_space(text: str) -> KeySpace:
    """`keys=3,expires=1,avg_ttl=0`."""
    parts = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    return KeySpace(_int(parts.get("keys", "0")), _int(parts.get("expires", "0")))


def _int(value: Value) -> int:
    text = str(value)
    return int(text) if text.lstrip("-").isdigit() else 0


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def findings(facts: RedisFacts, limits: Limits = USUAL) -> tuple[Finding, ...]:
    rules = (_memory, _hits, _persistence, _clients, _slow_log)
    return worst_first(finding for rule in rules for finding in rule(facts, limits))


def _memory(facts: RedisFacts, limits: Limits) -> Iterator[Finding]:
    more = "more `memory` for it in golive.toml, shorter lifetimes of keys, or `eviction` for what may be lost"
    if not facts.limit:
        what = f"{human_size(facts.used)} and no limit: it takes the machine's memory until it is killed"
        yield Finding("warning", "no-limit", "memory", what, "set maxmemory, and a policy that says what may go")
        return
    share = facts.used / facts.limit
    used = f"{share:.0%} of {human_size(facts.limit)} is used"
    if facts.policy == "noeviction" and share >= limits.memory:
        level: Level = "critical" if share >= limits.memory_critical else "warning"
        yield Finding(level, "memory", "memory", f"{used}; at the limit writes are refused (noeviction)", more)
    if (
        facts.policy.startswith("volatile")
        and share >= limits.memory
        and not sum(k.expiring for k in facts.keys.values())
    ):
        what = f"{used}, and {facts.policy} finds no key with a lifetime: at the limit writes are refused"
        yield Finding(
            "critical", "nothing-to-evict", "memory", what, "give keys a lifetime (EXPIRE), or use an allkeys policy"
        )
    if facts.evicted:
        level = "note" if facts.policy.startswith("allkeys") else "warning"
        what = f"{facts.evicted:,} keys were evicted since its start, by {facts.policy}"
        yield Finding(level, "evicted", "memory", what, more)
    if facts.fragmentation >= limits.fragmentation and facts.used >= limits.fragmented_size:
        what = f"it takes {facts.fragmentation:.1f} times of the machine's memory what its data needs"
        yield Finding("note", "fragmentation", "memory", what, "CONFIG SET activedefrag yes where it is built with it")


def _hits(facts: RedisFacts, limits: Limits) -> Iterator[Finding]:
    asked, rate = facts.hits + facts.misses, facts.hit_rate
    if rate is not None and asked >= limits.lookups and rate < limits.hit_rate:
        what = f"{rate:.0%} of {asked:,} look-ups found their key"
        todo = "for a cache: longer lifetimes or more memory; a store that is asked for what is not there is fine"
        yield Finding("note", "hit-rate", "look-ups", what, todo)


def _persistence(facts: RedisFacts, limits: Limits) -> Iterator[Finding]:
    for name in facts.failing:
        what = f"{name} is not ok: what changes now is lost when it stops"
        yield Finding("critical", "persistence", "persistence", what, "free disk space; its log says why: golive logs")
    if facts.aof:
        return
    if facts.saves is False:
        what = "nothing is kept on disk: a restart begins empty"
        yield Finding(
            "note", "not-kept", "persistence", what, 'persistence = "aof" in golive.toml unless it is a cache'
        )
    elif facts.unsaved and facts.unsaved_for >= limits.unsaved_for:
        what = f"{facts.unsaved:,} changes are not on disk; last snapshot {human_duration(facts.unsaved_for)} ago"
        yield Finding("warning", "unsaved", "persistence", what, 'persistence = "aof" loses a second at most')


def _clients(facts: RedisFacts, limits: Limits) -> Iterator[Finding]:
    if facts.max_clients and facts.clients >= facts.max_clients * limits.clients:
        what = f"{facts.clients} of {facts.max_clients} connections are taken"
        yield Finding("warning", "clients", "connections", what, "one pool for each process, not one for each request")
    if facts.rejected:
        what = f"{facts.rejected:,} connections were refused since its start"
        yield Finding("warning", "rejected", "connections", what, "one pool for each process, not one for each request")


def _slow_log(facts: RedisFacts, limits: Limits) -> Iterator[Finding]:
    for each in facts.slow or ():
        if each.took >= limits.slow:
            what = f"took {human_duration(each.took)}, and everybody else waited"
            todo = "SCAN instead of KEYS, UNLINK instead of DEL, smaller values, ranges instead of whole lists"
            yield Finding("warning", "slow-command", f"{each.command} {each.key}".strip(), what, todo)
