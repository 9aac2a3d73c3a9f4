"""`jwt` of a service in golive.toml: requests need a token that the edge has checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from golive.blueprint.fields import Model
from golive.blueprint.shield import OpenPath

COOKIE_PATTERN = r"^[A-Za-z0-9_.-]{1,60}$"
CLAIM_HEADER_PATTERN = r"^[Xx]-[A-Za-z0-9-]{1,60}$"
CLAIM_PATTERN = r"^[A-Za-z0-9_.:/-]{1,100}$"


class Jwt(Model):
    """A valid JSON Web Token (RFC 7519) for every request, in `Authorization: Bearer`, or 401."""

    jwks: str = Field(
        max_length=500, description="Public keys: an `https://` address that the edge asks, or a file of the checkout."
    )
    issuer: str | None = Field(None, max_length=500, description="What `iss` has to be.")
    audience: tuple[str, ...] = Field((), max_length=20, description="`aud` has to have one of these; else 403.")
    paths: tuple[OpenPath, ...] = Field(
        (), max_length=50, description="Only these and what is below them, as the client sees them; all when left out."
    )
    exempt: tuple[OpenPath, ...] = Field(
        (), alias="except", max_length=50, description="Not these, nor what is below them; the longest path decides."
    )
    cookie: str | None = Field(None, pattern=COOKIE_PATTERN, description="A cookie in which the token may be, too.")
    forward: bool = Field(True, description="false: the service does not see the token itself.")
    claims: dict[Annotated[str, Field(pattern=CLAIM_HEADER_PATTERN)], Annotated[str, Field(pattern=CLAIM_PATTERN)]] = (
        Field({}, description='Headers for the service, in place of what a client sent: `{ "x-user-id" = "sub" }`.')
    )
    ca_file: str | None = Field(
        None, pattern=r"^/", description="PEM file on golive's machine that vouches for `jwks` of your own."
    )
    keys: str | None = Field(None, description="What the file of `jwks` held; filled in by golive.")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
