"""The stores of all tests of a worker, and both sides of a move for each."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from move_sides import QUOTA, TABLES, THREAD, USER, Sides, Stores, started, stopped

from golive.data.redis_plan import ADMIN
from golive.home import Home
from golive.move.keys import Source
from golive.move.values import Move
from golive.secret import Secret


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    """Of all tests of a worker: initdb takes longer than they do."""
    root = Path(tempfile.mkdtemp(prefix="gl-", dir="/tmp"))
    root.chmod(0o711)
    with asyncio.Runner() as runner:
        made = runner.run(started(Home(root)))
        yield made
        runner.run(stopped(made))
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
async def sides(stores: Stores) -> AsyncIterator[Sides]:
    """Both empty, with the tables that the keys go to."""
    url = stores.postgres.variables()["url"]
    assert isinstance(url, Secret)
    source = Source(ADMIN, stores.redis.admin_password(), stores.redis.socket)
    move = Move("threadr", source, url, (QUOTA, USER, THREAD))
    made = Sides(stores.redis, stores.postgres, stores.processes, move)
    async with stores.redis.as_admin() as admin:
        await admin.call("FLUSHALL")
        await admin.call("CONFIG", "SET", "notify-keyspace-events", "")
    made.query("DROP SCHEMA IF EXISTS golive CASCADE")
    made.query("DROP TABLE IF EXISTS quota, people, stored")
    made.query(TABLES)
    yield made
    await made.end()
