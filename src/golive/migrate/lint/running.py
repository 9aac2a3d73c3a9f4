"""What the releases that run need of the schema: their code is searched for a name, as a whole word.

ORMs write names in several ways, so `created_at` is found as createdAt and CreatedAt too, `author_id` as `author`, and
a table `shop_order` as a model `Order`. A comment does not count. What cannot be searched counts as needing everything.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Files = Callable[[], Iterable[tuple[str, bytes]]]
_PLACES = 3
_COMMENT = (b"#", b"//", b"--", b"/*", b"*")
_SHORT = 4
"""Letters below which a word in a compiled program proves nothing: there are no word boundaries."""
# Their names come from the database when the program runs, so that the code does not have them.
_REFLECTION = re.compile(rb"automap_base|autoload_with|\.reflect\(|inspectdb|introspectSchema|tables-from-db")


@dataclass
class Code:
    """The files of a release that talk to its database, by name. `whole` is False when some could not be had."""

    files: Files
    whole: bool = True
    _found: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @functools.cached_property
    def certain(self) -> bool:
        """Whether a name that is not found is not used."""
        searched = 0
        for _, content in self.files():
            searched += 1
            if _REFLECTION.search(content):
                return False
        return self.whole and searched > 0

    def column(self, name: str, table: str) -> tuple[str, ...]:
        """Where a column is named, or every column of its table is read; at most three places."""
        forms = [*_forms(name), *(_forms(name[:-3]) if name.endswith("_id") and len(name) > 4 else ())]
        every = rf"select\s+(?:\w+\.)?\*\s+from\s+(?:\"?\w+\"?\.)?\"?{re.escape(table)}\"?"
        return self._search(f"column {table}.{name}", forms, every)

    def table(self, name: str) -> tuple[str, ...]:
        """Where a table, view or type is named, or a model that can stand for it."""
        forms = [*_forms(name), *_forms(_singular(name))]
        _, cut, rest = name.partition("_")
        if cut and rest:
            forms += [_pascal(rest), _pascal(_singular(rest))]
        return self._search(f"table {name}", forms, None)

    def word(self, name: str) -> tuple[str, ...]:
        """Where any other name stands: a function, the value of an enum."""
        return self._search(f"word {name}", [name], None)

    def _search(self, key: str, forms: Iterable[str], pattern: str | None) -> tuple[str, ...]:
        if key not in self._found:
            self._found[key] = tuple(_places(self.files(), [*dict.fromkeys(forms)], pattern))
        return self._found[key]


@dataclass(frozen=True)
class Release:
    """A release whose instances run or are kept warm. `until` is the end of that in words, empty for the live one.

    `carried` are the contract files that its own checkout had when it was deployed: it was written to live without what
    they take away.
    """

    number: int
    code: Code
    until: str = ""
    carried: frozenset[str] = frozenset()


SOMEBODY = Release(0, Code(list))
"""Whatever runs where nobody was asked: it may need everything."""


def _places(files: Iterable[tuple[str, bytes]], forms: list[str], pattern: str | None) -> Iterable[str]:
    words = "|".join(re.escape(form) for form in forms)
    text = re.compile(rf"(?<![A-Za-z0-9_])(?:{words})(?![A-Za-z0-9_])".encode(), re.IGNORECASE)
    every = re.compile(pattern.encode(), re.IGNORECASE) if pattern else None
    left = _PLACES
    for name, content in files:
        binary = b"\0" in content[:8192]
        if binary:
            if any(len(form) < _SHORT or form.encode() in content for form in forms):
                yield f"{name} (compiled)"
                left -= 1
        else:
            for line in _lines(content, text, every, left):
                yield f"{name}:{line}"
                left -= 1
        if left <= 0:
            return


def _lines(content: bytes, text: re.Pattern[bytes], every: re.Pattern[bytes] | None, limit: int) -> list[int]:
    found: list[int] = []
    for pattern in (text, every) if every else (text,):
        for match in pattern.finditer(content):
            begin = content.rfind(b"\n", 0, match.start()) + 1
            line = content.count(b"\n", 0, begin) + 1
            if line not in found and not content[begin : match.start() + 1].lstrip().startswith(_COMMENT):
                found.append(line)
            if len(found) >= limit:
                return found
    return found


def _forms(name: str) -> list[str]:
    """As it is, in snake case and in camel case; the search does not tell capitals apart."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return [name, snake, _pascal(snake)]


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _singular(name: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if name.endswith(ending) and len(name) > len(ending) + 2:
            return name.removesuffix(ending) + instead
    return name
