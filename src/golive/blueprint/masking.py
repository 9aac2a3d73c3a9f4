"""Columns that no branch of a database shows, and what stands in their place."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

COLUMN_PATTERN = r"^[^.\s]+(\.[^.\s]+){1,2}$"
MASKS = ("null", "hash", "email", "name", "phone", "text")
FIXED = "fixed:"


def _mask(value: Any) -> Any:
    if value in MASKS or (isinstance(value, str) and value.startswith(FIXED)):
        return value
    raise ValueError(f"{value!r} is not a way to mask: {', '.join(MASKS)}, or {FIXED}<value>")


Masked = Annotated[
    str,
    BeforeValidator(_mask),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(MASKS)}|{FIXED}.*)$", "examples": ["email", "fixed:x"]}),
]
Column = Annotated[str, Field(pattern=COLUMN_PATTERN)]
