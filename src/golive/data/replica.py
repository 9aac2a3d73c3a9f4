"""Standbys of a PostgreSQL: made, looked at, promoted."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from golive.data.place import open_folder, own
from golive.data.postgres import Postgres
from golive.data.postgres_plan import REPLICATOR
from golive.data.replica_plan import SIGNAL, Lag, location, slot
from golive.errors import EngineUnavailable, ResourceFailed
from golive.system.files import remove_tree
from golive.system.processes import Completed, run

_LAGS = """
SELECT application_name, state, greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint,
       coalesce(extract(epoch FROM replay_lag), 0)::float8
FROM pg_stat_replication WHERE usename = %s"""
PATIENCE = 60.0
"""Seconds for a standby to replay what it has received."""


async def clone(primary: Postgres, replica: Postgres, label: str, report: Callable[[str], None]) -> None:
    """Fill the folder of `replica` from the primary, which serves on, to follow it by the slot of that label.
    ResourceFailed leaves nothing there."""
    await asyncio.to_thread(open_folder, replica.place, replica.name)
    beside = replica.folder / "data.new"
    await asyncio.to_thread(remove_tree, beside)
    own(beside, replica.place.user)
    source = ("--host", str(primary.place.sockets("postgres", primary.name)), "--port", str(primary.place.port))
    options = ("--pgdata", str(beside), "--wal-method=stream", "--checkpoint=fast", "--slot", slot(label), "--progress")
    program = str(primary.engine.program("pg_basebackup"))
    account = ("--username", REPLICATOR, "--no-password")
    done = await _run(replica, (program, *source, *account, *options), report)
    if done.code == 0:
        done = await _run(replica, ("touch", str(beside / SIGNAL)))
    if done.code != 0:
        await asyncio.to_thread(remove_tree, beside)
        raise ResourceFailed(
            f"{replica.name} could not be made of {primary.name}",
            where=str(replica.folder),
            why=(done.output.strip().splitlines() or ["pg_basebackup said nothing"])[-1],
            hint="free some disk space" if "No space" in done.output else "look at the logs of both: golive logs",
            log=done.output,
        )
    beside.rename(replica.data)


async def _run(store: Postgres, argv: tuple[str, ...], report: Callable[[str], None] = lambda _: None) -> Completed:
    """As the engine's user, who alone writes in data folders."""
    env = {"PATH": f"{store.engine.bin}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **store.engine.env}
    return await run(argv, env=env, cwd=store.folder, user=store.place.user, on_line=report, name="replica")


def is_fenced(data: Path) -> bool:
    """Whether a server of that folder would take no writes."""
    return (data / SIGNAL).exists()


async def fence(store: Postgres) -> None:
    """From now on whoever starts a server there gets one that takes no writes. ResourceFailed when it did not work."""
    done = await _run(store, ("touch", str(store.data / SIGNAL)))
    if done.code != 0 or not is_fenced(store.data):
        raise ResourceFailed(
            f"{store.name} could not be fenced", where=str(store.data), why=done.output.strip() or "no such folder"
        )


async def unfence(store: Postgres) -> None:
    await _run(store, ("rm", "-f", str(store.data / SIGNAL)))


async def ended_at(store: Postgres) -> int | None:
    """Where the WAL of a stopped server ends; None for one that did not end in order, or that cannot be asked."""
    try:
        done = await _run(store, (str(store.engine.program("pg_controldata")), str(store.data)))
    except EngineUnavailable:
        return None
    state = re.search(r"Database cluster state: +(.+)", done.output)
    last = re.search(r"Latest checkpoint location: +(\S+)", done.output)
    if done.code != 0 or not state or not last or not state[1].startswith("shut down"):
        return None
    return location(last[1])


# What needs a connection


async def lags(primary: Postgres) -> dict[str, Lag]:
    """Of the replicas that follow, by label. ResourceFailed when the primary does not answer."""
    import psycopg

    try:
        async with await primary.superuser("postgres") as server:
            rows = await (await server.execute(_LAGS, (REPLICATOR,))).fetchall()
            lost = await (
                await server.execute("SELECT slot_name FROM pg_replication_slots WHERE wal_status = 'lost'")
            ).fetchall()
    except psycopg.Error as error:
        raise refused(primary, error) from None
    gone = {row[0] for row in lost}
    found = {row[0]: Lag(row[1], int(row[2]), float(row[3])) for row in rows}
    return found | {name: Lag("lost") for name in _labels(gone)}


def _labels(slots: set[str]) -> list[str]:
    return [name.removeprefix("golive_").replace("_", "-") for name in slots if name.startswith("golive_replica_")]


async def make_slot(primary: Postgres, label: str) -> None:
    """Where there is none: a primary that was a standby until now has none of the old one's."""
    import psycopg

    absent = "NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %(name)s)"
    try:
        async with await primary.superuser("postgres") as server:
            await server.execute(
                f"SELECT pg_create_physical_replication_slot(%(name)s, true) WHERE {absent}", {"name": slot(label)}
            )
    except psycopg.Error as error:
        raise refused(primary, error) from None


async def backup_slots(primary: Postgres) -> tuple[str, ...]:
    """Slots that others than replicas receive WAL by. Nothing where the primary does not answer."""
    import psycopg

    query = "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary"
    try:
        async with await primary.superuser("postgres") as server:
            names = [str(row[0]) for row in await (await server.execute(query)).fetchall()]
    except psycopg.Error:
        return ()
    return tuple(name for name in names if not name.startswith("golive_replica_"))


async def give_up_slots(replica: Postgres) -> None:
    """On what was the primary: nobody receives from it any more, and the slots would keep its disk full."""
    import psycopg

    try:
        async with await replica.superuser("postgres") as server:
            await server.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_type = 'physical' AND NOT active AND NOT temporary"
            )
    except psycopg.Error as error:
        raise refused(replica, error) from None


async def take_over_slots(replica: Postgres, names: Sequence[str]) -> None:
    """What receives WAL goes on where it was: the slots are there before the replica writes WAL of its own, and keep
    what it has from its last checkpoint on."""
    import psycopg

    try:
        async with await replica.superuser("postgres") as server:
            known = {
                row[0] for row in await (await server.execute("SELECT slot_name FROM pg_replication_slots")).fetchall()
            }
            for name in set(names) - known:
                await server.execute("SELECT pg_create_physical_replication_slot(%s, true)", (name,))
    except psycopg.Error as error:
        raise refused(replica, error) from None


async def drop_slot(server: Postgres, label: str) -> None:
    """Nothing to do where there is none."""
    import psycopg

    drop = (
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active",
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
    )
    for left in range(20, -1, -1):
        try:
            async with await server.superuser("postgres") as connection:
                for statement in drop:
                    await connection.execute(statement, (slot(label),))
                return
        except psycopg.errors.ObjectInUse as error:  # its receiver is on its way out
            if not left:
                raise refused(server, error) from None
            await asyncio.sleep(0.1)
        except psycopg.Error as error:
            raise refused(server, error) from None


async def catch_up(replica: Postgres, until: int | None) -> int:
    """Wait until it has replayed what it received, and the WAL before `until` at least; where it stands then.
    ResourceFailed when that is not so after a minute."""
    import psycopg

    query = "SELECT pg_last_wal_replay_lsn()::text, coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text"
    deadline = time.monotonic() + PATIENCE
    try:
        async with await replica.superuser("postgres") as server:
            while True:
                row = await (await server.execute(query)).fetchone()
                replayed, received = (location(text) for text in row or ("0/0", "0/0"))
                if replayed >= received and (until is None or replayed > until):
                    return replayed
                if time.monotonic() > deadline:
                    missing = max(received, until or 0) - replayed
                    raise ResourceFailed(
                        f"{replica.name} has not caught up after {PATIENCE:.0f} s: it lacks {missing:,} bytes of WAL",
                        where=str(replica.log),
                        hint="nothing was changed; look at its log, and try again when golive status shows it close",
                    )
                await asyncio.sleep(0.02)
    except psycopg.Error as error:
        raise refused(replica, error) from None


async def promote(replica: Postgres) -> None:
    """It takes writes when this returns. ResourceFailed when it did not become a primary."""
    import psycopg

    try:
        async with await replica.superuser("postgres") as server:
            row = await (await server.execute(f"SELECT pg_promote(true, {int(PATIENCE)})")).fetchone()
            if not row or not row[0]:
                raise ResourceFailed(f"{replica.name} was not promoted in time", where=str(replica.log))
    except psycopg.Error as error:
        raise refused(replica, error) from None


async def follows(primary: Postgres, label: str, timeout: timedelta) -> bool:
    """Whether a replica streams from it, within that time."""
    deadline = time.monotonic() + timeout.total_seconds()
    while time.monotonic() < deadline:
        if (await lags(primary)).get(label, Lag("away")).state == "streaming":
            return True
        await asyncio.sleep(0.1)
    return False


def refused(store: Postgres, error: Exception) -> ResourceFailed:
    """What the server, or libpq, said."""
    return ResourceFailed(
        f"{store.name}: PostgreSQL on port {store.place.port} refused",
        where=str(store.log),
        why=str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__,
        hint="the end of its log says more",
    )
