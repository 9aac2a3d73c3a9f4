"""Copies of a real PostgreSQL: taken up by the next daemon, removed when their time is over, undone when half made."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from copies_host import SHOP, SHOP_BLUEPRINT, end_all, filled, live_app, make_host, remember

from golive.errors import Conflict, NotFound, ResourceFailed, UsageError
from golive.home import Home
from golive.release import copies, resources
from golive.release.host import Host
from golive.state.records import Copy


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, SHOP_BLUEPRINT)
    yield host
    await end_all(host)


async def connect(host: Host, copy: Copy) -> psycopg.AsyncConnection[Any]:
    found = await copies.store(host, copy)
    url = found.variables()["url"]
    assert not isinstance(url, str)
    return await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True)


async def test_a_copy_is_closed_until_it_is_settled_and_the_next_daemon_takes_it_up(host: Host) -> None:
    copy = await filled(host, "try-1")
    with pytest.raises(psycopg.OperationalError, match="pg_hba"):
        await connect(host, copy)
    copy = await copies.settle(host, copy, "ready")
    async with await connect(host, copy) as db:
        await db.execute("CREATE TABLE mine (id int)")
        [(pid,)] = await (await db.execute("SELECT pg_backend_pid()")).fetchall()
        remember(host)
        following = make_host(host.home)
        try:
            await copies.settle_interrupted(following)
            unit = following.supervisor.state(resources.unit_name(SHOP, "db@try-1"))
            assert unit is not None
            assert not unit.over
            # Adopted, and not started anew: the session goes on.
            assert await (await db.execute("SELECT pg_backend_pid()")).fetchall() == [(pid,)]
        finally:
            await following.supervisor.release()
            following.state.close()
    [seen] = await copies.listing(host, SHOP)
    assert (seen["name"], seen["kind"], seen["running"]) == ("db@try-1", "branch", True)
    assert 0 < seen["disk"] <= seen["size"]


async def test_past_its_time_it_goes_and_half_made_it_is_undone(host: Host) -> None:
    over = await copies.settle(host, await filled(host, "old", expires_at=time.time() - 1), "ready")
    half = copies.declare(host, SHOP, "db", "half", "restored", actor="me", origin="the test")
    host.home.resource(*SHOP, half.name).mkdir()
    await copies.settle_interrupted(host)
    assert host.state.copies(SHOP) == []
    assert [row.name for row in host.state.resources(SHOP)] == ["db"]
    assert [path.name for path in host.home.resource(*SHOP, "db").parent.iterdir()] == ["db"]
    with pytest.raises(NotFound):
        await copies.start(host, over)


async def test_what_golive_toml_declares_takes_no_notice_of_copies(host: Host) -> None:
    before = (await resources.declare(host, SHOP, SHOP_BLUEPRINT))["db"]
    copy = copies.declare(host, SHOP, "db", "x", "branch", actor="me", origin="the test")
    assert await resources.declare(host, SHOP, SHOP_BLUEPRINT) == {"db": before}
    with pytest.raises(ResourceFailed, match="db@x has no data"):
        await copies.start(host, copy)
    with pytest.raises(Conflict, match="already"):
        copies.declare(host, SHOP, "db", "x", "branch", actor="me", origin="the test")
    with pytest.raises(NotFound, match="has no resource 'dbb"):
        copies.declare(host, SHOP, "dbb", "y", "branch", actor="me", origin="the test")
    with pytest.raises(UsageError, match="cannot be the name"):
        copies.declare(host, SHOP, "db", "../y", "branch", actor="me", origin="the test")
    assert copies.find(host, SHOP, "x") == copies.find(host, SHOP, "db@x") == copy
    host.state.forget_app(SHOP)
    assert host.state.copies() == []
