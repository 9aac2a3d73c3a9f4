"""Redis decided: settings, accounts and how one kind of persistence gives way to another. No I/O here."""

from __future__ import annotations

import hashlib
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from golive.blueprint.models import Resource

ADMIN = "golive"
APP = "default"
"""The app is Redis's default user: a client that only knows a password gets in, and so does one that sends a name."""
Persistence = Literal["aof", "rdb", "none"]

RDB_SAVES = "900 1 300 10 60 10000"
"""Redis's own classic set: a kill loses up to 15 minutes of a quiet store, one of a busy one."""
RDB_FILE = "dump.rdb"
NO_FILE = "none.rdb"
"""The name of a file that is never written, so that `none` neither reads nor touches what was kept before."""

ALLOWED_DANGEROUS = ("flushdb", "keys", "sort", "info", "role", "dump", "restore")
"""In Redis's @dangerous, but of ordinary clients and harmless to anybody else: the server belongs to this app alone.
FLUSHDB is what the cache of Django and Rails calls to clear itself; FLUSHALL, CONFIG, SHUTDOWN, DEBUG, SAVE, ACL,
REPLICAOF, MODULE, MONITOR and MIGRATE stay golive's."""
CLIENT_WORDS = ("setname", "getname", "id", "list", "info", "reply", "tracking", "caching", "unblock")


def redis_settings(resource: Resource, memory: int, persistence: Persistence) -> dict[str, str]:
    """Limits and durability. `persistence` is the one to start with, see `starts_with`."""
    settings = {
        "maxmemory": str(memory),
        "maxmemory-policy": resource.eviction,
        "maxclients": "4000",
        "databases": "16",
        "protected-mode": "yes",
        "tcp-keepalive": "300",
        "timeout": "0",
        "daemonize": "no",
        "loglevel": "notice",
        "logfile": "",
        "always-show-logo": "no",
        "lazyfree-lazy-eviction": "yes",
        "lazyfree-lazy-expire": "yes",
    }
    return settings | persistence_settings(persistence)


def persistence_settings(persistence: Persistence) -> dict[str, str]:
    """With an AOF no RDB saves: they add nothing to what survives and cost a fork each."""
    return {
        "appendonly": "yes" if persistence == "aof" else "no",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "aof-use-rdb-preamble": "yes",
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "64mb",
        "save": RDB_SAVES if persistence == "rdb" else "",
        "dbfilename": NO_FILE if persistence == "none" else RDB_FILE,
    }


def access_settings(data: Path, socket: Path, port: int, version: tuple[int, ...]) -> dict[str, str]:
    """Loopback and a socket that only the engine's user and golive reach."""
    # Redis 7 lets nobody change `dbfilename` at run time otherwise; the app may change no setting at all.
    protected = {"enable-protected-configs": "local"} if version >= (7,) else {}
    return protected | {
        "bind": "127.0.0.1",
        "port": str(port),
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data),
    }


def starts_with(wanted: Persistence, kept: Persistence | None, files: Sequence[str]) -> Persistence:
    """What to start with so that nothing kept is overlooked; `wanted` is put in force once it runs.

    Redis reads the AOF or the RDB file, never both: started with `appendonly yes` beside a dump.rdb it comes up empty.
    `kept` is what was in force when it last ran, None before the first start; `files` are in its data directory.
    """
    if kept is not None:
        return kept
    has_aof = any(name.startswith("appendonly") for name in files)
    if RDB_FILE in files and not has_aof:
        return "rdb"
    return "aof" if has_aof else wanted


def app_rules(password_hash: str, version: tuple[int, ...]) -> tuple[str, ...]:
    """The app's account as Redis's ACL words, for this version of Redis."""
    if version >= (7,):
        client: tuple[str, ...] = ("+client", "-client|kill", "-client|pause", "-client|unpause", "-client|no-evict")
    else:
        # Redis 6 cannot take a subcommand away, and accepts any word as one.
        client = tuple(f"+client|{word}" for word in CLIENT_WORDS)
    channels = ("&*",) if version >= (6, 2) else ()
    allowed = (f"+{name}" for name in ALLOWED_DANGEROUS)
    return ("on", f"#{password_hash}", "~*", *channels, "+@all", "-@admin", "-@dangerous", *allowed, *client)


def admin_rules(password_hash: str, version: tuple[int, ...]) -> tuple[str, ...]:
    return ("on", f"#{password_hash}", "~*", *(("&*",) if version >= (6, 2) else ()), "+@all")


def configuration(settings: Mapping[str, str], accounts: Mapping[str, Sequence[str]]) -> str:
    """redis.conf. Passwords are in it as SHA-256 only."""
    lines = [f"{name} {value if name in UNQUOTED and value else quoted(value)}" for name, value in settings.items()]
    users = [f"user {name} {' '.join(rules)}" for name, rules in accounts.items()]
    return "\n".join(["# Written by golive; what you change here is lost at the next deploy.", *lines, *users, ""])


UNQUOTED = {"save"}
"""A list of words; an empty one is written as an empty string, which is how Redis spells "never"."""


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def url(password: str, port: int) -> str:
    return f"redis://{APP}:{urllib.parse.quote(password, safe='')}@127.0.0.1:{port}/0"
