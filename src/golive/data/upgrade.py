"""A data folder for the next major version, by pg_upgrade. The old one stays as it is.

<resource>/data.next/    being made: initdb, then filled by pg_upgrade
<resource>/upgrade/      where pg_upgrade works; the engine user's
"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golive.data import postgres_plan
from golive.data.place import open_sockets, own, write_config
from golive.data.postgres import Postgres
from golive.data.postgres_plan import SUPERUSER
from golive.data.replica import refused
from golive.engines.engine import Engine
from golive.engines.installed import extensions_of
from golive.errors import EngineUnavailable, ResourceFailed
from golive.system.files import remove_tree
from golive.system.processes import Completed, run

NEEDED = ("pg_upgrade", "pg_ctl", "pg_controldata", "pg_resetwal", "pg_dumpall", "pg_dump", "pg_restore", "psql")


@dataclass(frozen=True)
class Facts:
    """Of a running server: relations of the app's database that hold data, its size in bytes, and its extensions."""

    tables: int
    size: int
    extensions: tuple[str, ...]
    changes: int
    """Rows written since it began to count."""


async def require(old: Engine, new: Engine, extensions: Sequence[str]) -> None:
    """ResourceFailed when one of the two lacks programs, or the new one an extension that is in use."""
    for engine in (old, new):
        try:
            for program in NEEDED:
                engine.program(program)
        except EngineUnavailable as error:
            raise ResourceFailed(
                f"PostgreSQL {engine.version} in {engine.bin} cannot be upgraded with", why=error.what, hint=error.hint
            ) from None
    if lacking := sorted(set(extensions) - {"plpgsql"} - await extensions_of(new)):
        raise ResourceFailed(
            f"PostgreSQL {new.version} here has no extension {', '.join(lacking)}",
            where=str(new.bin),
            why="the database uses it",
            hint=f"install it for version {new.major}, or DROP EXTENSION where it is not needed",
        )


async def upgrade(old: Postgres, new: Engine) -> Path:
    """`data.next`, whole when this returns: what `old.data` holds, for the new engine. `old` is stopped, in order.

    Files are cloned where the filesystem can and copied elsewhere, so that the old folder may be started again.
    ResourceFailed with what pg_upgrade said; nothing was changed then.
    """
    following = old.folder / "data.next"
    work = old.folder / "upgrade"
    for folder in (following, work):
        await asyncio.to_thread(remove_tree, folder)
        own(folder, old.place.user)
    arguments = await _initdb(old, new, following)
    await asyncio.to_thread(_accounts, old)
    sockets = await asyncio.to_thread(open_sockets, old.place, "postgres", old.name)
    options = f"-c hba_file={old.folder / 'upgrade.hba'} -c ident_file={old.folder / 'upgrade.ident'}"
    mode = "--clone" if await _clones(old, following) else "--copy"
    done = await _run(
        old,
        new,
        (
            str(new.program("pg_upgrade")), mode, "--jobs", str(max(1, int(old.place.machine.cores))),
            "--old-bindir", str(old.engine.bin), "--new-bindir", str(new.bin),
            "--old-datadir", str(old.data), "--new-datadir", str(following),
            "--old-options", options, "--new-options", options,
            "--old-port", str(old.place.port), "--new-port", str(old.place.port),
            "--socketdir", str(sockets), "--username", SUPERUSER,
        ),
        work,
    )  # fmt: skip
    if done.code != 0:
        await asyncio.to_thread(remove_tree, following)
        raise ResourceFailed(
            f"{old.name} cannot be upgraded to PostgreSQL {new.version}",
            where=str(work),
            why=_reason(done.output),
            hint="nothing was changed; mend what it names in the running database, then try again",
            log=f"{arguments}\n{done.output}",
        )
    await asyncio.to_thread(remove_tree, work)
    return following


async def _initdb(old: Postgres, new: Engine, target: Path) -> str:
    for arguments in (
        postgres_plan.initdb_arguments(new.major, old.place.machine.os),
        ("--username", SUPERUSER, "--auth-local=peer", "--encoding=UTF8", "--data-checksums", "--no-locale"),
    ):
        done = await _run(old, new, (str(new.program("initdb")), "--pgdata", str(target), *arguments), old.folder)
        if done.code == 0:
            return " ".join(arguments)
        await asyncio.to_thread(remove_tree, target)
        own(target, old.place.user)
    raise ResourceFailed(
        f"{old.name}: PostgreSQL {new.version} could not make a data folder",
        where=str(old.folder),
        why=_reason(done.output),
        hint="nothing was changed",
        log=done.output,
    )


def _accounts(old: Postgres) -> None:
    """pg_upgrade works as the engine's user, who is the superuser meanwhile, on a socket that nobody else reaches."""
    engine_user = old.place.user.name if old.place.user else pwd.getpwuid(os.geteuid()).pw_name
    write_config(old.folder / "upgrade.hba", "local all all peer map=upgrade\n", old.place.user)
    write_config(old.folder / "upgrade.ident", f'upgrade "{engine_user}" {SUPERUSER}\n', old.place.user)


async def _clones(old: Postgres, beside: Path) -> bool:
    """Whether files can share blocks there: tried."""
    probe = beside / "PG_VERSION.probe"
    source = str(old.data / "PG_VERSION")
    done = await _run(old, old.engine, ("cp", "--reflink=always", source, str(probe)), old.folder)
    await _run(old, old.engine, ("rm", "-f", str(probe)), old.folder)
    return done.code == 0


async def _run(old: Postgres, new: Engine, argv: tuple[str, ...], cwd: Path) -> Completed:
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **old.engine.env, **new.env}
    return await run(argv, env=env, cwd=cwd, user=old.place.user, name=f"{old.place.label(old.name)}/upgrade")


def _reason(output: str) -> str:
    """What pg_upgrade said last before its advice."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if "fatal" in line.lower() or "error" in line.lower() or "could not" in line]
    return (marked or lines or ["it said nothing"])[-1]


# What needs a connection


async def facts(store: Postgres) -> Facts:
    """ResourceFailed when it does not answer."""
    import psycopg

    query = (
        "SELECT (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND relnamespace::regnamespace::text"
        " NOT IN ('pg_catalog', 'information_schema')), pg_database_size(current_database()),"
        " (SELECT array_agg(extname::text) FROM pg_extension),"
        " (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables)"
    )
    try:
        async with await store.superuser(store.role) as database:
            row = await (await database.execute(query)).fetchone()
    except psycopg.Error as error:
        raise refused(store, error) from None
    tables, size, extensions, changes = row or (0, 0, [], 0)
    return Facts(int(tables), int(size), tuple(extensions or ()), int(changes))


async def finish(store: Postgres, *, thorough: bool) -> None:
    """Extensions as the new version has them, and statistics: rough ones in seconds, or `thorough` ones."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    old = "SELECT name FROM pg_available_extensions WHERE installed_version <> default_version"
    try:
        async with await store.superuser(store.role) as database:
            if not thorough:
                for row in await (await database.execute(old)).fetchall():
                    await database.execute(SQL("ALTER EXTENSION {} UPDATE").format(Identifier(row[0])))
                await database.execute("SET default_statistics_target = 1")
            await database.execute("SET vacuum_cost_delay = 0")
            await database.execute("ANALYZE")
    except psycopg.Error as error:
        raise refused(store, error) from None
