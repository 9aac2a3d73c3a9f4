"""Statements that change rows, and those that work through a table: UPDATE, DELETE, TRUNCATE, VACUUM FULL, REINDEX."""

from __future__ import annotations

from golive.migrate.lint.facts import Weight
from golive.migrate.lint.finding import Level
from golive.migrate.lint.look import Look
from golive.migrate.lint.tree import Node, column_of, kind, walk, words

_EXCLUSIVE = "ACCESS EXCLUSIVE"
_BATCHES = """{} WHERE id IN
    (SELECT id FROM {} WHERE … LIMIT 1000);  -- again until no row is left, from the app or a script"""
_ROW_EXCLUSIVE = 3
"""LOCK TABLE modes up to this one stop neither reads nor writes."""


def update(look: Look, node: Node) -> None:
    key = look.world.key(node["relation"])
    if look.world.weight(key) is Weight.NEW:
        return
    table, where = key.rpartition(".")[2], node.get("where_clause")
    reach = _reach(look, key, where)
    sets = ", ".join(each["res_target"].get("name", "…") for each in node.get("target_list", ()))
    safe = _BATCHES.format(f"UPDATE {table} SET {sets} = …", table)  # noqa: S608  # shown, never run
    if reach == "all":
        look.works("update-everything", key, "one UPDATE of", lock="of each row", safe=safe)
    elif reach == "some" and look.world.weight(key) >= Weight.LARGE:
        what = f"an UPDATE of who knows how much of {look.world.size(key)}"
        look.say(Level.WARNING, "update-everything", what, safe=safe, lock="of each row")
    if reach != "few":
        look.long(key, "an UPDATE works through")


def delete(look: Look, node: Node) -> None:
    key = look.world.key(node["relation"])
    table = look.world.table(key)
    if look.world.weight(key) is Weight.NEW or (table and table.rows == 0):
        return
    reach = _reach(look, key, node.get("where_clause"))
    if reach == "all" and any(_one_sided(part) for part in _conjuncts(node.get("where_clause") or {"": {}})):
        reach = "some"  # what is old: nobody waits for its rows
    if node.get("where_clause") is None or _always(node["where_clause"]):
        look.say(Level.STOP, "delete-everything", f"deletes every row of {look.world.size(key)}")
    elif reach != "few" and look.world.weight(key) >= Weight.LARGE:
        level, short = Level.STOP if reach == "all" else Level.WARNING, key.rpartition(".")[2]
        safe = _BATCHES.format(f"DELETE FROM {short}", short)  # noqa: S608  # shown, never run
        look.say(level, "update-everything", f"one DELETE in {look.world.size(key)}", safe=safe, lock="of each row")
    if reach != "few":
        look.long(key, "a DELETE works through")


def merge(look: Look, node: Node) -> None:
    key = look.world.key(node["relation"])
    look.works("update-everything", key, "one MERGE into", lock="of each row")
    look.long(key, "a MERGE works through")


def insert(look: Look, node: Node) -> None:
    """Rows that are copied: nobody waits, unless this transaction holds a lock meanwhile."""
    for key, source in walk(node.get("select_stmt", {}).get("select_stmt", {}).get("from_clause")):
        if key == "range_var":
            look.long(look.world.key(source), "an INSERT reads all of", own=False)


def _always(where: Node) -> bool:
    """TRUE, or 1 = 1."""
    what, body = kind(where)
    if what == "a_const":
        return bool(body.get("boolval", {}).get("boolval"))
    if what != "a_expr" or words(body.get("name")) != ["="]:
        return False
    left, right = (body.get(side, {}).get("a_const", side) for side in ("lexpr", "rexpr"))
    return _value(left) == _value(right)


def _value(constant: Node | str) -> object:
    """Without where it stands."""
    return {k: v for k, v in constant.items() if k != "location"} if isinstance(constant, dict) else constant


def _reach(look: Look, key: str, where: Node | None) -> str:
    """How much of a table a condition may take: few, some, all. Pure."""
    if where is None or _always(where):
        return "all"
    parts = _conjuncts(where)
    if any(_bounded(look, key, part) for part in parts):
        return "few"
    if any("limit_count" in node for _, node in walk(where)):
        return "few"
    if any(_equals(part) for part in parts):
        return "some"
    if all(_rarely(look, key, part) for part in parts):
        return "some"
    return "all"


def _conjuncts(where: Node) -> list[Node]:
    what, body = kind(where)
    if what == "bool_expr" and body.get("boolop") == "AND_EXPR":
        return [each for arg in body["args"] for each in _conjuncts(arg)]
    return [where]


def _bounded(look: Look, key: str, part: Node) -> bool:
    """One value, or listed ones, of a unique column; or a range with both ends."""
    what, body = kind(part)
    if what != "a_expr":
        return False
    name, operator = column_of(body.get("lexpr", {})), body.get("kind")
    if operator == "AEXPR_BETWEEN":
        return True
    value = body.get("rexpr", {})
    listed = operator in ("AEXPR_IN", "AEXPR_OP_ANY") or (operator == "AEXPR_OP" and words(body.get("name")) == ["="])
    constant = "column_ref" not in value and "sub_link" not in value
    table = look.world.table(key)
    unique = name == "id" if table is None else any(i.unique and i.columns == (name,) for i in table.indexes)
    return bool(listed and constant and unique)


def _equals(part: Node) -> bool:
    """A column with a value; two columns are a join, which may take every row."""
    what, body = kind(part)
    sides = (body.get("lexpr", {}), body.get("rexpr", {}))
    joined = sum("column_ref" in side for side in sides if isinstance(side, dict)) > 1
    return what == "a_expr" and words(body.get("name")) == ["="] and not joined


def _rarely(look: Look, key: str, part: Node) -> bool:
    """IS NULL on a column that seldom is."""
    what, body = kind(part)
    if what == "null_test" and body.get("nulltesttype") == "IS_NULL":
        table, name = look.world.table(key), column_of(body.get("arg", {}))
        known = table.column(name) if table and name else None
        rows = table.rows if table else None
        return bool(known and known.nulls is not None and rows is not None and known.nulls * rows <= 50_000)
    return False


def _one_sided(part: Node) -> bool:
    what, body = kind(part)
    return what == "a_expr" and words(body.get("name"))[:1] in (["<"], [">"], ["<="], [">="])


def truncate(look: Look, node: Node) -> None:
    for each in node["relations"]:
        key = look.world.key(each["range_var"])
        table = look.world.table(key)
        if look.world.weight(key) is not Weight.NEW and not (table and table.empty):
            look.say(Level.STOP, "truncate", f"empties {look.world.size(key)}", lock=_EXCLUSIVE)
        look.lock(key, _EXCLUSIVE)


def lock(look: Look, node: Node) -> None:
    if node.get("mode", 8) <= _ROW_EXCLUSIVE:
        return
    for each in node["relations"]:
        key = look.world.key(each["range_var"])
        if look.world.weight(key) is not Weight.NEW:
            look.say(
                Level.STOP, "lock-table", f"locks {look.world.size(key)} until the file has ended", lock="as named"
            )


def vacuum(look: Look, node: Node) -> None:
    if "full" not in _options(node.get("options")):
        return
    if not node.get("rels"):
        look.say(Level.STOP, "rewrites-table", "VACUUM FULL of every table", lock=_EXCLUSIVE)
    for each in node.get("rels", ()):
        key = look.world.key(each["vacuum_relation"]["relation"])
        look.works("rewrites-table", key, "VACUUM FULL writes anew", lock=_EXCLUSIVE)


def cluster(look: Look, node: Node) -> None:
    if "relation" not in node:
        look.say(Level.STOP, "rewrites-table", "CLUSTER of every table", lock=_EXCLUSIVE)
        return
    look.works("rewrites-table", look.world.key(node["relation"]), "CLUSTER writes anew", lock=_EXCLUSIVE)


def reindex(look: Look, node: Node) -> None:
    if "concurrently" in _options(node.get("params")):
        if look.inside:
            look.say(Level.STOP, "concurrently-in-transaction", "CONCURRENTLY between BEGIN and COMMIT")
        return
    if node["kind"] not in ("REINDEX_OBJECT_TABLE", "REINDEX_OBJECT_INDEX"):
        look.say(
            Level.STOP, "reindex-blocks", f"rebuilds every index of {node.get('name', 'the database')}", lock="SHARE"
        )
        return
    name = node["relation"]["relname"]
    found = look.world.facts.index(name) if node["kind"] == "REINDEX_OBJECT_INDEX" else None
    key = found[0].key if found else look.world.key(node["relation"])
    look.works("reindex-blocks", key, f"rebuilds {name} of" if found else "rebuilds the indexes of", lock="SHARE")


def refresh(look: Look, node: Node) -> None:
    key = look.world.key(node["relation"])
    if not node.get("concurrent") and not node.get("skip_data"):
        look.works("refresh-blocks", key, "fills anew", lock=_EXCLUSIVE)


def _options(options: list[Node] | None) -> set[str]:
    """Names of those that are on."""
    found = set()
    for each in options or ():
        option = each["def_elem"]
        value = (
            option.get("arg", {}).get("boolean", {}).get("boolval", option.get("arg", {}).get("string", {}).get("sval"))
        )
        if "arg" not in option or str(value).lower() not in ("false", "off", "none", "0"):
            found.add(option["defname"])
    return found
