"""The text of golive.toml as data with positions; everything that can be wrong before its meaning is looked at."""

from __future__ import annotations

import ast
import datetime
import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golive.blueprint.positions import KeyPath, Lines, key_path, line_index
from golive.blueprint.problem import Problem, blueprint_error

FILE_NAME = "golive.toml"
MAX_BYTES = 1_000_000
MAX_DEPTH = 16

# tomllib needs quadratic time for one key of very many parts.
_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){100}""")
_TUPLE = re.compile(r"\(('[^'()]*',? ?)+\)")
"""tomllib names tables as Python tuples."""
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class Document:
    """`data` is what tomllib gave; `file` is the name shown in problems."""

    data: dict[str, Any]
    lines: Lines
    file: str


def read_document(path: Path) -> Document:
    """Read the file. Raises BlueprintError when it cannot be read or is not TOML."""
    return parse_document(_read_text(path), path.name)


def parse_document(text: str, file: str = FILE_NAME) -> Document:
    """The text of a golive.toml as a document. Raises BlueprintError when it is not TOML golive can take."""
    text = text.replace("\r\n", "\n")
    data = _parse(text, file)
    lines = line_index(text)
    odd = [Problem(key_path(p), why, hint, file, lines.nearest(p)[0]) for p, why, hint in _odd_values(data)]
    if odd:
        raise blueprint_error(odd)
    return Document(data, lines, file)


def _fail(file: str, message: str, hint: str | None = None, line: int | None = None) -> Exception:
    return blueprint_error([Problem("", message, hint, file, line)])


def _read_text(path: Path) -> str:
    try:
        # Non-blocking: a FIFO by this name must not hang.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise _fail(path.name, "is not a regular file")
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _fail(path.name, f"there is no {path.name} in {path.parent}", "`golive init` writes one") from None
    except IsADirectoryError:
        raise _fail(path.name, "is not a regular file") from None
    except OSError as error:
        raise _fail(path.name, f"cannot be read: {error.strerror}", f"look at the permissions of {path}") from None
    if len(raw) > MAX_BYTES:
        raise _fail(path.name, "is larger than 1 MB", "is this the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        hint = "UTF-16 is what some Windows editors save" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else None
        raise _fail(path.name, "is not UTF-8; save it as UTF-8", hint, line) from None


def _parse(text: str, file: str) -> dict[str, Any]:
    if found := _LONG_KEY.search(text):
        raise _fail(file, "a key of more than 100 parts", line=text.count("\n", 0, found.start()) + 1)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise _fail(file, "values are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and int() of thousands of digits
        raise _syntax_error(text, file, str(error)) from None
    if path := _too_deep(data):
        raise _fail(file, f"`{key_path(path[:3])}…` is nested more than {MAX_DEPTH} deep")
    return data


def _syntax_error(text: str, file: str, message: str) -> Exception:
    position = _POSITION.search(message)
    message = _TUPLE.sub(lambda m: f"[{'.'.join(ast.literal_eval(m[0]))}]", _POSITION.sub("", message))
    lines = text.split("\n")
    if not position:
        return _fail(file, f"not valid TOML: {message}")
    line = int(position[1]) if position[1] else len(lines)
    column = int(position[2]) if position[2] else len(lines[-1]) + 1
    return _fail(file, f"not valid TOML: {message} (column {column})\n{_excerpt(lines[line - 1], column)}", line=line)


def _excerpt(line: str, column: int) -> str:
    """At most 80 characters of the line around the column, and a caret below it."""
    start = max(0, column - 60)
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + 80])
    return f"    {shown}\n    {' ' * (column - 1 - start)}^"


def _too_deep(data: dict[str, Any]) -> KeyPath | None:
    """The path of something nested deeper than MAX_DEPTH; without recursion, since depth is the question."""
    waiting: list[tuple[KeyPath, Any]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            return path
        waiting += [((*path, key), child) for key, child in _children(value)]
    return None


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _odd_values(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str, str | None]]:
    """Values TOML has and a blueprint never wants."""
    for key, child in _children(value):
        yield from _odd_values(child, (*path, key))
    if isinstance(value, datetime.date | datetime.time):
        yield path, "is a date or time; no key takes one", f'write it as text: "{value.isoformat()}"'
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, "must be a finite number", None
    elif isinstance(value, str) and "\0" in value:
        yield path, "contains a NUL character", None
