"""`[[services.<name>.cache]]`: which answers of a service the edge may keep, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator

from golive.blueprint.fields import Duration, Model, Size

PATH_PATTERN = r"^/[^?#*\s\x00-\x1f]*\*?$"
HEADER_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^`|~-]{1,100}$"
PRIVATE = ("cookie", "authorization", "proxy-authorization", "host", "accept-encoding")
"""Headers that no kept answer may depend on by name: who asks, or what the edge itself decides."""


class CachedPath(Model):
    """Answers that are the same for everybody who asks with the same headers, kept at the edge."""

    path: Annotated[str, Field(pattern=PATH_PATTERN)] = Field(
        description="Everything under this path, such as `/api/public/*`."
    )
    ttl: Duration = Field(description="How long an answer is kept, unless it says less itself, or `s-maxage`.")
    stale: Duration = Field(
        timedelta(0), description="How much longer it is still given while a newer one is fetched, or cannot be."
    )
    vary: tuple[Annotated[str, Field(pattern=HEADER_PATTERN)], ...] = Field(
        (), description="Request headers that the answer depends on; each value has an answer of its own."
    )
    methods: tuple[Literal["GET", "HEAD"], ...] = Field(("GET", "HEAD"), min_length=1, description="What is answered.")
    cookies: Literal["bypass", "ignore"] = Field(
        "bypass",
        description="A request with cookies goes to the service (bypass), or the service is asked without (ignore).",
    )
    max_size: Size = Field(10**6, description="Longer answers are passed on, and not kept.")

    @property
    def prefix(self) -> str:
        """The path that it is about, and all below it."""
        return self.path.removesuffix("*").rstrip("/") or "/"

    @field_validator("path")
    @classmethod
    def _whole_segment(cls, path: str) -> str:
        if path.endswith("*") and not path.endswith("/*"):
            raise ValueError("`*` stands for everything below a folder: `/api/public/*`")
        return path

    @field_validator("ttl")
    @classmethod
    def _kept(cls, ttl: timedelta) -> timedelta:
        if ttl < timedelta(seconds=1):
            raise ValueError("is at least 1s")
        return ttl

    @field_validator("vary")
    @classmethod
    def _shared(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name.lower() in PRIVATE:
                raise ValueError(f"{name} cannot be part of it: such requests are never answered from the cache")
        return tuple(dict.fromkeys(name.lower() for name in names))
