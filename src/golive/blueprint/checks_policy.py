"""`[checks]` of golive.toml: what the checklist lets pass, and what it asks beside its own questions."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from golive.blueprint.fields import Model


class IgnoredCheck(Model):
    """A check whose finding is known and may stay, for a while."""

    check: str = Field(description="Id of a check, such as `tls-hsts`, or a family, such as `dns`.")
    because: str = Field(min_length=1, description="Why it may stay, for whoever reads this later.")
    until: date = Field(description="The last day, such as 2027-03-31; after it the check counts again.")


class CheckedRequest(Model):
    """A request that a working app answers like this. Sent to the live app by `golive check`."""

    name: str = Field(min_length=1, max_length=60, description="What it shows to work: search, sign-in, upload.")
    path: str = Field(pattern=r"^/[^#\s]*$", description="Path and query.")
    method: Literal["GET", "HEAD", "OPTIONS"] = Field("GET", description="Only what changes nothing.")
    status: int = Field(200, ge=100, le=599, description="What it has to answer.")
    contains: str = Field("", description="Text that the body has to hold.")


class ChecksPolicy(Model):
    """The production checklist, `golive check`."""

    ignore: tuple[IgnoredCheck, ...] = Field((), description="What may stay as it is, until when, and why.")
    requests: tuple[CheckedRequest, ...] = Field((), description="What a working app has to answer.")
