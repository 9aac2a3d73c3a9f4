"""Columns whose values a copy must not show: overwritten before anybody may connect to it. Loads the driver.

The same value always becomes the same one, so that joins still meet and a second branch shows the same people; what it
was cannot be computed back without golive's key. Tables are written with triggers and foreign keys at rest, since an
audit trigger would keep the old value; statistics are made anew, since they quote the most common values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier, Literal

from golive.blueprint.masking import FIXED
from golive.data.insight import named
from golive.data.postgres import Postgres
from golive.errors import ResourceFailed, nearest
from golive.secret import Secret

FIRST = ("Ada", "Ben", "Chen", "Dana", "Eli", "Fatma", "Gita", "Hugo", "Ines", "Jan", "Kofi", "Lena", "Mira", "Noor")
LAST = ("Abel", "Brook", "Costa", "Diaz", "Eriksen", "Fox", "Grau", "Haas", "Ito", "Jansen", "Kaya", "Lund", "Moreau")
_COLUMNS = """
SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, NULL), a.attnotnull,
    CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 END,
    a.attgenerated <> ''
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema' ORDER BY n.nspname <> 'public', 1, 2, a.attnum"""
_VIEWS = """
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid"""
_BELOW = """
WITH RECURSIVE below AS (
    SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.inhrelid)
SELECT n.nspname::text, c.relname::text FROM below JOIN pg_class c ON c.oid = inhrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND NOT c.relispartition"""
"""Tables that inherit: they are overwritten with the one above, and VACUUM leaves them out."""
_TEXT = ("text", "character varying", "character", "citext", "name")
_WHOLE = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
"""What of a hash makes a number that is not negative."""
_KEY = SQL("current_setting('golive.mask_key')")
"""So that no statement has it in it."""

Rules = Mapping[str, str]
Report = Callable[[str], None]


@dataclass(frozen=True)
class _Column:
    schema: str
    table: str
    name: str
    type: str
    required: bool
    length: int | None
    generated: bool

    @property
    def label(self) -> str:
        return f"{'' if self.schema == 'public' else f'{self.schema}.'}{self.table}.{self.name}"


async def check(store: Postgres, rules: Rules) -> None:
    """Whether `mask` could follow them, asked of the source before anything is copied. ResourceFailed as there."""
    async with await store.superuser(store.role) as session:
        _match(store, rules, await _columns(session))


async def mask(store: Postgres, rules: Rules, key: Secret, report: Report) -> None:
    """As `rules` say: `[schema.]table.column` to a kind or a fixed value. ResourceFailed names every rule that cannot
    be followed; nobody may use the copy then."""
    async with await store.superuser(store.role) as session:
        wanted = _match(store, rules, await _columns(session))
        await session.execute("SET log_min_error_statement = panic")
        await session.execute("SET log_min_duration_statement = -1")
        await session.execute("SET session_replication_role = replica")
        await session.execute("SELECT set_config('golive.mask_key', %s, false)", (key.reveal(),))
        for (schema, table), columns in _by_table(wanted).items():
            report(f"masking {named(schema, table)}")
            await _overwrite(session, store, columns)
            below = await (await session.execute(_BELOW, (Identifier(schema, table).as_string(),))).fetchall()
            for each in [(schema, table), *below]:
                await session.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(*each)))
        for schema, view in await (await session.execute(_VIEWS)).fetchall():
            report(f"refreshing {named(schema, view)}")
            await session.execute(SQL("REFRESH MATERIALIZED VIEW {}").format(Identifier(schema, view)))
            await session.execute(SQL("ANALYZE {}").format(Identifier(schema, view)))


async def _columns(session: AsyncConnection[Any]) -> list[_Column]:
    return [_Column(*row) for row in await (await session.execute(_COLUMNS)).fetchall()]


def _match(store: Postgres, rules: Rules, found: list[_Column]) -> list[tuple[_Column, str]]:
    by_label = {column.label: column for column in reversed(found)}
    by_label |= {f"public.{column.label}": column for column in found if column.schema == "public"}
    wanted, wrong = [], []
    for label, rule in rules.items():
        column = by_label.get(label)
        if column is None:
            near = nearest(label, by_label)
            wrong.append(f"there is no {label}{f', did you mean {near}?' if near else ''}")
        elif fault := _fault(column, rule):
            wrong.append(f"{label} {fault}")
        else:
            wanted.append((column, rule))
    if wrong:
        raise ResourceFailed(
            f"{store.name} cannot be masked as golive.toml says",
            where=f"resources.{store.name.partition('@')[0]}.mask",
            why="; ".join(wrong),
            hint="mend that and deploy; until then no copy that people use is made of it",
        )
    return wanted


def _fault(column: _Column, rule: str) -> str | None:
    if column.generated:
        return "is computed from other columns: mask those"
    if rule == "null":
        return "may not be null: choose another kind" if column.required else None
    if rule == "hash":
        known = column.type in (*_TEXT, *_WHOLE, "uuid")
        return None if known else f"is {column.type}, of which there is no hash: null or a fixed value"
    if not rule.startswith(FIXED) and column.type not in _TEXT:
        return f"is {column.type}, and {rule} makes text: null, hash or a fixed value"
    return None


def _by_table(
    wanted: list[tuple[_Column, str]],
) -> dict[tuple[str, str], list[tuple[_Column, str]]]:
    tables: dict[tuple[str, str], list[tuple[_Column, str]]] = {}
    for column, rule in wanted:
        tables.setdefault((column.schema, column.table), []).append((column, rule))
    return tables


async def _overwrite(session: AsyncConnection[Any], store: Postgres, columns: list[tuple[_Column, str]]) -> None:
    """All of a table's columns in one pass."""
    sets = [SQL("{} = {}").format(Identifier(column.name), _value(column, rule)) for column, rule in columns]
    some = [SQL("{} IS NOT NULL").format(Identifier(column.name)) for column, _ in columns]
    first = columns[0][0]
    statement = SQL("UPDATE {} SET {} WHERE {}").format(
        Identifier(first.schema, first.table), SQL(", ").join(sets), SQL(" OR ").join(some)
    )
    try:
        await session.execute(statement)
    except psycopg.Error as error:
        raise ResourceFailed(
            f"{store.name} cannot be masked as golive.toml says",
            where=f"resources.{store.name.partition('@')[0]}.mask",
            why=f"{named(first.schema, first.table)}: {error.diag.message_primary or type(error).__name__}",
            hint="choose another kind for that column: hash keeps values apart that must be unique",
        ) from error


def _value(column: _Column, rule: str) -> Composed:
    if rule == "null":
        return Composed([SQL("NULL")])
    old = Identifier(column.name)
    if rule.startswith(FIXED):
        made = SQL("{}::{}").format(Literal(rule.removeprefix(FIXED)), SQL(column.type))
    else:
        made = _kinds(column, old)[rule]
    if column.length is not None:
        made = SQL("left({}, {})").format(made, Literal(column.length))
    return SQL("CASE WHEN {} IS NULL THEN NULL ELSE {} END").format(old, made)


def _kinds(column: _Column, old: Identifier) -> dict[str, Composed]:
    whole = SQL("sha256(convert_to({0} || {1}::text || {0}, 'UTF8'))").format(_KEY, old)
    hexed = SQL("encode({}, 'hex')").format(whole)
    type = SQL(column.type)  # as the server writes it
    if column.type in _WHOLE:
        digits = SQL("('x' || left({}, 16))::bit(64)::bigint").format(hexed)
        hashed = SQL("(({}) & {})::{}").format(digits, Literal(_WHOLE[column.type]), type)
    else:
        hashed = SQL("left({}, 32)::{}").format(hexed, type)
    first = SQL("({}::text[])[1 + get_byte({}, 0) % {}]").format(Literal(list(FIRST)), whole, Literal(len(FIRST)))
    last = SQL("({}::text[])[1 + get_byte({}, 1) % {}]").format(Literal(list(LAST)), whole, Literal(len(LAST)))
    seven = SQL("lpad((('x' || left({}, 8))::bit(32)::bigint % 10000000)::text, 7, '0')").format(hexed)
    letters = SQL("regexp_replace({}::text, '[[:alpha:]]', 'x', 'g')").format(old)
    return {
        "hash": hashed,
        "email": SQL("'u' || left({}, 16) || '@example.com'").format(hexed),
        "name": SQL("{} || ' ' || {}").format(first, last),
        "phone": SQL("'+1555' || {}").format(seven),
        "text": SQL("regexp_replace({}, '[[:digit:]]', '0', 'g')").format(letters),
    }
