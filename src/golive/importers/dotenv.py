""".env and .env.example: every variable declared, values kept only where they are plainly no secrets."""

from __future__ import annotations

import re

from golive.importers.exported_env import import_exported, is_exported
from golive.importers.ledger import Ledger
from golive.importers.loading import Loaded, Unreadable, clean
from golive.importers.report import Imported
from golive.importers.stores import put_resource
from golive.importers.variables import Given, declare

_LINE = re.compile(r"\s*(?:export\s+)?([^\s=#:][^=\n]*?)\s*[=]\s?(.*)")
_STORES = {"DATABASE_URL": "postgres", "REDIS_URL": "redis"}


def parse_env(text: str) -> tuple[Loaded, dict[str, str]]:
    """Name → value, and name → the comment above it. Lines that are neither are under `line N`."""
    found, comments = Loaded({}), {}
    comment: list[str] = []
    lines = clean(text).split("\n")
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif not line:
            comment = []
        elif match := _LINE.fullmatch(line):
            value, at = _value(match[2], lines, at)
            if match[1] in found.data:
                found.repeated.append((match[1],))
            found.data[match[1]] = value
            if len(comment) == 1 and _describes(comment[0], match[1], first=len(found.data) == 1):
                comments[match[1]] = comment[0]
            comment = []
        else:
            found.data[f"line {at}"] = None
    return found, comments


_ABOUT_THE_FILE = re.compile(
    r"copyright|licen[cs]e|spdx|generated|do not (?:edit|commit)|all rights|^[-=*~_]{2}|^copy |\.env|"
    r"environment variables",
    re.IGNORECASE,
)


def _describes(comment: str, name: str, *, first: bool) -> bool:
    """Whether a line above a variable is about it. Above the first, only one with its words is."""
    if not 3 < len(comment) < 120 or "=" in comment or _ABOUT_THE_FILE.search(comment):
        return False
    words = {word for word in name.lower().split("_") if len(word) > 2}
    return not first or bool(words & set(re.findall(r"[a-z0-9]+", comment.lower())))


def _value(text: str, lines: list[str], at: int) -> tuple[str, int]:
    """A value without its quotes and comment; a quoted one may go on over several lines."""
    quote = text[:1]
    if quote not in ("'", '"', "`"):
        return re.split(r"\s#|^#", text, maxsplit=1)[0].strip(), at
    end = re.search(rf"(?<!\\){quote}", text[1:])
    if end:
        return text[1 : 1 + end.start()], at
    for later in range(at, min(at + 60, len(lines))):
        if (close := lines[later].find(quote)) >= 0:
            return "\n".join([text[1:], *lines[at:later], lines[later][:close]]), later + 1
    return text.strip(quote), at


def import_env(text: str, file: str = ".env.example") -> Imported:
    """Variables as `[env]`; DATABASE_URL and REDIS_URL of the machine's own servers as resources."""
    if is_exported(text := clean(text)):
        return import_exported(text, file)
    loaded, comments = parse_env(text)
    if len(loaded.data) > 2000:
        raise Unreadable("has more than 2,000 variables")
    ledger = Ledger(file, ".env", loaded.data)
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    for name, node in ledger.root.items():
        value = node.value
        if value is None:
            node.lose("is not NAME=value", "correct the line")
        elif (engine := _STORES.get(name)) and _is_store(engine, value):
            put_resource(node, "db" if engine == "postgres" else "cache", engine)
        else:
            declare(node, Given(name, value, example=True, description=comments.get(name)))
    return ledger.close()


def _is_store(engine: str, value: str) -> bool:
    """Whether the example is of that engine; one without a value may be a MySQL."""
    schemes = {"postgres": ("postgres", "postgis"), "redis": ("redis",)}[engine]
    return value.lower().startswith(schemes)
