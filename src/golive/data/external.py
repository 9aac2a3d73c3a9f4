"""Databases golive does not run, by URL: tested at once, each way to fail told apart."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from golive.blueprint.models import Resource
from golive.data import urls
from golive.data.postgres import NO_FILE
from golive.data.postgres_queries import MARK
from golive.data.redis import TROUBLE, describe
from golive.data.store import Report, Variables
from golive.data.urls import Target
from golive.errors import ResourceFailed, nearest
from golive.secret import Mask, Secret
from golive.system.resp import Address, Connection, RedisError, connect
from golive.units import human_size

if TYPE_CHECKING:
    from psycopg import AsyncConnection

TIMEOUT = 10
"""Seconds to connect; a serverless database that sleeps takes a few to wake."""

NOT_LIBPQ = {"pgbouncer", "connection_limit", "pool_timeout", "schema", "prepareThreshold", "statement_cache_size"}
"""Parameters that Prisma and other clients read from a URL and libpq refuses."""

CAUSES = (
    # What libpq, the server or the system says, what it means, what to do.
    ("password authentication failed", "the user or password is wrong", "copy the URL again from where it is managed"),
    ("no pg_hba.conf entry", "the server refuses this address, user or way", "allow this machine's address there"),
    ("does not support SSL", "TLS is demanded and the server has none", "turn TLS on there"),
    (
        "certificate verify failed",
        "its certificate is not trusted",
        "use sslmode=require, or give its CA (sslrootcert)",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted", "install its CA on this machine"),
    ("WRONG_VERSION_NUMBER", "TLS is demanded and the server has none", "turn TLS on there"),
    ("SSL handshake is taking longer", "TLS is demanded and the server has none", "turn TLS on there"),
    ("does not exist", "there is no such database or role", "make it there, or correct the URL"),
    ("too many connections", "its connections are used up", "use its pooled URL, or raise its limit"),
    ("remaining connection slots", "its connections are used up", "use its pooled URL, or raise its limit"),
    ("starting up", "it is starting", "try again in a moment"),
    ("WRONGPASS", "the user or password is wrong", "copy the URL again from where it is managed"),
    ("invalid password", "the user or password is wrong", "copy the URL again from where it is managed"),
    ("NOAUTH", "it wants a password", "put it in the URL: rediss://:password@host:6379/0"),
    ("called without any password", "it has no password, but the URL gives one", "take the password out of the URL"),
    ("NOPERM", "the user may not do this", "give it PING and INFO"),
    ("LOADING", "it is still reading its data", "try again in a moment"),
    ("translate host name", "there is no host of that name", "look for a typing mistake in the host"),
    ("resolve", "there is no host of that name", "look for a typing mistake in the host"),
    ("Name or service not known", "there is no host of that name", "look for a typing mistake in the host"),
    ("nodename nor servname", "there is no host of that name", "look for a typing mistake in the host"),
    ("name resolution", "the name service does not answer", "is this machine online?"),
    ("[Errno 111]", "nothing listens there", "is it running, and is the port right?"),  # Linux
    ("[Errno 61]", "nothing listens there", "is it running, and is the port right?"),  # macOS
    ("refused", "nothing listens there", "is it running, and is the port right?"),
    ("No such file", "there is no such socket", "is it running on this machine?"),
    ("timeout", "it did not answer in time", "a firewall may drop the packets; allow this machine's address there"),
    ("timed out", "it did not answer in time", "a firewall may drop the packets; allow this machine's address there"),
    ("unreachable", "the network does not lead there", "is this machine online?"),
    ("invalid URI", "a parameter after the ? is not one of PostgreSQL's", "take it out of the URL"),
    ("invalid connection option", "a parameter after the ? is not one of PostgreSQL's", "take it out of the URL"),
)


async def check_external(resource: Resource, url: Secret) -> Report:
    """Connects with `url` and asks something real. ResourceFailed tells bad URL, no host, nobody listening, no TLS,
    wrong credentials and wrong version apart, without showing the URL."""
    import psycopg

    target = target_of(resource, url)
    where = resource.url_from or resource.engine
    try:
        report = await (_postgres(target, resource) if resource.engine == "postgres" else _redis(target))
    except (psycopg.Error, *TROUBLE) as error:
        # Not chained: the original's text may hold the URL.
        raise explain(target, where, error) from None
    major = report.version.split(".")[0]
    if resource.version and major.isdigit() and int(major) < resource.version:
        raise ResourceFailed(
            f"{where}: {target.label} is version {report.version}, golive.toml asks for {resource.version}",
            where=where,
            hint="upgrade it, or ask for less",
        )
    return report


def external_variables(resource: Resource, url: Secret) -> Variables:
    """What the app needs to connect; the URL as it is used, TLS demanded."""
    target = target_of(resource, url)
    return {
        "url": target.url,
        "host": target.host,
        "port": str(target.port),
        "name": target.name,
        "user": target.user,
        "password": target.password,
    }


def explain(target: Target, where: str, error: Exception) -> ResourceFailed:
    """An error of a connection in words. What the server itself said is kept, secrets masked."""
    mask = Mask([target.password, target.url])
    said = " ".join(mask(str(error)).split()) or type(error).__name__
    known = next(((why, hint) for word, why, hint in CAUSES if word.lower() in said.lower()), None)
    if isinstance(error, TimeoutError):
        known = next((why, hint) for word, why, hint in CAUSES if word == "timeout")
    why, hint = known or (said, "test it by hand: " + ("psql" if target.engine == "postgres" else "redis-cli"))
    title = "PostgreSQL" if target.engine == "postgres" else "Redis"
    return ResourceFailed(f"{title} at {target.label} cannot be used", where=where, why=why, hint=hint, log=said)


def target_of(resource: Resource, url: Secret) -> Target:
    """The parts of the URL as it is used, TLS demanded. ResourceFailed when it is none."""
    where = resource.url_from or resource.engine
    return urls.secured(urls.parse(resource.engine, url, where), where)


async def open_postgres(target: Target) -> AsyncConnection[Any]:
    """An autocommit connection; psycopg.Error when there is none."""
    import psycopg

    options: dict[str, Any] = {key: value for key, value in target.query.items() if key not in NOT_LIBPQ}
    options |= {"connect_timeout": TIMEOUT, "application_name": "golive", "passfile": NO_FILE}
    return await psycopg.AsyncConnection.connect(
        **options,
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password.reveal() or None,
        dbname=target.name,
        autocommit=True,
        # A pooler in transaction mode gives the next statement to another server, which knows no prepared one.
        prepare_threshold=None,
    )


async def _postgres(target: Target, resource: Resource) -> Report:
    async with await open_postgres(target) as connection:
        await _extensions(connection, resource)
        started = time.perf_counter()
        cursor = await connection.execute(
            f"{MARK} check */ SELECT current_setting('server_version'), pg_backend_pid(),"
            " pg_database_size(current_database()), current_setting('max_connections')"
        )
        version, backend, size, most = await cursor.fetchone() or ("0", 0, 0, "0")
        latency = (time.perf_counter() - started) * 1000
        # A pooler answers with a process number of its own making.
        pooled = urls.pooled_by_name(target) or backend != connection.info.backend_pid
        details = {
            "size": human_size(size),
            "connections": f"at most {most}",
            "tls": "yes" if connection.pgconn.ssl_in_use else "no",
            "way": "pooled" if pooled else "direct",
        }
        if pooled:
            details["note"] = "migrations want the direct URL: a pooler does not keep a session"
    return Report(version.split()[0], latency, details, pooled)


async def _extensions(connection: AsyncConnection[Any], resource: Resource) -> None:
    """Those the blueprint names are there, or are made where the account may. ResourceFailed says which is not."""
    from psycopg import errors
    from psycopg.sql import SQL, Identifier

    if not resource.extensions:
        return
    cursor = await connection.execute("SELECT name, installed_version IS NOT NULL FROM pg_available_extensions")
    known = dict(await cursor.fetchall())
    for name in resource.extensions:
        where = f"{resource.url_from}: extensions"
        if name not in known:
            near = nearest(name, known)
            hint = (
                f"did you mean {near}?" if near else "its provider lists what it has; leave it out, or choose another"
            )
            raise ResourceFailed(f"that PostgreSQL has no extension {name}", where=where, hint=hint)
        if not known[name]:
            try:
                await connection.execute(SQL("CREATE EXTENSION IF NOT EXISTS {} CASCADE").format(Identifier(name)))
            except errors.InsufficientPrivilege:
                raise ResourceFailed(
                    f"the extension {name} is not in that database, and this account may not make it",
                    where=where,
                    hint=f"have its owner run: CREATE EXTENSION {name}",
                ) from None


@contextlib.asynccontextmanager
async def open_redis(target: Target) -> AsyncIterator[Connection]:
    """A connection to its database of that number; one of TROUBLE when there is none."""
    tls = ssl.create_default_context() if target.tls else None
    address = Address(target.host, target.port, tls=tls)
    async with connect(address, target.user or None, target.password, TIMEOUT) as server:
        if target.name != "0":
            await server.call("SELECT", target.name)
        yield server


async def _redis(target: Target) -> Report:
    async with open_redis(target) as server:
        started = time.perf_counter()
        await server.call("PING")
        latency = (time.perf_counter() - started) * 1000
        details = {"tls": "yes" if target.tls else "no"}
        try:
            info = await server.info("server")
            details = await describe(server) | details
        except RedisError:
            # Hosted ones may forbid INFO; PING has shown what matters.
            info = {}
    return Report(info.get("valkey_version") or info.get("redis_version", "unknown"), latency, details)
