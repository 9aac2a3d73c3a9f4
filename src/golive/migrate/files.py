"""The numbered .sql files of a project, read and judged before anything runs."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from golive.errors import UsageError
from golive.migrate.sql import Script, SqlProblem, parse

_NAME = re.compile(r"[Vv]?(?P<version>\d+)(?:__|[_.-])(?P<title>.+?)(?:\.up)?\.sql")
_TIMESTAMP = 10**7
"""Numbers from here on are dates or times, which have gaps by nature."""
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class MigrationFile:
    """One migration. `checksum` is the SHA-256 of its text with newlines as \\n and without a byte order mark."""

    version: int
    name: str
    path: Path
    checksum: str
    script: Script


def discover(folder: Path) -> tuple[MigrationFile, ...]:
    """The migrations of a folder in numeric order: `001_x.sql`, `20240101120000-x.sql`, `V1__x.sql`, `1_x.up.sql`.

    `.down.sql` files and everything that is not .sql are left alone. UsageError lists every problem: a file without a
    number, two with the same, a hole in a sequence, text that cannot be read or run.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix == ".sql" and not p.name.endswith(".down.sql"))
    except OSError as error:
        hint = "Set migrations.source in golive.toml to the folder of the numbered .sql files."
        raise UsageError(f"cannot read the migrations: {error.strerror}", where=str(folder), hint=hint) from error
    found: list[MigrationFile] = []
    problems: list[str] = []
    for path in paths:
        file = _read(path)
        if isinstance(file, str):
            problems.append(file)
        else:
            found.append(file)
    found.sort(key=lambda file: (file.version, file.name))
    problems += order_problems([(file.version, file.name) for file in found])
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(f"{count} in the migrations:\n{listed}", where=str(folder), hint="Nothing was run.")
    return tuple(found)


def order_problems(numbered: Sequence[tuple[int, str]]) -> list[str]:
    """Numbers that two files share, and holes in a sequence of consecutive ones (not in dates, nor in tens)."""
    problems = []
    for version, group in itertools.groupby(numbered, key=lambda pair: pair[0]):
        names = [name for _, name in group]
        if len(names) > 1:
            problems.append(f"{' and '.join(names)} have the same number {version}")
    versions = sorted({version for version, _ in numbered if version < _TIMESTAMP})
    steps = [after - before for before, after in itertools.pairwise(versions)]
    if 1 in steps:
        problems += [
            f"after number {before} comes {after}: a file is missing (an empty one with a comment will do)"
            for before, after in itertools.pairwise(versions)
            if after - before > 1
        ]
    return problems


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def checksum_of(statements: Iterable[str]) -> str:
    """Of the statements of a file that have run, to know them again when the rest of the file was corrected."""
    return checksum("\0".join(statements))


def _read(path: Path) -> MigrationFile | str:
    """The file, or what is wrong with it."""
    name = _NAME.fullmatch(path.name)
    if not name:
        return f"{path.name}: the name has to begin with a number, as in 001_{path.name}"
    if int(name["version"]) > _LARGEST:
        return f"{path.name}: the number is too large"
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        return f"{path.name}: not UTF-8 (byte {error.start})"
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    if "\0" in text:
        return f"{path.name}: holds a NUL byte"
    try:
        script = parse(text)
    except SqlProblem as problem:
        return f"{path.name}:{problem.line}: {problem}"
    return MigrationFile(int(name["version"]), path.name, path, checksum(text), script)
