"""Rehearsals on a copy of a real database: the live one is not touched, and nothing of the copy is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from copies_host import SHOP, end_all, live_app, make_host

from golive.blueprint.models import Blueprint
from golive.errors import Conflict
from golive.home import Home
from golive.release import rehearsal, resources
from golive.release.host import Host

BLUEPRINT = Blueprint.model_validate(
    {
        "name": "shop",
        "services": {"web": {"kind": "worker", "command": "true"}},
        "resources": {"db": {"engine": "postgres", "version": 15}},
        "migrations": {
            "tool": "sql", "source": "migrations", "resource": "db", "rehearse": {"longest_lock": "100ms"},
        },
    }
)  # fmt: skip
PLANT = "CREATE TABLE item (id serial PRIMARY KEY, n int); INSERT INTO item (n) SELECT generate_series(1, 5000)"


@pytest.fixture
async def host(golive_home: Home, tmp_path: Path) -> AsyncIterator[Host]:
    host = make_host(golive_home)
    await live_app(host, BLUEPRINT)
    host.state.remember_app(SHOP, str(tmp_path))
    (tmp_path / "migrations").mkdir()
    await ask(host, PLANT)
    yield host
    await end_all(host)


async def ask(host: Host, query: str) -> list[Any]:
    url = (await resources.declare(host, SHOP, BLUEPRINT))["db"].variables()["url"]
    assert not isinstance(url, str)
    async with await psycopg.AsyncConnection.connect(url.reveal(), autocommit=True) as db:
        done = await db.execute(query.encode())
        return await done.fetchall() if done.description else []


async def untouched(host: Host) -> None:
    """Neither the live database nor a trace of a copy."""
    schema = "SELECT to_regclass('golive_migrations'), (SELECT count(*) FROM pg_attribute WHERE attnum > 0 AND"
    assert await ask(host, f"{schema} attrelid = 'item'::regclass), count(*) FROM pg_replication_slots") == [
        (None, 2, 0)
    ]
    assert host.state.copies(SHOP) == []
    assert [row.name for row in host.state.resources(SHOP)] == ["db"]
    assert [path.name for path in host.home.resource(*SHOP, "db").parent.iterdir()] == ["db"]
    assert [state.id for state in host.supervisor.states()] == ["shop/production/resource/db"]


async def test_it_says_what_a_deploy_would_do_and_leaves_nothing(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    (folder / "001_note.sql").write_text("ALTER TABLE item ADD COLUMN note text;")
    (folder / "002_index.sql").write_text("CREATE INDEX CONCURRENTLY item_n ON item (n);")
    said: list[str] = []
    found = json.loads(json.dumps(await rehearsal.now(host, SHOP, "me", said.append)))
    assert (found["stops"], found["pending"]) == ([], ["001_note.sql", "002_index.sql"])
    assert found["account"]["applied"] == ["001_note.sql", "002_index.sql"]
    assert found["account"]["longest_lock"]["table"] == "public.item"
    assert [step["built"] for step in found["account"]["steps"]] == [[], ["public.item_n"]]
    assert said[0] == "checkpoint of the source" and "applied: 002_index.sql" in said
    await untouched(host)
    assert [e.action for e in host.state.audit_log(SHOP)][:1] == ["migrate.rehearse"]

    (folder / "003_wrong.sql").write_text("ALTER TABLE item ALTER COLUMN n TYPE bigint;\nSELECT nope;")
    found = await rehearsal.now(host, SHOP, "me", said.append)
    assert found["account"]["error"]["what"] == "migration 003_wrong.sql failed at statement 2 of 2, line 2"
    assert found["account"]["steps"][2]["rewritten"] == ("public.item",)
    assert found["stops"] == [found["account"]["error"]["what"]]
    await untouched(host)

    (folder / "003_wrong.sql").write_text("ALTER TABLE item ADD COLUMN a int;\nSELECT pg_sleep(0.2);")
    [stop] = (await rehearsal.now(host, SHOP, "me", said.append))["stops"]
    assert stop.startswith("in the rehearsal 003_wrong.sql:1 kept reads and writes of public.item waiting for 2")
    for file in folder.iterdir():
        file.unlink()
    assert (await rehearsal.now(host, SHOP, "me", said.append))["account"] is None
    await untouched(host)


async def test_broken_off_nothing_is_left(host: Host, tmp_path: Path) -> None:
    (tmp_path / "migrations/001_slow.sql").write_text("ALTER TABLE item ADD COLUMN a int;\nSELECT pg_sleep(60);")
    running = asyncio.Event()

    def say(text: str) -> None:
        if text == "started: 001_slow.sql":
            running.set()

    work = asyncio.create_task(rehearsal.now(host, SHOP, "me", say))
    await running.wait()
    with pytest.raises(Conflict, match="a copy of a database of shop/production is being made"):
        await rehearsal.now(host, SHOP, "me", say)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await untouched(host)
