"""golive check: the production checklist, of an app of golive's own or of any site."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golive.cli import check_text, complete, entry, output
from golive.cli.place import environment_option, find
from golive.errors import GoliveError, UsageError, nearest
from golive.home import Home

if TYPE_CHECKING:
    from golive.checks.model import Check, Result
    from golive.checks.subject import Subject

FILE = click.Path(dir_okay=False, path_type=Path)
SLOW = ("outage", "restore", "load")
"""Families that are left out where somebody waits for a deploy."""


@dataclass(frozen=True)
class Options:
    """The command line, as given."""

    environment: str
    directory: Path
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    profile: str = "default"
    origin: tuple[str, ...] = ()
    ca: Path | None = None
    intrusive: bool = False
    fix: bool = False
    everything: bool = False
    as_json: bool = False
    html: Path | None = None
    junit: Path | None = None
    sarif: Path | None = None


@click.command()
@click.argument("target", required=False, metavar="[APP | URL]", shell_complete=complete.apps)
@environment_option
@click.option("-C", "--directory", type=click.Path(path_type=Path), default=Path(), help="Checkout to look in.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this family or check; may be given again.")
@click.option("--skip", multiple=True, metavar="NAME", help="Not this family or check; may be given again.")
@click.option(
    "--profile",
    type=click.Choice(["default", "strict"]),
    default="default",
    show_default=True,
    help="strict: warnings, and what could not be told, count as failures.",
)
@click.option("--origin", multiple=True, metavar="URL", help="An origin that has to be allowed to read it.")
@click.option("--ca", type=FILE, metavar="FILE", help="A root certificate to trust beside the machine's.")
@click.option("--intrusive", is_flag=True, help="URL: also what a visitor does not do (many requests at once).")
@click.option("--fix", is_flag=True, help="Write what golive.toml can mend into it.")
@click.option("--all", "everything", is_flag=True, help="Show what passed too, with its evidence.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--html", type=FILE, metavar="FILE", help="Write a report to read, in one file.")
@click.option("--junit", type=FILE, metavar="FILE", help="Write JUnit XML, for CI.")
@click.option("--sarif", type=FILE, metavar="FILE", help="Write SARIF 2.1.0, for code scanning.")
def check(target: str | None, **given: Any) -> int:
    """The production checklist: every check does the thing, and shows what it saw.

    A site is asked politely: few requests, none that changes anything. Exit code 1 when a check failed.

    \b
    Examples:
      golive check
      golive check https://example.com --html report.html
      golive check --only tls --only headers --profile strict
    """
    return _check(target, Options(**given))


def after_deploy(directory: Path, environment: str) -> int:
    """The checklist of what was just made live, in the default profile and without what takes its time."""
    return _check(None, Options(environment, directory, skip=SLOW))


def _check(target: str | None, options: Options) -> int:
    from golive.checks import catalog, run

    names, skipped = _names(options.only), _names(options.skip)
    catalog.checks(names, app=True, skip=skipped)  # a mistyped name is said before anything is asked
    subject = _subject(target, options)
    for rule in subject.policy.ignore:
        if rule.check not in catalog.names():
            near = nearest(rule.check, catalog.names())
            output.say(
                f"warning: golive.toml ignores {rule.check!r}, which is no check" + (f"; is it {near}?" if near else "")
            )
    checks = catalog.checks(names, app=subject.deployed is not None, skip=skipped)
    began = time.monotonic()
    found = asyncio.run(_examine(subject, checks))
    results = run.ignored(found, subject.policy.ignore, datetime.now(UTC).date())
    seconds = time.monotonic() - began
    _write(subject.title, results, options)
    if options.as_json:
        output.data(check_text.as_json(subject.title, results, seconds))
    else:
        check_text.show(subject.title, results, seconds, everything=options.everything)
    if options.fix:
        _mend(subject, results)
    return run.exit_code(results, strict=options.profile == "strict")


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for part in given for name in part.split(",") if name.strip())


def is_url(target: str) -> bool:
    """Whether it is the address of a site, not an app's name: those have neither dots nor colons."""
    return any(sign in target for sign in ".:/")


def _subject(target: str | None, options: Options) -> Subject:
    from golive.checks.site import Aim, address
    from golive.checks.subject import Subject

    home = Home.default()
    if options.ca is not None and not options.ca.is_file():
        raise UsageError(f"there is no file {options.ca}", hint="--ca names a certificate in PEM")
    roots = [options.ca] if options.ca else []
    if target is None or not is_url(target):
        from golive.cli.check_app import subject_of

        return subject_of(find(options.directory, options.environment, target), home, options.origin, roots)
    if options.fix:
        raise UsageError("--fix changes an app's golive.toml, and a URL has none", hint="golive check APP --fix")
    at = address(target)
    if at.host.endswith("localhost") and (home.ca / "root.crt").is_file():  # names that golive alone vouches for
        roots.append(home.ca / "root.crt")
    cache = home.cache / "secrets"
    aim = Aim(
        at,
        tuple(roots),
        origins=options.origin,
        intrusive=options.intrusive,
        entry=entry.of_address(at),
        cache=cache,
    )
    return Subject(at.origin + at.path, aim)


def _mend(subject: Subject, results: Sequence[Result]) -> None:
    """What golive.toml can mend, written into it and shown. BlueprintError when the result would not load: then nothing
    is written."""
    from golive.blueprint.checkout import Checkout
    from golive.blueprint.document import FILE_NAME, parse_document
    from golive.blueprint.resolve import resolve
    from golive.checks import mend
    from golive.system.files import write_atomic

    own = subject.deployed
    if own is None or own.checkout is None:
        return
    file = own.checkout / FILE_NAME
    before = file.read_text(encoding="utf-8")
    after = mend.written(before, mend.settings(results))
    if after == before:
        output.say("nothing of it can be mended in golive.toml")
        return
    resolve(parse_document(after), Checkout(own.checkout), own.environment)
    write_atomic(file, after, mode=file.stat().st_mode & 0o777)
    output.say(mend.diff(before, after).rstrip())
    output.say(f"wrote {file}; golive up makes it live")


async def _examine(subject: Subject, checks: Sequence[Check]) -> list[Result]:
    done = 0

    def told(result: Result) -> None:
        nonlocal done
        done += 1
        if output.lively():
            sys.stderr.write(f"\r\x1b[K{done} of {len(checks)}: {result.check.id}")
            sys.stderr.flush()

    try:
        return await subject.examine(checks, told)
    finally:
        if output.lively():
            sys.stderr.write("\r\x1b[K")


def _write(title: str, results: Sequence[Result], options: Options) -> None:
    """The reports that were asked for. GoliveError where one cannot be written."""
    from golive.checks import html, reports

    makers = ((options.html, html.report), (options.junit, reports.junit), (options.sarif, reports.sarif))
    for file, made in makers:
        if file is None:
            continue
        try:
            file.write_text(made(title, results, datetime.now(UTC)), encoding="utf-8")
        except OSError as error:
            raise GoliveError(f"{file} cannot be written", why=error.strerror) from error
        output.say(f"wrote {file}")
