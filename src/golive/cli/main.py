"""The table of commands, and the only place where errors become text and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from golive.cli import output
from golive.errors import GoliveError, nearest

COMMANDS = {
    "up": ("deploy", "Build, migrate, start, verify: the checkout is live."),
    "deploy": ("deploy", "The same for an app that is up already."),
    "plan": ("plan", "What a deploy would change, without changing it."),
    "status": ("status", "What runs where, and its health."),
    "releases": ("status", "Releases, newest first."),
    "rollback": ("deploy", "Go back to a kept release."),
    "restart": ("deploy", "New instances of what is live, without a gap."),
    "scale": ("scale", "More or fewer instances of a service."),
    "logs": ("logs", "Output of services; follow it."),
    "env": ("env", "Variables: list, set, unset."),
    "run": ("run", "One command in a service's environment."),
    "shell": ("run", "A shell in a service's environment."),
    "config": ("config", "The resolved blueprint, and where each value came from."),
    "doctor": ("doctor", "What is missing on this machine, and what mends it."),
    "engines": ("engines", "Envoy, PostgreSQL, Redis: what is here."),
    "audit": ("audit", "Who changed what."),
    "destroy": ("destroy", "Stop an app and remove its data."),
    "trust": ("trust", "The command that trusts the local certificate authority."),
    "daemon": ("daemon", "Start, stop, look at the daemon."),
    "service": ("service", "Start the daemon with the machine (systemd, launchd)."),
    "completion": ("completion", "Shell completion for bash, zsh and fish."),
}


class Table(click.Group):
    """Commands are imported when they are asked for."""

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
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = nearest(args[0], COMMANDS)
            raise click.UsageError(f"no command {args[0]!r}." + (f" Did you mean `golive {close}`?" if close else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Table, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="golive", message="golive %(version)s")
def golive() -> None:
    """From a checkout to verified production, and kept there.

    Begin with `golive up` in a folder that has a golive.toml.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command. 0 done, 1 it failed, 2 wrong usage or blueprint, else a child's own code."""
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
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        output.say("stopped")
        return 130
    except BrokenPipeError:
        # The reader went away (`golive logs | head`): nothing to say, and nothing to write it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("GOLIVE_DEBUG"):
            raise
        output.show_error(_unexpected(error))
        return 1


def _unexpected(error: Exception) -> GoliveError:
    """A fault of golive itself: said in the same form as any other."""
    why = f"{type(error).__name__}: {error}"
    return GoliveError("golive itself failed", why=why, hint="GOLIVE_DEBUG=1 shows where; please report it")
