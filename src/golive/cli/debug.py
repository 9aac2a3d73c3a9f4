"""golive debug: one thing at a time, asked for real and explained."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golive.cli import complete, entry, output
from golive.cli.env_io import asked as typed
from golive.cli.place import Target, client, place_options
from golive.errors import GoliveError, NotFound, UsageError, nearest
from golive.home import Home
from golive.secret import Secret

if TYPE_CHECKING:
    from golive.checks.debug.account import Account, Phase

SIGNS = {"ok": ("✓", "green"), "failed": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "dim")}
BAR = 40
"""Columns of the waterfall, where the terminal has room."""
as_json_option = click.option("--json", "as_json", is_flag=True, help="As JSON; times in seconds.")


@click.group()
def debug() -> None:
    """One request, CORS, DNS, TLS or database: asked for real, each step with what it means and what mends it.

    Exit code 1 when it fails. Nothing is changed anywhere.

    \b
    Examples:
      golive debug request https://example.com/api/items
      golive debug cors https://api.example.com --origin https://example.com
      golive debug db
    """


@debug.command()
@click.argument("url")
@click.option("-X", "--method", type=click.Choice(["GET", "HEAD", "OPTIONS"]), default="GET", show_default=True)
@click.option(
    "-H", "--header", multiple=True, metavar="NAME[: VALUE]", help="Sent with it; NAME alone asks, or reads stdin."
)
@as_json_option
def request(url: str, method: str, header: tuple[str, ...], as_json: bool) -> int:
    """Where the time of a request goes (DNS, connect, TLS, wait, body), along all redirects, and what the status means.

    What is secret has no place in a command line: -H Authorization asks for the value, or reads it from standard input.

    \b
    Examples:
      golive debug request example.com
      golive debug request https://shop.localhost:8443/api/me -H Authorization
    """
    from golive.checks.debug import request as asked
    from golive.checks.site import address

    bare = [line for line in header if ":" not in line]
    if len(bare) > 1 and not sys.stdin.isatty():
        raise UsageError("only one value can be read from standard input", hint="give the others as 'NAME: VALUE'")
    lines = tuple(line if ":" in line else f"{line}: {typed(line)}" for line in header)
    at = address(url)
    return _show(asked.request(at, method, asked.headers_of(lines), entry=entry.of_address(at)), as_json)


@debug.command()
@click.argument("url")
@click.option("--origin", required=True, metavar="URL", help="Where the script that calls it comes from.")
@click.option("-X", "--method", default="GET", show_default=True, help="What the script sends.")
@click.option("--header", multiple=True, metavar="NAME", help="A header that the script sets; may be given again.")
@click.option("--credentials", is_flag=True, help="With cookies (credentials: include).")
@as_json_option
def cors(url: str, origin: str, method: str, header: tuple[str, ...], credentials: bool, as_json: bool) -> int:
    """Whether a browser lets a script of ORIGIN call URL: the preflight and the answer, rule by rule.

    The request itself is sent for GET and HEAD only.

    \b
    Example:
      golive debug cors https://api.example.com/items --origin https://example.com -X PUT --header content-type
    """
    from golive.checks.debug import cors as asked
    from golive.checks.site import address

    if not method.isalpha():
        raise UsageError(f"{method!r} is not a method", hint="such as GET, POST, PUT, PATCH, DELETE")
    at = address(url)
    found = asked.cors(at, origin, method.upper(), header, credentials=credentials, entry=entry.of_address(at))
    return _show(found, as_json)


@debug.command()
@click.argument("name")
@click.option("--resolver", metavar="ADDRESS", help="Asked in place of this machine's, such as 9.9.9.9.")
@as_json_option
def dns(name: str, resolver: str | None, as_json: bool) -> int:
    """What the resolver says of NAME, what the zone's own servers say, and where they differ.

    \b
    Example:
      golive debug dns www.example.com --resolver 9.9.9.9
    """
    from golive.checks.debug import dns as asked
    from golive.checks.site import address
    from golive.edge.records import parse_resolver

    return _show(asked.names(address(name).host, parse_resolver(resolver) if resolver else None), as_json)


@debug.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A root to trust beside.")
@as_json_option
def tls(host: str, ca: Path | None, as_json: bool) -> int:
    """Which versions of TLS are spoken, whose certificate it is, until when, and whether browsers trust it.

    \b
    Example:
      golive debug tls example.com
    """
    from golive.checks.debug import tls as asked
    from golive.checks.site import address

    at = address(host)
    own = Home.default().ca / "root.crt"
    roots = [ca] if ca else []
    if at.host.endswith("localhost") and own.is_file():  # names that golive alone vouches for
        roots.append(own)
    return _show(asked.handshakes(at.host, at.port, tuple(roots)), as_json)


@debug.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@as_json_option
@place_options
def db(target: Target, resource: str | None, as_json: bool) -> int:
    """PostgreSQL by the very URL that the app has: name, network, login, TLS, version, a question, each timed.

    \b
    Example:
      golive debug db
    """
    return _database(target, "postgres", resource, as_json)


@debug.command()
@click.argument("resource", required=False, shell_complete=complete.resources)
@as_json_option
@place_options
def redis(target: Target, resource: str | None, as_json: bool) -> int:
    """Redis by the very URL that the app has: name, network, login, version, a question, each timed.

    \b
    Example:
      golive debug redis cache
    """
    return _database(target, "redis", resource, as_json)


def _database(target: Target, engine: str, resource: str | None, as_json: bool) -> int:
    from golive.blueprint.env import resource_variables
    from golive.blueprint.load import load
    from golive.checks.debug import database as asked

    daemon = client()
    apps = daemon.get("/v1/status", **target.query())["apps"]
    checkout = target.checkout or (Path(apps[0]["checkout"]) if apps and apps[0]["checkout"] else None)
    if checkout is None or not (apps and apps[0]["release"]):
        raise NotFound(f"{target} is not live here", hint="golive up, or name its checkout with -C DIR")
    blueprint = load(checkout, target.environment).blueprint
    own = [name for name, each in blueprint.resources.items() if each.engine == engine]
    if resource is None and not own:
        raise NotFound(f"{target} has no resource of that engine", hint="golive config shows what it has")
    name = resource or own[0]
    if name not in own:
        near = nearest(name, own)
        raise NotFound(f"{target} has no {engine} {name!r}", hint=f"did you mean {near}?" if near else None)
    variable = resource_variables(blueprint)[name]["url"]
    env = daemon.send("POST", "/v1/exec", {**target.query(), "service": None, "command": ["true"]})["env"]
    if not env.get(variable):
        raise NotFound(f"{variable} is not set for the live release", hint="golive env shows what is")
    url = Secret(env[variable])
    return _show(asked.database(asked.engine_of(url, variable), url, variable), as_json)


def _show(asking: Coroutine[Any, Any, Account], as_json: bool) -> int:
    from golive.checks.model import Unanswered

    try:
        account = asyncio.run(asking)
    except Unanswered as error:
        raise GoliveError(str(error), hint="is the address right, and does it answer at all?") from error
    if as_json:
        output.data(account.to_json())
        return 1 if account.failed else 0
    print(output.paint(account.title, "bold", sys.stdout))
    if account.phases:
        _waterfall(account.phases)
    for step in account.steps:
        text = f"{step.about}: {step.seen}" + (f" — {step.means}" if step.means else "")
        print(output.wrap(text, f"  {_sign(step.state)} ", "    ", sys.stdout))
    print(output.paint(account.verdict, "bold", sys.stdout))
    return 1 if account.failed else 0


def _sign(state: str) -> str:
    sign, style = SIGNS[state]
    shown = sign if output.unicode_ok(sys.stdout) else output.PLAIN_MARKS.get(sign, sign)
    return output.paint(shown, style, sys.stdout)


def _waterfall(phases: tuple[Phase, ...]) -> None:
    """A bar for each phase, from where it began."""
    end = max(phase.began + phase.took for phase in phases) or 1.0
    block = "█" if output.unicode_ok(sys.stdout) else "#"
    wide = max(len(phase.name) for phase in phases)
    for phase in phases:
        at = min(round(phase.began / end * BAR), BAR - 1)
        bar = " " * at + block * max(round(phase.took / end * BAR), 1)
        print(f"  {phase.name.ljust(wide)}  {bar.ljust(BAR + 1)} {phase.took * 1000:>8,.1f} ms")
