"""A value that must not be printed."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

MASK = "••••••"


class Secret:
    """Text that shows as dots in `str`, `repr`, f-strings, JSON and pydantic dumps; `reveal()` returns it.

    Modelled on Starlette's `Secret` and Kamal's `sensitive`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            lambda v: v if isinstance(v, Secret) else cls(str(v)),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


SHORTEST = 6
"""Characters; shorter values would mask ordinary words."""
LINE = 12
"""Characters from which one line of a secret of several lines (a private key) is masked by itself."""


class Mask:
    """Replaces known secret values in text: plain, in JSON, URL-encoded, and in base64 wherever they begin in it.

    Values shorter than 6 characters are left alone: they would mask ordinary words. Output is masked line by line, so
    the lines of a longer secret count by themselves. Where two secrets overlap in the text, both are gone.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._needles: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        value = secret.reveal()
        lines = [line.strip() for line in value.splitlines()] if "\n" in value.strip() else []
        for part in (value, value.strip(), *(line for line in lines if len(line) >= LINE and "-----" not in line)):
            if len(part) >= SHORTEST:
                self._needles |= _forms(part)

    def __call__(self, text: str) -> str:
        spans = sorted(span for needle in self._needles if needle in text for span in _found(needle, text))
        parts, done = [], 0
        for begin, end in spans:
            if begin >= done:
                parts += [text[done:begin], MASK]
            done = max(done, end)
        return "".join([*parts, text[done:]])


def _forms(value: str) -> set[str]:
    raw = value.encode(errors="surrogateescape")
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    forms |= {urllib.parse.quote(raw, safe=""), urllib.parse.quote(raw), urllib.parse.quote_plus(raw)}
    for before in range(3):
        # Base64 of `user:secret` holds that of the secret shifted; characters that share bits with others are cut.
        plain = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        whole = plain[(0, 2, 3)[before] : len(plain) - bool((before + len(raw)) % 3)]
        if len(whole) >= SHORTEST:
            forms |= {whole, whole.translate({ord("+"): "-", ord("/"): "_"})}
    return forms


def _found(needle: str, text: str) -> Iterator[tuple[int, int]]:
    begin = text.find(needle)
    while begin >= 0:
        yield begin, begin + len(needle)
        begin = text.find(needle, begin + 1)
