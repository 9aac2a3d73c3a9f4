"""Dumps of a real PostgreSQL that is only known by its URL."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from copies_host import SHOP, end_all, live_app, make_host

from golive.blueprint.models import Blueprint
from golive.errors import BackupFailed, NotFound
from golive.home import Home
from golive.release import dumps, replicas
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Release
from golive.system.processes import run

COUNTED = True

SERVICES = {"web": {"kind": "worker", "command": "true"}}
OWN = Blueprint.model_validate(
    {"name": "shop", "services": SERVICES, "resources": {"db": {"engine": "postgres", "version": 15}}}
)
THEIRS = Blueprint.model_validate(
    {
        "name": "shop",
        "services": SERVICES,
        "resources": {
            "theirs": {"engine": "postgres", "url_from": "DATABASE_URL", "checks": ["SELECT count(*) = 500 FROM item"]}
        },
        "env": {"DATABASE_URL": {"type": "secret"}},
        "backups": {"enabled": True},
    }
)


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    """The live release knows its database by the URL alone."""
    host = make_host(golive_home)
    await live_app(host, OWN)
    store = (await replicas.primaries(host, SHOP))["db"]
    async with await store.superuser("postgres") as session:
        await session.execute("CREATE ROLE visitor")
    url = store.variables()["url"]
    assert isinstance(url, Secret)
    with psycopg.connect(url.reveal(), autocommit=True) as db:
        db.execute("CREATE TABLE item (id serial PRIMARY KEY, word text)")
        db.execute("INSERT INTO item (word) SELECT 'word ' || n FROM generate_series(1, 500) n")
        db.execute("ALTER TABLE item ENABLE ROW LEVEL SECURITY")
        db.execute("CREATE POLICY seen ON item TO visitor USING (true)")
    host.state.set_variable(SHOP, "DATABASE_URL", url, "me")
    made = Release(SHOP, 2, "ready", THEIRS.model_dump_json(by_alias=True), {}, None, 1.0, "me")
    host.state.add_release(made, {})
    host.state.set_live(SHOP, 2)
    yield host
    await end_all(host)


async def test_a_dump_is_sealed_listed_and_restored(host: Host) -> None:
    assert (await dumps.listing(host, SHOP, None))["dumps"] == []
    made = await dumps.create(host, SHOP, None, lambda _: None)
    assert (made["resource"], made["tables"]) == ("theirs", 1)
    [listed] = (await dumps.listing(host, SHOP, "theirs"))["dumps"]
    assert listed["id"] == made["id"]
    sealed = [path for path in host.home.backups.rglob("*") if path.is_file()]
    assert all(b"word 7" not in path.read_bytes() for path in sealed)

    opened = Path((await dumps.unseal(host, SHOP, None, None))["path"])

    assert stat.S_IMODE(opened.stat().st_mode) == 0o600
    url = host.state.variables(SHOP)["DATABASE_URL"].reveal()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP TABLE item")
        engine = await host.engines.find("postgres", 15)
        argv = (str(engine.program("pg_restore")), "-d", url, "-t", "item", str(opened))
        done = await run(argv, env={"PATH": "/usr/bin:/bin", **engine.env}, cwd=Path("/"))
        assert done.code == 0, done.output
        assert db.execute("SELECT count(*) FROM item").fetchone() == (500,)


async def test_a_damaged_dump_is_found_and_a_refusal_shows_no_password(host: Host) -> None:
    made = await dumps.create(host, SHOP, None, lambda _: None)
    [archive] = host.home.backups.rglob("data.golive")
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(BackupFailed):
        await dumps.unseal(host, SHOP, None, made["id"])
    with pytest.raises(BackupFailed, match="damaged"):
        await dumps.prove(host, SHOP, None, None, lambda _: None)
    [listed] = (await dumps.listing(host, SHOP, None))["dumps"]
    assert listed["status"] == "failed" and "damaged" in listed["why"]
    assert list((host.home.app(*SHOP) / "drills/theirs.dump").iterdir()) == []
    assert not list((host.home.app(*SHOP) / "dumps").rglob("*.*"))
    with pytest.raises(NotFound, match="has no backup 20200101T000000Z"):
        await dumps.unseal(host, SHOP, None, "20200101T000000Z")

    url = host.state.variables(SHOP)["DATABASE_URL"].reveal()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("REVOKE ALL ON item FROM CURRENT_USER")
        with pytest.raises(BackupFailed, match="could not be dumped") as caught:
            await dumps.create(host, SHOP, None, lambda _: None)
    password = url.partition("://")[2].partition("@")[0].partition(":")[2]
    assert password not in str(caught.value.to_json())
    assert "permission denied" in str(caught.value.why) + str(caught.value.log)
    assert len((await dumps.listing(host, SHOP, None))["dumps"]) == 1


async def test_they_are_made_daily_and_restored_weekly(host: Host) -> None:
    daily = dumps.DailyDumps(host)
    await daily.tick()
    await daily.tick()
    [listed] = (await dumps.listing(host, SHOP, None))["dumps"]
    assert listed["status"] == "unproven"
    for _ in range(2):
        await dumps.DailyDumps(host).tick()  # of the next daemon
    [listed] = (await dumps.listing(host, SHOP, None))["dumps"]
    assert listed["status"] == "proven"
    drill = listed["drill"]
    assert (drill["tables"], drill["rows"]) == (1, 500)
    assert "SELECT count(*) = 500 FROM item: holds" in drill["checks"]
    assert list((host.home.app(*SHOP) / "drills/theirs.dump").iterdir()) == []
