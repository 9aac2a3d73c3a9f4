"""SQL text into statements, as PostgreSQL's own scanner sees them, and which of them cannot run in a transaction.

Lexical rules: https://www.postgresql.org/docs/current/sql-syntax-lexical.html, with standard_conforming_strings on; the
bodies of SQL-standard functions (BEGIN ATOMIC … END) are followed the way psql follows them. A scanner of our own,
because the libraries that parse PostgreSQL are either far larger than the need, under the GPL, or guess.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

_LETTER = r"A-Za-z_\x80-\U0010ffff"
_ESCAPED = r"'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'"
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\n\r\f\v]+)
    | (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<string>[eE]{_ESCAPED}(?:[ \t\f\v]*(?:--[^\n]*)?\n\s*{_ESCAPED})*
        | (?:[bBxXnN]|[uU]&)?'[^']*(?:''[^']*)*')
    | (?P<quoted>(?:[uU]&)?"[^"]*(?:""[^"]*)*")
    | (?P<open>(?:[eEbBxXnN]|[uU]&)?'|(?:[uU]&)?")
    | (?P<dollar>\$(?:[{_LETTER}][{_LETTER}0-9]*)?\$)
    | (?P<word>[{_LETTER}][{_LETTER}0-9$]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_KEPT_TOKENS = 48
"""How much of a statement is looked at to know what it is."""
_FUNCTION = re.compile(r"CREATE (OR REPLACE )?(FUNCTION|PROCEDURE)\b")
_NO_TRANSACTION = re.compile(r"^--\s*golive:\s*no-transaction\s*$", re.MULTILINE | re.IGNORECASE)
_OTHER_TOOLS = re.compile(r"^--\s*(\+goose|\+migrate|migrate:(?:up|down))\b", re.MULTILINE)
_CONTROL = re.compile(r"(BEGIN|COMMIT|END|ABORT|START TRANSACTION|PREPARE TRANSACTION|ROLLBACK(?! (?:\w+ )*TO\b))\b")
_BEGIN = re.compile(r"(BEGIN|START)( WORK| TRANSACTION)?")
_COMMIT = re.compile(r"(COMMIT|END)( WORK| TRANSACTION)?")
_ADD_VALUE = re.compile(r"ALTER TYPE .+? ADD VALUE (?:IF NOT EXISTS )?(?P<value>'.*?(?<!')'(?!'))")
_OUTSIDE = re.compile(
    r"""CREATE\ (UNIQUE\ )?INDEX\ CONCURRENTLY\b | DROP\ INDEX\ CONCURRENTLY\b | REINDEX\b.*\bCONCURRENTLY\b
    | REINDEX\ (\(.*?\)\ )?(DATABASE|SYSTEM|SCHEMA)\b | VACUUM\b | ALTER\ SYSTEM\b
    | (CREATE|DROP)\ (DATABASE|TABLESPACE)\b
    | ALTER\ DATABASE\ .*\ SET\ TABLESPACE\b | (CREATE|DROP)\ SUBSCRIPTION\b | ALTER\ SUBSCRIPTION\ .*\bREFRESH\b
    | ALTER\ TABLE\ .*\bDETACH\ PARTITION\ .*\bCONCURRENTLY\b | CLUSTER(\ VERBOSE)?$""",
    re.VERBOSE,
)


class SqlProblem(ValueError):
    """The text cannot be split, or cannot be run here; `line` is 1-based."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Statement:
    """One statement without its semicolon. `line` is where it starts; `head` its first tokens, one space apart.

    In `head` unquoted words are in capitals, quoted names as they are written, comments gone.
    """

    text: str
    line: int
    head: str
    outside: bool = False
    """It must run outside a transaction."""
    block: int = 0
    """Statements of one number were between one BEGIN and COMMIT, and stand together or not at all; 0: alone."""

    def line_at(self, position: int) -> int:
        """The line of a 1-based character position, as PostgreSQL reports them."""
        return self.line + self.text[: max(0, position - 1)].count("\n")


@dataclass(frozen=True)
class Script:
    """A file's statements. `transactional`: all of them run in one transaction."""

    statements: tuple[Statement, ...]

    @property
    def transactional(self) -> bool:
        return not any(statement.outside for statement in self.statements)

    def together(self, at: int) -> tuple[Statement, ...]:
        """The statement at this index, with the rest of its block."""
        first = self.statements[at]
        same = itertools.takewhile(lambda s: s.block == first.block, self.statements[at:])
        return tuple(same) if first.block else (first,)


def parse(text: str, *, blocks: bool = False) -> Script:
    """The statements of a migration file. SqlProblem says where it cannot be one.

    `blocks`: BEGIN … COMMIT may stand inside it, as in files that other tools write (Prisma, for a changed enum).
    """
    if marker := _OTHER_TOOLS.search(text):
        line = text.count("\n", 0, marker.start()) + 1
        raise SqlProblem(line, f"`{marker[0]}` is another tool's: golive would run its down part too")
    statements = _unwrapped(split(text))
    if blocks:
        statements = _in_blocks(statements)
    for statement in statements:
        _refuse(statement)
    everything = bool(_NO_TRANSACTION.search(text))
    marked = tuple(
        replace(statement, outside=(everything and not statement.block) or _outside(statement, statements[n + 1 :]))
        for n, statement in enumerate(statements)
    )
    if wrong := next((s for s in marked if s.block and s.outside), None):
        raise SqlProblem(wrong.line, f"{wrong.head.split(' ')[0]} between BEGIN and COMMIT: no transaction takes it")
    return Script(marked)


def split(text: str) -> tuple[Statement, ...]:
    """Every statement that is not empty."""
    found: list[Statement] = []
    scan = _Scan()
    at, counted, line = 0, 0, 1
    while match := _TOKEN.match(text, at):
        kind, start = match.lastgroup or "other", at
        at = _end(text, match, kind)
        if kind in ("space", "line", "block"):
            continue
        if match[0] == ";" and scan.complete():
            found += scan.statement(text)
            scan = _Scan()
            continue
        if scan.start < 0:
            line, counted = line + text.count("\n", counted, start), start
            scan.begin(start, line)
        scan.take(kind, match[0], text[start:at], at)
    return (*found, *scan.statement(text))


class _Scan:
    """The statement that is being read."""

    def __init__(self) -> None:
        self.start = self.end = -1
        self.line = 0
        self.head: list[str] = []
        self.parentheses = 0
        self.blocks = 0

    def begin(self, start: int, line: int) -> None:
        self.start, self.line = start, line

    def take(self, kind: str, opening: str, whole: str, end: int) -> None:
        self.end = end
        if kind == "word":
            self._block(opening.upper())
        elif opening in "()":
            self.parentheses = max(0, self.parentheses + (1 if opening == "(" else -1))
        if len(self.head) < _KEPT_TOKENS:
            self.head.append(opening.upper() if kind == "word" else "$$" if kind == "dollar" else whole)

    def complete(self) -> bool:
        """Whether a semicolon here ends the statement."""
        return self.parentheses == 0 and self.blocks == 0

    def statement(self, text: str) -> list[Statement]:
        """What was read, or nothing."""
        return [Statement(text[self.start : self.end], self.line, " ".join(self.head))] if self.start >= 0 else []

    def _block(self, word: str) -> None:
        """psql's rule: BEGIN opens a body in CREATE FUNCTION, CASE nests inside one, END closes either."""
        if word not in ("BEGIN", "CASE", "END") or self.parentheses or not _FUNCTION.match(" ".join(self.head[:4])):
            return
        if word == "BEGIN" or (word == "CASE" and self.blocks):
            self.blocks += 1
        elif word == "END" and self.blocks:
            self.blocks -= 1


def _end(text: str, match: re.Match[str], kind: str) -> int:
    """Where the token that starts with `match` ends."""
    if kind == "open":
        raise SqlProblem(_line(text, match), f"the quote {match[0]} is never closed")
    if match[0] == "\\":
        raise SqlProblem(_line(text, match), "psql's backslash commands are not SQL")
    if kind == "dollar":
        close = text.find(match[0], match.end())
        if close < 0:
            raise SqlProblem(_line(text, match), f"the quote {match[0]} is never closed")
        return close + len(match[0])
    if kind == "block":
        return _comment_end(text, match)
    return match.end()


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _comment_end(text: str, opening: re.Match[str]) -> int:
    """Past a block comment; they nest."""
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, opening.start()):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    raise SqlProblem(_line(text, opening), "the comment /* is never closed")


def _unwrapped(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Without a BEGIN and COMMIT around everything: golive's own transaction takes their place."""
    if len(statements) >= 2 and _BEGIN.fullmatch(statements[0].head) and _COMMIT.fullmatch(statements[-1].head):
        inner = statements[1:-1]
        return inner if not any(_COMMIT.fullmatch(s.head) for s in inner) else statements
    return statements


def _in_blocks(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Without BEGIN and COMMIT in pairs; what was between them has the pair's number. An odd one is left to refuse."""
    found: list[Statement] = []
    opened: Statement | None = None
    number = 0
    for statement in statements:
        if opened is None and _BEGIN.fullmatch(statement.head):
            opened, number = statement, number + 1
        elif opened is not None and _COMMIT.fullmatch(statement.head):
            opened = None
        else:
            found.append(replace(statement, block=number if opened else 0))
    return tuple(found) if opened is None else (*found, opened)


def _refuse(statement: Statement) -> None:
    line, word = statement.line, statement.head.split(" ")[0]
    if _CONTROL.match(statement.head):
        raise SqlProblem(line, f"{word} inside the file: remove it, golive runs each file in one transaction")
    if re.match(r"COPY\b.*\b(FROM STDIN|TO STDOUT)\b", statement.head):
        raise SqlProblem(line, "COPY with STDIN or STDOUT needs psql; use INSERT")
    if re.match(r"CREATE (UNIQUE )?INDEX CONCURRENTLY ON\b", statement.head):
        message = "an index built CONCURRENTLY needs a name, so that an interrupted build can be found again"
        raise SqlProblem(line, message)


def _outside(statement: Statement, later: Sequence[Statement]) -> bool:
    if _OUTSIDE.match(statement.head):
        return True
    # Allowed in a transaction since PostgreSQL 12, but the new value cannot be used before it is committed.
    added = _ADD_VALUE.match(statement.head)
    return bool(added) and any(added["value"] in other.text for other in later if added)
