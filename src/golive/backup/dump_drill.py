"""A drill of a logical dump: restored into a cluster of its own, looked at as a base backup's is, and removed.

Owners and grants are left out: whose they were is not in a dump. Roles that its policies name are made for it. What an
engine here cannot do at all, an extension that it does not have, says nothing about the dump.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from golive.backup import catalog, drill, dump, proof, restore, work
from golive.backup.archive import Key, read
from golive.backup.catalog import Manifest
from golive.backup.drill import Seen, Terms
from golive.backup.location import Location
from golive.backup.recovery import AsBackedUp
from golive.backup.repository import Repository
from golive.backup.server import Server, environment, reason
from golive.errors import BackupFailed, BackupUntried, GoliveError
from golive.system import streams
from golive.system.processes import run

ROLE = "restored"
"""Of the database as well; it may read everything in it, every row too."""
INITDB = 120.0
_LACKS = re.compile(
    r'extension "?[^"\s]+"? is not available|could not open extension control file|could not load library'
)
_NO_ROLE = re.compile(r'ERROR: +role "(?!pg_)([^"]+)" does not exist')
Report = Callable[[Any], None]


async def prove(
    server: Server, repository: Repository, folder: Path, terms: Terms, report: Report = lambda _: None
) -> dict[str, Any]:
    """`server` is how the scratch cluster runs; `folder` is golive's and may be passed through, nothing is left in it.
    As `dump.view`. BackupFailed says what is wrong with the dump, and is kept beside it; BackupUntried why it could not
    be tried."""
    location = repository.location()
    manifest = catalog.find(location, repository.source, terms.id)
    key = repository.key_of(manifest)
    began, seen, why = time.monotonic(), Seen(), ""
    scratch = folder / "data.restoring"
    await drill.tidy(folder)
    try:
        restore.require(server, replace(manifest, version=server.engine.version), key, folder / "data")
        restore.make_work(scratch, server)
        await _cluster(server, scratch / "data")
        report({"what": "unpack", "done": 0, "total": manifest.plain})
        async with restore.serving(server, manifest, AsBackedUp(), scratch, None):
            await _load(server, location, manifest, key)
            seen.usable = time.monotonic() - began
            await drill.look_at(server, Terms(ROLE, terms.checks), seen, report)
    except GoliveError as error:
        why = work.damage_in(error)
        raise
    finally:
        await asyncio.shield(drill.tidy(folder))
        if why:
            proof.write(location, manifest, drill.proof_of(began, seen, "", why))
    found = drill.proof_of(began, seen, "", "")
    proof.write(location, manifest, found)
    return dump.view(manifest, proof.Verdict(found))


async def _cluster(server: Server, data: Path) -> None:
    """New, of the engine's user; it need not outlive a crash."""
    how = ("--username", server.superuser, "--auth=peer", "--encoding=UTF8", "--no-locale", "--no-sync")
    argv = (str(server.engine.program("initdb")), "--pgdata", str(data), *how, "--data-checksums")
    env = environment(server.engine)
    try:
        done = await run(argv, env=env, cwd=data.parent, user=server.user, timeout=INITDB)
    except TimeoutError as error:
        raise BackupUntried(f"{server.label}: initdb took longer than {INITDB:.0f} s", where=str(data)) from error
    if done.code:
        raise BackupUntried(
            f"{server.label}: PostgreSQL {server.engine.version} could not make a cluster to restore into",
            where=str(data), why=reason(done.output), hint="mend that, then try again; the dump is as it was",
        )  # fmt: skip


async def _load(server: Server, location: Location, manifest: Manifest, key: Key) -> None:
    from psycopg.sql import SQL, Identifier

    with server.session() as session:
        session.execute(f"CREATE ROLE {ROLE} NOLOGIN BYPASSRLS IN ROLE pg_read_all_data".encode())
    done = await _restored(server, location, manifest, key, "--exit-on-error")
    made: set[str] = set()
    while done.code and (named := {*_NO_ROLE.findall(done.said)} - made):
        with server.session() as session:
            for role in named:
                session.execute(SQL("CREATE ROLE {} NOLOGIN").format(Identifier(role)))
        made |= named
        done = await _restored(server, location, manifest, key, "--schema-only")  # does it name others?
        if not {*_NO_ROLE.findall(done.said)} - made:
            done = await _restored(server, location, manifest, key, "--exit-on-error")
    if done.code == 0:
        return
    full, lacks = "No space left" in done.said, _LACKS.search(done.said)
    raise (BackupUntried if full or lacks else BackupFailed)(
        f"{manifest.name} could not be restored by PostgreSQL {server.engine.version}",
        where=manifest.name,
        why="the disk is full" if full else reason(done.said),
        hint="free some disk space, then try again" if full else "restore it where the provider's extensions are"
        if lacks else "golive db dump makes another one; look whether the live database has what is missing",
        log=done.said,
    )  # fmt: skip


async def _restored(server: Server, location: Location, manifest: Manifest, key: Key, *how: str) -> streams.Ended:
    """What pg_restore said, into an empty database."""
    with server.session() as session:
        session.execute(f"DROP DATABASE IF EXISTS {ROLE}".encode())
        session.execute(f"CREATE DATABASE {ROLE} TEMPLATE template0".encode())
    target = ("--host", str(server.sockets), "--port", str(server.port), "--username", server.superuser)
    given = ("--dbname", ROLE, "--no-owner", "--no-privileges", "--no-password", *how)
    tool = streams.Tool((str(server.engine.program("pg_restore")), *target, *given), server.environment(), Path("/"))
    with location.open(manifest.archive) as file:
        return await streams.feed(tool, read(file, key, manifest.name, manifest.sha256))
