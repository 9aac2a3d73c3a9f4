"""The table of commands, and the only place where errors become text and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from golive.cli import output
from golive.errors import GoliveError, StateError, UsageError, nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": ("init", "Write golive.toml for a checkout; import other platforms' files."),
    "up": ("deploy", "Make the app of a checkout live, verified."),
    "deploy": ("deploy", "The same for an app that is up already."),
    "plan": ("plan", "What a deploy would change, without changing it."),
    "dev": ("dev", "Run the checkout by its dev servers, behind the same routes."),
    "status": ("status", "What runs, since when, and its health."),
    "logs": ("logs", "Output of services; follow it."),
    "releases": ("status", "Releases, newest first."),
    "rollback": ("deploy", "Go back to a kept release."),
    "restart": ("deploy", "New instances of what is live, without a gap."),
    "migrate": ("migrate", "Schema migrations: status, what would run, run now."),
    "backup": ("backup", "Backups: list, create, verify, prove, the key."),
    "restore": ("restore", "Bring a database back: to latest, a time, a backup."),
    "move": ("move", "Move what is kept in Redis to PostgreSQL."),
    "db": ("db", "Databases: what is wrong with them, and what to do."),
    "scale": ("scale", "More or fewer instances of a service."),
    "traffic": ("traffic", "Who gets how many of the visitors: a canary, a new service."),
    "domain": ("domain", "Domains: DNS records, certificates, what is in the way."),
    "shield": ("shield", "What the edge's shield stopped, or would have."),
    "link": ("link", "The link that opens a protected environment."),
    "maintenance": ("maintenance", "A page instead of the app, for a while."),
    "cache": ("cache", "Kept answers: how many, forget them."),
    "suspend": ("suspend", "Stop services until they are resumed."),
    "resume": ("suspend", "Start suspended services again."),
    "env": ("env", "Variables: list, set, import, export, compare."),
    "bundle": ("bundle", "The JavaScript that each page loads."),
    "secrets": ("secrets", "Search source and history for secrets."),
    "run": ("run", "One command in a service's environment."),
    "shell": ("run", "A shell in a service's environment."),
    "down": ("down", "Stop an app and keep its data."),
    "destroy": ("destroy", "Stop an app and remove its data."),
    "config": ("config", "The resolved blueprint, and where each value came from."),
    "check": ("check", "The production checklist, of an app or any URL."),
    "debug": ("debug", "One request, CORS, DNS, TLS or database, explained."),
    "load": ("load", "What an app holds, and what ends first."),
    "vault": ("vault", "The key that secrets are sealed with: change it, a passphrase."),
    "audit": ("audit", "Who changed what."),
    "recover": ("recover", "Make an empty machine what another one was, from its backups."),
    "standby": ("standby", "Follow another machine by its backups; take its place."),
    "doctor": ("doctor", "What this machine lacks, and what mends it."),
    "engines": ("engines", "Envoy, PostgreSQL, Redis: what is here."),
    "trust": ("trust", "The command that trusts the local certificate authority."),
    "daemon": ("daemon", "Start, stop, look at the daemon."),
    "service": ("service", "Start the daemon with the machine (systemd, launchd)."),
    "completion": ("completion", "Shell completion for bash, zsh and fish."),
}
GROUPS = {
    "Make it live": (
        "init",
        "up",
        "deploy",
        "plan",
        "rollback",
        "releases",
        "restart",
        "migrate",
        "move",
        "scale",
        "traffic",
        "maintenance",
        "suspend",
        "resume",
        "down",
        "destroy",
    ),
    "Look at it": (
        "status",
        "check",
        "debug",
        "load",
        "logs",
        "domain",
        "shield",
        "link",
        "db",
        "backup",
        "restore",
        "env",
        "config",
        "bundle",
        "cache",
        "secrets",
        "audit",
    ),
    "Work in it": ("dev", "run", "shell"),
    "This machine": ("recover", "standby", "doctor", "engines", "trust", "daemon", "vault", "service", "completion"),
}
PLACE_OPTIONS = ("-C", "-e", "--app", "--directory", "--environment", "--json")


class ReaderGone(Exception):
    """What stdout led to has ended (`golive logs | head`). click would make an exit code of 1 of it."""


class Table(click.Group):
    """Commands are imported when they are asked for."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error
        return code

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"golive.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            close = nearest(args[0], COMMANDS)
            hint = f"golive {close}" if close else "golive -h lists them"
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """From the table, so that a press of Tab imports no command."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(n, help=text) for n, (_, text) in COMMANDS.items() if n.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(10), COMMANDS[name][1]) for name in names])


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """The version, and nothing else."""
    if wanted and not context.resilient_parsing:
        from golive import __version__

        click.echo(f"golive {__version__}")
        context.exit()


@click.group(cls=Table, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="The version."
)
def golive() -> None:
    """Takes an application from a checkout to verified production, and keeps it there.

    \b
    Begin in a folder that has a golive.toml:
      golive up
      golive COMMAND -h    what a command does, with an example
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command. 0 done, 1 it failed, 2 wrong usage or blueprint, 130 interrupted, else a child's own code."""
    output.prepare()
    try:
        code = golive.main(list(arguments), prog_name="golive", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except GoliveError as error:
        output.show_error(error)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stdout.write(error.format_message() + "\n")
        return 0
    except click.ClickException as error:
        output.show_error(_usage(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        output.say("\nstopped")
        return 130
    except ReaderGone:  # nothing to say, and nothing to write it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("GOLIVE_DEBUG"):
            raise
        output.show_error(_unexpected(error))
        return 1


def _usage(error: click.ClickException) -> GoliveError:
    """What click found wrong, in the form of every other error."""
    what = error.format_message().strip().rstrip(".")
    what = what[:1].lower() + what[1:]
    context = error.ctx if isinstance(error, click.UsageError) else None
    name = context.command_path if context else "golive"
    hint = f"{name} -h"
    if isinstance(error, click.NoSuchOption):
        what = f"there is no option {error.option_name}"
        if error.possibilities:
            hint = f"{name} {sorted(error.possibilities)[0]}"
        elif name == "golive" and error.option_name in PLACE_OPTIONS:
            hint = f"options come after the command: golive status {error.option_name} …"
    return UsageError(what, where=name, hint=hint)


def _unexpected(error: Exception) -> GoliveError:
    """A fault of golive itself: said in the same form as any other. A home that may not be read is none."""
    from golive.home import Home

    root = Home.default().root
    if isinstance(error, PermissionError) and str(error.filename).startswith(str(root)):
        hint = "make it writable for this user, or set GOLIVE_HOME to a folder of yours"
        return StateError(f"GOLIVE_HOME {root} cannot be used", why=error.strerror, hint=hint)
    why = f"{type(error).__name__}: {error}"
    return GoliveError("golive itself failed", why=why, hint="GOLIVE_DEBUG=1 shows where; please report it")
