"""`[edge.images]`: pictures that the edge makes smaller, from where, and how."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from golive.blueprint.fields import Duration, Model, Size

SOURCE_PATTERN = r"^(https://[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?)?(/[A-Za-z0-9_.~@-]+)*/\*?$"


class Images(Model):
    """`/_golive/image?url=…&w=…&q=…` answers with a smaller picture in a format that the browser takes."""

    sources: tuple[Annotated[str, Field(pattern=SOURCE_PATTERN)], ...] = Field(
        min_length=1,
        max_length=100,
        description="Folders whose pictures may be asked for: the app's own (`/uploads/*`) or of another server "
        "(`https://cdn.example.com/products/*`), whose address has to be a public one.",
    )
    widths: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = Field(
        (16, 32, 48, 64, 96, 128, 256, 384, 640, 750, 828, 1080, 1200, 1920, 2048, 3840),
        min_length=1,
        max_length=50,
        description="The only ones, in pixels.",
    )
    qualities: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        (75,), min_length=1, max_length=20, description="The only ones; the first where a request names none."
    )
    formats: tuple[Literal["avif", "webp"], ...] = Field(
        ("avif", "webp"), description="In this order, where the browser accepts one; else the picture's own."
    )
    ttl: Duration = Field(timedelta(days=1), description="How long a made picture is kept, here and in browsers.")
    max_size: Size = Field(20 * 10**6, description="Of a source; a longer one is refused.")
