"""A proposal as the text of golive.toml: what is detected is said in comments, what was not carried at the end."""

from __future__ import annotations

from collections.abc import Sequence

from golive.blueprint.env import resource_variables
from golive.blueprint.models import ServiceKind
from golive.blueprint.problem import Problem
from golive.blueprint.resolve import Resolved
from golive.importers.merge import Merged
from golive.importers.report import Imported
from golive.importers.toml_text import document
from golive.importers.usage import Usage

MAX_LISTED = 40
"""Lines about what was not carried over, at the end of the file."""
MAX_SHOWN = 60
"""Characters of a detected value; `golive config` shows it whole."""
_DETECTED = (
    ("build.framework", "{}"),
    ("command", "starts with `{}`"),
    ("build.output", "{}/ is served"),
    ("health.ready.path", "ready when {} answers"),
)


def text_of(
    merged: Merged,
    imports: Sequence[Imported],
    usage: dict[str, Usage],
    resolved: Resolved | None,
    problems: tuple[Problem, ...],
) -> str:
    """The whole file."""
    comments: dict[str, list[str]] = {}
    for path, origins in merged.origins.items():
        comments[path] = [", ".join(origins)]
    for name in merged.table.get("services", {}):
        comments.setdefault(f"services.{name}", []).extend(_found(name, resolved))
    for name in merged.table.get("env", {}):
        if name in usage and f"env.{name}" not in comments:
            comments[f"env.{name}"] = [f"read in {usage[name].file}"]
    comments["resources"] = _given(resolved)
    head = [
        "Written by `golive init`. `golive config` shows all of it with what is detected; `golive up` makes it live."
    ]
    if problems:
        head += ["", "It still needs:", *(f"  {problem.path}: {_need(problem)}" for problem in problems[:MAX_LISTED])]
    return document(merged.table, comments, head, _paragraphs(_migrations(resolved), *foot(merged, imports)))


def _paragraphs(*lists: list[str]) -> list[str]:
    return [row for at, rows in enumerate(filter(None, lists)) for row in (*([""] if at else []), *rows)]


def _need(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message


def _found(name: str, resolved: Resolved | None) -> list[str]:
    """What golive detects of a service, so that the file need not say it."""
    if resolved is None:
        return []
    shown: list[str] = []
    static = resolved.blueprint.services[name].kind is ServiceKind.STATIC
    for key, form in _DETECTED:
        path = f"services.{name}.{key}"
        origin = resolved.origins.get(path)
        if origin is None or origin.source != "detected" or (key == "build.output" and not static):
            continue
        value = str(next((value for at, value, _ in resolved.leaves() if at == path), ""))
        shown.append(form.format(value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN].rpartition(' ')[0]} …"))
    return [f"detected: {'; '.join(shown)}"] if shown else []


def _given(resolved: Resolved | None) -> list[str]:
    """What the stores bring: the address of each."""
    named = resource_variables(resolved.blueprint) if resolved else {}
    urls = [
        parts["url"] for name, parts in named.items() if resolved and not resolved.blueprint.resources[name].url_from
    ]
    return [f"golive runs {'it' if len(urls) == 1 else 'them'}, and gives {', '.join(urls)}"] if urls else []


def _migrations(resolved: Resolved | None) -> list[str]:
    found = resolved.blueprint.migrations if resolved else None
    if resolved is None or found is None or resolved.origins.get("migrations.source", None) is None:
        return []
    if resolved.origins["migrations.source"].source != "detected":
        return []
    return [f"Migrations: {found.source} ({found.tool}) is detected, and run before every release."]


def foot(merged: Merged, imports: Sequence[Imported]) -> tuple[list[str], list[str]]:
    """What to know, and what was not carried over."""
    notes = list(dict.fromkeys([*(note for entry in imports for note in entry.notes), *merged.notes]))
    rows = [f"{entry.file}: {entry.problem}" for entry in imports if entry.problem]
    for entry in imports:
        needed = [lost for lost in entry.lost if not lost.instead.startswith("nothing")]
        rows += [f"{entry.file}: {x.path} ({x.value}): {x.why}; instead: {x.instead}" for x in needed]
        rest = [lost.path for lost in entry.lost if lost.instead.startswith("nothing")]
        rows += [f"{entry.file}, without a counterpart and nothing to do: {', '.join(rest)}"] if rest else []
    return _listed("Good to know:", notes), _listed("Not carried over:", rows)


def _listed(title: str, rows: list[str]) -> list[str]:
    if not rows:
        return []
    more = len(rows) - MAX_LISTED
    end = [f"… and {more} more: golive init --dry-run --json lists all"] if more > 0 else []
    return [title, *(f"  {row}" for row in rows[:MAX_LISTED]), *end]
