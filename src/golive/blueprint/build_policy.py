"""`[build]` of golive.toml: what every build of the app may take."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from golive.blueprint.fields import Duration, Model, Size


class BuildPolicy(Model):
    """Limits of every build of the app."""

    memory: Size | None = Field(None, description="Limit for a build; half of the machine's when left out.")
    timeout: Duration = Field(timedelta(minutes=20), description="A build that takes longer is stopped.")
    disk: Size = Field(10 * 10**9, description="Budget for artifacts and layers no kept release needs.")
    bundle_budget: Size | None = Field(
        None, description="Most JavaScript a page may load, gzipped (Next.js, Vite); a build with more fails."
    )
