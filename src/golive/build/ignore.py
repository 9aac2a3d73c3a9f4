"""Which files of a checkout belong to a service, by its ignore file and a few names that never do.

The nearest `.goliveignore` above the service decides alone; without one the nearest `.dockerignore`; without that every
`.gitignore` on the way, as git reads them. Three lists apply besides, in this order of strength:

- `NEVER`: what must not be in an artifact; no pattern brings it back;
- the user's patterns;
- `USUALLY_NOT`: what is made on the machine and not part of the source; `!node_modules` brings it back.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NEVER = (".git", ".env*", "!.env.example", "!.env.sample", "!.env.template", ".golive", ".goliveignore")
USUALLY_NOT = (
    "__pycache__", "*.pyc", ".venv", "venv", "node_modules", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox",
    ".nox", ".hypothesis", ".coverage", ".coverage.*", "*.egg-info", ".DS_Store", ".idea", ".vscode", "*.swp", ".#*",
    ".hg", ".svn", ".gitignore", ".dockerignore", "/golive.toml",
)  # fmt: skip


@dataclass(frozen=True)
class _List:
    """Patterns that hold below `base`, a folder relative to the checkout ("" is the checkout)."""

    base: str
    lines: tuple[str, ...]

    def decides(self, path: str) -> bool | None:
        prefix = self.base + "/" if self.base else ""
        return _compiled(self.lines).check_file(path[len(prefix) :]).include if path.startswith(prefix) else None


@dataclass(frozen=True)
class Rules:
    """The ignore rules in force in one folder. Paths are relative to the checkout, with `/`."""

    lists: tuple[_List, ...] = ()
    nested: bool = False
    """`.gitignore` files in sub-folders count too."""
    prunes: bool = True
    """An ignored folder's files cannot be brought back (git). Docker's can."""
    digest: str = field(default="", compare=False)

    def ignores(self, path: str, *, folder: bool = False) -> bool:
        """Whether that file or folder is left out; its parents are taken not to be."""
        name = path + "/" if folder else path
        if never(name):
            return True
        for patterns in reversed(self.lists):
            decision = patterns.decides(name)
            if decision is not None:
                return decision
        return bool(_compiled(USUALLY_NOT).check_file(name).include)

    def skips(self, folder: str) -> bool:
        """Whether nothing below that folder can belong to the service."""
        if not self.ignores(folder, folder=True):
            return False
        return self.prunes or never(folder + "/")

    def below(self, folder: str, gitignore: str | None) -> Rules:
        """The rules inside a sub-folder whose `.gitignore` has that text."""
        if not self.nested or gitignore is None:
            return self
        return _with(self, _List(folder, tuple(gitignore.splitlines())))


def never(path: str) -> bool:
    """Whether a path relative to the checkout must not be in an artifact, whatever the ignore file says."""
    return bool(_compiled(NEVER).check_file(path).include)


def rules_for(checkout: Path, source: str) -> Rules:
    """The rules at the top of a service's source. `source` is relative to the checkout."""
    folders = _ancestors(source)
    for name in (".goliveignore", ".dockerignore"):
        for folder in reversed(folders):
            text = _read(checkout / folder / name)
            if text is not None:
                docker = name == ".dockerignore"
                lines = tuple(_from_docker(text.splitlines())) if docker else tuple(text.splitlines())
                prunes = not (docker and any(line.startswith("!") for line in lines))
                return _with(Rules(prunes=prunes), _List(folder, lines))
    rules = Rules(nested=True)
    for folder in folders:
        text = _read(checkout / folder / ".gitignore")
        if text is not None:
            rules = _with(rules, _List(folder, tuple(text.splitlines())))
    return _unless_it_ignores(rules, source)


def _unless_it_ignores(rules: Rules, source: str) -> Rules:
    """A service that names an ignored folder (`source = "dist"`) means its content: the lists above it fall away."""
    if not source or not any(rules.ignores(part, folder=True) for part in _ancestors(source)[1:]):
        return rules
    kept = replace(rules, lists=tuple(x for x in rules.lists if x.base == source))
    return _digested(kept)


def _with(rules: Rules, patterns: _List) -> Rules:
    return _digested(replace(rules, lists=(*rules.lists, patterns)))


def _digested(rules: Rules) -> Rules:
    text = repr((NEVER, USUALLY_NOT, rules.lists, rules.nested, rules.prunes))
    return replace(rules, digest=hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16])


def _from_docker(lines: Iterable[str]) -> Iterable[str]:
    """Docker's patterns start at the folder of the file unless they begin with `**`; git's may match at any depth."""
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        sign, pattern = ("!", text[1:].strip()) if text.startswith("!") else ("", text)
        pattern = pattern.removeprefix("./").strip("/")
        yield f"{sign}{pattern}" if pattern.startswith("**") else f"{sign}/{pattern}"


def _ancestors(source: str) -> list[str]:
    """`a/b` → "", "a", "a/b"."""
    parts = [part for part in source.split("/") if part not in ("", ".")]
    return ["/".join(parts[:n]) for n in range(len(parts) + 1)]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


@functools.lru_cache(maxsize=256)
def _compiled(lines: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    """git passes over a line that it cannot read; so does golive."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
