"""Which environment variables a file reads, and on which line: found in its text, never run. Pure.

For what the blueprint does not declare. What a variable must be is `usage`'s to find, which `golive init` asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from golive.importers.reads_python import reads_in_python
from golive.importers.usage import AMBIENT

MAX_BYTES = 300_000
"""A larger file is generated or a bundle."""
_SCRIPT = ("js", "mjs", "cjs", "ts", "tsx", "jsx", "mts", "cts", "vue", "svelte", "astro")
_LANGUAGES = {"py": "python", "go": "go"} | dict.fromkeys(_SCRIPT, "script")
_NOT_THE_APPS = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?|e2e|fixtures|testdata|node_modules|vendor|docs?|dist|scripts|examples?)/|"
    r"(?:\.|_)(?:test|spec)\.|(?:^|/)(?:test_|conftest)|\.d\.ts$|\.min\.js$|"
    r"(?:^|/)(?:playwright|vitest|jest|cypress)\.config"
)
_ALSO_AMBIENT = re.compile(
    r"(?:NEXT|__NEXT|NODE|XDG|SSL_CERT|UV|PIP|GO|CGO|PLAYWRIGHT|COREPACK)_\w+|(?:HTTPS?|NO|ALL)_PROXY|COLUMNS|LINES|TEMP|TMP|PG[A-Z]+"
)
"""Given by the machine, or a tool's own; libpq's come with a database. Public ones of Next.js are the app's."""

_NAME = r"(?P<name>[A-Z][A-Z0-9_]{1,80})"
_ENV = r"\b(?:process\.env|import\.meta\.env|Bun\.env)"
_READ = re.compile(
    rf"""{_ENV}(?:\?)?\.{_NAME}\b(?!\s*=[^=])|{_ENV}(?:\?\.)?\[\s*["'`](?P<quoted>[A-Z][A-Z0-9_]{{1,80}})["'`]\s*\]"""
    r"""(?!\s*=[^=])|\bDeno\.env\.get\(\s*["'](?P<deno>[A-Z][A-Z0-9_]{1,80})["']"""
)
_TAKEN_APART = re.compile(rf"\b(?:const|let|var)\s*\{{(?P<names>[^{{}}]*)\}}\s*=\s*{_ENV}\b(?!\s*\.)")
_ONE = re.compile(r"\s*([A-Z][A-Z0-9_]{1,80})\s*(?:[:=]|$)")
_SCHEMA = re.compile(rf"""^[ \t]*["']?{_NAME}["']?\s*:\s*(?=[^\n]*\bz\b|\s*\n\s*z\b)""", re.MULTILINE)
_OF_ENV = re.compile(r"createEnv\s*\(|(?:[pP]arse|readEnv)\w*\s*\([^()]*\b(?:process\.env|import\.meta\.env)\b")
_NAMED_ENV = re.compile(r"(?:^|[/._-])env(?:ironment)?(?:[/._-]|$)", re.IGNORECASE)
_GO = re.compile(
    rf"""\bos\.(?:Getenv|LookupEnv)\(\s*["`]{_NAME}["`]|\b(?!(?:Un|un)?[sS]et|Clear)\w*[eE]nv\w*\(\s*"(?P<helper>[A-Z]"""
    r"""[A-Z0-9_]{1,80})"|`[^`\n]*\benv(?:config)?:"(?P<tag>[A-Z][A-Z0-9_]{1,80})(?:,[^"]*)?"[^`\n]*`"""
)

_LOOKED_UP = re.compile(r"\bos\.(?:LookupEnv|Getenv)\b|\b(?:lookup|getenv|env)\s+func\(string\)")
_CONFIGURES = re.compile(r"(?:^|[/._-])(?:env|environment|config|settings)(?:[/._-]|$)", re.IGNORECASE)
_READER = re.compile(rf"""\b\w+\.[a-zA-Z]\w*\(\s*"{_NAME}\"""")
"""A method of a reader of one's own, in a file that is about the environment: `r.number("WORKERS", 4)`."""

Read = tuple[str, int]
"""A variable and the line that reads it, 1-based."""


def is_source(path: str) -> bool:
    """Whether a file is code of the app that is looked through: not its tests, not what tools made."""
    return path.rpartition(".")[2] in _LANGUAGES and not _NOT_THE_APPS.search(path)


def is_ambient(name: str) -> bool:
    """Given by the machine, the framework or another platform, so that nobody declares it."""
    if name.startswith("NEXT_PUBLIC_"):
        return False
    return bool(AMBIENT.fullmatch(name) or _ALSO_AMBIENT.fullmatch(name))


def reads_in(text: str, path: str) -> list[Read]:
    """The variables that a source file reads, each with its first line."""
    language = _LANGUAGES.get(path.rpartition(".")[2])
    found: Iterable[Read]
    if language == "python":
        found = reads_in_python(text)
    elif language == "script":
        found = _in_script(text, path)
    elif language == "go":
        found = _in_go(text, path)
    else:
        return []
    first: dict[str, int] = {}
    for name, line in sorted(found, key=lambda read: read[1]):
        if not is_ambient(name):
            first.setdefault(name, line)
    return list(first.items())


def _in_script(text: str, path: str) -> Iterator[Read]:
    yield from _matches(_READ, text)
    for match in _TAKEN_APART.finditer(text):
        for part in match["names"].split(","):
            if name := _ONE.match(part):
                yield name[1], _line(text, match.start("names") + match["names"].index(name[1]))
    if re.search(r"""["']zod""", text) or "createEnv" in text:
        about_env = _OF_ENV.search(text) or _NAMED_ENV.search(path)
        yield from _matches(_SCHEMA, text) if about_env else ()


def _in_go(text: str, path: str) -> Iterator[Read]:
    yield from _matches(_GO, text)
    if _LOOKED_UP.search(text) and _CONFIGURES.search(path):
        yield from _matches(_READER, text)


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[Read]:
    for match in pattern.finditer(text):
        name = next(value for value in match.groupdict().values() if value)
        at = match.start() + match[0].index(name)
        if not _in_comment(text, at):
            yield name, _line(text, at)


def _in_comment(text: str, at: int) -> bool:
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return before.lstrip().startswith(("//", "*", "/*")) or " // " in before


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
