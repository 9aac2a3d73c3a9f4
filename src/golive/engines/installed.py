"""Engines that the machine has: where they may be, whether they run, and whether they are complete."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from golive.engines.catalog import Kind
from golive.engines.engine import Engine
from golive.errors import StartFailed
from golive.system.processes import run

POSTGRES_PLACES = (
    "usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "usr/pgsql-*/bin",  # the PostgreSQL project's RPMs
    "usr/libexec/postgresql*",  # Alpine
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
)
SERVERS = "/usr/sbin:/usr/local/sbin"
"""Where packages put servers, and where the PATH of a user who is not root does not lead."""
PROBE_TIMEOUT = 20.0
"""Seconds for `--version`; a cold disk takes two for Envoy's 107 MB."""


@dataclass(frozen=True)
class Rejected:
    """An engine of the machine that does not serve, and why."""

    version: str
    bin: Path
    why: str


async def probe(program: Path, env: Mapping[str, str] | None = None, asked: tuple[str, ...] = ("--version",)) -> str:
    """The version a program says it has. ValueError with the reason when it does not run."""
    whole = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **(env or {})}
    try:
        done = await run((str(program), *asked), env=whole, cwd=Path("/"), timeout=PROBE_TIMEOUT, name="probe")
    except (StartFailed, TimeoutError, OSError) as error:
        raise ValueError(f"{program} does not start: {error or 'it gave no answer'}") from error
    if done.code != 0:
        raise ValueError(f"{program} does not run: {done.output.strip()[-300:] or f'exit code {done.code}'}")
    if match := re.search(r"\d+\.\d+(?:\.\d+)*", done.output):
        return match[0]
    raise ValueError(f"{program} has no released version: {done.output.strip()[:100]}")


async def look(kind: Kind) -> list[Engine | Rejected]:
    """Every engine of that kind on the machine, newest first; those that do not serve with the reason."""
    places = await _places(kind)
    found = await asyncio.gather(*(_examine(kind, place) for place in places))
    return sorted((item for item in found if item), key=lambda item: numbers(item.version), reverse=True)


async def _places(kind: Kind) -> list[Path]:
    places: list[Path] = []
    if kind.name == "postgres":
        places += [place for pattern in POSTGRES_PLACES for place in Path("/").glob(pattern)]
        if config := shutil.which("pg_config"):
            places.append(Path(await _ask(Path(config), "--bindir") or "/nonexistent"))
    for program in (kind.programs[0], kind.programs[0].replace("redis-", "valkey-")):
        if found := shutil.which(program) or shutil.which(program, path=SERVERS):
            # PostgreSQL finds its own folders from where it really is; the others are used as the PATH names them.
            places.append(Path(found).resolve().parent if kind.name == "postgres" else Path(found).parent)
    return [place for place in dict.fromkeys(places) if place.is_dir()]


async def _examine(kind: Kind, place: Path) -> Engine | Rejected | None:
    engine = Engine(kind.name, "0", place)
    names = [name for name in kind.programs if not _has(place, name)]
    if kind.programs[0] in names:
        return None
    try:
        version = await probe(engine.program(kind.programs[0]), asked=kind.asked)
    except ValueError as error:
        return Rejected("0", place, str(error))
    if names:
        return Rejected(version, place, f"has no {', '.join(names)}")
    if why := shortfall(kind, version):
        return Rejected(version, place, why)
    if missing := await _missing_extensions(kind, place, version):
        return Rejected(version, place, f"lacks the extensions {', '.join(missing)} (its contrib package)")
    return Engine(kind.name, version, place)


def shortfall(kind: Kind, version: str) -> str | None:
    """Why a version of the machine does not serve; None when it does."""
    if numbers(version) < kind.minimum:
        return f"is older than {'.'.join(map(str, kind.minimum))}"
    if kind.exact and not f"{version}.".startswith(f"{kind.exact}."):
        return f"is not {kind.exact}, which golive's configuration is written for"
    return None


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _has(place: Path, program: str) -> bool:
    return any((place / name).exists() for name in (program, program.replace("redis-", "valkey-")))


async def _missing_extensions(kind: Kind, place: Path, version: str) -> Sequence[str]:
    if not kind.extensions:
        return ()
    folders = [folder async for folder in _extension_folders(place, version.split(".", maxsplit=1)[0])]
    return missing(kind.extensions, folders)


async def extensions_of(engine: Engine) -> set[str]:
    """The extensions that a PostgreSQL has files of."""
    folders = [folder async for folder in _extension_folders(engine.bin, str(engine.major))]
    return {path.stem for folder in folders for path in folder.glob("*.control")}


def missing(extensions: Iterable[str], folders: Sequence[Path]) -> list[str]:
    return [name for name in extensions if not any((folder / f"{name}.control").exists() for folder in folders)]


async def _extension_folders(place: Path, major: str) -> AsyncIterator[Path]:
    if (place / "pg_config").exists() and (shared := await _ask(place / "pg_config", "--sharedir")):
        yield Path(shared) / "extension"
    yield Path(f"/usr/share/postgresql/{major}/extension")
    for pattern in ("share/extension", "share/postgresql*/extension"):
        for folder in place.parent.glob(pattern):
            yield folder


async def _ask(config: Path, question: str) -> str | None:
    try:
        done = await run((str(config), question), env=dict(os.environ), cwd=Path("/"), timeout=PROBE_TIMEOUT)
    except (StartFailed, TimeoutError):
        return None
    return done.output.strip() if done.code == 0 else None
