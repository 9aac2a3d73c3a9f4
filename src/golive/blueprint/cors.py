"""`[services.<name>.cors]` of golive.toml: pages of which other sites may read a service's answers (Fetch, WHATWG)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from golive.blueprint.fields import Duration, Model

ANY: Final = "*"
_ALLOW: Final = "access-control-allow-"
SAID: Final = (
    *(f"{_ALLOW}{part}" for part in ("origin", "credentials", "methods", "headers")),
    *("access-control-expose-headers", "access-control-max-age"),
)
"""Headers of answers about it."""
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ORIGIN: Final = rf"https?://(?:\*\.)?(?:{_LABEL}\.)*{_LABEL}(?::[0-9]{{1,5}})?"
_NAME: Final = "[A-Za-z0-9._-]{1,100}"
_USUAL: Final = {"http": ":80", "https": ":443"}


def _origin(value: str) -> str:
    if value == ANY:
        return value
    if value == "null":
        raise ValueError("is what every sandboxed page and local file says of itself, whoever made it")
    if len(value) > 300 or not re.fullmatch(_ORIGIN, value):
        raise ValueError("must be an origin as browsers send it: `https://shop.dev`, `https://*.shop.dev`, or `*`")
    if value.endswith(_USUAL[value.partition(":")[0]]):
        raise ValueError("has the usual port of its scheme, which browsers leave out")
    return value


def _name(value: str) -> str:
    if value != ANY and not re.fullmatch(_NAME, value):
        raise ValueError("must be the name of a header, or `*` for any")
    return value


HeaderName = Annotated[str, AfterValidator(_name)]


class Cors(Model):
    """Answers of the edge to what browsers ask before and after a request from another origin. What the application
    says about it itself is replaced."""

    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        min_length=1,
        max_length=50,
        description="Origins whose pages may read answers; the one that asks is echoed. `*`: every page.",
    )
    credentials: bool = Field(False, description="Also with cookies and HTTP authentication; not with `*`.")
    methods: tuple[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], ...] = Field(
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), min_length=1, description="Methods that pages may use."
    )
    headers: tuple[HeaderName, ...] = Field(
        ("Authorization", "Content-Type"), max_length=50, description="Request headers that pages may send; `*`: any."
    )
    expose: tuple[HeaderName, ...] = Field((), max_length=50, description="Answer headers that pages may read.")
    max_age: Duration = Field(timedelta(minutes=10), description="How long a browser may remember the permission.")

    @model_validator(mode="after")
    def _sound(self) -> Cors:
        if ANY in self.origins and len(self.origins) > 1:
            raise ValueError("`*` stands alone in `origins`")
        if ANY in self.origins and self.credentials:
            raise ValueError("`credentials` with `*` would let every page act as its visitor; list the origins")
        return self
