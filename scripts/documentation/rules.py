"""docs/reference/migration-rules.md, from the rules of the linter."""

from __future__ import annotations

from golive.migrate.lint.facts import SMALL, TINY
from golive.migrate.lint.rules import ALWAYS, NEED, RULES, SAID, SIZE
from golive.units import human_size

_BY = {
    SIZE: "size",
    NEED: "need",
    ALWAYS: "stop",
    SAID: "warning",
}


def page() -> str:
    """All of it, in Markdown."""
    tiny, small = (f"{rows:,} rows and {human_size(size)}" for rows, size in (TINY, SMALL))
    lines = [
        "# Rules for migrations",
        "",
        "Made by `scripts/docs reference` from the rules themselves. What they are for: "
        "[the guide](../guides/migrations.md).",
        "",
        "**size**: by the real table. One that the same set of migrations makes counts as nothing; up to "
        f"{tiny} it is a note, up to {small} a warning, above that, or when no database was asked, a stop.",
        "**need**: a stop while a running or kept-warm release names it, or may; held back in a contract file; "
        "else a note.",
        "**stop** and **warning** are always that (a warning may be a note where nothing can come of it).",
        "",
        "| rule | what happens | instead | level by |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{rule.name}` | {rule.danger} | {rule.instead} | {_BY[rule.by]} |" for rule in RULES.values()]
    return "\n".join(lines) + "\n"
