"""What is answered while a site or a service is closed, and who passes all the same."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime

from golive.edge.headers import cookie_pattern
from golive.edge.model import Closed, Site
from golive.edge.networks import expression
from golive.edge.resource import Json

ENTRANCE = "/.golive/pass"
COOKIE = "golive-pass"
ADDRESS = "x-envoy-external-address"
"""Envoy's own word for where a request comes from, whatever the client sent under that name."""
UNKNOWN = "-"
"""In its place while a proxy's word for it is still to be read: whoever asks for an address lets it pass."""
RETRY_AFTER = 120
"""Seconds, when nobody has said how long it takes."""
USUAL = 4096
"""Bytes of a body that Envoy answers without being told to."""
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.6 system-ui, sans-serif; color-scheme: light dark; display: grid; place-content: center;
  min-height: 90vh; margin: 0 1.5rem; text-align: center }}
h1 {{ font-size: 1.7rem; margin: 0 0 .5rem }}
p {{ margin: 0; max-width: 34rem; white-space: pre-line; opacity: .8 }}
</style>
<h1>{title}</h1>
<p>{text}</p>
"""


def largest(sites: Iterable[Site]) -> int:
    """Bytes of the longest body."""
    closed = [c for site in sites for c in (site.closed, *(rule.closed for rule in site.every_rule)) if c]
    return max([len(body.encode()) for c in closed for body in (page(c), _as_json(c))], default=0)


def closed_routes(closed: Closed, match: Json, *, proxied: bool = False) -> list[Json]:
    """Answers to those requests of `match` that may not pass: to gRPC in words, to browsers a page, else JSON.

    `proxied`: an address may be `UNKNOWN`.
    """
    tests = [*match.get("headers", ()), *_strangers(closed, proxied)]
    grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    browser = {"name": "accept", "string_match": {"contains": "text/html"}}
    return [
        _answer(closed, match, [*tests, grpc], f"{closed.title}. {_words(closed)}", "text/plain; charset=utf-8"),
        _answer(closed, match, [*tests, browser], page(closed), "text/html; charset=utf-8"),
        _answer(closed, match, tests, _as_json(closed), "application/json"),
    ]


def entrances(closures: Iterable[Closed | None], *, secure: bool) -> list[Json]:
    """Whoever comes with the token in the address gets it as a cookie, and goes on to the first page."""
    tokens = dict.fromkeys(c.token.reveal() for c in closures if c and c.token)
    return [_entrance(token, secure=secure) for token in tokens]


def _entrance(token: str, *, secure: bool) -> Json:
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
    return {
        "match": {"path": ENTRANCE, "query_parameters": [{"name": "key", "string_match": {"exact": token}}]},
        "direct_response": {"status": 303},
        "response_headers_to_add": [
            _header("location", "/"),
            _header("set-cookie", cookie),
            _header("cache-control", "no-store"),
        ],
    }


def page(closed: Closed) -> str:
    """As HTML."""
    if closed.page is not None:
        return closed.page
    return _PAGE.format(title=html.escape(closed.title), text=html.escape(_words(closed)))


def _as_json(closed: Closed) -> str:
    until = datetime.fromtimestamp(closed.until, UTC).isoformat(timespec="seconds") if closed.until else None
    found = {"error": f"{closed.title}. {closed.text}".strip(), "status": 503}
    return json.dumps(found | ({"until": until} if until else {})) + "\n"


def _words(closed: Closed) -> str:
    if closed.until is None:
        return closed.text
    return f"{closed.text}\nExpected back by {datetime.fromtimestamp(closed.until, UTC):%d %B %Y, %H:%M} UTC.".strip()


def _strangers(closed: Closed, proxied: bool) -> list[Json]:
    """What is true of all who may not pass."""
    tests = []
    if closed.allow:
        tests.append(unless(ADDRESS, f"{UNKNOWN}|" * proxied + expression(closed.allow)))
    if closed.token is not None:
        tests.append(unless("cookie", cookie_pattern(COOKIE, closed.token.reveal())))
    return tests


def unless(header: str, regex: str) -> Json:
    """True of a request whose header, empty where there is none, does not match as a whole."""
    found = {"name": header, "string_match": {"safe_regex": {"regex": regex}}}
    return {**found, "invert_match": True, "treat_missing_header_as_empty": True}


def _answer(closed: Closed, match: Json, tests: list[Json], body: str, kind: str) -> Json:
    retry = format_datetime(datetime.fromtimestamp(closed.until, UTC), usegmt=True) if closed.until else RETRY_AFTER
    added = [_header("content-type", kind), _header("retry-after", str(retry)), _header("cache-control", "no-store")]
    return {
        "match": {**match, **({"headers": tests} if tests else {})},
        "direct_response": {"status": 503, "body": {"inline_string": body}},
        "response_headers_to_add": added,
    }


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
