"""What the linter claims, shown on a real PostgreSQL: which lock a statement takes and whether it writes a table anew;
what it reads from the catalogue; and files that wait."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Database
from golive.blueprint.models import Migrations
from golive.errors import MigrationFailed, NotFound, UsageError
from golive.migrate.lint import local, text
from golive.migrate.lint.facts import Weight
from golive.migrate.lint.finding import Level, Verdict
from golive.migrate.lint.gate import inspect
from golive.migrate.lint.sources import Running
from golive.migrate.run import apply, status
from golive.migrate.sql import split

_CORPUS = Path(__file__).parents[2] / "unit" / "migrate" / "migrate_corpus.py"


def _corpus() -> Any:
    spec = importlib.util.spec_from_file_location("migrate_corpus", _CORPUS)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["migrate_corpus"] = module
    spec.loader.exec_module(module)
    return module


corpus = _corpus()
REAL = [case for kind in ("dangerous", "harmless") for case in corpus.cases(kind) if case.real]
SCAN_LOCKS = {"ShareLock", "ShareRowExclusiveLock", "AccessExclusiveLock"}
REWRITES = {"rewrites-table", "volatile-default"}
SCANS = {"constraint-scans", "not-null-scans", "lock-held-long"}
BUILDS = {"index-blocks-writes", "unique-blocks"}


@pytest.fixture
def shop(database: Database) -> Database:
    """The tables of the corpus with a hundred rows each, as the text in it says."""
    database.query("CREATE TYPE user_mood AS ENUM ('good', 'bad')")
    for name, table in corpus.FACTS.tables.items():
        columns = ", ".join(f'"{c.name}" {c.type}{" NOT NULL" if c.not_null else ""}' for c in table.columns)
        database.query(f"CREATE TABLE {name} ({columns})")
        values = ", ".join(_value(c.type) for c in table.columns)
        if not table.empty:
            database.query(f"INSERT INTO {name} SELECT {values} FROM generate_series(1, 100) n")
        for constraint in sorted(table.constraints, key=lambda c: c.kind == "f"):
            if constraint.kind != "f":
                database.query(f"ALTER TABLE {name} ADD CONSTRAINT {constraint.name} {constraint.definition}")
        for index in table.indexes:
            if not any(c.name == index.name for c in table.constraints):
                unique = "UNIQUE" if index.unique else ""
                database.query(f"CREATE {unique} INDEX {index.name} ON {name} ({', '.join(index.columns)})")
    for name, table in corpus.FACTS.tables.items():
        for constraint in table.constraints:
            if constraint.kind == "f":
                database.query(f"ALTER TABLE {name} ADD CONSTRAINT {constraint.name} {constraint.definition}")
    database.query("ALTER TABLE teams ADD PRIMARY KEY (id)")
    return database


def _value(type_name: str) -> str:
    if type_name.startswith("timestamp"):
        return "now()"
    if type_name == "user_mood":
        return "'good'::user_mood"
    if type_name in ("integer", "bigint") or type_name.startswith("numeric"):
        return "n"
    return "to_jsonb(n)" if type_name == "jsonb" else "'v' || n"


@pytest.mark.parametrize("case", REAL, ids=lambda case: case.name)
def test_what_a_rule_says_happens(shop: Database, case: Any) -> None:
    """Files are rewritten, tables are read as a whole, or neither: by relfilenode, seq_scan and pg_locks."""
    seen = _run(shop, next(iter(case.files.values())))
    if case.rule in REWRITES:
        assert seen["rewritten"], seen
    elif case.rule in BUILDS:  # which PostgreSQL does not count as a scan
        assert seen["locks"] & SCAN_LOCKS and not seen["rewritten"], seen
    elif case.rule in SCANS:
        assert seen["locks"] & SCAN_LOCKS and seen["scanned"] and not seen["rewritten"], seen
    elif case.rule:
        assert seen["error"], seen
    else:
        assert not seen["rewritten"] and not seen["error"], seen
        heavy = seen["locks"] & SCAN_LOCKS
        assert not (heavy and seen["scanned"]), seen


def _run(shop: Database, sql: str) -> dict[str, Any]:
    """Each statement in one transaction, or alone when no transaction takes it."""
    tables = "('users', 'orders')"
    nodes = f"SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname IN {tables} ORDER BY 1"
    locked = f"""SELECT DISTINCT mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                 WHERE l.pid = pg_backend_pid() AND c.relname IN {tables}"""
    error, locks = "", set()
    alone = "CONCURRENTLY" in sql or "VACUUM" in sql
    before, scans = dict(shop.query(nodes)), _scans(shop)
    with psycopg.connect(shop.url, autocommit=alone) as connection:
        try:
            for statement in split(sql):
                connection.execute(statement.text.encode())
            locks = {mode for (mode,) in connection.execute(locked.encode())}
        except psycopg.Error as failed:
            error = str(failed)
        if not alone:
            after = dict(connection.execute(nodes.encode()).fetchall()) if not error else before
            connection.commit() if not error else connection.rollback()
        else:
            after = dict(connection.execute(nodes.encode()).fetchall())
        connection.execute("SELECT pg_stat_force_next_flush()")  # what it counted, before it is asked elsewhere
    return {"rewritten": before != after, "locks": locks, "scanned": _scans(shop) > scans, "error": error}


def _scans(shop: Database) -> int:
    query = (
        "SELECT pg_stat_force_next_flush(), sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('users', 'orders')"
    )
    return int(shop.query(query)[0][1])


# The facts


def _settings(database: Database, **more: Any) -> Migrations:
    return Migrations(tool="sql", source=database.folder.name, resource="db", **more)


async def _inspect(database: Database, *running: Running, tool: str = "sql") -> Verdict:
    settings = _settings(database).model_copy(update={"tool": tool})
    return await inspect(settings, database.folder.parent, database.secret, running)


def _release(folder: Path, code: str, **more: Any) -> Running:
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(code)
    return Running(3, (folder,), **more)


async def test_the_size_of_the_real_table_decides(database: Database) -> None:
    database.query("CREATE TABLE big (id int, note text)")
    database.query("CREATE TABLE small (id int)")
    database.query("INSERT INTO big SELECT n, repeat('x', 400) FROM generate_series(1, 90000) n")
    database.query("ANALYZE")
    database.write("001_a.sql", "CREATE INDEX ON small (id);\nCREATE INDEX big_id ON big (id);")
    verdict = await _inspect(database)
    assert [(f.rule, f.level, f.line) for f in verdict.findings] == [
        ("index-blocks-writes", Level.NOTE, 1),
        ("index-blocks-writes", Level.STOP, 2),
    ]
    with pytest.raises(MigrationFailed) as caught:
        text.refuse(verdict)
    assert "90,000 rows" in (caught.value.why or "")
    assert "CREATE INDEX CONCURRENTLY big_id ON big (id);" in (caught.value.why or "")
    assert caught.value.where and caught.value.where.endswith("001_a.sql:2")


async def test_what_is_known_of_a_database(shop: Database) -> None:
    from golive.migrate.lint.catalogue import facts
    from golive.migrate.session import connect

    shop.query("ANALYZE")
    async with await connect(shop.secret) as connection:
        found = await facts(connection)
    users = found.tables["public.users"]
    assert users.rows == 100 and users.bytes > 0 and users.weight is Weight.TINY
    email = users.column("email")
    assert email and email.type == "character varying(255)" and email.not_null and email.nulls == 0
    assert {i.name: i.unique for i in users.indexes}["users_email_key"]
    assert {c.name: c.validated for c in found.tables["public.orders"].constraints}["orders_user_fk"] is False
    assert found.path == ("public",)


async def test_a_table_that_somebody_has_locked_does_not_hold_it_up(database: Database) -> None:
    database.query("CREATE TABLE users (id int)")
    database.query("INSERT INTO users SELECT n FROM generate_series(1, 90000) n")
    database.query("VACUUM ANALYZE users")
    database.write("001_a.sql", "CREATE INDEX ON users (id);")
    with psycopg.connect(database.url) as other:
        other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        assert [f.rule for f in (await _inspect(database)).stops] == ["index-blocks-writes"]


# Files that wait


async def test_a_contract_file_waits_until_no_release_needs_it(database: Database, tmp_path: Path) -> None:
    database.query("CREATE TABLE users (id int, nick text)")
    database.write("001_old.sql", "-- golive: contract\nALTER TABLE users DROP COLUMN nick;")
    database.write("002_new.sql", "ALTER TABLE users ADD COLUMN handle text;")
    reads = _release(tmp_path / "r3", "SELECT = 'SELECT nick FROM users'\n", until="until 12:00")
    verdict = await _inspect(database, reads)
    assert verdict.stops == () and [one.file for one in verdict.held] == ["001_old.sql"]
    assert "release 3, kept warm until 12:00" in verdict.held[0].reason
    held = [one.file for one in verdict.held]
    done = await apply(
        _settings(database), database.folder, database.secret, database.events.append, release=4, held=held
    )
    assert done.files == ("002_new.sql",)
    assert [f.name for f in (await status(database.folder, database.secret)).pending] == ["001_old.sql"]

    # The release after it was deployed with the file in its checkout: it does without, whatever its code says.
    carries = _release(tmp_path / "r4", "# nick\nname = 'nick'\n", carried=frozenset({"001_old.sql"}))
    assert (await _inspect(database, carries)).held == ()
    database.events.clear()
    done = await apply(_settings(database), database.folder, database.secret, database.events.append, release=5)
    assert done.files == ("001_old.sql",)
    assert database.said("late") == ["numbered below what was applied before: 001_old.sql"]
    assert database.query(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'nick'"
    ) == [(0,)]


async def test_a_column_that_no_code_names_may_go(database: Database, tmp_path: Path) -> None:
    database.query("CREATE TABLE users (id int, nick text)")
    database.write("001_old.sql", "ALTER TABLE users DROP COLUMN nick;")
    idle = _release(tmp_path / "r3", "# nick was removed\nSELECT = 'SELECT id FROM users'\n")
    assert [f.level for f in (await _inspect(database, idle)).findings] == [Level.NOTE]
    reads = _release(tmp_path / "r3", "SELECT = 'SELECT nick FROM users'\n")
    found = (await _inspect(database, reads)).stops[0]
    assert found.rule == "drop-column" and found.evidence == ("release 3: app.py:1",)
    container = Running(3, (), whole=False)
    assert (await _inspect(database, container)).stops[0].evidence == ()


async def test_migrations_packages_and_tests_are_no_code(database: Database, tmp_path: Path) -> None:
    database.query("CREATE TABLE users (id int, nick text)")
    database.write("001_old.sql", "ALTER TABLE users DROP COLUMN nick;")
    root = tmp_path / "r3"
    running = _release(root, "SELECT = 'SELECT id FROM users'\n")
    for name in (
        "migrations/001_old.sql",
        "node_modules/pg/a.js",
        "tests/test_a.py",
        "shop/migrations/0002_nick.py",
        "logo.svg",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("nick")
    assert (await _inspect(database, running)).stops == ()
    client = root / "node_modules/.prisma/client/schema.prisma"
    client.parent.mkdir(parents=True)
    client.write_text("model User {\n  nick String\n}")
    assert (await _inspect(database, running)).stops[0].evidence == (f"release 3: {client.relative_to(root)}:2",)


async def test_a_tool_that_never_looks_back_stops_instead_of_losing_a_file(database: Database, tmp_path: Path) -> None:
    database.query("CREATE TABLE users (id int, nick text)")
    database.write("001_old.up.sql", "-- golive: contract\nALTER TABLE users DROP COLUMN nick;")
    database.write("002_new.up.sql", "ALTER TABLE users ADD COLUMN handle text;")
    reads = _release(tmp_path / "r3", "SELECT = 'SELECT nick FROM users'\n")
    verdict = await _inspect(database, reads, tool="golang-migrate")
    assert [found.rule for found in verdict.stops] == ["contract-order"]


async def test_nothing_is_read_when_nothing_is_pending(database: Database) -> None:
    database.write("001_a.sql", "CREATE TABLE a (id int);")
    await database.apply()
    assert await _inspect(database) == Verdict()


def test_without_a_database_a_checkout_and_files_are_judged(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api/main.py").write_text("")
    (tmp_path / "api/requirements.txt").write_text("")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations/001_a.sql").write_text("CREATE TABLE a (id int);\nCREATE INDEX ON a (id);\n")
    text = 'name = "shop"\n[services.api]\nsource = "api"\nkind = "web"\ncommand = "python main.py"\n'
    text += '[resources.db]\nengine = "postgres"\n[migrations]\nsource = "migrations"\n'
    (tmp_path / "golive.toml").write_text(text)
    found = local.lint(tmp_path, "production", [])
    assert (found.stops, found.statements, found.sized) == ((), 2, False)
    found = local.lint(None, "production", [("x.sql", "BEGIN;\nALTER TABLE users DROP COLUMN nick;\nCOMMIT;\n")])
    (stop,) = found.stops
    assert (stop.rule, stop.line, stop.file) == ("drop-column", 2, "x.sql")
    with pytest.raises(UsageError, match="never closed"):
        local.lint(None, "production", [("x.sql", "SELECT 'oops")])
    with pytest.raises(NotFound):
        local.lint(None, "production", [])
