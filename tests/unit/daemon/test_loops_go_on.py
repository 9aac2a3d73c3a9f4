"""What changes under a loop of the daemon while it looks: folders, apps, the edge, what was begun before."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from daemon_fakes import Running
from release_fakes import SHOP, WEB, blueprint

from golive.daemon import moves as move_module
from golive.daemon.backups import Backups, _Watch
from golive.daemon.moves import Moves
from golive.release import backups, resources
from golive.release.certificates import Certificates
from golive.state.records import Place
from golive.supervise.unit import Status

KEY = (SHOP, "db")
STORED = blueprint({"web": WEB}, resources={"db": {"engine": "postgres"}})


def test_a_folder_that_goes_while_output_is_looked_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when an app is destroyed: the others' files are kept as ever."""
    gone, stays = SHOP, Place("blog", "production")
    files = [running.host.home.resource(*place, "db") / "postgres.log" for place in (gone, stays)]
    for place, path in zip((gone, stays), files, strict=True):
        running.state.remember_app(place, "/src")
        path.parent.mkdir(parents=True)
        path.touch()
    real = os.scandir

    def scan(path: Any) -> Iterator[os.DirEntry[str]]:
        if str(path).rstrip("/") == str(files[0].parent):
            shutil.rmtree(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    found = running.daemon._output_files()
    assert not files[0].exists()
    assert files[1] in found
    assert files[0] not in found


@pytest.fixture
def looking(running: Running) -> Backups:
    """A database that is backed up, with its receiver."""
    running.world.release(STORED)
    running.state.set_live(SHOP, 1)
    made = Backups(running.host)
    for unit in (resources.unit_name(*KEY), backups.unit_name(*KEY)):
        running.host.supervisor.set(unit, Status.READY)
    made._watched[KEY] = _Watch()
    return made


async def test_an_app_that_is_being_destroyed_is_forgotten(running: Running, looking: Backups) -> None:
    """Its traffic was taken away, and its database has not ended yet."""
    running.state.clear_live(SHOP)
    await looking._look()
    assert not looking._watched
    assert backups.unit_name(*KEY) in running.host.supervisor.units, "whoever destroys it ends it"


async def test_a_slot_that_cannot_be_released_is_tried_again(
    running: Running, looking: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left behind it would keep WAL until the disk is full."""
    server, refusals, released = object(), [RuntimeError("…\npsycopg.OperationalError: no connection")], []

    async def call(_: Any, given: Any) -> None:
        if refusals:
            raise refusals.pop()
        released.append(given)

    monkeypatch.setattr(running.host.offload, "call", call)
    looking._watched[KEY].found = (0.0, SimpleNamespace(server=server))  # type: ignore[assignment]
    running.host.replaced = "another machine writes the backups"
    await looking._look()
    assert running.host.backup_trouble[KEY] == "psycopg.OperationalError: no connection"
    await looking._look()
    assert released == [server]
    assert not looking._watched
    assert KEY not in running.host.backup_trouble


async def test_a_loop_that_is_begun_again_leaves_what_runs_alone(
    running: Running, looking: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what an earlier daemon had begun has ended with it."""

    async def fails() -> None:
        raise OSError("full")

    monkeypatch.setattr(looking, "_look", fails)
    running.host.asked.set()
    earlier = running.state.begin_backup_run(*KEY, "drill")
    with pytest.raises(OSError, match="full"):
        await looking.run()
    mine = running.state.begin_backup_run(*KEY, "drill")
    with pytest.raises(OSError, match="full"):
        await looking.run()
    runs = {run.id: run for run in running.state.backup_runs(*KEY, "drill")}
    assert runs[earlier].ended_at is not None
    assert runs[mine].ended_at is None


async def test_a_worker_of_a_move_goes_on_after_any_error(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = asyncio.Event()
    troubles = [RuntimeError("Traceback\npsycopg.OperationalError: gone\n")]

    def found(*_: Any) -> None:
        if troubles:
            raise troubles.pop()
        tried.set()
        raise OSError("away")

    monkeypatch.setattr(move_module.moves, "find", found)
    monkeypatch.setattr(move_module, "AGAIN", (0.0, 0.0))
    monkeypatch.setattr(running.state, "moves", lambda: [SimpleNamespace(place=SHOP, name="db")])
    moves = Moves(running.host)
    await moves._look()
    async with asyncio.timeout(120):
        await tried.wait()
    assert not moves._workers[KEY].task.done()
    await moves.stop()


async def test_the_edge_ends_while_certificates_are_looked_at(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the last app."""
    running.world.release(blueprint({"web": WEB}, domains=["shop.dev.com"], edge={"acme": {"email": "me@dev.com"}}))
    running.state.set_live(SHOP, 1)

    def prune(*_: Any) -> None:
        running.host.opened = None

    monkeypatch.setattr(running.world.gateway.certificates, "prune", prune)
    await Certificates(running.host).tick()
    assert running.host.challenges == ()
