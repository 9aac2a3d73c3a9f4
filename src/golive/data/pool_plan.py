"""PgBouncer decided: settings, accounts and what a version of it cannot do. No I/O here."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golive.blueprint.models import Pool

ENGINE = "pgbouncer"
SUFFIX = "@pool"
ADMIN = "_golive"
"""The account of the console."""
CONSOLE = "pgbouncer"
"""The database by whose name PgBouncer shows its console."""
PREPARED = (1, 21)
"""The first that keeps prepared statements apart from the connection they were made on."""
ITERATIONS = 4096
"""PostgreSQL's own default (scram_iterations)."""


@dataclass(frozen=True)
class Behind:
    """The PostgreSQL that the connections go to: its socket folder and port, and the app's database."""

    sockets: Path
    port: int
    database: str


def pool_name(resource: str) -> str:
    """The name of the pool's row, unit and folder."""
    return f"{resource}{SUFFIX}"


def configuration(pool: Pool, version: tuple[int, ...], behind: Behind, own: Mapping[str, str]) -> str:
    """pgbouncer.ini. `own` is where it listens, as `access_settings` gives it."""
    database = f"host={behind.sockets} port={behind.port} dbname={behind.database}"
    settings = {
        **own,
        "auth_type": "scram-sha-256",
        "admin_users": ADMIN,
        "pool_mode": pool.mode,
        "default_pool_size": str(pool.size),
        "max_db_connections": str(pool.size),
        "server_lifetime": str(int(pool.lifetime.total_seconds())),
        "max_client_conn": str(pool.clients),
        # Drivers of Java and Go send it always; it means nothing to a pool.
        "ignore_startup_parameters": "extra_float_digits",
        # After PostgreSQL was away: tried again at once, not after a quarter of a minute.
        "server_login_retry": "1",
        "log_connections": "0",
        "log_disconnections": "0",
        "log_stats": "0",
    }
    if version >= PREPARED:
        settings["max_prepared_statements"] = "200"
    lines = ["; Written by golive; what you change here is lost at the next deploy.", "[databases]"]
    lines += [f"{behind.database} = {database}", "[pgbouncer]"]
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items()), ""])


def access_settings(folder: Path, sockets: Path, port: int) -> dict[str, str]:
    """Loopback and a socket that only its own user reaches."""
    return {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": str(sockets),
        "unix_socket_mode": "0700",
        "auth_file": str(folder / "userlist.txt"),
    }


def user_list(accounts: Mapping[str, str]) -> str:
    """userlist.txt; `accounts` are names and passwords. Only what proves a password is in it, none of them."""
    return "".join(f'"{name}" "{verifier(password)}"\n' for name, password in accounts.items())


def verifier(password: str) -> str:
    """What PostgreSQL keeps instead of a password (RFC 5803; SASLprep changes nothing in the ASCII that golive makes).

    Always the same for a password, because PgBouncer can only pass a login on when its verifier is PostgreSQL's own.
    The salt may be known: passwords of golive's making are random, and nobody has a table of them.
    """
    secret = password.encode()
    salt = hashlib.sha256(b"golive SCRAM salt\0" + secret).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", secret, salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def shortcoming(pool: Pool, version: tuple[int, ...]) -> str | None:
    """What an app must know about this version; None when nothing."""
    if pool.mode == "session" or version >= PREPARED:
        return None
    has = ".".join(map(str, version))
    return (
        f"PgBouncer {has} loses prepared statements between transactions (1.21 keeps them): turn them off in the "
        "driver (Prisma `pgbouncer=true`, asyncpg `statement_cache_size=0`, pgx `default_query_exec_mode=exec`, "
        'psycopg `prepare_threshold=None`), or set `mode = "session"`'
    )
