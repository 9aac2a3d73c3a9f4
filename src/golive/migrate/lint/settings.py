"""SET and its kin, and code that is run: DO, whose statements are judged one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from golive.migrate.lint.finding import Level
from golive.migrate.lint.look import Look
from golive.migrate.lint.tree import Node, Unreadable, kind, parse, walk, words

_LONGEST = 1000.0
"""Milliseconds of lock_timeout for which the ones behind may be held up."""
_UNITS = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1}
_QUIET = {"search_path", "client_encoding", "standard_conforming_strings", "client_min_messages", "xmloption",
          "statement_timeout", "idle_in_transaction_session_timeout", "default_tablespace", "check_function_bodies",
          "default_table_access_method", "maintenance_work_mem", "work_mem", "transaction_timeout",
          "default_with_oids"}  # fmt: skip
"""Settings that pg_dump writes, and those that change nothing for others."""


def variable(look: Look, node: Node) -> None:
    if node.get("kind") == "VAR_RESET_ALL":
        _set(look, "lock_timeout", "", default=True)
        return
    values = [next(iter(_scalars(arg)), "") for arg in node.get("args", ())]
    _set(look, node.get("name", ""), values[0] if values else "", default=node.get("kind") != "VAR_SET_VALUE")


def _set(look: Look, name: str, value: str, *, default: bool = False) -> None:
    name = name.lower()
    if name == "lock_timeout":
        length = None if default else _milliseconds(value)
        if length is None or length == 0 or length > _LONGEST:
            look.say(Level.STOP, "lock-timeout", f"sets lock_timeout to {'its default, none' if default else value}")
    elif name == "session_replication_role" and value.lower() != "origin" and not default:
        look.say(
            Level.STOP, "trigger-disabled", f"session_replication_role = {value}: triggers and foreign keys are off"
        )
    elif name not in _QUIET:
        look.say(Level.WARNING, "session-setting", f"sets {name}")


def _milliseconds(value: str) -> float | None:
    match = re.fullmatch(r"\s*(?P<number>[\d.]+)\s*(?P<unit>us|ms|s|min|h|d|)\s*", value)
    return float(match["number"]) * _UNITS[match["unit"]] if match else None


def _scalars(node: Node) -> Iterator[str]:
    """Of a constant."""
    for what, body in walk([node]):
        if what == "a_const":
            if "ival" in body:
                yield str(body["ival"].get("ival", 0))
            elif "sval" in body:
                yield str(body["sval"].get("sval", ""))
            elif "fval" in body:
                yield str(body["fval"].get("fval", ""))


def selected(look: Look, node: Node) -> None:
    """SELECT … INTO makes a table; set_config sets; statements that change rows may stand in WITH."""
    if "into_clause" in node:
        relation = node["into_clause"]["rel"]
        look.world.created.add(look.world.key_of(relation.get("schemaname"), relation["relname"]))
    for what, body in walk(node):
        name = next(iter(words(body.get("funcname"))[-1:]), "") if what == "func_call" else ""
        values = [value for arg in body.get("args", ()) for value in _scalars(arg)] if name else []
        if name == "set_config" and len(values) > 1:
            _set(look, values[0], values[1])
        elif name == "setval" and len(values) > 1 and "sub_link" not in str(body.get("args")):
            why = "Is it above every number in use?"
            look.say(Level.WARNING, "sequence-restart", f"{values[0]} goes on from {values[1]}", why)
        elif name and (name in look.world.objects or name in look.world.facts.functions):
            new = name in look.world.objects
            why = "What the function does is not judged." if new else "What the function does is not in this file."
            look.say(Level.STOP if new else Level.WARNING, "opaque", f"calls {name}()", why)


def server(look: Look, node: Node) -> None:
    setting = node.get("setstmt", {}).get("name", "a setting")
    look.say(Level.STOP, "server-setting", f"changes {setting} for more than this file")


def transaction(look: Look, node: Node) -> None:
    if node.get("kind") in ("TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"):
        look.say(Level.STOP, "own-transaction", f"{look.text.split()[0].upper()} inside the file")


def called(look: Look, node: Node) -> None:
    name = words(node.get("funccall", {}).get("funcname"))
    why = "What the procedure does is not in this file."
    look.say(Level.WARNING, "opaque", f"calls {'.'.join(name)}", why)


def block(look: Look, node: Node, judge: Callable[[Look, str], None]) -> None:
    """DO: `judge` is called with each statement in it."""
    import postgast

    options = {each["def_elem"]["defname"]: each["def_elem"].get("arg", {}) for each in node.get("args", ())}
    language = options.get("language", {}).get("string", {}).get("sval", "plpgsql")
    body = options.get("as", {}).get("string", {}).get("sval", "")
    if language != "plpgsql":
        look.say(Level.STOP, "opaque", f"a block in {language}")
        return
    try:
        quote = "$golive$"
        parsed = postgast.parse_plpgsql(
            f"CREATE FUNCTION golive() RETURNS void LANGUAGE plpgsql AS {quote}{body}{quote}"
        )
    except postgast.PgQueryError as error:
        look.say(Level.WARNING, "unreadable", "a DO block that cannot be read", str(error))
        return
    for what, inner in walk(parsed):
        if what == "PLpgSQL_stmt_execsql":
            judge(look, inner["sqlstmt"]["PLpgSQL_expr"]["query"])
        elif what == "PLpgSQL_stmt_dynexecute":
            _executed(look, inner["query"]["PLpgSQL_expr"]["query"], judge)
        elif what in ("PLpgSQL_stmt_commit", "PLpgSQL_stmt_rollback"):
            look.say(Level.STOP, "own-transaction", "COMMIT or ROLLBACK inside a DO block")
        elif what == "PLpgSQL_stmt_perform":
            query = inner["expr"]["PLpgSQL_expr"]["query"]
            judge(look, query)


def _executed(look: Look, expression: str, judge: Callable[[Look, str], None]) -> None:
    """EXECUTE 'literal' is read; what is put together is not."""
    try:
        _, node = parse(f"SELECT {expression}")[0]
        what, value = kind(node["target_list"][0]["res_target"]["val"])
    except (Unreadable, KeyError, IndexError):
        what, value = "", {}
    text: Any = value.get("sval", {}).get("sval") if what == "a_const" else None
    if text:
        judge(look, str(text))
    else:
        look.say(Level.STOP, "opaque", f"EXECUTE {expression}")
