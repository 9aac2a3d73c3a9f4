"""A .env file as lines that keep their place: read, changed here and there, written back. Pure.

Read as python-dotenv reads it: quotes, `export`, values over several lines, comments. `${NAME}` is never expanded.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from golive.blueprint.models import VARIABLE_PATTERN
from golive.blueprint.problem import Problem

MAX_BYTES = 1_000_000
_NAME = re.compile(VARIABLE_PATTERN.replace("$", r"\Z"))
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~^*?&;!-]+")
_SINGLE = re.compile(r"(?!.*(?:\\\\|\\'|\\\Z))[^'\r\0]*", re.DOTALL)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\r": "\\r"}
_REFERENCE = re.compile(r"\$\{\w+[^}]*\}")
_ASSIGNMENT = re.compile(
    r"""(?P<head>\s*(?:export[^\S\r\n]+)?[^=\#\s]+[^\S\r\n]*=[^\S\r\n]*)"""
    r"""(?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\r\n]*?)"""
    r"""(?P<tail>[^\S\r\n]*(?:(?<=\s)\#[^\r\n]*)?(?:\r\n|\n|\r|$))""",
    re.DOTALL,
)
_KEPT = re.compile(r"(?P<head>\s*)#[^\S\n]*(?P<name>\w+)=(?P<tail>[^\S\n]*\n?)")


@dataclass(frozen=True)
class Line:
    """One assignment, or what stands between two: then `name` is None."""

    text: str
    name: str | None = None
    value: str = ""


@dataclass(frozen=True)
class EnvFile:
    """`problems` never show what a line says: it may be a secret."""

    lines: tuple[Line, ...]
    problems: tuple[Problem, ...] = ()
    newline: str = "\n"

    @property
    def values(self) -> dict[str, str]:
        """Name → value; of a name that is there twice the last one counts."""
        return {line.name: line.value for line in self.lines if line.name}

    @property
    def notes(self) -> list[str]:
        """What a reader might have expected otherwise."""
        names = [line.name for line in self.lines if line.name]
        twice = sorted({name for name in names if names.count(name) > 1})
        composed = [n for n, value in self.values.items() if _REFERENCE.search(value)]
        found = [f"{', '.join(twice)}: there more than once; the last one counts"] if twice else []
        return found + ([f"{', '.join(composed)}: ${{…}} is taken as it stands, not expanded"] if composed else [])


def parse(text: str, file: str = ".env") -> EnvFile:
    """Every line of a .env file, and every fault in it at once."""
    from dotenv.parser import parse_stream

    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    lines, problems = [], []
    for binding in parse_stream(io.StringIO(text, newline="")):
        original = binding.original.string
        blank = original[: len(original) - len(original.lstrip())]
        fault = None
        if binding.error:
            fault = "is not NAME=value; is a quote left open?"
        elif binding.key is not None and binding.value is None:
            fault = "has no ="
        elif binding.key is not None and not _NAME.match(binding.key):
            fault = "names what cannot be a variable: letters, digits and _ make a name"
        if fault:
            number = binding.original.line + blank.count("\n")
            problems.append(Problem("", fault, None, file, number))
        value = binding.value or ""
        if len(value) > 1 and value[0] == value[-1] == "`" and original.partition("=")[2].lstrip().startswith("`"):
            value = value[1:-1]  # as dotenv of Node has it
        lines.append(Line(original, None if fault else binding.key, value))
    return EnvFile(tuple(lines), tuple(problems), newline)


def updated(file: EnvFile, values: Mapping[str, str]) -> str:
    """The file's text with these values: each where it stands, with the comment beside it; a new one in the place of
    `# NAME=` where the file keeps one for it, else at the end."""
    left = dict(values)
    last = {line.name: at for at, line in enumerate(file.lines) if line.name}
    made = []
    for at, line in enumerate(file.lines):
        text = line.text
        if line.name is None and (kept := _KEPT.fullmatch(text)) and kept["name"] in left.keys() - last.keys():
            text = f"{kept['head']}{kept['name']}={written(left.pop(kept['name']))}{kept['tail']}"
        if line.name in left and last[line.name] == at:
            value = left.pop(line.name)
            match = _ASSIGNMENT.fullmatch(text)
            if value != line.value and match:
                gap = " " if match["tail"].startswith("#") else ""
                text = match["head"] + written(value) + gap + match["tail"]
        made.append(text)
    text = "".join(made)
    if left and text and not text.endswith(("\n", "\r")):
        text += "\n"
    text += "".join(f"{name}={written(value)}\n" for name, value in left.items())
    return text.replace("\n", file.newline)


def written(value: str) -> str:
    """A value as a .env file has it, read the same by python-dotenv and, where it can be, by dotenv of Node."""
    if not value or _PLAIN.fullmatch(value):
        return value
    if _SINGLE.fullmatch(value):
        return f"'{value}'"
    return '"' + "".join(_ESCAPES.get(c, c) for c in value) + '"'
