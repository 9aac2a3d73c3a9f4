"""PostgreSQL decided: settings, access rules and names as values. No I/O here."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from golive.data.place import GIB, MIB
from golive.system.machine import Machine

SUPERUSER = "_golive"
"""No app can have this name; it connects through the socket only, as the user that runs golive."""
REPLICATOR = "_golive_backup"
"""Reads the whole cluster for backups and nothing else; by socket only, as the user that runs the engine."""
RESERVED = {"postgres", "template0", "template1", "public", "none"}
MAX_CONNECTIONS = 100
DEFAULT_EXTENSIONS = ("pg_stat_statements",)
"""In every database: it is the only one of the usual set that the owner of a database may not create by itself."""


def postgres_settings(machine: Machine, memory: int) -> dict[str, str]:
    """Settings for `memory` bytes of this machine, after PostgreSQL's own advice (manual, chapter 20; wiki "Tuning").

    A quarter of the budget is PostgreSQL's cache, the system's page cache is counted on for the rest. Durability is
    never traded: fsync, full_page_writes and synchronous_commit stay on.
    """
    cores = max(1, int(machine.cores))
    shared = max(32 * MIB, memory // 4)
    settings = {
        "max_connections": str(MAX_CONNECTIONS),
        "shared_buffers": _mib(shared),
        "effective_cache_size": _mib(max(memory * 3 // 4, shared)),
        # A query may use it several times over, so half of what a full house could take.
        "work_mem": _mib(_clamp((memory - shared) // (MAX_CONNECTIONS * 2), 4 * MIB, 64 * MIB)),
        "maintenance_work_mem": _mib(_clamp(memory // 16, 16 * MIB, GIB)),
        "huge_pages": "try",
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(_clamp(cores // 2, 0, 4)),
        "max_worker_processes": str(max(8, cores)),
        "random_page_cost": "1.1",
        "jit": "off",
    }
    if machine.os == "linux":
        settings["effective_io_concurrency"] = "32"
    return settings | _durability(memory) | _logging()


def _durability(memory: int) -> dict[str, str]:
    return {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "wal_level": "replica",
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        # What backups have not received yet waits here, bounded: an archive that is away must not stop PostgreSQL.
        "max_slot_wal_keep_size": "4GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "min_wal_size": "80MB",
        "max_wal_size": _mib(_clamp(memory // 2, 512 * MIB, 4 * GIB)),
    }


def _logging() -> dict[str, str]:
    """To stderr, which is the resource's log file. Slow statements without the values of their parameters."""
    return {
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_min_duration_statement": "500ms",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_lock_waits": "on",
        "log_temp_files": "10MB",
        "log_autovacuum_min_duration": "10s",
        "log_timezone": "UTC",
        "timezone": "UTC",
        "shared_preload_libraries": "pg_stat_statements",
        # Utility statements are kept word for word, an ALTER ROLE with its password too.
        "pg_stat_statements.track_utility": "off",
        "track_io_timing": "on",
    }


LIGHT: Mapping[str, str] = {
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
    "max_wal_size": "512MB",
    "min_wal_size": "32MB",
    # New segments are no files of zeros, and old ones go: a branch that shares its blocks stays small.
    "wal_init_zero": "off",
    "wal_recycle": "off",
}
"""For a copy that can be made again: little memory, little disk; what was written last may be lost with the machine."""


def access_settings(folder: Path, sockets: Path, port: int) -> dict[str, str]:
    """Loopback and a socket that only the engine's user and golive reach."""
    return {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "hba_file": str(folder / "pg_hba.conf"),
        "ident_file": str(folder / "pg_ident.conf"),
    }


def configuration(settings: Mapping[str, str]) -> str:
    """postgresql.conf."""
    lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    return "\n".join(["# Written by golive; what you change here is lost at the next deploy.", *lines, ""])


def access_rules(role: str | None) -> str:
    """pg_hba.conf: the superuser by socket and operating system user, the app by password, nobody else; no app when
    `role` is None."""
    app = [f'local all "{role}" scram-sha-256', f'host  all "{role}" 127.0.0.1/32 scram-sha-256'] if role else []
    return "\n".join(
        [
            "# Written by golive.",
            f"local all         {SUPERUSER} peer map=golive",
            f"local replication {SUPERUSER} peer map=golive",
            f"local replication {REPLICATOR} peer map=golive_backup",
            *app,
            "local all all reject",
            "host  all all all reject",
            "",
        ]
    )


def user_map(system_user: str, engine_user: str) -> str:
    """pg_ident.conf: the operating system users that may be the superuser, the one golive runs as, and take backups,
    the one that runs the engine: it can read all of the data as it is."""
    return f'# Written by golive.\ngolive "{system_user}" {SUPERUSER}\ngolive_backup "{engine_user}" {REPLICATOR}\n'


def initdb_arguments(major: int, os: str) -> tuple[str, ...]:
    """Checksums, UTF-8, and an order of text that no upgrade of the C library can change (which breaks indexes)."""
    locale: tuple[str, ...] = ("--no-locale",)
    if major >= 17:
        locale = ("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    elif os == "linux":
        locale = ("--locale=C", "--lc-ctype=C.UTF-8")
    return (
        *("--username", SUPERUSER, "--auth-local=peer", "--auth-host=scram-sha-256"),
        *("--encoding=UTF8", "--data-checksums", *locale),
    )


def identifier(app: str) -> str:
    """The name of the app's role and database."""
    name = re.sub(r"[^a-z0-9_]", "_", app.lower())[:59]
    return f"app_{name}" if name in RESERVED or name.startswith(("pg_", "_")) else name


def url(user: str, password: str, port: int, database: str) -> str:
    return f"postgresql://{user}:{urllib.parse.quote(password, safe='')}@127.0.0.1:{port}/{database}"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _mib(count: int) -> str:
    return f"{count // MIB}MB"


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
