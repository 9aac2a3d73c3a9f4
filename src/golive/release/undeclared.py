"""Variables that the code reads and golive.toml does not declare: such a value is neither checked nor explained."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.blueprint.database_parts import family_names
from golive.blueprint.env import RESERVED, injected_names
from golive.blueprint.models import Blueprint
from golive.build.source import Entry, scan
from golive.errors import BuildFailed
from golive.importers.reads import MAX_BYTES, is_source, reads_in
from golive.system.files import write_atomic

VERSION = 2
"""Of what is remembered; goes up when `reads_in` finds more."""
MAX_FILES = 5000
SHOWN = 3


@dataclass(frozen=True)
class Undeclared:
    """`file` is relative to the checkout."""

    name: str
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def undeclared(checkout: Path, blueprint: Blueprint, *, cache: Path | None = None) -> tuple[Undeclared, ...]:
    """By name, where each is read first. `cache` is where scans and what they found are remembered: then only files
    that changed are read. Ignored files, tests and dependencies do not count."""
    memory = _Memory.load(cache, checkout)
    known = known_names(blueprint)
    found: dict[str, Undeclared] = {}
    for entry, path in _sources(checkout, blueprint, cache):
        for name, line in memory.reads(entry, path):
            if name not in known:
                found.setdefault(name, Undeclared(name, path, line))
    memory.save()
    return tuple(found[name] for name in sorted(found))


def known_names(blueprint: Blueprint) -> set[str]:
    """Declared, constant, or given by golive and the resources; the parts of a database URL, where there is one."""
    known = {*blueprint.env, *RESERVED, *injected_names(blueprint)}
    for service in blueprint.services.values():
        known |= service.env.keys() | service.build.env.keys()
    if "DATABASE_URL" in known:
        known |= family_names("DATABASE_URL")
    return known


def sentence(found: Iterable[Undeclared]) -> str:
    """Short: the first few names, and where the first is read."""
    all_ = list(found)
    names = ", ".join(one.name for one in all_[:SHOWN])
    more = f" and {len(all_) - SHOWN} more" if len(all_) > SHOWN else ""
    verb = "is" if len(all_) == 1 else "are"
    return f"{names}{more} {verb} read ({all_[0].place}) but not declared in golive.toml" if all_ else ""


def _sources(checkout: Path, blueprint: Blueprint, cache: Path | None) -> Iterator[tuple[Entry, str]]:
    seen: set[str] = set()
    for source in dict.fromkeys(service.source for service in blueprint.services.values()):
        try:
            tree = scan(checkout, source, cache=cache, strict=False)
        except BuildFailed:
            continue  # the build says what is wrong with it
        base = tree.root.relative_to(checkout.resolve()).as_posix()
        for entry in tree.entries:
            if entry.link is None and is_source(entry.path) and entry.size <= MAX_BYTES and entry.origin not in seen:
                seen.add(entry.origin)
                yield entry, entry.path if base == "." else f"{base}/{entry.path}"
            if len(seen) >= MAX_FILES:
                return


class _Memory:
    """What each content read, by its digest; that of files that are gone is forgotten."""

    def __init__(self, path: Path | None, before: Mapping[str, Any]) -> None:
        self._path, self._before = path, before
        self._now: dict[str, list[tuple[str, int]]] = {}

    @classmethod
    def load(cls, cache: Path | None, checkout: Path) -> _Memory:
        if cache is None:
            return cls(None, {})
        name = hashlib.sha256(str(checkout).encode(errors="surrogateescape")).hexdigest()[:16]
        path = cache / f"reads-{name}.json"
        before: Mapping[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            stored = json.loads(path.read_text())
            before = stored["reads"] if stored.get("version") == VERSION else {}
        return cls(path, before)

    def reads(self, entry: Entry, path: str) -> list[tuple[str, int]]:
        if (known := self._before.get(entry.digest)) is None:
            try:
                text = Path(entry.origin).read_text(encoding="utf-8-sig", errors="replace")
            except OSError:
                return []
            known = reads_in(text, path)
        self._now[entry.digest] = known
        return known

    def save(self) -> None:
        if self._path is not None and self._now.keys() != self._before.keys():
            with contextlib.suppress(OSError):
                write_atomic(self._path, json.dumps({"version": VERSION, "reads": self._now}), sync=False)
