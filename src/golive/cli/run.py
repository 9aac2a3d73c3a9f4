"""golive run, golive shell: one command, or a shell, in the environment of a service.

The daemon tells what an instance would get; this process becomes the command, so the terminal, signals and the exit
code are its own.
"""

from __future__ import annotations

import os
import shutil
from typing import Any, NoReturn

import click

from golive.cli import complete, output
from golive.cli.place import Target, client, place_options
from golive.errors import UsageError


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARGS]…")
@click.option(
    "-s", "--service", help="Whose environment.  [default: the web service's]", shell_complete=complete.services
)
@place_options
def run(target: Target, command: tuple[str, ...], service: str | None) -> int:
    """Run COMMAND once with the live release's variables, dependencies and user. Its exit code is passed on.

    Options of golive come before COMMAND; everything after it is COMMAND's own. No shell reads it.

    \b
    Examples:
      golive run python manage.py createsuperuser
      golive run -s api sh -c 'psql "$DATABASE_URL" -c "select 1"'
    """
    spec = _spec(target, service, command)
    _become(list(command), spec)


@click.command()
@click.option(
    "-s", "--service", help="Whose environment.  [default: the web service's]", shell_complete=complete.services
)
@place_options
def shell(target: Target, service: str | None) -> int:
    """A shell with the live release's variables, dependencies and user, in its folder. `exit` ends it.

    \b
    Example:
      golive shell -s worker
    """
    spec = _spec(target, service, ())
    output.say(f"{target.app} · {target.environment} · {spec['service']}, release {spec['release']}; exit ends it")
    spec["env"]["PS1"] = f"{target.app}:{spec['service']}$ "
    program = os.environ.get("SHELL") or "/bin/sh"
    _become([program if shutil.which(program) else "/bin/sh"], spec)


def _spec(target: Target, service: str | None, command: tuple[str, ...]) -> dict[str, Any]:
    body = {**target.query(), "service": service, "command": list(command)}
    found: dict[str, Any] = client().send("POST", "/v1/exec", body)
    return found


def _become(argv: list[str], spec: dict[str, Any]) -> NoReturn:
    env = {**spec["env"], "TERM": os.environ.get("TERM", "dumb")}
    program = shutil.which(argv[0], path=env["PATH"])
    if program is None:
        raise UsageError(
            f"there is no command {argv[0]!r} in the service's PATH", why=env["PATH"], where=spec["service"]
        )
    if (user := spec["user"]) and os.geteuid() == 0:
        os.setgroups(user["groups"])
        os.setgid(user["gid"])
        os.setuid(user["uid"])
    os.chdir(spec["cwd"])
    os.execve(program, argv, env)  # noqa: S606 - an argument list, no shell
