"""What one run of the checklist is about: a URL, or an app of golive's own with the site that it serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from golive.blueprint.checks_policy import ChecksPolicy
from golive.blueprint.models import Blueprint
from golive.checks.app import App, Ask
from golive.checks.model import Check, Result
from golive.checks.run import run
from golive.checks.site import Aim, Site
from golive.checks.web import Bounds, Web

LOCAL = Bounds(requests=250, total=100 * 10**6)
"""What golive serves itself may be asked more often."""


@dataclass(frozen=True)
class Deployed:
    """An app of golive's own."""

    name: str
    environment: str
    blueprint: Blueprint
    ask: Ask
    checkout: Path | None


@dataclass(frozen=True)
class Subject:
    """`aim` is None where nothing answers requests."""

    title: str
    aim: Aim | None
    deployed: Deployed | None = None

    @property
    def policy(self) -> ChecksPolicy:
        return self.deployed.blueprint.checks if self.deployed else ChecksPolicy()

    async def examine(self, checks: Sequence[Check], told: Callable[[Result], None]) -> list[Result]:
        """Every check's result; `told` hears each as it comes."""
        web = Web(self.aim.at.origin, LOCAL if self.deployed else None, self.aim.entry) if self.aim else None
        site = Site(self.aim, web) if self.aim and web else None
        own = self.deployed
        app = App(own.name, own.environment, own.ask, own.blueprint, site=site, checkout=own.checkout) if own else None
        try:
            return await run(checks, site, app, told=told)
        finally:
            if web:
                await web.close()
