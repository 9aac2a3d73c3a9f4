"""An app of golive's own, as its clients see it: facts come from the daemon's API, each asked once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from golive.blueprint.models import Blueprint
from golive.checks.model import Evidence, Unanswered
from golive.checks.site import Site
from golive.errors import GoliveError

T = TypeVar("T")
Ask = Callable[[str], Any]
"""The daemon's answer to a fact's name; raises GoliveError."""


class App:
    """`ask` is called in a thread. `blueprint` is that of the checkout, else of the live release."""

    def __init__(
        self, name: str, environment: str, ask: Ask, blueprint: Blueprint, *, site: Site | None, checkout: Path | None
    ) -> None:
        self.name = name
        self.environment = environment
        self.blueprint = blueprint
        self.site = site
        self.checkout = checkout
        self._ask = ask
        self._asked: dict[str, asyncio.Task[Any]] = {}

    async def fact(self, name: str) -> Any:
        """What `golive <name>` would show. Raises Unanswered with the daemon's reason."""
        if name not in self._asked:
            self._asked[name] = asyncio.create_task(_aside(self._ask, name))
        try:
            return await asyncio.shield(self._asked[name])
        except GoliveError as error:
            raise Unanswered(f"{error.what}" + (f": {error.why}" if error.why else "")) from error

    async def once(self, name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `make` gives, made for the first who asks, for all checks that look at it."""
        if name not in self._asked:
            self._asked[name] = asyncio.create_task(make())
        found: T = await asyncio.shield(self._asked[name])
        return found

    async def status(self) -> dict[str, Any]:
        """What runs. Raises Unanswered when nothing does."""
        apps = (await self.fact("status"))["apps"]
        if not apps or not apps[0]["release"]:
            raise Unanswered(f"{self.name} ({self.environment}) is not live here")
        found: dict[str, Any] = apps[0]
        return found

    async def variables(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.fact("env"))["variables"]
        return rows

    def said(self, command: str, text: str) -> Evidence:
        return Evidence(f"golive {command} --app {self.name} -e {self.environment}", text)


async def _aside(ask: Ask, name: str) -> Any:
    """In a thread that nobody waits for at the end: with Ctrl-C the process goes, and the daemon, which hears of it,
    takes away what it was making."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def done(found: Any, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def work() -> None:
        found: Any = None
        error: Exception | None = None
        try:
            found = ask(name)
        except Exception as failure:  # raised where it is awaited
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(done, found, error)

    threading.Thread(target=work, daemon=True).start()
    return await answer
