"""What the edge should serve, as frozen values: sites, their routes, the upstreams behind them, certificates.

An upstream is one generation of a service, named like `threadr/production/api/d17`; routes name upstreams with weights,
so that a switch, a canary and a rollback are the same change of values.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from golive.blueprint.caching import CachedPath
from golive.blueprint.cors import Cors
from golive.blueprint.csp import Csp
from golive.blueprint.models import EdgePolicy, Quota, RateLimit
from golive.blueprint.routing import Rule
from golive.errors import Conflict
from golive.secret import Secret

KEEP_ALIVE = timedelta(seconds=1.5)
"""Below the keep-alive of every app server we start: gunicorn closes after 2 s, uvicorn and Node after 5 s. A
connection that the server closes while a POST is on its way cannot be retried without risk of doing it twice."""


@dataclass(frozen=True)
class Endpoint:
    """Where one instance listens: a host and port, or a Unix socket when `path` is set."""

    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None

    @classmethod
    def unix(cls, path: Path) -> Endpoint:
        return cls(path=path)


@dataclass(frozen=True)
class Upstream:
    """One generation of a service. Without endpoints nobody listens yet: requests wait as their route says.

    `health_path` turns on active checks; they only take a hung instance out when another one is well.
    `keepalive_idle` must stay below the keep-alive of the server behind.
    """

    name: str
    endpoints: tuple[Endpoint, ...] = ()
    health_path: str | None = None
    http2: bool = False
    keepalive_idle: timedelta = KEEP_ALIVE


@dataclass(frozen=True)
class Closed:
    """Requests are answered with 503 and a page instead of being served.

    `until` is when that ends, in seconds since 1970. `page` is HTML in place of golive's own. Requests from `allow`
    (networks) pass, and those with `token` as their cookie; without either nobody does.
    """

    title: str
    text: str
    until: float | None = None
    page: str | None = None
    allow: tuple[str, ...] = ()
    token: Secret | None = None

    @property
    def for_all(self) -> bool:
        """Nobody passes."""
        return not self.allow and self.token is None


@dataclass(frozen=True)
class Protected:
    """Only requests with `key` as their cookie pass, and those of `user` with `password`; all under `open` paths do.

    With `link` whoever comes with the key in the address gets the cookie.
    """

    key: Secret
    user: str = ""
    password: Secret | None = None
    link: bool = False
    open: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tokens:
    """What a JSON Web Token must be, and which paths need one; see `golive.blueprint.jwt.Jwt`.

    Keys are asked for at `url`, or they are `keys`. `ca` vouches for `url`: PEM, or the path of a file; nobody when it
    is empty. `claims` are pairs of a header and a claim.
    """

    url: str | None = None
    keys: str | None = None
    issuer: str | None = None
    audience: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    cookie: str | None = None
    forward: bool = True
    claims: tuple[tuple[str, str], ...] = ()
    ca: str = ""


@dataclass(frozen=True)
class HotFile:
    """A static file that Envoy answers itself: its `size` bytes are in `file`, and get `name` among the edge's own.

    `accepts` are the values of Accept-Encoding for which it is the answer: none means the header's absence, None
    whatever the client accepts. `path` is the one that the static server would see.
    """

    path: str
    file: Path
    name: str
    size: int
    headers: tuple[tuple[str, str], ...]
    accepts: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Share:
    """Which visitors take one of two ways. Those who bring `cookie` set to `key` do. Of those who bring neither that
    nor `other`, `percent` of 100 do, and are given the cookie; None: all whom nobody else took. Not `drawn`: nobody
    new.
    """

    cookie: str
    key: str
    other: str
    percent: int | None
    drawn: bool = True


@dataclass(frozen=True)
class RouteRule:
    """Requests under `prefix` go to `targets`, pairs of an upstream's name and a weight.

    `hold` keeps requests waiting that long while no instance accepts connections, for a service that cannot overlap.
    `request_headers` replace what the client sent under the same names. `domains` narrows the rule to some of the
    site's; empty means all. `timeout` zero means none; `idle_timeout` ends a silent stream. Without `compression` the
    edge leaves bodies alone: the upstream compresses by itself. `grpc` also answers gRPC-web. `rules` are redirects,
    rewrites and headers by path, in the order they are asked; paths in them are as the client sees them. `serves_files`
    is the static server, which looks for a file before it follows a rewrite that says so; `hot` are files that need not
    go there. `closed` answers in place of the targets. `share`: two rules have this prefix, and this one's visitors are
    those; the one with a percentage comes first. `cache` says which answers may be kept, `tokens` which requests need
    one, `csp` what its pages may load instead of what the site says, `cors` which pages may read its answers.
    """

    service: str
    prefix: str
    targets: tuple[tuple[str, int], ...]
    strip_prefix: bool = False
    timeout: timedelta = timedelta(0)
    idle_timeout: timedelta = timedelta(minutes=5)
    rate_limits: tuple[RateLimit, ...] = ()
    quotas: tuple[Quota, ...] = ()
    request_headers: tuple[tuple[str, str], ...] = ()
    hold: timedelta | None = None
    domains: tuple[str, ...] = ()
    compression: bool = True
    grpc: bool = False
    rules: tuple[Rule, ...] = ()
    serves_files: bool = False
    hot: tuple[HotFile, ...] = ()
    closed: Closed | None = None
    share: Share | None = None
    cache: tuple[CachedPath, ...] = ()
    tokens: Tokens | None = None
    csp: Csp | None = field(default=None, hash=False)
    cors: Cors | None = None


@dataclass(frozen=True)
class Canary:
    """Another release of a site, for those visitors; `rest` says who has the site's own."""

    share: Share
    rest: Share
    routes: tuple[RouteRule, ...]

    def rules_for(self, domain: str) -> tuple[RouteRule, ...]:
        return _on(self.routes, domain)


@dataclass(frozen=True)
class Site:
    """One environment of an app. `closed` answers in place of all of it, `protected` says who is let in.

    `probe` is the secret by which golive's own requests are known where something would stop them; `serves` are words
    of paths that the app has itself though no rule of the edge says so. `canary` is another release beside this one.
    """

    app: str
    environment: str
    domains: tuple[str, ...]
    routes: tuple[RouteRule, ...]
    policy: EdgePolicy = field(default_factory=EdgePolicy)
    closed: Closed | None = None
    protected: Protected | None = None
    probe: Secret | None = None
    serves: tuple[str, ...] = ()
    canary: Canary | None = None
    located: bool = False
    """There is a GeoIP database for `policy.country`."""
    proxied: bool = False
    """A client's address is known only after the first look at the routes, see `golive.edge.proxies`."""

    def rules_for(self, domain: str) -> tuple[RouteRule, ...]:
        """The rules that hold on a domain, longest prefix first."""
        return _on(self.routes, domain)

    @property
    def every_rule(self) -> tuple[RouteRule, ...]:
        """The canary's too."""
        return self.routes + (self.canary.routes if self.canary else ())

    @property
    def divided(self) -> bool:
        """Some service has a Content-Security-Policy of its own."""
        return any(rule.csp for rule in self.every_rule)

    def with_rules(self, change: Callable[[RouteRule], RouteRule]) -> Site:
        """The site with every rule changed, the canary's too."""
        canary = self.canary and replace(self.canary, routes=tuple(map(change, self.canary.routes)))
        return replace(self, routes=tuple(map(change, self.routes)), canary=canary)


@dataclass(frozen=True)
class Certificate:
    """`chain` is PEM, leaf first; `key` its private key in PEM. `names` may hold `*.example.com`."""

    names: tuple[str, ...]
    chain: str
    key: Secret

    def covers(self, domain: str) -> bool:
        """RFC 6125: a wildcard stands for exactly one label."""
        return domain in self.names or ("." in domain and f"*.{domain.split('.', 1)[1]}" in self.names)


@dataclass(frozen=True)
class Counter:
    """The Redis in which the quotas of `place` (`app/environment`) are counted; with `tls`, one that a public authority
    vouches for."""

    place: str
    host: str
    port: int
    user: str
    password: Secret
    database: int
    tls: bool = False


@dataclass(frozen=True)
class Challenge:
    """What an authority asks for over HTTP, before it signs a domain (RFC 8555, 8.3)."""

    domain: str
    path: str
    answer: str


@dataclass(frozen=True)
class Stream:
    """TCP connections to a port of loopback go to `endpoints` in turn, to `fallback` while none of them accepts any."""

    name: str
    port: int
    endpoints: tuple[Endpoint, ...]
    fallback: Endpoint


@dataclass(frozen=True)
class EdgeConfig:
    """All that the edge serves. Conflict when two sites claim a domain; ValueError when a route names no upstream."""

    sites: tuple[Site, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    streams: tuple[Stream, ...] = ()
    challenges: tuple[Challenge, ...] = ()
    counters: tuple[Counter, ...] = ()

    def __post_init__(self) -> None:
        owners: dict[str, Site] = {}
        for site in self.sites:
            for domain in site.domains:
                other = owners.setdefault(domain, site)
                if other is not site:
                    raise Conflict(
                        f"{domain} is claimed by two sites",
                        why=f"{other.app} ({other.environment}) and {site.app} ({site.environment}) both list it",
                        hint="give each its own domains in golive.toml",
                    )
        known = {u.name for u in self.upstreams}
        if len(known) != len(self.upstreams):
            raise ValueError("two upstreams have the same name")
        for site, rule in self.rules():
            missing = [name for name, _ in rule.targets if name not in known]
            if missing or not rule.targets:
                raise ValueError(f"{site.app} {rule.prefix}: no upstream {', '.join(missing) or 'at all'}")

    def rules(self) -> Iterator[tuple[Site, RouteRule]]:
        return ((site, rule) for site in self.sites for rule in site.every_rule)

    @property
    def caches(self) -> bool:
        """Whether any answer may be kept."""
        return any(rule.cache for _, rule in self.rules())

    @property
    def trusted(self) -> tuple[str, ...]:
        """Networks whose word for a client's address is believed; the listeners are of all sites, and so are they."""
        return tuple(sorted({network for site in self.sites for network in site.policy.trusted_proxies}))

    @property
    def pictures(self) -> bool:
        """Whether any site has pictures made smaller."""
        return any(site.policy.images for site in self.sites)

    def owners(self) -> dict[str, Site]:
        """Every domain's site."""
        return {domain: site for site in self.sites for domain in site.domains}

    def certificate(self, domain: str) -> Certificate | None:
        """The first certificate that covers the domain, one that names it exactly before a wildcard."""
        exact = (c for c in self.certificates if domain in c.names)
        return next(exact, next((c for c in self.certificates if c.covers(domain)), None))

    def tls_domains(self) -> tuple[str, ...]:
        """Domains served over TLS: those of https sites that have a certificate, sorted."""
        wanted = (d for s in self.sites if s.policy.https for d in s.domains)
        return tuple(sorted(d for d in wanted if self.certificate(d)))


def _on(rules: tuple[RouteRule, ...], domain: str) -> tuple[RouteRule, ...]:
    found = [r for r in rules if not r.domains or domain in r.domains]
    return tuple(sorted(found, key=lambda r: (-len(r.prefix), r.prefix, r.share is None or r.share.percent is None)))


def cluster_name(upstream: str) -> str:
    """The upstream's name as an Envoy cluster: `:` and `.` would blur in statistics, so all but `/-_~` is %-encoded."""
    return urllib.parse.quote(upstream, safe="/-_~").replace(".", "%2E")


def upstream_name(cluster: str) -> str:
    """The inverse of `cluster_name`."""
    return urllib.parse.unquote(cluster)
