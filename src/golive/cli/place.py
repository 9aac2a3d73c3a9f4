"""Which app and environment a command is about: the options every such command has."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golive.errors import UsageError

if TYPE_CHECKING:
    from golive.daemon.client import Client

FILE = "golive.toml"


@dataclass(frozen=True)
class Target:
    """The app, its environment and the checkout the command was given or stands in (None with `--app`)."""

    app: str
    environment: str
    checkout: Path | None

    def query(self) -> dict[str, str]:
        return {"app": self.app, "environment": self.environment}


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --app, -e and -C; the function gets `target`."""

    @click.option("--app", help="Name of the app; else that of the golive.toml here or above.")
    @click.option("-e", "--environment", default="production", show_default=True, help="Environment.")
    @click.option("-C", "--directory", type=click.Path(path_type=Path), default=Path(), help="Checkout to look in.")
    @functools.wraps(command)
    def wrapped(app: str | None, environment: str, directory: Path, **rest: Any) -> Any:
        return command(target=find(directory, environment, app), **rest)

    return wrapped


def find(directory: Path, environment: str, app: str | None = None) -> Target:
    """The target of a directory: the nearest golive.toml at it or above. UsageError when there is none."""
    if app is not None:
        return Target(app, environment, None)
    start = directory.absolute()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return Target(_name(folder / FILE), environment, folder)
    raise UsageError(
        f"no {FILE} in {start} or above",
        hint="go to a checkout that has one, name it with -C DIR, or name the app with --app",
    )


def _name(file: Path) -> str:
    """The name alone; the daemon reads and judges the rest. A file that cannot be read is judged in full."""
    try:
        name = tomllib.loads(file.read_text()).get("name")
    except (OSError, ValueError):
        name = None
    if not isinstance(name, str):
        from golive.blueprint.load import load

        return load(file).blueprint.name
    return name


def client(*, start: bool = True) -> Client:
    from golive.daemon.client import connect
    from golive.home import Home

    return connect(Home.default(), start=start)
