"""A database that a recovery is to leave out: it begins empty, and can be used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from copies_host import SHOP, SHOP_BLUEPRINT, end_all, make_host

from golive.backup.credentials import Credentials
from golive.data.postgres import Postgres
from golive.errors import NotFound, ResourceFailed
from golive.home import Home
from golive.release import recover_data, resources
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Release

DB = "shop/production/db"


@pytest.fixture
async def host(golive_home: Home) -> AsyncIterator[Host]:
    """As a recovery has it: the state is there, and no data is."""
    host = make_host(golive_home)
    both = SHOP_BLUEPRINT.model_dump(by_alias=True, mode="json", exclude_unset=True)
    both["resources"] = {"cache": {"engine": "redis"}, **both["resources"]}
    made = SHOP_BLUEPRINT.model_validate(both).model_dump_json(by_alias=True)
    host.state.remember_app(SHOP, "/nowhere")
    host.state.add_release(Release(SHOP, 1, "ready", made, {}, None, 1.0, "me"), {})
    host.state.set_live(SHOP, 1)
    yield host
    await end_all(host)


async def test_it_has_its_role_and_database_before_anything_else_starts(host: Host) -> None:
    home = host.home
    given = (host, str(home.backups), Credentials())
    with pytest.raises(NotFound, match="there is no backup of shop/production/db") as missing:
        await recover_data.find(*given, (), home.root / "work")
    assert f"--without {DB}" in str(missing.value.hint)
    with pytest.raises(NotFound, match="that could begin empty") as mistaken:
        await recover_data.find(*given, ("shop/production/bd",), home.root / "work")
    assert f"did you mean {DB}" in str(mistaken.value.hint)

    found = await recover_data.find(*given, (DB,), home.root / "work")
    assert (found.kept, [store.name for store in found.empty]) == ((), ["cache", "db"])
    for store in found.empty:
        await recover_data.begin_empty(store, home.root / "work")
    again = await recover_data.find(*given, (), home.root / "work")  # killed before all of it was done
    assert again.empty == found.empty

    cache, db = found.empty
    (cache.folder / "redis.conf").unlink()
    (cache.folder / "redis.conf").mkdir()  # it cannot be started, and keeps nothing from the other
    with pytest.raises((ResourceFailed, OSError)):
        await resources.standing(host, SHOP, host.release_blueprint(SHOP, 1))
    assert isinstance(db, Postgres)
    url = db.variables()["url"]
    assert isinstance(url, Secret)
    await host.supervisor.wait_ready(resources.unit_name(SHOP, "db"), resources.READY, timedelta(0))
    await db.ready()
    with psycopg.connect(url.reveal()) as session:
        assert session.execute("SELECT current_database()").fetchone() == ("shop",)
