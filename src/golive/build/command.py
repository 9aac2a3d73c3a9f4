"""A service's start line as an argument list, so that signals reach the app and not a shell around it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

SHELL = "/bin/sh"
PORT = re.compile(r"\$\{PORT\}|\$PORT(?![A-Za-z0-9_])")
_PLAIN = re.compile(r"[\w\s./:@%+,=\-'\"]*")
_KEYWORDS = frozenset((
    "if", "for", "while", "until", "case", "cd", "export", "source", ".", "exec", "set", "umask", "ulimit", "trap",
    "unset", "eval", "{", "!", ":", "[", "alias", "read", "wait",
))  # fmt: skip
_ASSIGNMENTS = re.compile(r"^\s*(?:[A-Za-z_]\w*=(?:\"[^\"]*\"|'[^']*'|[^\s'\";&|])*\s+)+")
_REDIRECTIONS = frozenset({"<", ">", ">>", "<&", ">&", "<>"})


def start_argv(line: str) -> tuple[str, ...]:
    """The arguments for a shell line; `$PORT` stays in them for `with_port`.

    A plain line becomes its words. One simple command with expansions, globs or redirections is handed to the shell as
    `exec <line>`, which the app then replaces. Anything else is the shell's, and signals go to its whole group.
    ValueError for an unclosed quote.
    """
    words = shlex.split(line)
    if not words:
        raise ValueError("the start command is empty")
    plain = bool(_PLAIN.fullmatch(PORT.sub("", line.strip()))) and "\n" not in line.strip()
    if plain and "=" not in words[0] and words[0] not in _KEYWORDS:
        return tuple(words)
    rest = _ASSIGNMENTS.sub("", line, count=1)
    before = line[: len(line) - len(rest)]
    if _is_simple(line) and shlex.split(rest)[:1] and shlex.split(rest)[0] not in _KEYWORDS:
        return (SHELL, "-c", f"{before}exec {rest}")
    return (SHELL, "-c", line)


def with_port(argv: tuple[str, ...], env: Mapping[str, str]) -> tuple[str, ...]:
    """`$PORT` replaced by its value. A shell's own line is left to the shell."""
    if argv[:2] == (SHELL, "-c") or "PORT" not in env:
        return argv
    return tuple(PORT.sub(lambda _: env["PORT"], word) for word in argv)


def _is_simple(line: str) -> bool:
    """One command: no list, pipe, group or substitution. A quoted operator counts as one, to be safe."""
    if "\n" in line.strip() or "`" in line or "$(" in line:
        return False
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    operators = (token for token in lexer if token and set(token) <= set("();<>|&"))
    return all(token in _REDIRECTIONS for token in operators)
