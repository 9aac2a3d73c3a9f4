"""The linter's corpus as values: see migrate_corpus.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golive.migrate.lint.check import Script
from golive.migrate.lint.facts import UNKNOWN, Column, Constraint, Facts, Index, Table
from golive.migrate.lint.running import Code, Release
from golive.migrate.sql import parse

DATA: dict[str, Any] = tomllib.loads(Path(__file__).with_name("migrate_corpus.toml").read_text())
DATA["code"]["invites"] = 'db.execute("INSERT INTO invites (email) VALUES ($1)")'


@dataclass(frozen=True)
class Case:
    name: str
    files: dict[str, str]
    on: str = "shop"
    rule: str = ""
    unknown: bool = False
    carried: frozenset[str] = field(default_factory=frozenset)
    real: bool = False

    @property
    def facts(self) -> Facts:
        return UNKNOWN if self.unknown else FACTS

    @property
    def running(self) -> tuple[Release, ...]:
        if self.on == "none":
            return ()
        code = [] if self.on == "blind" else [("app.py", DATA["code"][self.on].encode())]
        return (Release(3, Code(lambda: code), carried=self.carried),)

    @property
    def scripts(self) -> list[Script]:
        return [script(name, text) for name, text in self.files.items()]


def script(name: str, text: str) -> Script:
    parsed = parse(text, blocks=True)
    return Script(name, name, text, parsed.statements, parsed.transactional)


def cases(kind: str) -> list[Case]:
    return [_case(entry) for entry in DATA[kind]]


def _case(entry: dict[str, Any]) -> Case:
    files = entry.get("files") or {"1_change.sql": entry["sql"]}
    carried = frozenset(entry.get("carried", ()))
    rule, on = entry.get("rule", ""), entry.get("on", "shop")
    return Case(entry["name"], files, on, rule, entry.get("unknown", False), carried, entry.get("real", False))


def column(text: str) -> Column:
    name, _, rest = text.partition(" ")
    rest, _, nulls = rest.partition(" nulls=")
    default = rest.endswith(" default")
    rest = rest.removesuffix(" default")
    filled = rest.endswith(" not null")
    known = float(nulls) if nulls else 0.0 if filled else None
    return Column(name, rest.removesuffix(" not null"), filled, default, known)


def _facts() -> Facts:
    tables = {}
    for name, (rows, size, *columns) in DATA["tables"].items():
        indexes = [
            Index(index, tuple(of), unique, index.endswith("_pkey"), scans)
            for index, (table, of, unique, scans) in DATA["indexes"].items()
            if table == name
        ]
        constraints = [
            Constraint(constraint, kind, validated, text)
            for constraint, (table, kind, validated, text) in DATA["constraints"].items()
            if table == name
        ]
        key = f"public.{name}"
        tables[key] = Table(key, rows, size, tuple(map(column, columns)), tuple(indexes), tuple(constraints))
    return Facts(tables)


FACTS = _facts()
