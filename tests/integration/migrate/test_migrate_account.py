"""What is said when the process that migrates is killed, and that the next try goes on from there."""

from __future__ import annotations

import asyncio

import psutil
import pytest
from test_migrate_faults import LONG_FILE, assert_whole, reached

from conftest import Database, until
from golive.errors import MigrationFailed
from golive.release.migrations import Live, run
from golive.system.offload import Offload


class Machine:
    """What `run` asks of a host."""

    def __init__(self) -> None:
        self.offload = Offload()


def children() -> list[psutil.Process]:
    alive = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in alive if "golive.system.offload" in " ".join(p.cmdline())]


async def test_it_is_killed_at_one_statement_after_another(database: Database) -> None:
    database.write("001_long.sql", LONG_FILE)
    database.write("002_more.sql", "CREATE TABLE more ();")
    host = Machine()
    given = Live(1, database.settings(), database.folder.parent, database.secret, None)
    for done in (1, 2, 5):
        running = asyncio.create_task(run(host, given, (), database.events.append))  # type: ignore[arg-type]
        await until(lambda done=done: reached(database, done), f"statement {done}")  # type: ignore[misc]
        for process in children():
            process.kill()
        with pytest.raises(MigrationFailed, match="broken off in the middle") as caught:
            await running
        stand = database.query("SELECT done FROM golive_migrations")[0][0]
        assert f"runs outside a transaction: {stand} of its 8 statements stand." in (caught.value.hint or "")
        assert "Nothing of 002_more.sql stands." in (caught.value.hint or "")
        assert "signal 9" in (caught.value.why or "")
    await run(host, given, (), database.events.append)  # type: ignore[arg-type]
    database.query("DELETE FROM golive_migrations WHERE version = 2")
    assert_whole(database)
    await host.offload.close()
