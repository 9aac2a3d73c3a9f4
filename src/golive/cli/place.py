"""Which app and environment a command is about: the options every such command has."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golive.errors import UsageError, nearest

if TYPE_CHECKING:
    from golive.daemon.client import Client
    from golive.secret import Secret

FILE = "golive.toml"
APP = re.compile(r"[a-z][a-z0-9-]{0,30}")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


@dataclass(frozen=True)
class Target:
    """The app, its environment and the checkout the command was given or stands in (None with `--app`)."""

    app: str
    environment: str
    checkout: Path | None

    def query(self) -> dict[str, str]:
        return {"app": self.app, "environment": self.environment}

    def __str__(self) -> str:
        return f"{self.app} ({self.environment})"


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --app, -e and -C; the function gets `target`."""

    @click.option("--app", metavar="APP", help="Name of the app; else that of the golive.toml here or above.")
    @environment_option
    @click.option("-C", "--directory", type=click.Path(path_type=Path), default=Path(), help="Checkout to look in.")
    @functools.wraps(command)
    def wrapped(app: str | None, environment: str, directory: Path, **rest: Any) -> Any:
        return command(target=find(directory, environment, app), **rest)

    return wrapped


def environment_option(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option(
        "-e", "--environment", metavar="NAME", default="production", show_default=True, help="Environment."
    )
    return option(command)


def directory_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds DIR, the checkout."""
    path = click.Path(path_type=Path)
    return click.argument("directory", type=path, default=Path(), metavar="[DIR]")(command)


def find(directory: Path, environment: str, app: str | None = None) -> Target:
    """The target of a directory: the nearest golive.toml at it or above. UsageError when there is none."""
    if not ENVIRONMENT.fullmatch(environment):
        raise UsageError(
            f"{environment!r} is not an environment's name", hint="production, development, preview/BRANCH"
        )
    if app is not None:
        if not APP.fullmatch(app):
            raise UsageError(f"{app!r} is not an app's name", hint="golive status --all lists the apps")
        return Target(app, environment, None)
    start = _folder(directory)
    for folder in (start, *start.parents):
        if _is(folder / FILE, Path.is_file):
            return Target(_name(folder / FILE), environment, folder)
    raise UsageError(f"there is no {FILE} in {start}, nor above it", hint=_instead(start))


def _folder(directory: Path) -> Path:
    """The directory meant, which may be said by its golive.toml. UsageError when it is none."""
    start = directory.absolute()
    if _is(start, Path.is_dir):
        return start
    if start.name == FILE and _is(start, Path.is_file):
        return start.parent
    if _is(start, Path.exists):
        raise UsageError(f"{directory} is a file", hint=f"name the directory that has the {FILE}")
    near = nearest(start.name, _names(start.parent))
    raise UsageError(
        f"there is no directory {directory}", hint=str(directory.with_name(near)) if near else "look at the path again"
    )


def _is(path: Path, question: Callable[[Path], bool]) -> bool:
    """False too where this user may not look."""
    try:
        return question(path)
    except OSError:
        return False


def _instead(start: Path) -> str:
    """What to do where no golive.toml is: the likeliest reason first."""
    if near := nearest(FILE, [name for name in _names(start) if name != FILE and Path(name).suffix]):
        return f"is it {near}? Its name must be {FILE}"
    below = sorted(path.parent.name for path in start.glob(f"*/{FILE}"))
    if below:
        return f"{', '.join(below[:3])} has one; name it, or go there"
    return f"go to a checkout that has one, or name it; golive init writes a first {FILE}; --app names an app that runs"


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _name(file: Path) -> str:
    """The name alone; the daemon reads and judges the rest. A file that cannot be read is judged in full."""
    try:
        name = tomllib.loads(file.read_text()).get("name")
    except (OSError, ValueError):
        name = None
    if not isinstance(name, str) or not APP.fullmatch(name):
        from golive.blueprint.load import load

        return load(file).blueprint.name
    return name


def client(*, start: bool = True) -> Client:
    from golive.daemon.client import connect
    from golive.home import Home

    return connect(Home.default(), start=start, ask=_ask)


def _ask() -> Secret:
    from golive.cli.passphrase import ask

    return ask()
