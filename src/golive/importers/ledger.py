"""The account of a file's keys. A `Node` is a place in the file; what nobody carried or listed is listed at the end.

That is how no key is dropped in silence: the ledger is opened with every leaf of the file, `carry` and `lose` strike
them out, and `close` lists what is left as not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from golive.blueprint.positions import KeyPath, key_path
from golive.importers.hush import summary
from golive.importers.report import Carried, Imported, Lost, Table

UNKNOWN = "golive does not know this key, or not in this form"


class Ledger:
    """Every leaf of a file's data (values, and tables and lists that are empty), each open until it is claimed."""

    def __init__(self, file: str, kind: str, data: Any) -> None:
        self.file, self.kind = file, kind
        self.proposal: Table = {}
        self.notes: list[str] = []
        self._leaves: list[KeyPath] = []
        self._ranges: dict[KeyPath, tuple[int, int]] = {}
        self._values: list[Any] = []
        self._enter((), data)
        self._open = [True] * len(self._leaves)
        self._carried: list[Carried] = []
        self._lost: list[Lost] = []
        self._extra = 0
        self.root = Node(self, (), data)

    def _enter(self, path: KeyPath, value: Any) -> None:
        start = len(self._leaves)
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            self._enter((*path, key), child)
        if len(self._leaves) == start and path:
            self._leaves.append(path)
            self._values.append(value)
        self._ranges[path] = (start, len(self._leaves))

    def _claim(self, path: KeyPath) -> tuple[str, ...]:
        start, end = self._ranges.get(path, (0, 0))
        claimed = [at for at in range(start, end) if self._open[at]]
        for at in claimed:
            self._open[at] = False
        return tuple(key_path(self._leaves[at]) for at in claimed)

    def carry(self, path: KeyPath, to: str) -> None:
        if keys := self._claim(path):
            self._carried.append(Carried(key_path(path), to, keys))

    def lose(self, path: KeyPath, value: Any, why: str, instead: str, variable: str | None = None) -> None:
        if keys := self._claim(path):
            self._lost.append(Lost(key_path(path), summary(path, value), why, instead, keys, variable))

    def repeated(self, path: KeyPath, why: str, instead: str) -> None:
        """A key the loader could not keep, such as the first of two with one name."""
        self._extra += 1
        self._lost.append(Lost(key_path(path), "(not shown)", why, instead, (key_path(path),)))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def put(self, path: KeyPath, value: Any) -> str:
        """Write a value into the proposal; the text of its key path."""
        table = self.proposal
        for key in path[:-1]:
            table = table.setdefault(str(key), {})
        table[str(path[-1])] = value
        return key_path(path)

    def close(self) -> Imported:
        """The import, with everything that is still open listed."""
        self._list_rest(self.root)
        return Imported(
            self.file,
            self.kind,
            self.proposal,
            tuple(self._carried),
            tuple(self._lost),
            tuple(self.notes),
            keys=len(self._leaves) + self._extra,
        )

    def _list_rest(self, node: Node) -> None:
        """What nobody claimed: a table of which nothing was, as one entry."""
        start, end = self._ranges[node.path]
        if not any(self._open[start:end]):
            return
        if node.path and all(self._open[start:end]):
            if node.value in (None, {}, [], ""):
                self.carry(node.path, "nothing: it is empty")
            else:
                self.lose(node.path, node.value, UNKNOWN, "nothing, or say what it should do in golive.toml")
            return
        for child in [*(child for _, child in node.items()), *node.entries()]:
            self._list_rest(child)


class Node:
    """A place in the file: its value, and the way to account for it."""

    def __init__(self, ledger: Ledger, path: KeyPath, value: Any) -> None:
        self.ledger, self.path, self.value = ledger, path, value

    def __bool__(self) -> bool:
        return self.value is not None

    def get(self, *keys: str) -> Node:
        """The node below; one with the value None where there is none."""
        node = self
        for key in keys:
            value = node.value.get(key) if isinstance(node.value, dict) else None
            node = Node(self.ledger, (*node.path, key), value)
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """The entries of a table; none of anything else."""
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield str(key), Node(self.ledger, (*self.path, key), value)

    def entries(self) -> Iterator[Node]:
        """The items of a list; none of anything else."""
        if isinstance(self.value, list):
            for index, value in enumerate(self.value):
                yield Node(self.ledger, (*self.path, index), value)

    def text(self) -> str | None:
        """A string that is not empty, stripped; a number as the file would write it."""
        if isinstance(self.value, str):
            return self.value.strip() or None
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return str(self.value)
        return None

    def number(self) -> float | None:
        try:
            return float(self.value) if isinstance(self.value, str | int | float) else None
        except (ValueError, OverflowError):
            return None

    def whole(self, low: int, high: int) -> int | None:
        """An integer within bounds, also one written as text."""
        number = self.number()
        if number is None or isinstance(self.value, bool) or number != number or not low <= number <= high:  # noqa: PLR0124
            return None
        return int(number) if number == int(number) else None

    def put(self, *path: str | int, value: Any = None) -> None:
        """Carry this node's value (or the one given) to a key path of golive.toml."""
        to = self.ledger.put(path, self.value if value is None else value)
        self.carry(to)

    def carry(self, to: str) -> None:
        self.ledger.carry(self.path, to)

    def lose(self, why: str, instead: str = "nothing", variable: str | None = None) -> None:
        self.ledger.lose(self.path, self.value, why, instead, variable)
