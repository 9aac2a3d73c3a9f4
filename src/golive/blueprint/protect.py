"""`protect` of golive.toml: an environment that only those see who are let in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from golive.blueprint.fields import Model
from golive.blueprint.shield import OpenPath

USER_PATTERN = r"^[^:\x00-\x1f\x7f]{1,60}$"


class Protect(Model):
    """Lets in whoever knows a password or has a link. A bare string is `password`; `true` is a link alone."""

    password: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        None, description="The secret variable whose value browsers ask for (HTTP Basic)."
    )
    user: str = Field("preview", pattern=USER_PATTERN, description="The name that goes with it.")
    link: bool = Field(False, description="A link that opens the environment in a browser; `golive link` shows it.")
    open: tuple[OpenPath, ...] = Field(
        (), max_length=50, description="Paths, and what is below them, that anybody may ask for: webhooks."
    )
