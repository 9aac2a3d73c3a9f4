"""psql and redis-cli for a database: what they are started with. The password goes by the environment, never in argv,
where every user of the machine could read it. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golive.data.urls import Target
from golive.secret import Secret

PARAMETERS = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
"""What may follow the ? of a URL, and libpq's variable for it (manual, 34.15)."""
PACKAGES = {"psql": "postgresql-client", "redis-cli": "redis-tools"}
"""Debian's packages of the programs."""


@dataclass(frozen=True)
class Client:
    program: str
    args: tuple[str, ...]
    env: Mapping[str, Secret | str]


def client(target: Target) -> Client:
    """The interactive client of this database, as the app's account."""
    if target.engine == "redis":
        user = ("--user", target.user) if target.user else ()
        tls = ("--tls",) if target.tls else ()
        args = ("-h", target.host, "-p", str(target.port), "-n", target.name, *user, *tls)
        return Client("redis-cli", args, {"REDISCLI_AUTH": target.password} if target.password else {})
    env: dict[str, Secret | str] = {PARAMETERS[key]: value for key, value in target.query.items() if key in PARAMETERS}
    env |= {"PGHOST": target.host, "PGPORT": str(target.port), "PGUSER": target.user, "PGDATABASE": target.name}
    env |= {"PGPASSWORD": target.password, "PGAPPNAME": "golive-shell"}
    return Client("psql", (), env)
