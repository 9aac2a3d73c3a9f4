"""The edge's policies, one site each, what asks for it, and what shows that it is at work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from benchmarks.peers import HOST
from golive.blueprint.caching import CachedPath
from golive.blueprint.cors import Cors
from golive.blueprint.csp import Csp
from golive.blueprint.models import EdgePolicy, HeaderRule, Quota, RateLimit, Redirect, Rewrite
from golive.blueprint.routing import Rule, compile_headers, compile_redirect, compile_rewrite
from golive.edge.headers import SECURITY
from golive.edge.model import Canary, Protected, RouteRule, Share, Site, Tokens
from golive.edge.shares import RELEASE
from golive.secret import Secret

OLD, NEW = "bench/web/d1", "bench/web/d2"
Headers = tuple[tuple[str, str], ...]
LARGE, PICTURE, SLUG, UPLOAD = "/large.json", "/uploads/photo.png", "/blog/one-of-them", "/blog/upload"
BROWSER: Headers = (("accept-encoding", "gzip, deflate, br, zstd"),)
ORIGIN = "https://app.bench.localhost"
KEY = Secret("a-key-of-a-preview-that-nobody-guesses")
PASS, STAYS = f"golive-key={KEY.reveal()}", f"{RELEASE}=1.2"
MANY = {"limit": "1000000/s", "burst": 1000000}


@dataclass(frozen=True)
class Ask:
    """A request, and its answer. `shows`: headers with a text in each; `hides`: headers that are not there."""

    path: str = "/"
    headers: Headers = ()
    status: int = 200
    shows: Mapping[str, str] = field(default_factory=dict)
    hides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A policy. `site` is measured beside `base`, a case without it; where it is `left_out`, `site` is the one without.

    `refuses` shows further that it is at work; `edge` says on which one of `policy_edge`.
    """

    name: str
    site: str
    ask: Ask = Ask()
    base: str = "plain"
    left_out: bool = False
    refuses: Ask | None = None
    edge: str = "shared"
    logged: bool = True

    @property
    def host(self) -> str:
        return f"{self.site}.{HOST}"


def bearer(token: str) -> Headers:
    return (("authorization", f"Bearer {token}"),)


def cases(tokens: Mapping[str, str]) -> tuple[Case, ...]:
    """With tokens that hold, by algorithm. Those that only others are measured beside have no base of their own."""
    mine, usual = bearer(tokens["ES256"]), bearer(tokens["RS256"])
    limited = {"x-ratelimit-limit": "1000000"}
    cors = {"access-control-allow-origin": ORIGIN}
    asked = Ask(headers=(("origin", ORIGIN),), shows=cors)
    image = Ask(f"/_golive/image?url={PICTURE}&w=64", (("accept", "image/webp"),), shows={"content-type": "image/webp"})
    return (
        Case("plain", "plain", Ask(shows={"strict-transport-security": "max-age", "x-frame-options": "DENY"}), ""),
        Case("alone", "plain", Ask(), "", edge="alone"),
        Case("8 KB", "plain", Ask(LARGE, hides=("content-encoding",)), ""),
        Case("JWT by JWKS, RS256", "jwt", Ask(headers=usual), refuses=Ask(status=401)),
        Case("JWT by JWKS, ES256", "jwt", Ask(headers=mine), refuses=Ask(status=401)),
        Case("JWT by keys in a file, ES256", "file", Ask(headers=mine), refuses=Ask(status=401)),
        Case("timeout, retries, body limit", "plain", base="alone", left_out=True, edge="stripped"),
        Case("filters that other apps' policies need", "plain", base="plain", left_out=True, edge="alone"),
        Case("security headers", "bare", Ask(hides=tuple(SECURITY)), left_out=True),
        Case("request log", "silent", left_out=True, logged=False),
        Case("Content-Security-Policy of one's own", "csp", Ask(shows={"content-security-policy": "'self'"})),
        Case("compression on offer, answer too small", "uncompressed", Ask(headers=BROWSER), left_out=True),
        *(_compressed(coding) for coding in ("zstd", "br", "gzip")),
        Case("headers by path", "headers", Ask(shows=cors)),
        Case("headers by path, for some origins", "origins", asked, refuses=Ask(hides=tuple(cors))),
        Case("CORS", "cors", asked, refuses=Ask(hides=tuple(cors))),
        Case("redirect, beside an answer of the app", "rules", Ask("/old/1", status=308, shows={"location": "/new/1"})),
        Case("rewrite", "rules", Ask(SLUG, shows={"x-seen-path": "/posts/one-of-them"})),
        Case("rewrite with a query", "rules", Ask("/find/1", shows={"x-seen-path": "/search?q=1"})),
        Case("rate limit, each client", "client", Ask(shows=limited)),
        Case("rate limit, whole service", "service", Ask(shows=limited)),
        Case("rate limit, a header", "keyed", Ask(headers=(("x-api-key", "one"),), shows=limited)),
        Case("rate limit, a claim", "claim", Ask(headers=usual, shows=limited), "JWT by JWKS, RS256"),
        Case("quota in Redis", "quota", Ask(headers=(("x-api-key", "one"),), shows={"ratelimit": "day"})),
        Case("shield", "shield", refuses=Ask("/.env", status=404)),
        Case("shield, log only", "shadow", refuses=Ask("/.env")),
        Case("protected, by its cookie", "protected", Ask(headers=(("cookie", PASS),)), refuses=Ask(status=401)),
        Case("country header", "country", Ask(shows={"x-seen-country": "DE"})),
        Case("canary, sticky visitor", "canary", Ask(headers=(("cookie", STAYS),), hides=("set-cookie",))),
        Case("canary, new visitor", "canary", Ask(shows={"set-cookie": RELEASE})),
        Case("cache, a hit", "kept", Ask(shows={"cache-status": "hit"})),
        Case("image, a hit, beside an answer of the app", "images", image),
        Case("all of them", "all", everything(tokens["RS256"]), refuses=Ask("/.env", status=404)),
    )


def _compressed(coding: str) -> Case:
    ask = Ask(LARGE, (("accept-encoding", coding),), shows={"content-encoding": coding})
    return Case(f"compression of 8 KB, {coding}", "plain", ask, "8 KB")


def everything(token: str) -> Ask:
    """To the site that has all that go together; the token comes as a cookie."""
    cookies = f"{PASS}; {STAYS}; session={token}"
    shown = {"x-ratelimit-limit": "1000000", "ratelimit": "day", "x-seen-country": "DE", "x-seen-path": "/posts/one"}
    headers = (("cookie", cookies), ("x-api-key", "one"), ("origin", ORIGIN), *BROWSER)
    return Ask(SLUG, headers, shows=shown | {"access-control-allow-origin": ORIGIN})


def site(name: str, rule: RouteRule | None = None, *, policy: Mapping[str, Any] | None = None, **more: Any) -> Site:
    made = EdgePolicy.model_validate(policy or {})
    more.setdefault("domains", (f"{name}.{HOST}",))
    return Site(name, "production", routes=(rule or route(),), policy=made, **more)


def route(to: str = OLD, **fields: Any) -> RouteRule:
    return RouteRule("web", "/", ((to, 1),), **{"timeout": timedelta(seconds=30), **fields})


def sites(tokens: Tokens, keys: str) -> tuple[Site, ...]:
    """Each with one policy, but for `all`. `tokens` is how tokens are checked, `keys` the JWKS itself."""
    client, service, claim = (limit(per) for per in ("client", "service", "claim:sub"))
    quota = Quota.model_validate({"limit": "1000000000/day", "per": "header:X-Api-Key"})
    kept = CachedPath.model_validate({"path": "/", "ttl": "1h"})
    csp = Csp.model_validate({"directives": {"script-src": ["'self'", "https://cdn.bench.localhost"]}})
    images = {"sources": ["/uploads/*"], "widths": [64]}
    pair = _canary(route(NEW))
    guard = Protected(KEY, "bench", Secret("a password"))
    session = replace(tokens, cookie="session")
    full: dict[str, Any] = {
        "rules": _rules(),
        "cors": Cors(origins=(ORIGIN,)),
        "rate_limits": (client, service, claim),
        "quotas": (quota,),
        "tokens": session,
    }
    return (
        site("plain"),
        site("bare", policy={"headers": dict.fromkeys(SECURITY, ""), "hsts": "0s"}),
        site("silent", policy={"access_log": False}),
        site("uncompressed", policy={"compression": False}),
        site("csp", policy={"csp": csp}),
        site("headers", route(rules=(_header(),))),
        site("origins", route(rules=_origins())),
        site("cors", route(cors=Cors(origins=(ORIGIN,)))),
        site("rules", route(rules=_rules())),
        site("client", route(rate_limits=(client,))),
        site("service", route(rate_limits=(service,))),
        site("keyed", route(rate_limits=(limit("header:X-Api-Key"),))),
        site("jwt", route(tokens=tokens)),
        site("file", route(tokens=replace(tokens, url=None, keys=keys))),
        site("claim", route(tokens=tokens, rate_limits=(claim,))),
        site("quota", route(quotas=(quota,))),
        site("shield", policy={"shield": {}}),
        site("shadow", policy={"shield": {"mode": "log"}}),
        site("protected", protected=guard),
        site("country", policy={"country": True}),
        site("canary", canary=pair),
        site("kept", route(cache=(kept,))),
        site("images", policy={"images": images}),
        site(
            "all",
            route(**full),
            policy={"csp": csp, "shield": {}, "country": True, "images": images},
            protected=guard,
            canary=_canary(route(NEW, **full)),
        ),
    )


def limit(per: str) -> RateLimit:
    return RateLimit.model_validate({**MANY, "per": per})


def _canary(new: RouteRule) -> Canary:
    return Canary(Share(RELEASE, "2", "1.2", 20), Share(RELEASE, "1.2", "2", None), (new,))


def _header() -> Rule:
    return compile_headers(HeaderRule(source="/(.*)", headers=allowing(ORIGIN)))


def _origins() -> tuple[Rule, ...]:
    has = [{"type": "header", "key": "origin", "value": "(?<from>https://[a-z]+\\.bench\\.localhost)"}]
    wanted = {"source": "/(.*)", "has": has, "headers": allowing("$from")}
    return (compile_headers(HeaderRule.model_validate(wanted)),)


def allowing(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
        "Access-Control-Allow-Headers": "content-type, authorization",
        "Vary": "Origin",
    }


def _rules() -> tuple[Rule, ...]:
    return (compile_redirect(Redirect(source="/old/:id", destination="/new/:id", status=308)), *rewrites())


def rewrites() -> tuple[Rule, ...]:
    return (
        compile_rewrite(Rewrite(source="/blog/:slug", destination="/posts/:slug")),
        compile_rewrite(Rewrite(source="/find/:word", destination="/search?q=:word")),
    )
