"""Making, dropping and renaming: indexes, tables, views, functions, types, roles."""

from __future__ import annotations

import functools
from typing import Any

from golive.migrate.lint.facts import Weight
from golive.migrate.lint.finding import Level
from golive.migrate.lint.look import Look
from golive.migrate.lint.running import Code
from golive.migrate.lint.tree import Node, kind, named, pair, words

_TABLES = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"}
_EXCLUSIVE = "ACCESS EXCLUSIVE"


def made(look: Look, node: Node) -> None:
    """CREATE TABLE, CREATE TABLE AS, SELECT INTO, CREATE VIEW."""
    relation = node.get("relation") or node.get("view") or node.get("into", {}).get("rel")
    if relation is None:
        return
    schema, name = named(relation)
    exists = look.world.facts.find(schema, name)
    if node.get("if_not_exists") and exists:
        return
    if node.get("replace") and exists:
        look.world.objects.add(name)
        return
    look.world.created.add(f"{schema or (look.world.facts.path or ('public',))[0]}.{name}")
    look.world.objects.add(name)


def made_other(look: Look, node: Node) -> None:
    """CREATE FUNCTION, CREATE TYPE, CREATE DOMAIN, CREATE SEQUENCE, CREATE SCHEMA."""
    names = words(node.get("funcname") or node.get("type_name") or node.get("domainname") or node.get("defnames"))
    name = (
        names[-1]
        if names
        else node.get("schemaname") or (node.get("sequence") or node.get("typevar") or {}).get("relname")
    )
    if name and not node.get("replace"):
        look.world.objects.add(str(name))


def index(look: Look, node: Node) -> None:
    key = look.world.key(node["relation"])
    if node.get("concurrent"):
        _concurrently(look)
        return
    name, table = node.get("idxname", f"{key.rpartition('.')[2]}_…_idx"), key.rpartition(".")[2]
    columns = ", ".join(each["index_elem"].get("name", "…") for each in node.get("index_params", ()))
    unique = "UNIQUE " if node.get("unique") else ""
    safe = f"-- in a file of its own\nCREATE {unique}INDEX CONCURRENTLY {name} ON {table} ({columns});"
    if (known := look.world.table(key)) and known.kind == "p":
        safe = f"CREATE INDEX {name} ON ONLY {table} ({columns});\n-- CONCURRENTLY on each partition, then ATTACH"
    look.works("index-blocks-writes", key, "builds an index of", lock="SHARE", safe=safe)


def _concurrently(look: Look) -> None:
    if look.inside:
        look.say(Level.STOP, "concurrently-in-transaction", "CONCURRENTLY between BEGIN and COMMIT")


def dropped(look: Look, node: Node) -> None:
    what = node["remove_type"]
    if node.get("concurrent"):
        _concurrently(look)
    for each in node.get("objects", ()):
        names = _names(each)
        if what == "OBJECT_INDEX":
            _drop_index(look, names, concurrent=bool(node.get("concurrent")))
        elif what in _TABLES:
            _drop_table(look, names, what)
        elif what in ("OBJECT_SCHEMA", "OBJECT_EXTENSION"):
            rule = "drop-schema" if what == "OBJECT_SCHEMA" else "drop-extension"
            if names[-1] not in look.world.objects:
                look.say(Level.STOP, rule, f"drops {'.'.join(names)}")
        elif what in ("OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"):
            _drop_from_table(look, names, what)
        elif node.get("behavior") == "DROP_CASCADE" and _takes_along(look, what, names):
            continue
        elif names and names[-1] not in look.world.objects:
            word = what.removeprefix("OBJECT_").lower()
            look.takes("drop-object", f"drops the {word} {'.'.join(names)}", _places(word, names[-1]))
    if node.get("behavior") == "DROP_CASCADE" and look.findings:
        look.say(Level.WARNING, "cascade", "CASCADE: what depends on it goes, too")


def _places(word: str, name: str) -> Any:
    """A type can hide behind a model's field; the rest is named as it is."""
    return (lambda code: code.table(name)) if word in ("type", "domain") else (lambda code: code.word(name))


def _takes_along(look: Look, what: str, names: list[str]) -> bool:
    """A type takes the columns of that type, a sequence the defaults that count with it."""
    if not names or names[-1] in look.world.objects:
        return False
    if what == "OBJECT_SEQUENCE":
        why = "A column whose default it is has none from then on: inserts of a running release fail."
        look.say(Level.STOP, "drop-default", f"drops the sequence {names[-1]} with the defaults that use it", why)
        return True
    found = False
    for table in look.world.facts.tables.values() if what in ("OBJECT_TYPE", "OBJECT_DOMAIN") else ():
        for column in table.columns:
            if column.type.removesuffix("[]").rpartition(".")[2].strip('"') == names[-1]:
                name, short = column.name, table.key.rpartition(".")[2]
                places = functools.partial(Code.column, name=name, table=short)
                look.takes("drop-column", f"drops {table.key}.{name} with its type {names[-1]}", places)
                found = True
    return found


def _drop_from_table(look: Look, names: list[str], what: str) -> None:
    schema, table = pair(names[:-1])
    if look.world.weight(look.world.key_of(schema, table)) is not Weight.NEW:
        if what == "OBJECT_POLICY":
            look.takes("row-security", f"drops the policy {names[-1]} of {table}", lambda code: code.table(table))
            return
        word = what.removeprefix("OBJECT_").lower()
        look.say(Level.WARNING, "trigger-dropped", f"drops the {word} {names[-1]} of {table}")


def _drop_table(look: Look, names: list[str], what: str) -> None:
    schema, name = pair(names)
    key = look.world.key_of(schema, name)
    if look.world.weight(key) is Weight.NEW:
        look.world.created.discard(key)
        return
    size = f", {table.size}" if what == "OBJECT_TABLE" and (table := look.world.table(key)) else ""
    safe = f"-- in a file of its own\n-- golive: contract\nDROP {what.removeprefix('OBJECT_')} {name};"
    look.takes("drop-table", f"drops {key}{size}", lambda code: code.table(name), safe=safe)


def _drop_index(look: Look, names: list[str], *, concurrent: bool) -> None:
    name = names[-1]
    found = look.world.facts.index(name)
    if found is None and look.world.facts.known:
        return
    if not concurrent and (found is None or found[0].weight >= Weight.SMALL):
        safe = f"-- in a file of its own\nDROP INDEX CONCURRENTLY {name};"
        look.say(Level.WARNING, "drop-index-blocks", f"drops the index {name}", safe=safe, lock=_EXCLUSIVE)
    if found is None:
        look.takes("drop-index", f"drops the index {name}", lambda code: code.word(name))
        return
    table, index = found
    short = table.key.rpartition(".")[2]
    if index.unique:
        what = f"drops the unique index {name} of {table.key}"
        look.takes("drop-index", what, lambda code: code.table(short))
    elif index.scans and table.weight >= Weight.LARGE:
        what = f"drops the index {name} of {look.world.size(table.key)}, used {index.scans:,} times"
        look.takes("drop-index", what, lambda code: code.table(short))


def renamed(look: Look, node: Node) -> None:
    what, new = node["rename_type"], node["newname"]
    if what == "OBJECT_COLUMN" or (what == "OBJECT_ATTRIBUTE" and "relation" in node):
        _rename_column(look, node)
    elif what in _TABLES:
        _rename_table(look, node)
    elif what in ("OBJECT_INDEX", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
        return
    elif what == "OBJECT_SCHEMA":
        look.takes(
            "rename-object", f"renames the schema {node['subname']} to {new}", lambda code: code.word(node["subname"])
        )
    elif what in ("OBJECT_ROLE", "OBJECT_DATABASE"):
        look.say(Level.STOP, "drop-role", f"renames {node['subname']} to {new}", "Nobody could connect any more.")
    else:
        names = _names(node["object"]) if "object" in node else [named(node.get("relation", {}))[1]]
        if names and names[-1] and names[-1] not in look.world.objects:
            word = what.removeprefix("OBJECT_").lower()
            look.takes("rename-object", f"renames the {word} {names[-1]} to {new}", _places(word, names[-1]))
        look.world.objects.add(new)


def _rename_column(look: Look, node: Node) -> None:
    key, old, new = look.world.key(node["relation"]), node["subname"], node["newname"]
    if look.world.weight(key) is Weight.NEW or (key, old) in look.world.added:
        look.world.added.add((key, new))
        return
    short = key.rpartition(".")[2]
    safe = (
        f"ALTER TABLE {short} ADD COLUMN {new} …;\n"
        f"-- write both in this release, fill in batches, read {new} in the next\n"
        f"-- then, in a contract file: ALTER TABLE {short} DROP COLUMN {old};"
    )
    _never_held(look, "rename-column", f"renames {key}.{old} to {new}", lambda code: code.column(old, short), safe)


def _never_held(look: Look, rule: str, what: str, places: Any, safe: str) -> None:
    """Waiting does not help a rename: the new release would wait for the new name. It stops in a contract file, too."""
    before = len(look.findings)
    look.takes(rule, what, places, safe=safe)
    for at, found in enumerate(look.findings[before:], before):
        if found.level is Level.HELD:
            look.findings.pop(at)
            why = f"{found.why} A contract file cannot make it safe: the new release needs the new name at once."
            look.say(Level.STOP, rule, what, why, safe=safe, evidence=found.evidence)


def _rename_table(look: Look, node: Node) -> None:
    key, new = look.world.key(node["relation"]), node["newname"]
    name = key.rpartition(".")[2]
    if look.world.weight(key) is Weight.NEW:
        look.world.created.add(f"{key.rpartition('.')[0]}.{new}")
        return
    if look.inside and any(_is_view_of(text, name) for text in look.rest):
        look.say(Level.NOTE, "rename-table", f"renames {key} to {new}", "A view keeps the old name.")
        return
    safe = f"ALTER TABLE {name} RENAME TO {new};\n-- in the same file\nCREATE VIEW {name} AS TABLE {new};"
    _never_held(look, "rename-table", f"renames {key} to {new}", lambda code: code.table(name), safe)


def _is_view_of(text: str, name: str) -> bool:
    from golive.migrate.lint.tree import Unreadable, parse

    try:
        return any(what == "view_stmt" and named(node["view"])[1] == name for what, node in parse(text))
    except Unreadable:
        return False


def moved(look: Look, node: Node) -> None:
    """SET SCHEMA: another name for who names the schema, gone for who does not."""
    if "relation" not in node:
        return
    key = look.world.key(node["relation"])
    if look.world.weight(key) is not Weight.NEW:
        name = key.rpartition(".")[2]
        what = f"moves {key} to the schema {node.get('newschema')}"
        _never_held(look, "rename-table", what, lambda code: code.table(name), "")


def enum(look: Look, node: Node) -> None:
    name = words(node["type_name"])[-1]
    if name in look.world.objects:
        return
    if old := node.get("old_val"):
        what = f"renames the value {old!r} of {name} to {node['new_val']!r}"
        _never_held(look, "rename-enum-value", what, lambda code: code.word(old), "")
    else:
        look.say(Level.NOTE, "enum-value-added", f"adds the value {node.get('new_val')!r} to {name}")


def domain(look: Look, node: Node) -> None:
    name = words(node["type_name"])[-1]
    scans = node.get("subtype") in ("C", "O") and not node.get("def", {}).get("constraint", {}).get("skip_validation")
    if scans and name not in look.world.objects:
        what = f"every column of the domain {name} is read"
        safe = f"ALTER DOMAIN {name} ADD CONSTRAINT … CHECK (…) NOT VALID;\n-- in the next file: VALIDATE CONSTRAINT"
        look.say(Level.STOP, "constraint-scans", what, lock="SHARE", safe=safe)


def trigger(look: Look, node: Node) -> None:
    key = look.world.key(node["relation"])
    if look.world.weight(key) is not Weight.NEW:
        name = node.get("trigname") or node.get("rulename")
        if node.get("instead"):
            why = "What a running release writes goes elsewhere, or nowhere."
            look.say(Level.STOP, "trigger-added", f"{name} stands in for statements on {key}", why)
            return
        look.say(Level.WARNING, "trigger-added", f"{name} on {look.world.size(key)}", lock="SHARE ROW EXCLUSIVE")
        look.lock(key, "SHARE ROW EXCLUSIVE")


def revoked(look: Look, node: Node) -> None:
    if node.get("is_grant"):
        return
    for each in node.get("objects", ()):
        what, target = kind(each)
        name = target.get("relname") or target.get("sval") or (words(target.get("objname")) or [""])[-1]
        if what == "range_var" and look.world.weight(look.world.key(target)) is Weight.NEW:
            continue
        look.takes("revoke", f"takes rights on {name}", lambda code, name=name: code.table(name))  # type: ignore[misc]


def role(look: Look, _: Node) -> None:
    look.say(Level.STOP, "drop-role", "changes a role")


def database(look: Look, node: Node) -> None:
    look.say(Level.STOP, "drop-database", f"drops the database {node.get('dbname')}")


def sequence(look: Look, node: Node) -> None:
    name = node.get("sequence", {}).get("relname", "")
    if name not in look.world.objects and any(o["def_elem"]["defname"] == "restart" for o in node.get("options", ())):
        look.say(Level.STOP, "sequence-restart", f"{name} counts anew")


def _names(node: Node) -> list[str]:
    """The parts of the name of whatever DROP and RENAME name."""
    what, body = kind(node)
    if what == "string":
        return [body["sval"]]
    return words(body.get("items") or body.get("objname") or body.get("names"))
