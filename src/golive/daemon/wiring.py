"""The one place where the parts are put together."""

from __future__ import annotations

import os
from collections.abc import Callable

from golive.build.builder import Builder
from golive.engines.store import Engines
from golive.errors import StateError
from golive.home import Home
from golive.release.host import Host
from golive.state.store import State
from golive.state.vault import Ask
from golive.supervise.supervisor import Supervisor
from golive.supervise.unit import UnitState
from golive.system import passphrase, users
from golive.system.files import private_directory
from golive.system.machine import inspect

BUILD_USER = "golive_build"
"""Runs what a project brings to its build, where golive is root."""


class Wires:
    """Late binding of the supervisor's callback: the daemon comes after the parts it watches."""

    def __init__(self) -> None:
        self.on_change: Callable[[UnitState], None] = lambda _: None

    def __call__(self, state: UnitState) -> None:
        self.on_change(state)


def build_host(home: Home, ask: Ask = passphrase.given) -> tuple[Host, Wires]:
    """Every part for one $GOLIVE_HOME; `ask` for the passphrase of its key. StateError when it cannot be used."""
    prepare(home)
    wires = Wires()
    machine = inspect()
    host = Host(
        home=home,
        state=State(home.state, home.key, ask),
        supervisor=Supervisor(wires),
        builder=Builder(home, user_for_build=users.ensure(BUILD_USER)),
        engines=Engines(home, machine),
        machine=machine,
    )
    return host, wires


def prepare(home: Home) -> None:
    """The folders. As root the top may be passed through, so that apps' own users reach their artifacts; no more."""
    home.require_own()
    try:
        private_directory(home.root, 0o711 if os.geteuid() == 0 else 0o700)
        if home.run.is_symlink() or (home.run.exists() and home.run.stat().st_uid != os.geteuid()):
            raise StateError(f"{home.run} belongs to somebody else", hint="remove it, or choose another GOLIVE_HOME")
        private_directory(home.run, 0o711 if os.geteuid() == 0 else 0o700)
        for folder in (home.cache, home.builds):
            private_directory(folder)
    except OSError as error:
        raise StateError(
            f"GOLIVE_HOME {home.root} cannot be used",
            why=str(error.strerror or error),
            hint="make it writable for this user, or set GOLIVE_HOME to a folder of yours",
        ) from error
