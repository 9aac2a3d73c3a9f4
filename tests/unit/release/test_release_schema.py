"""How far the database is ahead of a release."""

from __future__ import annotations

from pathlib import Path

from release_fakes import SHOP, World, blueprint

from golive.release.schema import Behind, _back_in_time, behind
from golive.state.records import ReleaseSchema

SCHEMAS = {
    1: ReleaseSchema(("001.sql",), (), b""),
    2: ReleaseSchema(("001.sql", "002.sql"), (), b""),
    3: ReleaseSchema(("001.sql", "002.sql", "003.sql"), ("003.sql",), b""),
}


def test_every_release_counts_that_migrated() -> None:
    assert behind(SCHEMAS, 1) == Behind(("002.sql", "003.sql"), ("003.sql",))
    assert behind(SCHEMAS, 2) == Behind(("003.sql",), ("003.sql",))
    assert behind(SCHEMAS, 3) == Behind()
    went_back = {**SCHEMAS, 4: SCHEMAS[1]}
    assert behind(went_back, 2) == Behind(("003.sql",), ("003.sql",))


def test_a_release_of_an_older_golive_is_not_known() -> None:
    assert behind(SCHEMAS, 9) is None


def test_the_moment_before_is_that_of_the_first_of_them(tmp_path: Path) -> None:
    world = World(tmp_path)
    made = blueprint(
        {"web": {"kind": "web", "command": "serve"}},
        resources={"db": {"engine": "postgres"}},
        migrations={"tool": "sql", "source": "migrations", "resource": "db"},
    )
    for number, schema in SCHEMAS.items():
        world.release(made, number)
        world.state.set_release_schema(SHOP, number, schema)
        world.state._run("UPDATE release SET created_at = ? WHERE number = ?", 86400.0 * number, number)
    world.state.set_live(SHOP, 3)
    host = world.host
    assert _back_in_time(host, SHOP, Behind(("002.sql",)), made) == ""
    run = world.state.begin_backup_run(SHOP, "db", "base")
    world.state.end_backup_run(run, None, {})
    world.state._run("UPDATE backup_run SET ended_at = 86400")
    assert "--to-time 1970-01-03T00:00:00Z" in _back_in_time(host, SHOP, Behind(("002.sql", "003.sql")), made)
    world.state.audit("me", "migrate", SHOP)
    world.state.audit("me", "migrate.done", SHOP, applied=["003.sql"])
    world.state._run("UPDATE audit SET at = ?", 86400.0 * 5)
    assert "-r db --to-time 1970-01-06T00:00:00Z" in _back_in_time(host, SHOP, Behind(("003.sql",)), made)
    off = made.model_copy(update={"migrations": None})
    assert _back_in_time(host, SHOP, Behind(("003.sql",)), off) == ""
    world.close()
