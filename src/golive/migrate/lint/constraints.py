"""Constraints: what is checked under which lock, what is refused from then on, and NOT NULL in safe steps."""

from __future__ import annotations

from golive.migrate.lint.facts import Constraint, Weight
from golive.migrate.lint.finding import Level
from golive.migrate.lint.look import Look
from golive.migrate.lint.tree import Node, column_of, words

KINDS = {"CONSTR_CHECK", "CONSTR_FOREIGN", "CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_EXCLUSION"}
_FOREIGN = "SHARE ROW EXCLUSIVE"
_EXCLUSIVE = "ACCESS EXCLUSIVE"


def added(look: Look, key: str, constraint: Node, *, column: str | None = None, empty: bool = False) -> None:
    """ADD CONSTRAINT, or one that came with a new column. `empty`: it is NULL in every row, so that PostgreSQL takes a
    foreign key for valid without looking (transformFKConstraints)."""
    contype, name = constraint["contype"], constraint.get("conname", "")
    if contype in ("CONSTR_UNIQUE", "CONSTR_PRIMARY", "CONSTR_EXCLUSION"):
        _unique(look, key, constraint, column)
        return
    filled = _filled_by(constraint)
    if constraint.get("skip_validation"):
        look.world.not_valid[name] = (key, filled)
    elif contype in ("CONSTR_CHECK", "CONSTR_NOTNULL") or (contype == "CONSTR_FOREIGN" and not empty):
        _scans(look, key, constraint, column)
        if filled:
            look.world.filled.add((key, filled))
    if contype == "CONSTR_FOREIGN":
        look.lock(key, _FOREIGN)
        look.lock(look.world.key(constraint["pktable"]), _FOREIGN)
    if filled:
        must_be_filled(look, key, filled, "")
    elif contype == "CONSTR_CHECK" and column is None and look.world.weight(key) is not Weight.NEW:
        look.say(Level.WARNING, "constraint-added", f"rows of {key} are refused that fail {name or 'the new CHECK'}")


def _scans(look: Look, key: str, constraint: Node, column: str | None) -> None:
    table, name = key.rpartition(".")[2], constraint.get("conname") or f"{key.rpartition('.')[2]}_check"
    foreign = constraint["contype"] == "CONSTR_FOREIGN"
    parts = words(constraint.get("fk_attrs")) or ([column] if column else [])
    if foreign and not constraint.get("conname"):
        name = f"{table}_{'_'.join(parts)}_fkey"
    body = f"FOREIGN KEY ({', '.join(parts)}) REFERENCES {constraint['pktable']['relname']}" if foreign else "CHECK (…)"
    safe = f"ALTER TABLE {table} ADD CONSTRAINT {name} {body} NOT VALID;\n-- in the next file\n"
    safe += f"ALTER TABLE {table} VALIDATE CONSTRAINT {name};"
    lock = _FOREIGN if foreign else _EXCLUSIVE
    look.works("constraint-scans", key, "checks every row of", lock=lock, safe=safe)


def _unique(look: Look, key: str, constraint: Node, column: str | None) -> None:
    if constraint.get("indexname"):
        return
    table = key.rpartition(".")[2]
    keys = ", ".join(words(constraint.get("keys")) or ([column] if column else ["…"]))
    word = "PRIMARY KEY" if constraint["contype"] == "CONSTR_PRIMARY" else "UNIQUE"
    name = constraint.get("conname") or f"{table}_{keys.replace(', ', '_')}_key"
    safe = f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({keys});\n-- in the next file\n"
    safe += f"ALTER TABLE {table} ADD CONSTRAINT {name} {word} USING INDEX {name};"
    look.works("unique-blocks", key, "builds the index of", lock=_EXCLUSIVE, safe=safe)


def validated(look: Look, key: str, command: Node) -> None:
    """VALIDATE CONSTRAINT lets others work, unless this transaction keeps them out already."""
    name = command["name"]
    look.long(key, f"checks {name} on")
    table, filled = look.world.not_valid.get(name, (key, None))
    known = _known(look, key, name)
    if known and not filled:
        filled = filled_text(known)
    if filled:
        look.world.filled.add((table, filled))


def dropped(look: Look, key: str, command: Node) -> None:
    """A check that goes only allows more; a key is what ON CONFLICT, foreign keys and replicas rest on."""
    name, short = command["name"], key.rpartition(".")[2]
    if look.world.weight(key) is Weight.NEW or name in look.world.not_valid:
        return
    known = _known(look, key, name)
    if known and known.kind in ("c", "f", "n"):
        look.say(Level.NOTE, "drop-constraint", f"drops {name} of {key}", "What it refused is let in from now on.")
        return
    if known is None and look.world.facts.known:
        return
    if known is None and not name.endswith(("_pkey", "_key", "_pk", "_unique", "_uniq")):
        look.say(
            Level.WARNING, "drop-constraint", f"drops {name} of {key}", "If it is unique, ON CONFLICT rests on it."
        )
        return
    look.takes("drop-constraint", f"drops {name} of {key}", lambda code: code.table(short))


def keeps_filled(look: Look, key: str, column: str) -> bool:
    """Whether a validated CHECK says that the column is not NULL."""
    table = look.world.table(key)
    return any(c.validated and filled_text(c) == column for c in (table.constraints if table else ()))


def must_be_filled(look: Look, key: str, column: str, safe: str) -> None:
    """From here on NULL is refused: does a running release write it?"""
    world, table = look.world, look.world.table(key)
    if world.weight(key) is Weight.NEW or (table and any(filled_text(c) == column for c in table.constraints)):
        return
    known, short = (table.column(column) if table else None), key.rpartition(".")[2]
    what, safe = f"{key}.{column} becomes NOT NULL", safe or not_null_steps(short, column)
    if known and known.nulls:
        share = f"{known.nulls:.0%}" if known.nulls >= 0.01 else "some"
        look.say(Level.STOP, "not-null", what, f"Of its rows {share} are NULL: fill them first.", safe=safe)
    elif known and known.nulls == 0 and table and (table.rows or 0) >= 100:
        look.say(
            Level.WARNING, "not-null", what, "No row that was counted has NULL, so it seems to be filled.", safe=safe
        )
    elif known and known.default and not any(r.code.column(column, short) for r in world.running):
        look.say(Level.NOTE, "not-null", what, "Its default fills it, and no running release names it.", safe=safe)
    elif (key, column) in world.added and (not world.running or (key, column) in world.defaulted):
        return
    else:
        look.takes("not-null", what, lambda code: code.table(short), safe=safe)


def not_null_steps(table: str, column: str) -> str:
    name = f"{table}_{column}_not_null"
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID;\n"
        f"-- in the next file\nALTER TABLE {table} VALIDATE CONSTRAINT {name};\n"
        f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;\nALTER TABLE {table} DROP CONSTRAINT {name};"
    )


def _known(look: Look, key: str, name: str) -> Constraint | None:
    table = look.world.table(key)
    return next((c for c in (table.constraints if table else ()) if c.name == name), None)


def _filled_by(constraint: Node) -> str | None:
    """The column of CHECK (column IS NOT NULL), or of NOT NULL."""
    if constraint["contype"] == "CONSTR_NOTNULL":
        return next(iter(words(constraint.get("keys"))), None)
    test = constraint.get("raw_expr", {}).get("null_test", {})
    return column_of(test.get("arg", {})) if test.get("nulltesttype") == "IS_NOT_NULL" else None


def filled_text(constraint: Constraint) -> str | None:
    """The same from what pg_get_constraintdef wrote."""
    text = constraint.definition.removesuffix(" NOT VALID").strip()
    if not (text.startswith("CHECK ((") and text.endswith(" IS NOT NULL))")):
        return None
    return text.removeprefix("CHECK ((").removesuffix(" IS NOT NULL))").strip('"')
