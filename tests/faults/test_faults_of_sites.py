"""One fault at a time in a site that does everything right: the check that should find it does, and the good one raises
no alarm."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from faults_server import PAGE, RULES, SCRIPT, Good, Request, Response, authority, certificate, served

from golive.checks import catalog
from golive.checks.model import Result, Status
from golive.checks.run import run
from golive.checks.site import Aim, Site, address
from golive.checks.web import Bounds, Web

CHECKS = {check.id: check for check in catalog.checks(app=False)}
WRONG = (Status.FAIL, Status.WARNING)
OF_THE_SERVER = {"performance-http2"}
"""What this small server cannot do right: it speaks HTTP/1.1."""


@dataclass(frozen=True)
class Ground:
    """Where sites stand: a root to trust and a good certificate, made once."""

    folder: Path
    root: Path
    signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
    certificate: Path


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("ground")
    root, signer = authority(folder)
    return Ground(folder, root, signer, certificate(folder, signed=signer))


async def examine(
    ground: Ground,
    good: Good,
    ids: list[str],
    *,
    pem: Path | None = None,
    plain: bool = False,
    intrusive: bool = True,
    bounds: Bounds | None = None,
) -> list[Result]:
    """The site on loopback, and plain HTTP beside it that redirects there."""
    beside = Good()
    async with served(good, None if plain else pem or ground.certificate) as port, served(beside, None) as http:
        scheme = "http" if plain else "https"
        to = f"{scheme}://localhost:{port}/"

        def redirect(request: Request, response: Response) -> None:
            response.status, response.headers["location"] = 308, to

        if "plain-http" not in good.headers:
            beside.changes.append(redirect)
        good.headers.pop("plain-http", None)
        aim = Aim(address(to), (ground.root,), http, origins=tuple(good.origins), intrusive=intrusive, cache=RULES)
        web = Web(to, bounds or Bounds(requests=250, timeout=30))
        try:
            return await run([CHECKS[id] for id in ids], Site(aim, web), None)
        finally:
            await web.close()


async def test_a_good_site_raises_no_alarm(ground: Ground) -> None:
    good = Good(limit=30)
    results = await examine(ground, good, list(CHECKS))
    wrong = {r.check.id: r.outcome.text for r in results if r.status in (*WRONG, Status.COULD_NOT_TELL)}
    assert {id: text for id, text in wrong.items() if id not in OF_THE_SERVER} == {}
    passed = {r.check.id for r in results if r.status is Status.PASS}
    not_here = {r.check.id for r in results} - passed - OF_THE_SERVER
    assert not_here <= {id for id in CHECKS if id.startswith("dns-")} | {"content-integrity", "rate-limit-spoofed"}
    assert all(r.outcome.evidence for r in results if r.status is Status.PASS)
    assert {request.method for request in good.asked} <= {"GET", "OPTIONS"}
    assert all("golive-check" in request.headers["user-agent"] for request in good.asked)
    assert not any("cookie" in request.headers or "authorization" in request.headers for request in good.asked)


Plant = Callable[[Good], Any]


def header(name: str, value: str | None) -> Plant:
    def plant(good: Good) -> None:
        good.headers.pop(name, None)
        if value is not None:
            good.headers[name] = value

    return plant


def page(old: str, new: str) -> Plant:
    def plant(good: Good) -> None:
        assert old in good.page
        good.page = good.page.replace(old, new)

    return plant


def file(path: str, body: bytes, kind: str = "text/plain") -> Plant:
    return lambda good: good.files.update({path: (kind, body)})


def answers(change: Callable[[Request, Response], None], *paths: str) -> Plant:
    def only(request: Request, response: Response) -> None:
        if not paths or request.path in paths:
            change(request, response)

    return lambda good: good.changes.append(only)


def status(code: int) -> Callable[[Request, Response], None]:
    return lambda request, response: setattr(response, "status", code)


def sends(**headers: str) -> Callable[[Request, Response], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, response: response.headers.update(named)


def drops(*names: str) -> Callable[[Request, Response], None]:
    return lambda request, response: [response.headers.pop(name, None) for name in names] and None


def says(body: bytes) -> Callable[[Request, Response], None]:
    return lambda request, response: setattr(response, "body", body)


def both(*plants: Plant) -> Plant:
    return lambda good: [plant(good) for plant in plants]


def cookie(text: str) -> Plant:
    return lambda good: setattr(good, "cookie", text)


def echoes(request: Request, response: Response) -> None:
    if origin := request.headers.get("origin"):
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-allow-credentials"] = "true"


def echoes_if(test: Callable[[str], bool]) -> Callable[[Request, Response], None]:
    def change(request: Request, response: Response) -> None:
        if test(request.headers.get("origin", "")):
            echoes(request, response)

    return change


def bare_errors(request: Request, response: Response) -> None:
    if response.status == 404:
        response.headers.clear()


class Alternating:
    """Every other answer is another."""

    def __init__(self, change: Callable[[Request, Response], None]) -> None:
        self.change, self.count = change, 0

    def __call__(self, request: Request, response: Response) -> None:
        self.count += 1
        if self.count % 2 == 0:
            self.change(request, response)


def spoofable(good: Good) -> None:
    good.limit = 10

    def let_in(request: Request, response: Response) -> None:
        if request.headers.get("x-forwarded-for"):
            response.status = 200

    good.changes.append(let_in)


def stuck(good: Good) -> None:
    good.limit = 10
    good.until = float("inf")


def slow_first(good: Good) -> None:
    good.pause = 0.9


STRIPE = "sk_live_" + "51Mq7vRkLz8pNwXcT4bGhYdJf"

FAULTS: list[tuple[str, str, Plant]] = [
    ("health-answers", "500", answers(status(500), "/")),
    ("health-answers", "garbage", lambda good: setattr(good, "raw", b"\x00\x01\x02 garbage\r\n\r\n")),
    ("health-answers", "closes", lambda good: setattr(good, "raw", b"")),
    ("health-answers", "404", both(answers(status(404), "/"), lambda good: good.files.pop("/health"))),
    ("health-endpoint", "none", lambda good: good.files.pop("/health")),
    ("health-endpoint", "503", answers(status(503), "/health")),
    ("health-honest", "says down", file("/health", b'{"status":"ok","services":{"db":"down"}}', "application/json")),
    ("health-honest", "says false", file("/health", b'{"redis_connected": false}', "application/json")),
    ("health-discreet", "url", file("/health", b'{"db": "postgres://app:geheim@db/app"}', "application/json")),
    ("health-discreet", "key", file("/health", b'{"OPENAI_API_KEY": "set"}', "application/json")),
    ("health-steady", "every other fails", answers(Alternating(status(502)), "/")),
    ("tls-redirect", "plain http serves", header("plain-http", "yes")),
    ("tls-hsts", "none", header("strict-transport-security", None)),
    ("tls-hsts", "off", header("strict-transport-security", "max-age=0")),
    ("tls-hsts", "a day", header("strict-transport-security", "max-age=86400")),
    ("tls-versions", "1.0", lambda good: good.tls.update(minimum_version=ssl.TLSVersion.TLSv1)),
    ("tls-versions", "1.1", lambda good: good.tls.update(minimum_version=ssl.TLSVersion.TLSv1_1)),
    ("tls-modern", "1.2 only", lambda good: good.tls.update(maximum_version=ssl.TLSVersion.TLSv1_2)),
    ("headers-csp", "none", header("content-security-policy", None)),
    ("headers-csp", "inline", header("content-security-policy", "script-src 'self' 'unsafe-inline'")),
    ("headers-csp", "star", header("content-security-policy", "default-src *")),
    ("headers-csp", "nothing of scripts", header("content-security-policy", "frame-ancestors 'none'")),
    ("headers-frames", "none", header("content-security-policy", "default-src 'self'")),
    (
        "headers-frames",
        "ALLOWALL",
        lambda g: g.headers.update({"content-security-policy": "", "x-frame-options": "ALLOWALL"}),
    ),
    ("headers-nosniff", "none", header("x-content-type-options", None)),
    ("headers-referrer", "unsafe", header("referrer-policy", "unsafe-url")),
    ("headers-referrer", "none", header("referrer-policy", None)),
    ("headers-permissions", "none", header("permissions-policy", None)),
    ("headers-leaks", "server", header("server", "nginx/1.18.0")),
    ("headers-leaks", "powered by", header("x-powered-by", "Express")),
    ("headers-api", "errors without", lambda good: good.changes.append(bare_errors)),
    ("cors-stranger", "echoes all", answers(echoes)),
    (
        "cors-stranger",
        "star with credentials",
        answers(sends(access_control_allow_origin="*", access_control_allow_credentials="true")),
    ),
    ("cors-stranger", "star", answers(sends(access_control_allow_origin="*"))),
    ("cors-null", "null", answers(echoes_if(lambda origin: origin == "null"))),
    ("cors-lookalike", "by its end", answers(echoes_if(lambda origin: origin.endswith("localhost")))),
    ("cors-lookalike", "by its beginning", answers(echoes_if(lambda origin: origin.startswith("https://localhost")))),
    ("cors-own", "not allowed", answers(drops("access-control-allow-origin"))),
    ("cors-vary", "no vary", answers(sends(vary="accept-encoding"))),
    ("cookies-secure", "bare", cookie("session=1; HttpOnly; SameSite=Lax")),
    ("cookies-httponly", "bare", cookie("session=1; Secure; SameSite=Lax")),
    ("cookies-samesite", "none said", cookie("session=1; Secure; HttpOnly")),
    ("cookies-samesite", "none, not secure", cookie("session=1; HttpOnly; SameSite=None")),
    ("cookies-scope", "wide", cookie("session=1; Secure; HttpOnly; SameSite=Lax; Domain=tea.test")),
    ("rate-limit-enforced", "none", lambda good: None),
    ("rate-limit-told", "no Retry-After", lambda g: (setattr(g, "limit", 10), g.changes.append(drops("retry-after")))),
    (
        "rate-limit-told",
        "503",
        lambda g: (
            setattr(g, "limit", 10),
            g.changes.append(lambda q, r: setattr(r, "status", 503 if r.status == 429 else r.status)),
        ),
    ),
    ("rate-limit-spoofed", "believes the header", spoofable),
    ("caching-validators", "none", answers(drops("etag"))),
    (
        "caching-validators",
        "200 again",
        answers(lambda q, r: setattr(r, "status", 200 if r.status == 304 else r.status)),
    ),
    ("caching-assets", "short", answers(sends(cache_control="max-age=60"), SCRIPT)),
    ("caching-assets", "no-cache", answers(sends(cache_control="no-cache"), SCRIPT)),
    ("caching-html", "a day", answers(sends(cache_control="max-age=86400"), "/")),
    ("caching-html", "silent", answers(drops("cache-control"), "/")),
    ("caching-shared", "public cookie", answers(sends(cache_control="public, max-age=600"), "/")),
    ("caching-shared", "s-maxage", answers(sends(cache_control="s-maxage=600"), "/")),
    ("caching-health", "cached", answers(sends(cache_control="max-age=300"), "/health")),
    ("caching-versions", "two tags", answers(Alternating(sends(etag='"other"')), SCRIPT, "/assets/style-9f8e7d6c.css")),
    ("compression-text", "none", lambda good: setattr(good, "encodings", ())),
    ("compression-modern", "gzip only", lambda good: setattr(good, "encodings", ("gzip",))),
    ("compression-vary", "none", answers(drops("vary"))),
    ("compression-honest", "always gzip", answers(sends(content_encoding="gzip"), "/")),
    ("content-title", "none", page("<title>Tea by post</title>", "")),
    ("content-title", "template", page("Tea by post</title>", "Vite + React</title>")),
    (
        "content-charset",
        "none",
        lambda g: (
            page('<meta charset="utf-8">', "")(g),
            g.changes.append(lambda q, r: r.headers.update({"content-type": "text/html"}) if q.path == "/" else None),
        ),
    ),
    ("content-mixed", "script", page("</head>", '<script src="http://cdn.test/x.js"></script></head>')),
    ("content-mixed", "form", page('action="/search"', 'action="http://localhost/search"')),
    (
        "content-missing",
        "200 for files",
        answers(lambda q, r: setattr(r, "status", 200 if r.status == 404 else r.status)),
    ),
    ("content-missing", "500", answers(lambda q, r: setattr(r, "status", 500 if r.status == 404 else r.status))),
    ("content-assets", "gone", lambda good: good.files.pop(SCRIPT)),
    ("content-assets", "a page instead", file(SCRIPT, b"<html>", "text/html")),
    ("content-types", "plain", file(SCRIPT, b"export {}", "text/plain")),
    ("content-dotfiles", "env", file("/.env", b"DATABASE_URL=postgres://x\nSECRET=y\n")),
    ("content-dotfiles", "git", file("/.git/HEAD", b"ref: refs/heads/main\n")),
    ("content-listing", "uploads", file("/uploads/", b"<html><title>Index of /uploads/</title>", "text/html")),
    ("content-listing", "listed", file("/assets/", b"<html><title>Index of /assets/</title>", "text/html")),
    ("content-errors", "python", answers(says(b"<pre>Traceback (most recent call last):\n File x"))),
    (
        "content-errors",
        "node",
        answers(says(b"Error: x\n    at Layer.handle (/app/node_modules/express/lib/router.js:95:5)")),
    ),
    ("content-debug", "pprof", file("/debug/pprof/", b"<html>/debug/pprof/ Types of pprof profiles", "text/html")),
    (
        "content-sourcemaps",
        "map",
        lambda g: (
            file(SCRIPT, b"let a=1\n//# sourceMappingURL=app.map", "text/javascript")(g),
            file("/assets/app.map", b'{"version":3}', "application/json")(g),
        ),
    ),
    ("content-robots", "none", lambda good: good.files.pop("/robots.txt")),
    ("content-robots", "forbids all", file("/robots.txt", b"User-agent: *\nDisallow: /\n")),
    ("content-favicon", "gone", lambda good: good.files.pop("/icon.svg")),
    ("content-integrity", "cdn", page("</head>", '<script defer src="https://cdn.test/x.js"></script></head>')),
    ("secrets-bundle", "stripe", file(SCRIPT, f'const key = "{STRIPE}";'.encode(), "text/javascript")),
    ("secrets-bundle", "in the page", page("</head>", f"<script>window.key='{STRIPE}'</script></head>")),
    (
        "secrets-bundle",
        "private key",
        file(
            SCRIPT,
            b"`-----BEGIN RSA PRIVATE KEY-----\n"
            + b"MIIEpAIBAAKCAQEAv3Jk9dQz7Xb2Lq0m8RtYw4nVhF6sGpEiU1oKcTa5xDjZrW\n" * 12
            + b"-----END RSA PRIVATE KEY-----`",
            "text/javascript",
        ),
    ),
    ("performance-first-byte", "slow", slow_first),
    (
        "performance-weight",
        "scripts",
        lambda g: (setattr(g, "encodings", ()), file(SCRIPT, b"/* tea */ " * 60_000, "text/javascript")(g)),
    ),
    (
        "performance-weight",
        "heavy",
        lambda g: (
            setattr(g, "encodings", ()),
            file("/assets/style-9f8e7d6c.css", b"/* tea */ " * 200_000, "text/css")(g),
        ),
    ),
    (
        "performance-blocking",
        "many",
        page("</head>", "".join(f'<script src="/{n}.js"></script>' for n in range(9)) + "</head>"),
    ),
    ("accessibility-language", "none", page(' lang="en"', "")),
    ("accessibility-language", "odd", page('lang="en"', 'lang="english please"')),
    ("accessibility-images", "no alt", page(' alt="A cup of tea"', "")),
    ("accessibility-labels", "no label", page('<label for="q">Search</label>', "")),
    (
        "accessibility-viewport",
        "none",
        page('<meta name="viewport" content="width=device-width, initial-scale=1">', ""),
    ),
    ("accessibility-viewport", "no zoom", page("initial-scale=1", "initial-scale=1, user-scalable=no")),
    ("accessibility-description", "none", page('<meta name="description" content="Tea, by post, every month.">', "")),
    ("accessibility-headings", "two", page("<h1>Tea by post</h1>", "<h1>Tea</h1><h1>by post</h1>")),
    ("accessibility-indexable", "noindex", page("</head>", '<meta name="robots" content="noindex"></head>')),
]


@pytest.mark.parametrize(("id", "name", "plant"), FAULTS, ids=[f"{id}: {name}" for id, name, _ in FAULTS])
async def test_a_fault_is_found(ground: Ground, id: str, name: str, plant: Plant) -> None:
    good = Good()
    plant(good)
    [result] = await examine(ground, good, [id])
    assert result.status in WRONG, f"{result.status}: {result.outcome.text}"
    assert result.outcome.text
    if result.check.family != "health":
        assert result.outcome.evidence


@pytest.mark.parametrize(
    ("id", "made"),
    [
        ("tls-dates", {"begin": timedelta(days=-90), "end": timedelta(days=-1)}),
        ("tls-dates", {"begin": timedelta(days=-80), "end": timedelta(days=1)}),
        ("tls-dates", {"begin": timedelta(days=1), "end": timedelta(days=80)}),
        ("tls-names", {"names": ("tea.test",)}),
        ("tls-trust", {"signed": None}),
        ("tls-trust", {"names": ("tea.test",)}),
        ("tls-key", {"bits": 1024}),
    ],
)
async def test_a_wrong_certificate_is_found(ground: Ground, id: str, made: dict[str, Any]) -> None:
    pem = certificate(ground.folder, **{"signed": ground.signer, **made})
    [result] = await examine(ground, Good(), [id], pem=pem)
    assert result.status in WRONG, f"{result.status}: {result.outcome.text}"


@pytest.mark.parametrize(
    ("id", "ciphers", "status"),
    [("tls-ciphers", "kRSA@SECLEVEL=0", Status.WARNING), ("tls-ciphers", "aNULL:HIGH@SECLEVEL=0", Status.FAIL)],
    ids=["tls-ciphers: no forward secrecy", "tls-ciphers: nobody's certificate"],
)
async def test_a_fault_is_found_in_ciphers(ground: Ground, id: str, ciphers: str, status: Status) -> None:
    pem = certificate(ground.folder, signed=ground.signer, bits=2048)
    good = Good(ciphers=ciphers)
    [result] = await examine(ground, good, [id], pem=pem)
    assert result.status is status, result.outcome.text


async def test_plain_http_is_said_and_the_rest_of_tls_does_not_apply(ground: Ground) -> None:
    results = await examine(ground, Good(), [id for id in CHECKS if id.startswith("tls-")], plain=True)
    assert results[0].status is Status.WARNING
    assert {r.status for r in results[1:]} == {Status.NOT_APPLICABLE}


async def test_an_api_without_pages_raises_no_alarm(ground: Ground) -> None:
    good = Good(limit=30)
    for path in [path for path in good.files if path != "/health"]:
        del good.files[path]
    good.changes.append(bare_page)
    results = await examine(ground, good, list(CHECKS))
    wrong = {r.check.id: r.outcome.text for r in results if r.status in (*WRONG, Status.COULD_NOT_TELL)}
    assert {id: text for id, text in wrong.items() if id not in OF_THE_SERVER} == {}


def bare_page(request: Request, response: Response) -> None:
    if request.path == "/":
        response.status, response.body, response.cookies = 404, b"404 page not found", []
        response.headers["content-type"] = "text/plain"


async def test_a_limit_that_never_lets_go_is_found(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    from golive.checks.families import ratelimit

    monkeypatch.setattr(ratelimit, "PATIENCE", 1.2)
    good = Good()
    stuck(good)
    [result] = await examine(ground, good, ["rate-limit-recovers"])
    assert result.status is Status.FAIL


async def test_without_leave_nothing_intrusive_is_done(ground: Ground) -> None:
    good = Good(limit=10)
    results = await examine(ground, good, [id for id in CHECKS if id.startswith("rate-limit")], intrusive=False)
    assert {r.status for r in results} == {Status.COULD_NOT_TELL}
    assert good.asked == []


@dataclass
class Hostile:
    """A site that wants the checker to hang, to swell or to go elsewhere."""

    name: str
    plant: Plant
    says: str
    bounds: Bounds = field(default_factory=lambda: Bounds(timeout=0.5))


HOSTILE = [
    Hostile("hangs", lambda good: setattr(good, "pause", 60), "no whole answer in 0.5 s"),
    Hostile(
        "circle",
        answers(lambda q, r: (setattr(r, "status", 302), r.headers.update(location="/"))[1], "/"),
        "in a circle",
    ),
    Hostile(
        "for ever",
        answers(
            lambda q, r: (
                setattr(r, "status", 302),
                r.headers.update(location=f"/{len(q.target)}{'x' * len(q.target)}"),
            )[1]
        ),
        "without an end",
        Bounds(timeout=5, redirects=4),
    ),
    Hostile(
        "elsewhere",
        answers(lambda q, r: (setattr(r, "status", 302), r.headers.update(location="file:///etc/passwd"))[1], "/"),
        "no address of the web",
    ),
    Hostile("endless head", lambda good: setattr(good, "raw", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000), ""),
    Hostile(
        "lies about its length",
        lambda good: setattr(good, "raw", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort"),
        "",
    ),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
async def test_a_hostile_site_costs_little_and_is_told(ground: Ground, hostile: Hostile) -> None:
    good = Good()
    hostile.plant(good)
    ids = ["health-answers", "headers-csp", "content-title"]
    async with asyncio.timeout(120):
        results = await examine(ground, good, ids, bounds=hostile.bounds)
    assert results[0].status is Status.FAIL
    assert {r.status for r in results[1:]} == {Status.COULD_NOT_TELL}
    assert hostile.says in results[0].outcome.text


async def test_ten_gigabytes_are_not_read(ground: Ground) -> None:
    good = Good()
    good.files["/big"] = ("text/html", b"x" * 5_000_000)
    good.page = PAGE.replace("</body>", "x" * 5_000_000)
    good.encodings = ()
    bounds = Bounds(body=200_000, total=400_000)
    results = await examine(ground, good, ["content-title", "content-missing", "accessibility-language"], bounds=bounds)
    assert results[0].status is Status.PASS
    read = sum(len(e.came) for r in results for e in r.outcome.evidence)
    assert read < 10_000


async def test_a_bomb_unpacks_to_a_bounded_size(ground: Ground) -> None:
    import gzip

    good = Good()
    bomb = gzip.compress(b"<p>" + b"\0" * 200_000_000)
    good.changes.append(lambda q, r: (setattr(r, "body", bomb), r.headers.update({"content-encoding": "gzip"}))[1])
    [result] = await examine(ground, good, ["content-title"])
    assert result.status is Status.FAIL


async def test_what_a_terminal_would_obey_is_not_in_the_result(ground: Ground) -> None:
    good = Good(page=PAGE.replace("Tea by post</title>", "\x1b]0;owned\x07</title>"))
    good.headers["x-powered-by"] = "a\x1b[2Jb"
    results = await examine(ground, good, ["content-title", "headers-leaks"])
    shown = "".join(r.outcome.text + "".join(e.asked + e.came for e in r.outcome.evidence) for r in results)
    assert "\x1b" not in shown
    assert "\x07" not in shown


async def test_the_budget_ends_in_could_not_tell(ground: Ground) -> None:
    results = await examine(ground, Good(), list(CHECKS), intrusive=False, bounds=Bounds(requests=3))
    told = [r for r in results if r.status is Status.COULD_NOT_TELL and "not asked" in r.outcome.text]
    assert len(told) > 10


async def test_a_public_site_does_not_lead_to_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from golive.checks import web as webs
    from golive.checks.model import Unanswered

    async def resolved(host: str) -> list[str]:
        return {"tea.example": ["93.184.216.34"], "inside.example": ["10.0.0.7"]}[host]

    monkeypatch.setattr(webs, "addresses", resolved)
    web = Web("https://tea.example/")
    try:
        with pytest.raises(Unanswered, match="private address"):
            await web.ask("http://inside.example/latest/meta-data")
    finally:
        await web.close()


@pytest.mark.parametrize(("left", "status"), [("5999", Status.PASS), ("6000", Status.COULD_NOT_TELL)])
async def test_a_limit_that_is_not_used_up_is_seen_to_count(ground: Ground, left: str, status: Status) -> None:
    good = Good(headers={"x-ratelimit-limit": "6000", "x-ratelimit-remaining": left})
    async with served(good, ground.certificate) as port:
        at = address(f"https://localhost:{port}/")
        web = Web(at.origin)
        try:
            aim = Aim(at, (ground.root,), intrusive=True, untried="the limits are 6000/min")
            [result] = await run([CHECKS["rate-limit-enforced"]], Site(aim, web), None)
        finally:
            await web.close()
    assert result.status is status
    assert result.outcome.evidence
    assert len(good.asked) < 100
