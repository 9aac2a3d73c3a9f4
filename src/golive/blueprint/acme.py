"""`[edge] acme` of golive.toml: who signs the certificates of public domains."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from golive.blueprint.fields import Model

Directory = Annotated[str, Field(pattern=r"^https://[^\s]+$", max_length=500)]


class Acme(Model):
    """Certificates by ACME (RFC 8555), answered over HTTP. Names that only this machine knows get the local CA's."""

    email: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", description="Where the authority writes to, should it have to."
    )
    staging: bool = Field(False, description="Let's Encrypt's staging: no browser trusts it, and its limits are high.")
    directory: Directory | None = Field(None, description="Another authority's directory; Let's Encrypt's else.")
    fallback: tuple[Directory, ...] = Field(
        (), description="Directories asked, in this order, when the first authority is away or refuses for a while."
    )
    ca_file: str | None = Field(
        None, pattern=r"^/", description="PEM file on golive's machine that vouches for a directory of your own."
    )
