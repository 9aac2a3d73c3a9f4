"""Where each key of a TOML text stands: key path → 1-based line.

`tomllib` reads the values and `tomlkit` keeps the layout, but neither tells positions. This scanner does, and only
that: it expects text that `tomllib` has accepted (with `\\n` line ends), so it need not judge anything.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""Keys and list indexes from the root: `("services", "api", "rate_limit", 0, "limit")`."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def key_path(path: KeyPath) -> str:
    """`services.api.rate_limit[0].limit`; keys that are not bare are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _BARE_KEY.fullmatch(part) else '"' + part.replace('"', '\\"') + '"'
            text += f".{key}" if text else key
    return text


@dataclass(frozen=True)
class Lines:
    """The line of every key path that is written in the text."""

    known: dict[KeyPath, int]

    def nearest(self, path: KeyPath) -> tuple[int, KeyPath]:
        """The line of the path, or of its closest ancestor that is written; and which that was. Line 1 is the root."""
        while path:
            if path in self.known:
                return self.known[path], path
            path = path[:-1]
        return 1, ()


def line_index(text: str) -> Lines:
    """The positions of all keys in TOML text that `tomllib` has accepted."""
    scanner = _Scanner(text)
    scanner.document()
    return Lines(scanner.known)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.known: dict[KeyPath, int] = {}
        self.last: dict[KeyPath, int] = {}  # array of tables → index of its newest table

    def document(self) -> None:
        table: KeyPath = ()
        self.take(_BLANK)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)
            self.take(_BLANK)

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        found = match[0] if match else ""
        self.at += len(found)
        self.line += found.count("\n")
        return found

    def skip(self, count: int = 1) -> None:
        self.at += count

    def header(self) -> KeyPath:
        array = self.text.startswith("[[", self.at)
        self.skip(2 if array else 1)
        keys = list(self.keys())
        self.skip(2 if array else 1)
        path: KeyPath = ()
        for depth, key in enumerate(keys, 1):
            path = (*path, key)
            self.known.setdefault(path, self.line)
            if array and depth == len(keys):
                self.last[path] = self.last.get(path, -1) + 1
            if path in self.last:
                path = (*path, self.last[path])
        # A table's own header beats an earlier sub-table that only implied it.
        self.known[path] = self.line
        return path

    def keys(self) -> Iterator[str]:
        while True:
            self.take(_SPACE)
            if self.text[self.at] in "\"'":
                yield str(tomllib.loads(f"k = {self.string()}")["k"])
            else:
                yield self.take(_BARE_KEY)
            self.take(_SPACE)
            if self.text[self.at] != ".":
                return
            self.skip()

    def string(self) -> str:
        for pattern in _STRINGS:
            if found := self.take(pattern):
                return found
        raise AssertionError("not a string")  # pragma: no cover: tomllib has accepted the text

    def pair(self, table: KeyPath) -> None:
        path = table
        for key in self.keys():
            path = (*path, key)
            self.known.setdefault(path, self.line)
        self.skip()  # =
        self.take(_SPACE)
        self.value(path)

    def value(self, path: KeyPath) -> None:
        first = self.text[self.at]
        if first in "\"'":
            self.string()
        elif first == "[":
            self.array(path)
        elif first == "{":
            self.inline_table(path)
        else:
            self.take(_SCALAR)

    def array(self, path: KeyPath) -> None:
        self.skip()
        index = 0
        self.take(_BLANK)
        while self.text[self.at] != "]":
            self.known[(*path, index)] = self.line
            self.value((*path, index))
            index += 1
            self.take(_BLANK)
            if self.text[self.at] == ",":
                self.skip()
                self.take(_BLANK)
        self.skip()

    def inline_table(self, path: KeyPath) -> None:
        self.skip()
        self.take(_BLANK)
        while self.text[self.at] != "}":
            self.pair(path)
            self.take(_BLANK)
            if self.text[self.at] == ",":
                self.skip()
                self.take(_BLANK)
        self.skip()
