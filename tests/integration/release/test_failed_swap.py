"""An exchange that fails says what stands, and leaves both folders whole; the next daemon makes an end of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from copies_host import SHOP, SHOP_BLUEPRINT, end_all, filled, live_app, make_host

from golive.errors import ResourceFailed, StartFailed
from golive.home import Home
from golive.release import backups, copies, resources, swap
from golive.release.host import Host

NO_APP = StartFailed("web exited with 1 before it was ready", hint="see its output")


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, SHOP_BLUEPRINT)
    yield host
    await end_all(host)


async def sql(host: Host, query: str) -> list[tuple[object, ...]]:
    found = await backups.backed(host, SHOP, "db")
    with found.server.session("shop") as session:
        cursor = session.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def taken(port: int) -> Iterator[threading.Event]:
    """Somebody takes the port of the database in the moment in which it is free, from the event on."""
    begin, end = threading.Event(), threading.Event()

    def take() -> None:
        begin.wait()
        while not end.is_set():
            with socket.socket() as mine:
                try:
                    mine.bind(("127.0.0.1", port))
                except OSError:
                    continue
                mine.listen()
                end.wait()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield begin
    finally:
        begin.set()
        end.set()
        thread.join()


@pytest.mark.nightly
async def test_what_stands_is_said_and_the_next_daemon_makes_an_end_of_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sql(host, "CREATE TABLE marker AS SELECT 'then' AS name")
    copy = await copies.settle(host, await filled(host, "restored-1", kind="restored"), "ready")
    await sql(host, "UPDATE marker SET name = 'now'")

    def fail(text: str) -> None:
        if "is the database now" in text:
            raise NO_APP

    with pytest.raises(StartFailed) as caught:
        await swap.swap(host, SHOP, None, "me", fail)
    assert caught.value.hint == f"db is as it was, and {copy.name} is there to be looked at; see its output"
    assert await sql(host, "SELECT name FROM marker") == [("now",)]
    assert copies.find(host, SHOP, copy.name).state == "ready"

    port = next(row.port for row in host.state.resources(SHOP) if row.name == "db")
    with taken(port) as begin:

        def fail_for_good(text: str) -> None:
            if "is the database now" in text:
                monkeypatch.setattr(resources, "READY", timedelta(seconds=1))
                begin.set()
                raise NO_APP

        with pytest.raises(ResourceFailed) as refused:
            await swap.swap(host, SHOP, None, "me", fail_for_good)
        assert "does not run as before" in refused.value.what
        assert "web exited with 1" in str(refused.value.why)
        assert "both folders are whole" in str(refused.value.hint)
        assert "golive daemon restart" in str(refused.value.hint)
        await host.supervisor.release()
    monkeypatch.undo()
    assert copies.find(host, SHOP, copy.name).state == "changing"

    following = make_host(host.home)
    try:
        await swap.settle_interrupted(following)
        await resources.standing(following, SHOP, SHOP_BLUEPRINT)
        await resources.ensure(following, SHOP, await resources.declare(following, SHOP, SHOP_BLUEPRINT))
        assert await sql(following, "SELECT name FROM marker") == [("now",)]
        settled = copies.find(following, SHOP, copy.name)
        assert settled.state == "ready"
        beside = await copies.store(following, settled)
        assert (Path(beside.folder) / "data/PG_VERSION").exists()
        assert not (beside.folder / swap.MARK).exists()
    finally:
        for row in following.state.resources(SHOP):
            await resources.stop(following, SHOP, row.name)
        for each in following.state.copies(SHOP):
            await copies.stop(following, each)
        await following.offload.close()
        following.state.close()
