"""What is pending, judged against the database it would change and the releases that run: the gate of a deploy.

Runs where the driver and the parser are, never in the daemon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from golive.blueprint.models import Migrations
from golive.errors import UsageError
from golive.migrate import project, run, sections, session, tools
from golive.migrate.files import MigrationFile, Part
from golive.migrate.lint import marks
from golive.migrate.lint.catalogue import facts
from golive.migrate.lint.check import Script, lint
from golive.migrate.lint.facts import Facts
from golive.migrate.lint.finding import Finding, Level, Verdict
from golive.migrate.lint.rules import NEED, RULES
from golive.migrate.lint.sources import Running, release
from golive.migrate.runtime import Runtime
from golive.migrate.sql import SqlProblem, Statement, split
from golive.secret import Secret

ORDERED = ("drizzle", "golang-migrate")
"""Tools whose record is how far they came: what was left behind would never run."""
_CONTROL = re.compile(r"(BEGIN|START|COMMIT|END)( WORK| TRANSACTION)?")
_REVISION = re.compile(r"^-- Running upgrade [\w, ]* ?-> (?P<revision>\w+)", re.MULTILINE)
_PART = re.compile(r"^-- (?P<revision>\w+\.\w+)$", re.MULTILINE)
_TAKES = (Level.STOP, Level.HELD)
_LATER = "a revision of its own, in a deploy after the one whose code does without"


@dataclass(frozen=True)
class Pending:
    """A set of files that would run. `where` is the folder that their names are said from."""

    files: tuple[MigrationFile, ...]
    where: Path
    done: dict[int, int]

    def scripts(self) -> list[Script]:
        return [_of_file(file, self.where, self.done.get(file.version, 0)) for file in self.files]


async def inspect(
    migrations: Migrations,
    checkout: Path,
    url: Secret | None,
    running: Sequence[Running] = (),
    *,
    runtime: Runtime | None = None,
) -> Verdict:
    """The verdict on what a deploy would apply. Without a `url` it is everything there is, on a database that is empty.

    MigrationFailed and UsageError as `step.pending`.
    """
    folder = checkout / migrations.source
    program = tools.PROGRAMS.get(migrations.tool)
    files = () if program else tools.dialect(migrations).discover(folder)
    if url is None:
        return lint(Pending(files, checkout, {}).scripts(), Facts())
    if program:
        if runtime is None:
            return Verdict()
        state = await project.state(program, folder, runtime, url)
        text = await project.sql(program, folder, runtime, state) if state.pending else ""
        scripts = revisions(text, folder, migrations.source)
    else:
        found = await run.status(folder, url, tools.dialect(migrations))
        run.refuse(found)
        begun = {found.unfinished.version: found.unfinished.done} if found.unfinished else {}
        scripts = Pending(found.pending, checkout, begun).scripts()
    if not scripts:
        return Verdict()
    releases = [release(each, [file.path for file in files]) for each in running]
    known = await _facts(tools.dialect(migrations).address(url) if not program else url)
    verdict = lint(scripts, known, releases, ordered=migrations.tool in ORDERED)
    return replace(verdict, findings=tuple(map(_for_program, verdict.findings))) if program else verdict


async def taken(
    migrations: Migrations, checkout: Path, url: Secret, kept: Sequence[Running], *, runtime: Runtime | None = None
) -> tuple[tuple[int, str, str], ...]:
    """What pending files take from releases that no longer run: its number, the file, and what goes."""
    found = []
    for each in kept:
        verdict = await inspect(migrations, checkout, url, (each,), runtime=runtime)
        needed = [f for f in verdict.findings if RULES[f.rule].by == NEED and (f.level in _TAKES or f.evidence)]
        found += [(each.number, one.script, one.what) for one in needed]
    return tuple(dict.fromkeys(found))


async def judge(
    migrations: Migrations, checkout: Path, texts: Sequence[tuple[str, str]], url: Secret, running: Sequence[Running]
) -> Verdict:
    """Of files that somebody names, as if they were pending, against the same database and releases."""
    whole = migrations.tool != "sql"
    scripts = [script for name, text in texts for script in of_text(name, text, whole=whole)]
    files = []
    if migrations.tool not in tools.PROGRAMS:
        dialect = tools.dialect(migrations)
        files, url = [file.path for file in dialect.discover(checkout / migrations.source)], dialect.address(url)
    return lint(scripts, await _facts(url), [release(each, files) for each in running])


async def _facts(url: Secret) -> Facts:
    async with await session.connect(url, f"{session.WORKING}-lint") as connection:
        return await facts(connection)


def of_text(name: str, text: str, *, whole: bool = False) -> list[Script]:
    """A file that is not part of a project's migrations, or its two parts. `whole`: its tool knows no sections.
    UsageError when it cannot be split."""
    try:
        parsed = split(text.replace("--> statement-breakpoint", ";".ljust(24)))
        plain = tuple(s for s in parsed if not _CONTROL.fullmatch(s.head))
        block = 1 if len(plain) != len(parsed) else 0
        plain = tuple(replace(each, block=block) for each in plain)
        parts = None if whole else sections.parts(text, plain)
    except SqlProblem as problem:
        raise UsageError(str(problem), where=f"{name}:{problem.line}") from None
    made: list[tuple[str, Part, tuple[Statement, ...]]] = [("", "", plain)]
    if parts:
        made = [("", "rest", parts.rest), (" (contract)", "contract", parts.contract)]
    found = []
    for suffix, part, statements in made:
        outside = any(re.search(r"\bCONCURRENTLY\b|^VACUUM\b", each.head) for each in statements)
        together = bool(block) or not outside
        script = Script(Path(name).name + suffix, name, text, statements, together, part=part, every=plain)
        found.append(script)
    return found


def revisions(text: str, folder: Path, source: str) -> list[Script]:
    """The SQL that Alembic or Django print, revision by revision; what each accepts is in its own Python file."""
    heads = [*_REVISION.finditer(text)] or [*_PART.finditer(text)]
    starts = [head.start() for head in heads] or [0]
    names = [head["revision"] for head in heads] or ["what its tool prints"]
    found = []
    _, opened, block = _statements(text[: starts[0]], opened=False, block=0)
    for name, start, end in zip(names, starts, [*starts[1:], len(text)], strict=True):
        kept, opened, block = _statements(text[start:end], opened=opened, block=block)
        accepted = _accepted(folder, name) if heads else {}
        found.append(Script(name, f"{source}: {name}", text[start:end], kept, False, 0, accepted))
    return [each for each in found if each.statements]


def _statements(text: str, *, opened: bool, block: int) -> tuple[tuple[Statement, ...], bool, int]:
    """Without BEGIN and COMMIT; what is between them, which may be more than one revision, has their number."""
    kept: list[Statement] = []
    for statement in split(text):
        if _CONTROL.fullmatch(statement.head):
            opened = statement.head.startswith(("BEGIN", "START"))
            block += opened
        else:
            kept.append(replace(statement, block=block if opened else 0))
    return tuple(kept), opened, block


def _accepted(folder: Path, name: str) -> dict[str, str]:
    """Alembic says `revision = "…"` in a file of any name, Django has `<app>/migrations/<name>.py`."""
    app, _, title = name.rpartition(".")
    own = re.compile(rf"^revision\b[^=\n]*=\s*[\"']{re.escape(title)}[\"']", re.MULTILINE)
    found: dict[str, str] = {}
    for path in folder.rglob(f"{app}/migrations/{title}.py" if app else "*.py"):
        if "site-packages" in path.parts:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if app or own.search(text):
            found |= marks.revision(text)
    return found


def _of_file(file: MigrationFile, where: Path, done: int) -> Script:
    path = file.path.relative_to(where) if file.path.is_relative_to(where) else file.path
    text = file.path.read_text(encoding="utf-8-sig", errors="replace")
    script = file.script
    return Script(
        file.name, str(path), text, script.statements, script.transactional, done, part=file.part, every=file.every
    )


def _for_program(found: Finding) -> Finding:
    """Its revisions are one chain: none of them can wait for itself."""
    if found.level is Level.STOP and RULES[found.rule].by == NEED and "golive: contract" in found.safe:
        return replace(found, safe=_LATER)
    return found
