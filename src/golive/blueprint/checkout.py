"""A read-only view of a checkout: which files there are, and the text of small ones. Nothing outside is ever read."""

from __future__ import annotations

import os
import stat
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

MAX_READ = 4_000_000
"""Bytes; a lock file of a large project is about 2 MB."""
MAX_FILES = 20_000
MAX_DEPTH = 6
_SKIPPED = {"node_modules", "__pycache__", "venv", "site-packages", "target", "htmlcov"}


class OutsideCheckout(ValueError):
    """A path that leads out of the checkout; the text says how."""


class Checkout:
    """The folder of golive.toml. Paths are relative to it, with `/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = root.resolve()

    def __repr__(self) -> str:
        return f"Checkout({str(self.root)!r})"

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Files at most 6 folders deep, sorted, without hidden folders and what tools put there; at most 20,000."""
        found: list[str] = []
        for folder, subfolders, names in os.walk(self._real):
            relative = Path(folder).relative_to(self._real)
            if "pyvenv.cfg" in names:  # a virtual environment, whatever it is called
                subfolders.clear()
                continue
            if len(relative.parts) >= MAX_DEPTH:
                subfolders.clear()
            subfolders[:] = sorted(d for d in subfolders if not d.startswith(".") and d not in _SKIPPED and _is_text(d))
            found += [(relative / name).as_posix() for name in names if _is_text(name)]
            if len(found) > MAX_FILES:
                break
        return tuple(sorted(found[:MAX_FILES]))

    def below(self, folder: str) -> tuple[str, ...]:
        """Files under a folder, relative to it."""
        prefix = _normal(folder)
        if prefix == ".":
            return self.files
        return tuple(f[len(prefix) + 1 :] for f in self.files if f.startswith(prefix + "/"))

    def read(self, path: str) -> str | None:
        """The text of a file; None when there is none, or it is large, binary, unreadable or outside."""
        try:
            target = self.locate(path)
            if not target.is_file() or target.stat().st_size > MAX_READ:
                return None
            return target.read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            return None

    def what_is(self, path: str) -> Literal["folder", "file", "nothing"]:
        """What stands at a path. Raises OutsideCheckout as `locate` does."""
        try:
            mode = self.locate(path).stat().st_mode
        except OSError:  # not there, a name too long, no permission
            return "nothing"
        return "folder" if stat.S_ISDIR(mode) else "file"

    def locate(self, path: str) -> Path:
        """The absolute path. Raises OutsideCheckout for absolute paths, `..`, and symbolic links that lead out."""
        pure = PurePosixPath(path)
        if pure.is_absolute() or path.startswith("~"):
            raise OutsideCheckout("must be relative to golive.toml")
        if ".." in pure.parts:
            raise OutsideCheckout("must not contain `..`: a service lives inside the checkout")
        try:
            target = (self._real / pure).resolve()
        except (OSError, RuntimeError, ValueError):
            raise OutsideCheckout("cannot be followed: a symbolic link that leads to itself") from None
        if not target.is_relative_to(self._real):
            raise OutsideCheckout("is a symbolic link that leads out of the checkout")
        return target


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8; another one could not be written in golive.toml."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _normal(folder: str) -> str:
    return PurePosixPath(folder).as_posix()


def join(folder: str, path: str) -> str:
    """`backend` and `src/main.py` as one path; the folder may be `.`."""
    return (PurePosixPath(folder) / path).as_posix()
