"""Path patterns (`/blog/:slug`, `/docs/:rest*`, `/(.*)`) and JavaScript regular expressions as RE2, which Envoy uses.

The pattern language is that of path-to-regexp 6, with the options Vercel gives it (strict, `/` as the delimiter), so
that a `vercel.json` means here what it means there. Matching ignores case, as it does on Vercel and in Next.js. RE2 has
no look-ahead; `(?!…)` behind a plain beginning, as in `/((?!api/).*)`, becomes a second expression that must not match.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_PATTERN = 4000
UNNAMED = "__UN_NAMED_SEGMENT__"
_SPECIAL = re.compile(r"([.+*?=^!:${}()\[\]|/\\])")
_ESCAPES = set("dDwWsSbBtnrfv")
_LITERAL = re.compile(r"\^?(?:[^\\()\[\]{}|?*+.^$]|\\[^\w\s]|\(\?:|\((?!\?)|\(\?P?<\w+>)*")


class BadPattern(ValueError):
    """A pattern that cannot be used; the text says why."""


@dataclass(frozen=True)
class Token:
    """A parameter of a pattern; `name` is a number (from 0) for one without a name, empty for a plain group."""

    name: str | int
    prefix: str
    suffix: str
    pattern: str
    modifier: str


@dataclass(frozen=True)
class Pattern:
    """`regex` matches the whole path when none of `unless` does; `names` are its groups', `UNNAMED` where without."""

    regex: str
    unless: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def match(self, path: str) -> re.Match[str] | None:
        if any(_compiled(expression).fullmatch(path) for expression in self.unless):
            return None
        return _compiled(self.regex).fullmatch(path)


def compile_source(source: str) -> Pattern:
    """A pattern, or a regular expression when it starts with `^`. Raises BadPattern."""
    if len(source) > MAX_PATTERN:
        raise BadPattern(f"is longer than {MAX_PATTERN} characters")
    if source.startswith("^"):
        return to_re2(source)
    tokens = parse(source)
    names = [t.name if isinstance(t.name, str) else UNNAMED for t in tokens if isinstance(t, Token) and t.pattern]
    return to_re2(_regex_of(tokens), tuple(names))


def parse(text: str, delimiter: str = "/") -> list[str | Token]:
    """The pattern's literal parts and parameters. Raises BadPattern."""
    lexed = list(_lex(text))
    default = f"[^{_escaped(delimiter)}]+?"
    return _Parser(lexed, default).tokens()


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _lex(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        char = text[at]
        if char in "*+?":
            yield "modifier", char
        elif char == "\\":
            at += 1
            yield "escaped", text[at : at + 1]
        elif char in "{}":
            yield "open" if char == "{" else "close", char
        elif char == ":":
            found = re.compile(r"[0-9A-Za-z_]+").match(text, at + 1)
            if not found:
                raise BadPattern(f"has a `:` without a name (character {at + 1})")
            at = found.end() - 1
            yield "name", found[0]
        elif char == "(":
            end = _group_end(text, at)
            yield "pattern", text[at + 1 : end]
            at = end
        else:
            yield "char", char
        at += 1


def _group_end(text: str, start: int) -> int:
    """The closing bracket of a parameter's own expression, which may not capture."""
    if text[start + 1 : start + 2] == "?":
        raise BadPattern("has a group that starts with `?`")
    depth, at = 1, start + 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == ")":
            depth -= 1
            if not depth:
                break
        elif text[at] == "(":
            depth += 1
            if text[at + 1 : at + 2] != "?":
                raise BadPattern("has a capturing group inside a parameter; write `(?:…)`")
        at += 1
    if depth or at >= len(text):
        raise BadPattern("has a bracket that is not closed")
    if at == start + 1:
        raise BadPattern("has an empty group")
    return at


class _Parser:
    def __init__(self, lexed: list[tuple[str, str]], default: str) -> None:
        self._lexed, self._default, self._at, self._key = [*lexed, ("end", "")], default, 0, 0

    def _take(self, kind: str) -> str | None:
        if self._lexed[self._at][0] != kind:
            return None
        self._at += 1
        return self._lexed[self._at - 1][1]

    def tokens(self) -> list[str | Token]:
        made: list[str | Token] = []
        text = ""
        while self._at < len(self._lexed):
            char, name, pattern = self._take("char"), self._take("name"), self._take("pattern")
            if name or pattern:
                prefix = char if char in ("/", ".") else None
                text += char if char and not prefix else ""
                made += [text] if text else []
                text = ""
                made.append(self._token(name, pattern, prefix or "", ""))
                continue
            value = char or self._take("escaped")
            if value:
                text += value
                continue
            made += [text] if text else []
            text = ""
            if self._take("open"):
                made.append(self._group())
            elif self._take("end") is None:
                raise BadPattern(f"has a `{self._lexed[self._at][1]}` where none can stand")
        return made

    def _group(self) -> Token:
        prefix = self._text()
        name, pattern = self._take("name"), self._take("pattern")
        suffix = self._text()
        if self._take("close") is None:
            raise BadPattern("has a `{` that is not closed")
        if not name and not pattern:
            return Token("", prefix, suffix, "", self._take("modifier") or "")
        return self._token(name, pattern, prefix, suffix)

    def _token(self, name: str | None, pattern: str | None, prefix: str, suffix: str) -> Token:
        if name is None:
            self._key += 1
        named: str | int = name if name is not None else self._key - 1
        return Token(named, prefix, suffix, pattern or self._default, self._take("modifier") or "")

    def _text(self) -> str:
        text = ""
        while value := self._take("char") or self._take("escaped"):
            text += value
        return text


def _regex_of(tokens: list[str | Token]) -> str:
    made = "^"
    for token in tokens:
        if isinstance(token, str):
            made += _escaped(token)
            continue
        prefix, suffix = (_escaped(part) for part in (token.prefix, token.suffix))
        if not token.pattern:
            made += f"(?:{prefix}{suffix}){token.modifier}"
        elif not prefix and not suffix:
            made += f"({token.pattern}){token.modifier}"
        elif token.modifier in ("+", "*"):
            optional = "?" if token.modifier == "*" else ""
            again = f"(?:{suffix}{prefix}(?:{token.pattern}))*"
            made += f"(?:{prefix}((?:{token.pattern}){again}){suffix}){optional}"
        else:
            made += f"(?:{prefix}({token.pattern}){suffix}){token.modifier}"
    return made + "$"


def to_re2(regex: str, names: tuple[str, ...] | None = None) -> Pattern:
    """An anchored JavaScript expression as RE2, its negative look-aheads apart. Raises BadPattern."""
    plain, unless = _without_lookahead(regex)
    made = _translated(plain)
    if not made.endswith("$") or made.endswith("\\$"):
        made += "$"
    try:
        compiled = _compiled(f"(?i){made}")
        excluded = tuple(f"(?i){_translated(expression)}" for expression in unless)
        for expression in excluded:
            _compiled(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern(f"is not a regular expression: {error}") from None
    found = {index: name for name, index in compiled.groupindex.items()}
    own = tuple(found.get(index, UNNAMED) for index in range(1, compiled.groups + 1))
    return Pattern(f"(?i){made}", excluded, names if names is not None else own)


def _without_lookahead(regex: str) -> tuple[str, list[str]]:
    unless: list[str] = []
    while (at := regex.find("(?!")) >= 0:
        before = regex[:at]
        end = _closing(regex, at)
        if end is None or not _LITERAL.fullmatch(before) or not _always_there(regex, at):
            raise BadPattern("uses `(?!…)` where RE2 cannot do without it; it may stand behind a plain beginning only")
        plain = re.sub(r"(?<!\\)\((?:\?:|\?P?<\w+>)?", "", before)
        unless.append(f"{plain}(?:{regex[at + 3 : end]}).*")
        regex = before + regex[end + 1 :]
    return regex, unless


def _closing(regex: str, start: int) -> int | None:
    """Where the group that opens at `start` closes."""
    depth, at, in_class = 0, start, False
    while at < len(regex):
        char = regex[at]
        if char == "\\":
            at += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if not depth:
                return at
        at += 1
    return None


def _always_there(regex: str, at: int) -> bool:
    """Whether every group open at a place takes part in every match: no alternative, nothing optional around it."""
    if "|" in regex[:at]:
        return False
    for opened in (m.start() for m in re.finditer(r"(?<!\\)\(", regex[:at])):
        end = _closing(regex, opened)
        if end is None:
            return False
        if end > at and (regex[end + 1 : end + 2] in ("?", "*", "{", "+") or _alternatives(regex[at:end])):
            return False
    return True


def _alternatives(text: str) -> bool:
    depth, at = 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            depth -= 1
        elif text[at] == "|" and depth <= 0:
            return True
        at += 1
    return False


def _translated(regex: str) -> str:
    """JavaScript's syntax as the part that RE2 and Python share. Raises BadPattern for what is not in it."""
    regex = regex.replace("\\/", "/")
    for refused, words in _REFUSED:
        if refused.search(regex):
            raise BadPattern(words)
    for escape in re.finditer(r"\\(.)", regex):
        if escape[1].isalnum() and escape[1] not in _ESCAPES:
            raise BadPattern(f"uses `\\{escape[1]}`, which RE2 does not have")
    return re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", regex)


_REFUSED = (
    (re.compile(r"\(\?<?[=!]"), "uses a look-around, which RE2 does not have"),
    (re.compile(r"\(\?[>(a-zA-Z#-](?!<)"), "uses a group that RE2 does not have"),
    (re.compile(r"(?<!\\)[*+?}]\+"), "uses a possessive quantifier, which RE2 does not have"),
    (re.compile(r"\[\^?\]"), "uses an empty class, which RE2 does not have"),
    (re.compile(r"\{,|\{\d{4,}|,\d{4,}\}"), "repeats more than 999 times"),
)


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. a possible nested set: RE2 has none
        return re.compile(expression, re.ASCII)
