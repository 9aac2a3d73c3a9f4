"""The passphrase of golive's key, asked for where there is somebody to ask."""

from __future__ import annotations

import sys

import click

from golive.errors import UsageError
from golive.home import Home
from golive.secret import Secret
from golive.system import passphrase


def ask() -> Secret:
    """Typed unseen; asked for once a command. Locked without a terminal."""
    from golive.state.keyfile import locked

    if not sys.stdin.isatty():
        raise locked()
    found = Secret(click.prompt("passphrase of golive's secrets", hide_input=True, err=True))
    passphrase.hand_over(found)
    return found


def given() -> Secret:
    """For what opens the state in this process: from a file, else asked for."""
    return passphrase.given() or ask()


def prepare(home: Home) -> None:
    """Before a daemon is ended that has to be started again."""
    from golive.daemon.client import passphrase_of

    passphrase_of(home, ask)


def chosen() -> Secret:
    """A new one: typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        text = click.prompt("new passphrase", hide_input=True, confirmation_prompt="once more", err=True)
    else:
        text = sys.stdin.read().removesuffix("\n")
    if not text:
        raise UsageError("the new passphrase is empty", hint="type it, or give it on standard input")
    return Secret(text)
