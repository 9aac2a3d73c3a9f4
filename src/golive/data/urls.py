"""Connection URLs of other people's databases: taken apart, judged and put together again. No I/O here."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from golive.errors import ResourceFailed
from golive.secret import Secret

SCHEMES = {"postgres": ("postgresql", "postgres"), "redis": ("redis", "rediss", "valkey", "valkeys")}
PORTS = {"postgres": 5432, "redis": 6379}
INSECURE = ("disable", "allow", "prefer")
"""libpq's sslmodes with which it goes on without TLS, or may."""
POOLER_PORT = 6432
_NOT_A_HOST = re.compile(r"[\s/?#@%]|^$|^[^:]*:[^:]*$")
"""Also `host:port`; an IPv6 address has more colons."""


@dataclass(frozen=True)
class Target:
    """One URL. `name` is the database; `query` holds what follows the question mark, in order."""

    engine: Literal["postgres", "redis"]
    host: str
    port: int
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    name: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    """redis: the URL asks for TLS. PostgreSQL says so in `query["sslmode"]`."""

    @property
    def label(self) -> str:
        """Without user, password and query."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> Secret:
        scheme = "postgresql" if self.engine == "postgres" else "rediss" if self.tls else "redis"
        user = urllib.parse.quote(self.user, safe="")
        password = urllib.parse.quote(self.password.reveal(), safe="")
        login = f"{user}:{password}@" if password else f"{user}@" if user else ""
        query = f"?{urllib.parse.urlencode(self.query)}" if self.query else ""
        socket = self.host.startswith("/")
        place = urllib.parse.quote(self.host, safe="") + f":{self.port}" if socket else self.label
        return Secret(f"{scheme}://{login}{place}/{urllib.parse.quote(self.name, safe='')}{query}")


def parse(engine: Literal["postgres", "redis"], url: Secret, where: str) -> Target:
    """The parts of `url`. ResourceFailed says what is wrong with it and never shows it."""
    try:
        split = urllib.parse.urlsplit(url.reveal().strip())
        port = split.port or PORTS[engine]
    except ValueError:
        raise malformed(where, "its port or its address is not a number or name that can be", engine) from None
    scheme, _, driver = split.scheme.partition("+")
    if scheme not in SCHEMES[engine]:
        raise malformed(where, f"it begins with {scheme}:// " if scheme else "it has no scheme", engine)
    host = urllib.parse.unquote(split.hostname or "")
    query = {key: values[-1] for key, values in urllib.parse.parse_qs(split.query, keep_blank_values=True).items()}
    host = host or query.pop("host", "")
    if not host:
        raise malformed(where, "it names no host", engine)
    target = Target(
        engine,
        host,
        port,
        urllib.parse.unquote(split.username or ""),
        Secret(urllib.parse.unquote(split.password or "")),
        urllib.parse.unquote(split.path.lstrip("/")),
        query,
        scheme in ("rediss", "valkeys"),
    )
    return _postgres(target, where, driver) if engine == "postgres" else _redis(target, where)


def _postgres(target: Target, where: str, driver: str) -> Target:
    if not target.user or not target.name:
        lacks = "user" if not target.user else "database"
        raise malformed(where, f"it names no {lacks}", "postgres")
    query = dict(target.query)
    if driver == "asyncpg" and "ssl" in query:
        query["sslmode"] = query.pop("ssl")  # SQLAlchemy's spelling for that driver
    return replace(target, query=query)


def _redis(target: Target, where: str) -> Target:
    name = target.name or "0"
    if not name.isdecimal():
        raise malformed(where, "what follows the last slash is not a database number", "redis")
    return replace(target, name=name)


def malformed(where: str, why: str, engine: str) -> ResourceFailed:
    example = (
        "postgresql://user:password@host:5432/database" if engine == "postgres" else "rediss://:password@host:6379/0"
    )
    return ResourceFailed(
        f"the URL in {where} is not one of {'PostgreSQL' if engine == 'postgres' else 'Redis'}",
        where=where,
        why=why.strip(),
        hint=f"write it like {example}; letters such as @ : / # in a password are written %40 %3A %2F %23",
    )


def secured(target: Target, where: str) -> Target:
    """The target with TLS demanded where the way there is not this machine or a private network.

    PostgreSQL: `sslmode=require` where the URL leaves it open. An insecure mode said in so many words is respected on a
    private network and refused elsewhere, as plain `redis://` is.
    """
    if local(target.host):
        return target
    if target.engine == "redis":
        if not target.tls and not private(target.host):
            raise plain(target, where, "rediss:// instead of redis://")
        return target
    mode = target.query.get("sslmode")
    if mode in INSECURE and not private(target.host):
        raise plain(target, where, "sslmode=require instead of sslmode=" + mode)
    return target if mode else replace(target, query={**target.query, "sslmode": "require"})


def compose(parts: Mapping[str, Secret | str], where: str) -> Target:
    """A PostgreSQL target from `host`, `port`, `user`, `password`, `name`, `sslmode`; TLS demanded as by `secured`.

    Raises ResourceFailed for a host or port that cannot be one; no message shows a part.
    """
    text = {part: value.reveal() if isinstance(value, Secret) else value for part, value in parts.items()}
    host, port = text["host"].strip().removeprefix("[").removesuffix("]"), text.get("port", "").strip() or "5432"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise malformed(where, "its port is not a number from 1 to 65535", "postgres")
    if not host.startswith("/") and _NOT_A_HOST.search(host):
        raise malformed(where, "its host is not a name or an address alone", "postgres")
    mode = text.get("sslmode", "").strip()
    query = {"sslmode": mode} if mode else {}
    password = Secret(text.get("password", ""))
    return secured(Target("postgres", host, int(port), text["user"], password, text["name"], query), where)


def plain(target: Target, where: str, instead: str) -> ResourceFailed:
    return ResourceFailed(
        f"the URL in {where} would send the password and the data unencrypted to {target.label}",
        where=where,
        why="that host is not on this machine or on a private network",
        hint=f"write {instead}",
    )


def local(host: str) -> bool:
    """This machine: a socket, localhost, a loopback address."""
    if host.startswith("/") or host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return bool(address and address.is_loopback)


def private(host: str) -> bool:
    """An address or name that only a private network has: RFC 1918, RFC 4193, a single label, `.internal`, `.local`."""
    address = _address(host)
    if address:
        return address.is_private
    return "." not in host or host.endswith((".internal", ".local"))


def pooled_by_name(target: Target) -> bool:
    """Neon (`-pooler`), Supabase and others (`pooler.`), PgBouncer's own port and parameter."""
    labels = target.host.split(".")
    if labels[0].endswith("-pooler") or "pooler" in labels or target.port == POOLER_PORT:
        return True
    return target.query.get("pgbouncer") == "true"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
