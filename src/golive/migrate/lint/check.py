"""The linter: pending migrations against what is known of the database and of the releases that run.

Pure but for reading their code, which the `Code` of a release does when it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from golive.migrate.files import Part
from golive.migrate.lint import data, marks, objects, settings, tables
from golive.migrate.lint.facts import Facts
from golive.migrate.lint.finding import Finding, Held, Level, Verdict
from golive.migrate.lint.look import Look, World
from golive.migrate.lint.rules import RULES
from golive.migrate.lint.running import Release
from golive.migrate.lint.tree import Node, Unreadable, kind, parse, walk
from golive.migrate.sql import Statement

Judge = Callable[[Look, Node], None]
_BY_KIND: dict[str, Judge] = {
    "alter_table_stmt": tables.altered,
    "create_stmt": objects.made,
    "create_table_as_stmt": objects.made,
    "view_stmt": objects.made,
    "create_function_stmt": objects.made_other,
    "create_enum_stmt": objects.made_other,
    "create_domain_stmt": objects.made_other,
    "create_seq_stmt": objects.made_other,
    "create_schema_stmt": objects.made_other,
    "composite_type_stmt": objects.made_other,
    "define_stmt": objects.made_other,
    "index_stmt": objects.index,
    "drop_stmt": objects.dropped,
    "rename_stmt": objects.renamed,
    "alter_object_schema_stmt": objects.moved,
    "alter_enum_stmt": objects.enum,
    "alter_domain_stmt": objects.domain,
    "create_trig_stmt": objects.trigger,
    "rule_stmt": objects.trigger,
    "grant_stmt": objects.revoked,
    "dropdb_stmt": objects.database,
    "drop_role_stmt": objects.role,
    "alter_role_stmt": objects.role,
    "drop_owned_stmt": objects.role,
    "reassign_owned_stmt": objects.role,
    "update_stmt": data.update,
    "delete_stmt": data.delete,
    "merge_stmt": data.merge,
    "insert_stmt": data.insert,
    "truncate_stmt": data.truncate,
    "lock_stmt": data.lock,
    "vacuum_stmt": data.vacuum,
    "cluster_stmt": data.cluster,
    "reindex_stmt": data.reindex,
    "refresh_mat_view_stmt": data.refresh,
    "variable_set_stmt": settings.variable,
    "select_stmt": settings.selected,
    "alter_system_stmt": settings.server,
    "alter_database_set_stmt": settings.server,
    "alter_role_set_stmt": settings.server,
    "transaction_stmt": settings.transaction,
    "call_stmt": settings.called,
    "alter_seq_stmt": objects.sequence,
    "alter_database_stmt": settings.server,
    "alter_table_move_all_stmt": settings.server,
}
_ROWS = re.compile(r"INSERT INTO [^(]*?(\([^()]*\) )?VALUES \(")
"""Rows that are written out, perhaps thousands: they keep nobody waiting, and reading them takes a while."""
_WRITES = ("update_stmt", "delete_stmt", "merge_stmt")


@dataclass(frozen=True)
class Script:
    """A file to judge. `text` has the comments; `done` of its statements stand already. `together`: all of it is one
    transaction. `accepted` are rules that are allowed in all of it, by their reason. `part` and `every` as of a
    MigrationFile."""

    name: str
    path: str
    text: str
    statements: tuple[Statement, ...]
    together: bool = True
    done: int = 0
    accepted: Mapping[str, str] = field(default_factory=dict)
    part: Part = ""
    every: tuple[Statement, ...] = ()


def lint(scripts: Sequence[Script], facts: Facts, running: Sequence[Release] = (), *, ordered: bool = False) -> Verdict:
    """What each statement does to the running releases, in the order in which the files run.

    `ordered`: the tool never runs what is older than its newest, so that nothing may be left behind.
    """
    world = World(facts, tuple(running))
    findings: list[Finding] = []
    held: list[Held] = []
    count = 0
    for at, script in enumerate(scripts):
        trial = world.copy()
        found = _file(script, trial)
        count += len(script.statements) - script.done
        if waits := [each for each in found if each.level is Level.HELD]:
            held.append(Held(script.name, " ".join(dict.fromkeys(each.why for each in waits))))
            found = [_later(each) for each in found]
            if ordered and at + 1 < len(scripts):
                found.append(_lost(script, scripts[at + 1]))
        else:
            world = trial
        findings += found
    return Verdict(tuple(findings), tuple(held), count, facts.known)


def _later(found: Finding) -> Finding:
    """Of a file that is not run now, nothing stops the others."""
    if found.level is Level.STOP and found.rule not in ("contract-mark", "allow-comment"):
        return replace(found, level=Level.WARNING)
    return found


def _lost(script: Script, following: Script) -> Finding:
    what = f"{script.name} waits, and {following.name} comes after it"
    line = script.statements[0].line if script.statements else 1
    mark = RULES["contract-order"]
    return Finding(
        Level.STOP, mark.name, script.path, line, "-- golive: contract", what, mark.danger, "", mark.instead,
        script=script.name,
    )  # fmt: skip


def _file(script: Script, world: World) -> list[Finding]:
    said = marks.read(script.path, script.text, script.every or script.statements, script.part)
    said = replace(said, file={**script.accepted, **said.file})
    findings: list[Finding] = []
    for line, rule, what, why in said.problems if script.part != "contract" else ():
        look = Look(
            world, said, script.path, line, f"-- golive: {rule.partition('-')[0]}", False, {}, script=script.name
        )
        look.say(Level.STOP, rule, what, why)
        findings += look.findings
    locks: dict[str, tuple[int, str]] = {}
    block = -1
    for at in range(script.done, len(script.statements)):
        statement = script.statements[at]
        if _ROWS.match(statement.head):
            continue
        inside = script.together or statement.block > 0
        if not script.together and (statement.block != block or not statement.block):
            locks, block = {}, statement.block
        rest = tuple(each.text for each in script.statements[at + 1 :]) if inside else ()
        look = Look(world, said, script.path, statement.line, statement.text, inside, locks, rest, script=script.name)
        judge(look, statement.text)
        findings += look.findings
    return findings


def judge(look: Look, text: str) -> None:
    """What one statement does, and those inside it."""
    try:
        parsed = parse(text)
    except Unreadable as error:
        look.say(Level.WARNING, "unreadable", "a statement that cannot be read", str(error))
        return
    for what, node in parsed:
        if what in ("prepare_stmt", "explain_stmt") and node.get("query"):
            what, node = kind(node["query"])  # noqa: PLW2901  # EXPLAIN ANALYZE runs it, EXECUTE will
        if what == "do_stmt":
            settings.block(look, node, judge)
        elif act := _BY_KIND.get(what):
            act(look, node)
        for inner, body in walk(node.get("with_clause")):
            if inner in _WRITES:
                _BY_KIND[inner](look, body)
