"""The Python interpreters of this machine, and which one a service gets (BLD-2).

An interpreter is asked for its version once; the answer is kept with the file's stamp. When golive is root, the app
runs as a user of its own, and cannot run an interpreter in root's home: only those that can be reached count.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from golive.build.specifier import Version, allows, parse_version
from golive.errors import BuildFailed
from golive.system.files import write_atomic
from golive.system.users import User, can_reach

NAME = re.compile(r"python3(\.\d+)?")
PLACES = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")
MANY = (
    "~/.local/share/uv/python/*/bin", "~/.pyenv/versions/*/bin", "/opt/python/*/bin", "/usr/local/python*/bin",
    "/Library/Frameworks/Python.framework/Versions/*/bin",
)  # fmt: skip
QUESTION = "import sys; v = sys.version_info; print(v.major, v.minor, v.micro, v.releaselevel, sys.implementation.name)"


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine. `reachable`: the app's user may run it."""

    path: Path
    version: str
    reachable: bool = True

    @property
    def numbers(self) -> Version:
        return parse_version(self.version)


def choose_python(spec: str | None, user: User | None, *, cache: Path | None = None) -> Interpreter:
    """The interpreter for a version specifier: `>=3.12`, `3.12`, `^3.11`; None takes any.

    `user` is who the app runs as, None when that is golive's own user; `cache` the folder that keeps the answers.
    golive's own, which `choose` prefers, is tried before the others are looked for: asking them all takes 0.1 s.
    Raises BuildFailed naming what was found and the command that mends it.
    """
    own = Path(os.path.realpath(_own()))
    try:
        for paths in ([own], _candidates(dict(os.environ))):
            found = tuple(
                Interpreter(path, version, user is None or can_reach(user, path))
                for path, version in _asked(paths, cache).items()
            )
            with contextlib.suppress(LookupError):
                return choose(spec, found, own)
    except ValueError as error:
        raise BuildFailed(
            f"the Python version that is asked for cannot be read: {error}", hint="see `build.python` of the service"
        ) from None
    raise _none_fits(spec, found, user)


def choose(spec: str | None, found: Sequence[Interpreter], own: Path) -> Interpreter:
    """Pure. Reachable first; then golive's own interpreter, which is known to work here; then the newest.

    Raises LookupError when none fits and is reachable, and ValueError for a specifier that cannot be read.
    """
    fitting = [python for python in found if allows(spec, python.numbers) and python.reachable]
    if not fitting:
        raise LookupError(spec)
    return max(fitting, key=lambda python: (python.path == own, python.numbers, str(python.path)))


def _asked(paths: Iterable[Path], cache: Path | None) -> dict[Path, str]:
    """Those that are a CPython 3 and their versions. `cache` is the folder in which versions are remembered."""
    memory = Versions.load(cache)
    found: dict[Path, str] = {}
    for path in paths:
        if path not in found and (version := memory.version(path)):
            found[path] = version
    memory.save()
    return found


def _none_fits(spec: str | None, found: Sequence[Interpreter], user: User | None) -> BuildFailed:
    fitting = [python for python in found if allows(spec, python.numbers)]
    versions = ", ".join(f"{p.version} ({p.path})" for p in sorted(found, key=lambda p: p.numbers)) or "none"
    wanted = re.search(r"\d+\.\d+", spec or "")
    minor = wanted[0] if wanted else "3.13"
    where = "UV_PYTHON_INSTALL_DIR=/opt/python " if user else ""
    hint = (
        f"install one: `{where}{uv_name()} python install {minor}`, or `apt install python{minor}` where there is one"
    )
    if fitting and user:
        shown = ", ".join(str(python.path) for python in fitting)
        return BuildFailed(
            f"no Python {spec or '3'} on this machine can be run by the app's user {user.name}",
            why=f"these fit, but lie in folders closed to other users: {shown}",
            hint=hint,
        )
    return BuildFailed(f"no Python {spec or '3'} on this machine", why=f"found: {versions}", hint=hint)


def uv_name() -> str:
    """uv as a user can type it: its plain name when it is on the PATH."""
    import shutil

    if shutil.which("uv"):
        return "uv"
    from uv import find_uv_bin

    return str(find_uv_bin())


def _own() -> str:
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def _candidates(environ: dict[str, str]) -> Iterator[Path]:
    """Real files only, links followed: a virtual environment's python leads to the one it was made from."""
    yield Path(os.path.realpath(_own()))
    folders = [*environ.get("PATH", "").split(os.pathsep), *PLACES]
    patterns = [*MANY, *([environ["UV_PYTHON_INSTALL_DIR"] + "/*/bin"] if "UV_PYTHON_INSTALL_DIR" in environ else [])]
    for pattern in patterns:
        place, _, rest = os.path.expanduser(pattern).partition("*")  # noqa: PTH111 - a pattern, not yet a path
        base = Path(place) if place.endswith("/") else Path(place).parent
        with contextlib.suppress(OSError):
            folders += [str(p / rest.lstrip("/")) for p in sorted(base.iterdir()) if str(p).startswith(place)]
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            for name in sorted(filter(NAME.fullmatch, os.listdir(folder))) if folder else ():  # noqa: PTH208 - thousands
                yield Path(os.path.realpath(f"{folder}/{name}"))


@dataclass
class Versions:
    """Versions of programs by path and stamp, asked once by `ask`; "" is a file that is no usable program."""

    place: Path | None = None
    known: dict[str, list[object]] = field(default_factory=dict)
    changed: bool = False
    ask: Callable[[Path], str] = field(default_factory=lambda: _ask)

    @classmethod
    def load(cls, cache: Path | None, ask: Callable[[Path], str] | None = None, name: str = "interpreters") -> Versions:
        place = cache / f"{name}.json" if cache else None
        known: dict[str, list[object]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            known = dict(json.loads(place.read_bytes())) if place else {}
        return cls(place, known, ask=ask or _ask)

    def version(self, path: Path) -> str:
        try:
            info = path.stat()
        except OSError:
            return ""
        stamp = [info.st_mtime_ns, info.st_size, info.st_ino]
        known = self.known.get(str(path))
        if not known or known[:-1] != stamp:
            known = self.known[str(path)] = [*stamp, self.ask(path)]
            self.changed = True
        return str(known[-1])

    def save(self) -> None:
        if self.place and self.changed:
            with contextlib.suppress(OSError):
                self.place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_atomic(self.place, json.dumps(self.known), sync=False)


def ask_program(argv: Sequence[str]) -> str:
    """What a program prints, "" when it does not run. It gets a path and nothing else of the environment."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "GOTOOLCHAIN": "local", "LC_ALL": "C"}
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True, env=env, cwd="/").stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""


def _ask(path: Path) -> str:
    """The version, or "" for scripts (pyenv's shims), pre-releases, PyPy and what does not run."""
    try:
        with path.open("rb") as file:
            if file.read(2) == b"#!":
                return ""
        asked = subprocess.run(
            [str(path), "-I", "-S", "-c", QUESTION], capture_output=True, text=True, timeout=10, check=True, env={}
        )
        *numbers, level, name = asked.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return ".".join(numbers) if level == "final" and name == "cpython" else ""
