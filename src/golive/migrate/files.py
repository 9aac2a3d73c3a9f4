"""The numbered .sql files of a project, read and judged before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from golive.errors import UsageError
from golive.migrate import sections
from golive.migrate.sql import Script, SqlProblem, Statement, parse

_NAME = re.compile(r"[Vv]?(?P<version>\d+)(?:__|[_.-])(?P<title>.+?)(?:\.up)?\.sql")
_TIMESTAMP = 10**7
"""Numbers from here on are dates or times, which have gaps by nature."""
_LARGEST = 2**63 - 1


Part = Literal["", "rest", "contract"]


@dataclass(frozen=True)
class MigrationFile:
    """One migration. `checksum` is the SHA-256 of its text with newlines as \\n and without a byte order mark.

    A tool with a record of its own has its own checksum there, and in `alike` those of the same text with other
    newlines. `key` is what such a tool calls the file where that is not its number. A file with contract sections is
    two migrations: its `part`s, which have the statements of the whole file in `every`; the number of the part that
    takes away is the complement of the file's.
    """

    version: int
    name: str
    path: Path
    checksum: str
    script: Script
    key: str = ""
    alike: frozenset[str] = frozenset()
    part: Part = ""
    every: tuple[Statement, ...] = ()

    @property
    def label(self) -> str:
        return self.key or str(self.version)

    def is_of(self, checksum: str) -> bool:
        """Whether this checksum is of this text."""
        return checksum == self.checksum or checksum in self.alike


@dataclass(frozen=True)
class Source:
    """The text of a file, before it is known to be one that can be run. `raw` are its bytes."""

    path: Path
    raw: bytes
    text: str


def discover(folder: Path) -> tuple[MigrationFile, ...]:
    """The migrations of a folder in numeric order: `001_x.sql`, `20240101120000-x.sql`, `V1__x.sql`, `1_x.up.sql`.

    `.down.sql` files and everything that is not .sql are left alone. UsageError lists every problem: a file without a
    number, two with the same, a hole in a sequence, text that cannot be read or run.
    """
    paths = [p for p in listed(folder) if p.suffix == ".sql" and not p.name.endswith(".down.sql")]
    found, problems = gathered(_numbered(path) for path in paths)
    found.sort(key=lambda file: (file.version, file.name))
    problems += order_problems([(file.version, file.name) for file in found])
    split, more = gathered(part for file in found for part in _parts(file))
    return checked(folder, split, problems + more)


def order(version: int) -> tuple[int, int]:
    """Where a migration stands among the others: the part of a file that takes away comes after its rest."""
    return (version, 0) if version >= 0 else (~version, 1)


def listed(folder: Path) -> list[Path]:
    """What is in the folder, by name. UsageError when it cannot be looked at."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        hint = "Set migrations.source in golive.toml to the folder of the migrations."
        raise UsageError(f"cannot read the migrations: {error.strerror}", where=str(folder), hint=hint) from error


def gathered(read: Iterable[MigrationFile | str]) -> tuple[list[MigrationFile], list[str]]:
    """The files that could be read, and what is wrong with the others."""
    everything = list(read)
    return [f for f in everything if isinstance(f, MigrationFile)], [f for f in everything if isinstance(f, str)]


def checked(folder: Path, found: Iterable[MigrationFile], problems: Sequence[str]) -> tuple[MigrationFile, ...]:
    """The files, when there is no problem. UsageError lists all of them."""
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        text = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(f"{count} in the migrations:\n{text}", where=str(folder), hint="Nothing was run.")
    return tuple(found)


def order_problems(numbered: Sequence[tuple[int, str]]) -> list[str]:
    """Numbers that two files share, and holes in a sequence of consecutive ones (not in dates, nor in tens)."""
    problems = same_numbers(numbered)
    versions = sorted({version for version, _ in numbered if version < _TIMESTAMP})
    steps = [after - before for before, after in itertools.pairwise(versions)]
    if 1 in steps:
        problems += [
            f"after number {before} comes {after}: a file is missing (an empty one with a comment will do)"
            for before, after in itertools.pairwise(versions)
            if after - before > 1
        ]
    return problems


def same_numbers(numbered: Sequence[tuple[int, str]]) -> list[str]:
    problems = []
    for version, group in itertools.groupby(sorted(numbered), key=lambda pair: pair[0]):
        names = [name for _, name in group]
        if len(names) > 1:
            problems.append(f"{' and '.join(names)} have the same number {version}")
    return problems


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def checksum_of(statements: Iterable[str]) -> str:
    """Of the statements of a file that have run, to know them again when the rest of the file was corrected."""
    return checksum("\0".join(statements))


def read(path: Path, name: str) -> Source | str:
    """The text, its newlines as \\n and without a byte order mark; or what is wrong with it."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        return f"{name}: not UTF-8 (byte {error.start})"
    except OSError as error:
        return f"{name}: {error.strerror}"
    return f"{name}: holds a NUL byte" if "\0" in text else Source(path, raw, text)


def number(digits: str, name: str) -> int | str:
    """The number a name begins with, or what is wrong with it."""
    return int(digits) if int(digits) <= _LARGEST else f"{name}: the number is too large"


def _numbered(path: Path) -> MigrationFile | str:
    name = _NAME.fullmatch(path.name)
    if not name:
        return f"{path.name}: the name has to begin with a number, as in 001_{path.name}"
    version = number(name["version"], path.name)
    source = read(path, path.name)
    if isinstance(version, str) or isinstance(source, str):
        return version if isinstance(version, str) else str(source)
    try:
        script = parse(source.text)
    except SqlProblem as problem:
        return f"{path.name}:{problem.line}: {problem}"
    return MigrationFile(version, path.name, path, checksum(source.text), script)


def _parts(file: MigrationFile) -> tuple[MigrationFile | str, ...]:
    source = read(file.path, file.name)
    if isinstance(source, str):
        return (source,)
    every = file.script.statements
    try:
        found = sections.parts(source.text, every)
    except SqlProblem as problem:
        return (f"{file.name}:{problem.line}: {problem}",)
    if found is None:
        return (file,)
    rest = replace(file, checksum=checksum(found.rest_text), script=Script(found.rest), part="rest", every=every)
    contract = MigrationFile(
        ~file.version, f"{file.name} (contract)", file.path, checksum(found.contract_text), Script(found.contract),
        part="contract", every=every,
    )  # fmt: skip
    return rest, contract
