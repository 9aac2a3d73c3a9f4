"""golive suspend, golive resume: services that do not run for a while."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError

PATIENCE = 1.0
"""Seconds after which it is said what is waited for."""
WAITING = {"suspend": "open requests end first", "resume": "they get requests once they are ready"}


@click.command()
@click.argument("services", nargs=-1, metavar="SERVICE…", shell_complete=complete.services)
@click.option("--all", "everything", is_flag=True, help="Every service of the app.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def suspend(target: Target, services: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Stop SERVICES and keep them stopped, through deploys too, until `golive resume`.

    Requests under way end first; new ones get 503 and a page. Resources and data stay as they are.

    \b
    Example:
      golive suspend worker
    """
    return _change("suspend", target, _named(services, everything, "suspend"), as_json)


@click.command()
@click.argument("services", nargs=-1, metavar="SERVICE…", shell_complete=complete.services)
@click.option("--all", "everything", is_flag=True, help="Every suspended service of the app.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@place_options
def resume(target: Target, services: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Start suspended SERVICES again; requests come to them once they are ready.

    \b
    Example:
      golive resume worker
    """
    return _change("resume", target, _named(services, everything, "resume"), as_json)


def _named(services: tuple[str, ...], everything: bool, verb: str) -> list[str]:
    if bool(services) == everything:
        what = "name services or say --all, not both" if services else "which services?"
        raise UsageError(what, hint=f"golive {verb} SERVICE…, or golive {verb} --all; golive status lists them")
    return list(services)


@contextlib.contextmanager
def _patiently(text: str) -> Iterator[None]:
    timer = threading.Timer(PATIENCE, output.say, (f"{output.mark('running')} {text}",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _change(verb: str, target: Target, services: list[str], as_json: bool) -> int:
    with _patiently(WAITING[verb]):
        found = client().send("POST", f"/v1/{verb}", {**target.query(), "services": services})
    if as_json:
        output.data(found)
        return 0
    done, already = found["suspended" if verb == "suspend" else "resumed"], found["already"]
    state, other = ("suspended", "suspended already") if verb == "suspend" else ("runs again", "was not suspended")
    for name in done:
        output.say(f"{name}: {state}")
    for name in already:
        output.say(f"{name}: nothing to do, {other}")
    if not done and not already:
        output.say("nothing to do: no service is suspended")
    return 0
