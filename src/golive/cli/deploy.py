"""up, deploy, rollback, restart: submit, follow, tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from golive.cli import output
from golive.cli.follow import follow
from golive.cli.place import Target, client, find, place_options


def _deploy(directory: Path, environment: str, as_json: bool, detach: bool) -> int:
    target = find(directory, environment)
    body = {"kind": "deploy", **target.query(), "checkout": str(target.checkout)}
    return _submit(target, body, as_json, detach)


def _submit(target: Target, body: dict[str, Any], as_json: bool, detach: bool) -> int:
    daemon = client()
    number = daemon.send("POST", "/v1/deployments", body)["deployment"]
    if detach:
        output.say(f"deployment {number} is queued; golive status shows it")
        output.data({"deployment": number}) if as_json else None
        return 0
    return follow(daemon, number, f"{target.app} · {target.environment}", as_json=as_json)


def _options(command: Any) -> Any:
    command = click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")(command)
    return click.option("--detach", is_flag=True, help="Do not wait for the end.")(command)


def _directory_options(command: Any) -> Any:
    path = click.Path(path_type=Path)
    command = click.argument("directory", type=path, default=Path(), metavar="[DIR]")(command)
    option = click.option("-e", "--environment", default="production", show_default=True, help="Environment.")
    return _options(option(command))


@click.command()
@_directory_options
def up(directory: Path, environment: str, as_json: bool, detach: bool) -> int:
    """Make the checkout in DIR live: everything it needs is fetched, built, migrated, started and verified.

    The second time it does only what changed. Ctrl-C before traffic moves undoes it.
    """
    return _deploy(directory, environment, as_json, detach)


@click.command()
@_directory_options
def deploy(directory: Path, environment: str, as_json: bool, detach: bool) -> int:
    """Deploy the checkout in DIR. Requests go on being answered; a failure leaves the old release serving."""
    return _deploy(directory, environment, as_json, detach)


@click.command()
@click.argument("release", type=int, required=False)
@_options
@place_options
def rollback(target: Target, release: int | None, as_json: bool, detach: bool) -> int:
    """Go back to RELEASE, or to the one before. What is still warm takes traffic at once."""
    return _submit(target, {"kind": "rollback", **target.query(), "release": release}, as_json, detach)


@click.command()
@click.argument("services", nargs=-1)
@_options
@place_options
def restart(target: Target, services: tuple[str, ...], as_json: bool, detach: bool) -> int:
    """New instances of SERVICES (all when none is named), then the old ones end. No request is lost."""
    return _submit(target, {"kind": "restart", **target.query(), "services": list(services)}, as_json, detach)
