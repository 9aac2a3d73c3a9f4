"""Linting without a database: in a checkout, or files that somebody names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from golive.errors import NotFound
from golive.migrate import tools
from golive.migrate.lint.check import lint as judged
from golive.migrate.lint.facts import UNKNOWN
from golive.migrate.lint.finding import Verdict
from golive.migrate.lint.gate import ORDERED, Pending, of_text
from golive.migrate.lint.running import SOMEBODY


def lint(checkout: Path | None, environment: str, texts: Sequence[tuple[str, str]]) -> Verdict:
    """Of these files, else of all that the checkout has: what one of them makes, nobody else uses yet.

    NotFound when there is nothing to read, UsageError for files that cannot be read as SQL.
    """
    if texts:
        return judged([script for name, text in texts for script in of_text(name, text)], UNKNOWN, (SOMEBODY,))
    if checkout is None:
        hint = "run it in the checkout, or name files"
        raise NotFound("there is neither a live release nor a checkout to look in", hint=hint)
    from golive.blueprint.load import load

    settings = load(checkout, environment).resolved.blueprint.migrations
    if settings is None:
        raise NotFound("the app has no migrations", hint="`migrations` in golive.toml says where they are")
    if settings.tool in tools.PROGRAMS:
        hint = "golive up makes it; then its revisions can be asked for their SQL"
        raise NotFound(f"{settings.tool} needs a live release to say what it would run", hint=hint)
    files = tools.dialect(settings).discover(checkout / settings.source)
    return judged(Pending(files, checkout, {}).scripts(), UNKNOWN, (SOMEBODY,), ordered=settings.tool in ORDERED)
