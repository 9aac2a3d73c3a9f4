"""Where a rule sends a path: `/post/:slug` and `/post/$1` as a template, with the semantics of Vercel's own converter.

Parameters that a rewrite's destination does not use are handed on in its query, as Vercel does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from golive.blueprint.path_pattern import UNNAMED, BadPattern, Token, parse

_URL = re.compile(r"(?:([a-zA-Z][a-zA-Z0-9+.-]*:)(//)([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_UNSAFE = {c: f"%{ord(c):02X}" for c in "\t\n\r \"'<>\\^`{|}"}
_REFERENCE = re.compile(r"\$(\d+|[A-Za-z_][A-Za-z0-9_]*)")
_HELD = "__ESC_COLON_"


@dataclass(frozen=True)
class Template:
    """Literal text, numbers of captured groups (from 1) and names of what conditions captured, in their order."""

    parts: tuple[str | int | Name, ...]

    def filled(self, groups: Sequence[str | None], named: Mapping[str, str]) -> str:
        """The text for a match; what did not take part in it is empty."""
        text = ""
        for part in self.parts:
            if isinstance(part, Name):
                text += named.get(part.name, "")
            elif isinstance(part, int):
                text += (groups[part - 1] if part <= len(groups) else None) or ""
            else:
                text += part
        return text


@dataclass(frozen=True)
class Name:
    """What a condition captured."""

    name: str


def template(text: str, names: Sequence[str] = ()) -> Template:
    """`$1` and `$name` in a text as references: groups by number or name, else a condition's capture."""
    parts: list[str | int | Name] = []
    end = 0
    for found in _REFERENCE.finditer(text):
        parts += [text[end : found.start()]] if found.start() > end else []
        key = found[1]
        if key.isdigit():
            parts.append(int(key))
        else:
            parts.append(names.index(key) + 1 if key in names else Name(key))
        end = found.end()
    return Template((*parts, text[end:]) if end < len(text) else tuple(parts))


def interpolated(text: str, names: Sequence[str], captured: Sequence[str], *, redirect: bool) -> str:
    """The destination with `:name` as `$1` or `$name`. Raises BadPattern when it cannot be put together."""
    named = [name for name in names if name != UNNAMED]
    if not ((":" in text and named) or captured or not redirect):
        return text
    indexes = {name: f"${at}" for at, name in enumerate(names, 1)} | {name: f"${name}" for name in captured}
    held = text
    for name in [*names, *captured]:
        held = held.replace(f":{name}", f"{_HELD}{name}")
    parts = _parsed(held)
    used = {name for part in (parts.path, parts.fragment, parts.host) for name in _names_in(_released(part))}
    path = _filled(_released(parts.path), indexes)
    fragment = _filled(_released(parts.fragment), indexes)
    host = _filled(_released(parts.host), indexes)
    query = [(key, _filled(_released(value), indexes)) for key, value in parts.query]
    if not redirect and not used & set(indexes):
        given = {key for key, _ in query}
        query += [(name, value) for name, value in indexes.items() if name not in given and name != UNNAMED]
    return _joined(parts, host, path, query, fragment).replace("%24", "$")


@dataclass(frozen=True)
class _Parts:
    scheme: str
    host: str
    port: str
    user: str
    path: str
    query: tuple[tuple[str, str], ...]
    fragment: str


def _parsed(text: str) -> _Parts:
    """As `url.parse` of Node does it, which leaves unsafe characters escaped and names in lower case."""
    text = text.strip()
    head, mark, rest = text.partition("?")
    found = _URL.fullmatch(head.replace("\\", "/") + mark + rest)
    if found is None:
        raise BadPattern("is not a destination")
    scheme, _, authority, path, query, fragment = (part or "" for part in found.groups())
    user, at, place = authority.rpartition("@")
    name, _, port = place.partition(":")
    if not re.fullmatch(r"\d*", port):
        name, port = place, ""
    safe = "".join(_UNSAFE.get(c, c) for c in path)
    pairs = tuple(parse_qsl(query[1:], keep_blank_values=True))
    hash_part = "".join(_UNSAFE.get(c, c) for c in fragment)
    return _Parts(scheme.lower(), name.lower(), port, user + at, safe or ("/" if authority else ""), pairs, hash_part)


def _joined(parts: _Parts, host: str, path: str, query: list[tuple[str, str]], fragment: str) -> str:
    start = f"{parts.scheme}//{parts.user}{host}{':' + parts.port if parts.port else ''}" if parts.host else ""
    if start and path and not path.startswith("/"):
        path = f"/{path}"
    safe = "-_.!~*'()"
    asked = "&".join(f"{quote(key, safe=safe)}={quote(value, safe=safe)}" for key, value in query)
    return f"{start}{path.replace('#', '%23').replace('?', '%3F')}{'?' + asked if asked else ''}{fragment}"


def _released(text: str) -> str:
    return re.sub(_HELD, ":", text, flags=re.IGNORECASE)


def _names_in(text: str) -> list[str]:
    try:
        return [token.name for token in parse(text, "/#?") if isinstance(token, Token) and isinstance(token.name, str)]
    except BadPattern:
        return []


def _filled(text: str, indexes: Mapping[str, str]) -> str:
    """The text with its parameters replaced; characters that look like a pattern but are none stay as they are."""
    if not text:
        return text
    try:
        return _compiled(text, indexes)
    except BadPattern:
        return plain_filled(text, indexes)


def plain_filled(text: str, indexes: Mapping[str, str]) -> str:
    """Only `:name` (with a modifier behind it) of known names is replaced."""
    for key in indexes:
        for mark, word in (("*", "ASTERISK"), ("?", "QUESTION"), ("+", "PLUS")):
            text = text.replace(f":{key}{mark}", f":{key}--ESCAPED_PARAM_{word}")
        text = re.sub(rf":{re.escape(key)}(?!\w)", f"--ESCAPED_PARAM_COLON{key}", text)
    text = re.sub(r"([:*?+(){}])", r"\\\1", text)
    for mark, word in (("+", "PLUS"), (":", "COLON"), ("?", "QUESTION"), ("*", "ASTERISK")):
        text = text.replace(f"--ESCAPED_PARAM_{word}", mark)
    return _compiled(f"/{text}", indexes)[1:]


def _compiled(text: str, indexes: Mapping[str, str]) -> str:
    made = ""
    for token in parse(text, "/#?"):
        if isinstance(token, str):
            made += token
        elif isinstance(token.name, str) and token.name in indexes:
            made += token.prefix + indexes[token.name] + token.suffix
        elif token.modifier not in ("?", "*"):
            raise BadPattern(f"needs `{token.name}`, which the source does not have")
    return made
