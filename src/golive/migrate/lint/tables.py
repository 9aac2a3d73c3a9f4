"""ALTER TABLE, action by action, but for constraints."""

from __future__ import annotations

import functools
from collections.abc import Callable

from golive.migrate.lint import constraints, types
from golive.migrate.lint.facts import Column, Weight
from golive.migrate.lint.finding import Level
from golive.migrate.lint.look import Look
from golive.migrate.lint.running import Code
from golive.migrate.lint.tree import Node, column_of, kind

EXCLUSIVE = "ACCESS EXCLUSIVE"
Action = Callable[[Look, str, Node], None]


def altered(look: Look, node: Node) -> None:
    """ALTER TABLE, ALTER VIEW, ALTER TYPE of a composite and the like."""
    key = look.world.key(node["relation"])
    if node.get("objtype") == "OBJECT_TYPE":
        _composite(look, key, node)
        return
    for entry in node.get("cmds", ()):
        command = entry["alter_table_cmd"]
        if act := _ACTIONS.get(command["subtype"]):
            act(look, key, command)
        if command["subtype"] not in _LIGHT:
            look.lock(key, EXCLUSIVE)


def _composite(look: Look, key: str, node: Node) -> None:
    name = key.rpartition(".")[2]
    for entry in node.get("cmds", ()):
        command = entry["alter_table_cmd"]
        if command["subtype"] in ("AT_DropColumn", "AT_AlterColumnType") and name not in look.world.objects:
            field = command.get("name", name)
            look.takes("type-change", f"changes the type {name}: {field}", functools.partial(Code.word, name=field))


def _add_column(look: Look, key: str, command: Node) -> None:
    definition = command["def"]["column_def"]
    name, world = definition["colname"], look.world
    if (table := world.table(key)) and table.column(name) and command.get("missing_ok"):
        return
    given = {each["constraint"]["contype"]: each["constraint"] for each in definition.get("constraints", ())}
    _value(look, key, definition, given)
    filled = given.keys() & {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"}
    if filled:
        world.defaulted.add((key, name))
    for contype, constraint in given.items():
        if contype in constraints.KINDS:
            constraints.added(look, key, constraint, column=name, empty=not filled)
    needed = given.keys() & {"CONSTR_NOTNULL", "CONSTR_PRIMARY"}
    if needed and not filled and not types.is_serial(definition["type_name"]):
        _required(look, key, name)
    world.added.add((key, name))
    if needed:
        world.filled.add((key, name))


def _value(look: Look, key: str, definition: Node, given: dict[str, Node]) -> None:
    """What the rows that are there get."""
    name = definition["colname"]
    default = given.get("CONSTR_DEFAULT", {}).get("raw_expr")
    generated = given.get("CONSTR_GENERATED", {})
    function = types.volatile(default, look.world.facts) if default else None
    if types.is_serial(definition["type_name"]) or "CONSTR_IDENTITY" in given:
        function = "nextval"
    if function:
        table = key.rpartition(".")[2]
        safe = f"ALTER TABLE {table} ADD COLUMN {name} …;  -- no default\n"
        safe += (
            f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {function}(…);\n-- then fill the old rows in batches"
        )
        look.works("volatile-default", key, f"{function}() for each row writes anew", lock=EXCLUSIVE, safe=safe)
    elif generated and generated.get("generated_kind") != "v":
        look.works("rewrites-table", key, "a stored generated column writes anew", lock=EXCLUSIVE)
    elif types.spelled(definition["type_name"])[0] in look.world.facts.domains:
        look.works("rewrites-table", key, "a column of a domain with a constraint writes anew", lock=EXCLUSIVE)


def _required(look: Look, key: str, name: str) -> None:
    table = look.world.table(key)
    if look.world.weight(key) is Weight.NEW:
        return
    short = key.rpartition(".")[2]
    safe = f"ALTER TABLE {short} ADD COLUMN {name} … NOT NULL DEFAULT …;\n"
    safe += "-- or without NOT NULL now, and in a contract file:\n"
    safe += constraints.not_null_steps(short, name)
    if table is None or not table.empty:
        why = (
            "The rows that are there have no value for it: the statement fails, and inserts of a running release would."
        )
        look.say(Level.STOP, "required-column", f"{key}.{name} is NOT NULL without a default", why, safe=safe)
    else:
        look.takes(
            "required-column", f"{key}.{name} is NOT NULL without a default", lambda code: code.table(short), safe=safe
        )


def _drop_column(look: Look, key: str, command: Node) -> None:
    name = command["name"]
    if (key, name) in look.world.added or look.world.weight(key) is Weight.NEW:
        return
    if (table := look.world.table(key)) and not table.column(name):
        return  # it is gone already, or IF EXISTS
    short = key.rpartition(".")[2]
    safe = f"-- in a file of its own\n-- golive: contract\nALTER TABLE {short} DROP COLUMN {name};"
    look.takes("drop-column", f"drops {key}.{name}", lambda code: code.column(name, short), safe=safe)


def _change_type(look: Look, key: str, command: Node) -> None:
    name, definition = command["name"], command["def"]["column_def"]
    if look.world.weight(key) is Weight.NEW:
        return
    new = types.spelled(definition["type_name"])
    known = _column(look, key, name)
    old = known.type if known else ""
    converted = "raw_default" in definition and not _plain(definition["raw_default"], name)
    short = key.rpartition(".")[2]
    said = f"{key}.{name} from {old or 'its type'} to {new[0]}{list(new[1]) if new[1] else ''}"
    if not old or converted or types.rewrites(old, new):
        look.works("rewrites-table", key, f"the new type of {name} writes anew", lock=EXCLUSIVE)
    if (key, name) in look.world.added:
        return
    goes = types.compatible(old, new) if old and not converted else False
    if goes is False:
        look.takes("type-change", said, lambda code: code.column(name, short))
    elif goes is None:
        look.say(Level.WARNING, "type-change", said)


def _plain(expression: Node, name: str) -> bool:
    """USING column, or USING column::type, which says nothing new."""
    what, body = kind(expression)
    inner = body.get("arg", {}) if what == "type_cast" else expression
    return column_of(inner) == name


def _set_not_null(look: Look, key: str, command: Node) -> None:
    name, world = command["name"], look.world
    if world.weight(key) is Weight.NEW or (key, name) in world.filled:
        return
    known, short = _column(look, key, name), key.rpartition(".")[2]
    if known and known.not_null:
        return
    if constraints.keeps_filled(look, key, name):
        return
    safe = constraints.not_null_steps(short, name)
    look.works("not-null-scans", key, f"looks for NULLs in {name} of", lock=EXCLUSIVE, safe=safe)
    constraints.must_be_filled(look, key, name, safe)


def _default(look: Look, key: str, command: Node) -> None:
    """SET DEFAULT changes nothing that is there; DROP DEFAULT takes it from who relies on it."""
    name = command["name"]
    known = _column(look, key, name)
    if (key, name) in look.world.added:
        (look.world.defaulted.add if "def" in command else look.world.defaulted.discard)((key, name))
    if "def" in command or look.world.weight(key) is Weight.NEW or (key, name) in look.world.added:
        return
    if known and not known.not_null:
        return
    short = key.rpartition(".")[2]
    look.takes("drop-default", f"{key}.{name} loses its default", lambda code: code.table(short))


def _rewrite(doing: str) -> Action:
    def act(look: Look, key: str, _: Node) -> None:
        look.works("rewrites-table", key, f"{doing} writes anew", lock=EXCLUSIVE)

    return act


def _unlogged(look: Look, key: str, _: Node) -> None:
    if look.world.weight(key) is not Weight.NEW:
        why = "An unlogged table is empty after a crash, and not in backups by WAL."
        look.say(Level.STOP, "rewrites-table", f"{look.world.size(key)} becomes unlogged", why, lock=EXCLUSIVE)


def _row_security(look: Look, key: str, command: Node) -> None:
    if look.world.weight(key) is not Weight.NEW:
        short = key.rpartition(".")[2]
        what = f"row level security on {key}, for its owner, too"
        if command["subtype"] in ("AT_DisableRowSecurity", "AT_NoForceRowSecurity"):
            why = "Rows that were kept from somebody are shown from then on."
            look.say(Level.STOP, "row-security", f"no row level security on {key} any more", why)
        elif command["subtype"] == "AT_ForceRowSecurity":
            look.takes("row-security", what, lambda code: code.table(short))
        else:
            why = "The owner of a table, which golive's app role is, still sees every row."
            look.say(Level.NOTE, "row-security", f"row level security on {key}", why)


def _owner(look: Look, key: str, _: Node) -> None:
    if look.world.weight(key) is not Weight.NEW:
        short = key.rpartition(".")[2]
        look.takes("revoke", f"{key} gets another owner", lambda code: code.table(short))


def _triggers_off(look: Look, key: str, _: Node) -> None:
    if look.world.weight(key) is not Weight.NEW:
        look.say(Level.STOP, "trigger-disabled", f"disables triggers of {key}")


def _attach(look: Look, _: str, command: Node) -> None:
    part = look.world.key(command["def"]["partition_cmd"]["name"])
    table = look.world.table(part)
    if not any(each.kind == "c" and each.validated for each in (table.constraints if table else ())):
        look.works("attach-scans", part, "reads all of", lock=EXCLUSIVE)


def _detach(look: Look, key: str, command: Node) -> None:
    short = key.rpartition(".")[2]
    if look.world.weight(key) is not Weight.NEW:
        what = f"the rows of {command['def']['partition_cmd']['name'].get('relname')} leave {key}"
        look.takes("detach-partition", what, lambda code: code.table(short))


def _column(look: Look, key: str, name: str) -> Column | None:
    table = look.world.table(key)
    return table.column(name) if table else None


_ACTIONS: dict[str, Action] = {
    "AT_AddColumn": _add_column,
    "AT_DropColumn": _drop_column,
    "AT_AlterColumnType": _change_type,
    "AT_SetNotNull": _set_not_null,
    "AT_ColumnDefault": _default,
    "AT_AddConstraint": lambda look, key, command: constraints.added(look, key, command["def"]["constraint"]),
    "AT_DropConstraint": constraints.dropped,
    "AT_ValidateConstraint": constraints.validated,
    "AT_DropIdentity": _default,
    "AT_ChangeOwner": _owner,
    "AT_DisableRowSecurity": _row_security,
    "AT_NoForceRowSecurity": _row_security,
    "AT_SetUnLogged": _unlogged,
    "AT_SetLogged": _rewrite("SET LOGGED"),
    "AT_SetTableSpace": _rewrite("SET TABLESPACE"),
    "AT_SetAccessMethod": _rewrite("SET ACCESS METHOD"),
    "AT_SetExpression": _rewrite("SET EXPRESSION"),
    "AT_EnableRowSecurity": _row_security,
    "AT_ForceRowSecurity": _row_security,
    "AT_DisableTrig": _triggers_off,
    "AT_DisableTrigAll": _triggers_off,
    "AT_DisableTrigUser": _triggers_off,
    "AT_AttachPartition": _attach,
    "AT_DetachPartition": _detach,
}
_LIGHT = {
    "AT_ValidateConstraint", "AT_SetStatistics", "AT_SetRelOptions", "AT_ResetRelOptions", "AT_SetOptions",
    "AT_ResetOptions", "AT_ClusterOn", "AT_DropCluster", "AT_AttachPartition",
}  # fmt: skip
"""They take no more than SHARE UPDATE EXCLUSIVE, which stops neither reads nor writes."""
