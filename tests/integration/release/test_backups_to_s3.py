"""A database that is backed up to S3 by itself: the store dies, refuses and comes back, and nothing is missing then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from backed_host import SERVER, is_received, look_until_received, state, writes
from copies_host import SHOP, SHOP_BLUEPRINT, end_all, live_app, make_host

from golive.backup import stream, wal
from golive.backup.credentials import ID, SECRET
from golive.blueprint.models import Blueprint
from golive.daemon import backups as module
from golive.daemon.backups import Backups
from golive.errors import BackupFailed
from golive.home import Home
from golive.release import backups, resources
from golive.release.host import Host
from golive.secret import Secret
from golive.supervise.unit import Status
from seaweed import OWNER, READER, Seaweed, running

pytestmark = pytest.mark.nightly
KEY = (SHOP, "db")
SEGMENT = 16 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Seaweed]:
    with running(tmp_path / "weed") as server:
        server.bucket("backups")
        yield server


@pytest.fixture
def blueprint(server: Seaweed) -> Blueprint:
    to = f"s3://backups/web-1?endpoint=http://127.0.0.1:{server.port}"
    return Blueprint.model_validate({**SHOP_BLUEPRINT.model_dump(by_alias=True), "backups": {"to": to}})


@pytest.fixture
async def host(golive_home: Home, blueprint: Blueprint) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    opened_with(host, OWNER.id, OWNER.secret)
    await live_app(host, blueprint)
    yield host
    await resources.stop(host, SHOP, "db/wal")
    await end_all(host)


def opened_with(host: Host, id: str | None, secret: Secret | None) -> None:
    host.state.remember_app(SHOP, "/nowhere")
    for name, value in ((ID, Secret(id or "")), (SECRET, secret or Secret(""))):
        host.state.set_variable(SHOP, name, value, "me")


async def test_a_bucket_that_dies_and_refuses_has_all_of_it_in_the_end(
    host: Host, server: Seaweed, blueprint: Blueprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN", (0.4, 1.0))
    monkeypatch.setattr(module, "FRESH", 0.0)
    looking, mine = Backups(host), await writes(host, blueprint)
    await look_until_received(looking, host)
    place = backups.repository(host, SHOP, "db", blueprint.backups)

    def there() -> list[str]:
        return [entry.name.rsplit("/", 1)[1] for entry in place.location().list(f"{place.source}/wal")]

    async def looked(done: Callable[[], bool]) -> None:
        """As often as it takes."""
        while not done():
            await looking._look()
            for task in looking._watched[KEY].tasks.values():
                await task

    def trouble(words: str) -> Callable[[], bool]:
        return lambda: words in host.backup_trouble.get(KEY, "")

    async def segment() -> str:
        """The one that became whole now."""
        found = (await backups.backed(host, SHOP, "db")).server
        with found.session() as session:
            row = session.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn()), pg_switch_wal()").fetchone()
        await mine.go_on()
        await is_received(host)
        assert row
        return str(row[0])

    with mine.going_on():
        await mine.go_on()
        await backups.create(host, await backups.backed(host, SHOP, "db"), lambda _: None)
        first = await segment()
        await looked(lambda: first in there() and any(name.endswith(".partial") for name in there()))

        server.kill()
        away = await segment()
        await looked(trouble("cannot be put away"))
        assert "what was there before stands" in host.backup_trouble[KEY]
        with pytest.raises(BackupFailed):
            await backups.create(host, await backups.backed(host, SHOP, "db"), lambda _: None)
        server.start()
        await looked(lambda: away in there())
        assert KEY not in host.backup_trouble

        opened_with(host, READER.id, READER.secret)
        refused = await segment()
        await looked(trouble("AccessDenied"))
        assert "allow this key" in host.backup_trouble[KEY]
        opened_with(host, OWNER.id, OWNER.secret)
        await looked(lambda: refused in there())
    assert state(host, SERVER).status is Status.READY
    assert wal.missing(there(), "0/2000000", SEGMENT) == []
    found = await backups.backed(host, SHOP, "db")
    checked = await backups.verify(host, found, None)
    assert checked["stream"] == stream.current(found.received)
    drilled = await backups.prove(host, found, None, lambda _: None)
    assert drilled["status"] == "proven"
    await looking.stop()
