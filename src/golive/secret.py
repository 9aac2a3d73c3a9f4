"""A value that must not be printed."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterable
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


class Mask:
    """Replaces known secret values in text, in the plain, base64 and URL-encoded form.

    Values shorter than 6 characters are left alone: they would mask ordinary words.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._needles: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        value = secret.reveal()
        if len(value) < 6:
            return
        forms = {value, base64.b64encode(value.encode()).decode().rstrip("="), urllib.parse.quote(value, safe="")}
        self._needles = sorted({*self._needles, *forms}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, MASK)
        return text
