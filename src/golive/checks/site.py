"""The site that is looked at: its pages and files, each fetched once for all families."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from golive.checks import page as pages
from golive.checks.model import Unanswered
from golive.checks.page import Page
from golive.checks.web import Entry, Exchange, Web
from golive.errors import UsageError

MOST_ASSETS = 8
"""Scripts and styles of a page that are looked at."""
HEALTH = ("/health", "/healthz", "/api/health", "/readiness", "/readyz", "/up", "/ping")
"""Where apps answer about themselves."""


_HOST = re.compile(r"[\w.-]{1,253}|[0-9a-fA-F:.]{2,45}")


@dataclass(frozen=True)
class Address:
    """What was asked for. `path` begins with a slash and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme] == self.port
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")

    @property
    def is_name(self) -> bool:
        """A name of the DNS: neither an address nor this machine's."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return "." in self.host and not self.host.endswith(".localhost")
        return False


def address(text: str) -> Address:
    """Of what a person typed: `example.com` too. UsageError for what is no address of a site."""
    given = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").encode("idna").decode() if parts.hostname else "", parts.port
    except (ValueError, UnicodeError) as error:
        raise UsageError(
            f"{text!r} is not an address", why=str(error), hint="golive check https://example.com"
        ) from error
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise UsageError(f"{text!r} is not the address of a site", hint="golive check https://example.com")
    if parts.username or parts.password:
        raise UsageError("an address with a password is not asked", hint="leave the part before the @ out")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], path)


@dataclass(frozen=True)
class Aim:
    """A site and how it may be asked. `origins` are those that may read it across origins, `health` paths that are
    known to answer about it; `http_port` is where plain HTTP is, if not 80; `roots` are trusted too."""

    at: Address
    roots: tuple[Path, ...] = ()
    http_port: int | None = None
    health: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    intrusive: bool = False
    limited: tuple[str, int] | None = None
    """A path with a limit for each client, and how many requests at once it allows."""
    untried: str = ""
    """Why none of the limits that are there is used up."""
    entry: Entry | None = None
    """What lets in to it, where it is golive's own and protected."""
    cache: Path | None = None
    """Where compiled rules are kept."""


class Site:
    """What checks share of a site, each fetched when the first of them asks."""

    def __init__(self, aim: Aim, web: Web, *, now: datetime | None = None) -> None:
        at = aim.at
        self.aim = aim
        self.at = at
        self.web = web
        self.http_port = aim.http_port or (80 if at.port == 443 else at.port if at.scheme == "http" else None)
        self.now = now or datetime.now(UTC)
        self.nowhere = f"/golive-check-{secrets.token_hex(6)}"
        self._found_health: asyncio.Task[list[Exchange]] | None = None

    def url(self, path: str) -> str:
        return urljoin(self.at.origin, path)

    async def home(self) -> Exchange:
        """Where the address leads, redirects followed. Raises Unanswered."""
        return (await self.web.follow(self.url(self.at.path)))[0]

    async def html(self) -> Exchange:
        """The home page, when it is one of HTML. Raises Unanswered."""
        home = await self.home()
        if home.type not in ("text/html", "application/xhtml+xml"):
            raise NoPage(f"{home.url} answers {home.type or 'nothing'}, which is no page")
        if not home.ok:
            raise NoPage(f"{home.url} answers {home.status}, which is no page")
        return home

    async def page(self) -> Page:
        home = await self.html()
        return pages.read(home.url, home.text)

    async def assets(self) -> list[Exchange]:
        """Its first scripts and styles, those that answer well."""
        urls = (await self.page()).assets[:MOST_ASSETS]
        asked = await asyncio.gather(*(self.web.ask(url) for url in urls), return_exceptions=True)
        return [one for one in asked if isinstance(one, Exchange) and one.ok]

    async def missing(self) -> Exchange:
        """What a path answers that no site has."""
        return await self.web.ask(self.url(self.nowhere))

    async def endpoints(self) -> list[Exchange]:
        """The answers of its health endpoints: those it was said to have, else those of the usual paths that answer
        otherwise than a path that is not there. The usual ones are asked once."""
        if self._found_health is None:
            self._found_health = asyncio.create_task(self._endpoints())
        return await asyncio.shield(self._found_health)

    async def _endpoints(self) -> list[Exchange]:
        paths = self.aim.health or HEALTH
        asked = await self.web.all([self.url(path) for path in paths])
        found = [one for one in asked if isinstance(one, Exchange)]
        if self.aim.health:
            return found
        nowhere = await self.missing()
        return [one for one in found if (one.ok or one.status == 503) and not _same(one, nowhere) and not _is_page(one)]


class NoPage(Unanswered):
    """The site shows no HTML there: what is about pages does not apply."""


def _same(one: Exchange, other: Exchange) -> bool:
    return one.status == other.status and one.content[:2000] == other.content[:2000]


def _is_page(answer: Exchange) -> bool:
    """HTML of an app that shows its first page everywhere; a health endpoint that answers HTML is rare and short."""
    return answer.type == "text/html" and len(answer.content) > 500
