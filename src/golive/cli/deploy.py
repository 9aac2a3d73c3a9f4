"""up, deploy, rollback, restart: submit, follow, tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from golive.cli import complete, output
from golive.cli.follow import Held, follow
from golive.cli.place import Target, client, directory_argument, environment_option, find, place_options
from golive.errors import UsageError


def _deploy(
    directory: Path,
    environment: str,
    *,
    skip_build_env_check: bool,
    canary: bool | None,
    check: bool,
    as_json: bool,
    detach: bool,
) -> int:
    if check and (as_json or detach):
        raise UsageError("--check shows what it finds when the deploy has ended", hint="golive check --json afterwards")
    target = find(directory, environment)
    body: dict[str, Any] = {"kind": "deploy", **target.query(), "checkout": str(target.checkout)}
    if skip_build_env_check:
        body["skip_build_env_check"] = True
    if canary is not None:
        body["canary"] = canary
    code = _submit(target, body, as_json, detach)
    if not check or code:
        return code
    from golive.cli.check import after_deploy

    return after_deploy(directory, environment)


def _submit(target: Target, body: dict[str, Any], as_json: bool, detach: bool) -> int:
    daemon = client()
    with Held() as held:
        answer = daemon.send("POST", "/v1/deployments", body)
        if "canary" in answer:
            output.say(f"the canary of release {answer['canary']} is ended: release {answer['live']} has all traffic")
            output.data(answer) if as_json else None
            return 0
        number = answer["deployment"]
        if detach:
            output.say(f"deployment {number} is queued; golive status shows it")
            output.data({"deployment": number}) if as_json else None
            return 0
        return follow(daemon, number, f"{target.app} · {target.environment}", as_json=as_json, begun=held.let_go)


def _options(command: Any) -> Any:
    command = click.option("--json", "as_json", is_flag=True, help="The result as JSON on stdout.")(command)
    return click.option("--detach", is_flag=True, help="Do not wait for the end.")(command)


def _checkout_options(command: Any) -> Any:
    skip = "Build although variables are missing or wrong; they are checked before the release starts."
    command = click.option("--skip-build-env-check", is_flag=True, help=skip)(command)
    by_steps = "Give it its traffic bit by bit, or not, whatever golive.toml says."
    command = click.option("--canary/--no-canary", default=None, help=by_steps)(command)
    command = click.option("--check", is_flag=True, help="Then the production checklist; its exit code.")(command)
    return _options(environment_option(directory_argument(command)))


@click.command()
@_checkout_options
def up(directory: Path, environment: str, **options: Any) -> int:
    """Make the checkout in DIR live: what it needs is fetched, then it is built, migrated, started and verified.

    The second time only what changed is done. Ctrl-C before traffic moves undoes it. The URL is on stdout.

    \b
    Examples:
      golive up
      golive up examples/threadr
      golive up -e preview/new-page
    """
    return _deploy(directory, environment, **options)


@click.command()
@_checkout_options
def deploy(directory: Path, environment: str, **options: Any) -> int:
    """Deploy the checkout in DIR. Requests go on being answered; a failure leaves the old release serving.

    \b
    Example:
      golive deploy --json | jq .result.probes
    """
    return _deploy(directory, environment, **options)


@click.command()
@click.argument("release", type=int, required=False, shell_complete=complete.releases)
@click.option("--despite-schema", is_flag=True, help="Although its code names what the schema no longer has.")
@_options
@place_options
def rollback(target: Target, release: int | None, despite_schema: bool, as_json: bool, detach: bool) -> int:
    """Go back to RELEASE, or to the one before. What is still warm takes traffic at once; a canary under way ends.

    The database's schema stays as it is. The first step says which migrations were applied since; it refuses when
    RELEASE needs what one of them took away.

    \b
    Examples:
      golive rollback
      golive rollback 12
    """
    body: dict[str, Any] = {"kind": "rollback", **target.query(), "release": release}
    if despite_schema:
        body["despite_schema"] = True
    return _submit(target, body, as_json, detach)


@click.command()
@click.argument("services", nargs=-1, shell_complete=complete.services)
@_options
@place_options
def restart(target: Target, services: tuple[str, ...], as_json: bool, detach: bool) -> int:
    """New instances of SERVICES (all when none is named), then the old ones end. No request is lost.

    \b
    Example:
      golive restart api
    """
    return _submit(target, {"kind": "restart", **target.query(), "services": list(services)}, as_json, detach)
