"""docs/reference/checks.md, from the catalogue of checks and the lines of the guides."""

from __future__ import annotations

from golive.checks import catalog
from golive.checks.guides import LINES


def page() -> str:
    """All of it, in Markdown."""
    checks = catalog.checks(app=True)
    lines = [
        "# Checks",
        "",
        "Made by `scripts/docs reference` from the checks themselves. What they are for, and how they are run: "
        "[the guide](../guides/check.md).",
        "",
        "**app**: only of golive's own deployments; the others also of any URL. **burst**: to a URL only with "
        "`--intrusive`.",
        "",
    ]
    for family in catalog.families():
        lines += [
            f"## {family.name}",
            "",
            family.about,
            "",
            "| check | what | why | guides | |",
            "|---|---|---|---|---|",
        ]
        for check in family.checks:
            where = "app" if check.on_app else "burst" if check.intrusive else ""
            lines.append(f"| `{check.id}` | {check.title} | {check.why} | {', '.join(check.answers)} | {where} |")
        lines.append("")
    lines += ["## Lines of the guides", "", "| line | what it asks for | checks |", "|---|---|---|"]
    for line, text in LINES.items():
        found = ", ".join(f"`{check.id}`" for check in checks if line in check.answers)
        lines.append(f"| {line} | {text} | {found} |")
    return "\n".join(lines) + "\n"
