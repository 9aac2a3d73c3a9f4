"""CORS as a browser decides it (Fetch standard): the preflight, then the request, each rule by itself."""

from __future__ import annotations

from collections.abc import Sequence

from golive.checks.debug.account import Account, State, Step
from golive.checks.site import Address, address
from golive.checks.web import Entry, Exchange, Web

SIMPLE_METHODS = ("GET", "HEAD", "POST")
SIMPLE_HEADERS = ("accept", "accept-language", "content-language")
"""Those that need no preflight; a content-type does unless it is a form's."""


async def cors(
    at: Address,
    origin: str,
    method: str = "GET",
    headers: Sequence[str] = (),
    *,
    credentials: bool = False,
    entry: Entry | None = None,
) -> Account:
    """Whether a script of `origin` may call it. The request itself is only sent for GET and HEAD: others change things.
    Raises Unanswered where nothing answers, UsageError for an origin that is none."""
    origin = address(origin).origin
    url = at.origin + at.path
    wanted = tuple(sorted(name.strip().lower() for name in headers if name.strip()))
    title = f"may {origin} {method} {url}" + (" with credentials" if credentials else "") + "?"
    if origin == at.origin:
        return Account(title, "yes: it is the same origin, CORS is not asked", ())
    web = Web(at.origin, entry=entry)
    try:
        steps: list[Step] = []
        if needs_preflight(method, wanted):
            asked = {"origin": origin, "access-control-request-method": method}
            asked |= {"access-control-request-headers": ",".join(wanted)} if wanted else {}
            steps += preflight(await web.ask(url, "OPTIONS", headers=asked), origin, method, wanted, credentials)
        else:
            steps.append(Step("note", "preflight", "none", "a browser sends such a request at once"))
        if method in ("GET", "HEAD"):
            steps += answer(await web.ask(url, method, headers={"origin": origin}), origin, credentials)
        else:
            steps.append(
                Step("note", method, "not sent", "it might change something; its answer needs the same headers")
            )
    finally:
        await web.close()
    bad = next((step for step in steps if step.state == "failed"), None)
    return Account(title, f"no: {bad.about}, {bad.seen}" if bad else "yes", tuple(steps))


def needs_preflight(method: str, headers: Sequence[str]) -> bool:
    return method not in SIMPLE_METHODS or any(name not in SIMPLE_HEADERS for name in headers)


def preflight(found: Exchange, origin: str, method: str, headers: Sequence[str], credentials: bool) -> list[Step]:
    """Pure: every rule that a browser applies to the answer of OPTIONS."""
    steps = [
        Step("ok", "preflight", f"OPTIONS answers {found.status}")
        if found.ok
        else Step(
            "failed",
            "preflight",
            f"OPTIONS answers {found.status}",
            "browsers follow no redirect here: name the last address"
            if 300 <= found.status < 400
            else "it has to be 2xx, and come before any login: answer OPTIONS in the CORS layer",
        ),
        *_origin(found, origin, credentials),
    ]
    allowed = _list(found, "access-control-allow-methods")
    star = not credentials
    if method in SIMPLE_METHODS or method in allowed or ("*" in allowed and star):
        steps.append(Step("ok", "method", method + (" is allowed" if method in allowed else " needs no leave")))
    else:
        steps.append(
            Step("failed", "method", f"{method} is not among {', '.join(allowed) or 'none'}", "add it to allow_methods")
        )
    names = [name.lower() for name in _list(found, "access-control-allow-headers")]
    for name in headers:
        covered = name in names or ("*" in names and star and name != "authorization")
        if name in SIMPLE_HEADERS or covered:
            steps.append(Step("ok", "header", f"{name} is allowed"))
        else:
            means = "a star does not stand for it" if "*" in names else "add it to allow_headers"
            steps.append(Step("failed", "header", f"{name} is not among {', '.join(names) or 'none'}", means))
    age = found.header("access-control-max-age")
    steps.append(
        Step(
            "note",
            "kept",
            f"for {age} s" if age else "for 5 s, a browser's own time",
            "" if age else "max_age saves a request",
        )
    )
    return steps


def answer(found: Exchange, origin: str, credentials: bool) -> list[Step]:
    """Pure: whether the script may read this answer."""
    state: State = "ok" if found.status < 400 else "warning"
    steps = [Step(state, found.method, f"{found.status} {found.reason}".rstrip()), *_origin(found, origin, credentials)]
    vary = found.header("vary").lower()
    if found.header("access-control-allow-origin") == origin and "origin" not in vary and vary != "*":
        steps.append(
            Step(
                "warning", "vary", "no Vary: Origin", "a cache may give this answer to another origin, which refuses it"
            )
        )
    return steps


def _origin(found: Exchange, origin: str, credentials: bool) -> list[Step]:
    named = found.all("access-control-allow-origin")
    about = "origin"
    if not named:
        return [Step("failed", about, "no Access-Control-Allow-Origin", f"add {origin} to the allowed origins")]
    if len(named) > 1 or "," in named[0]:
        text = f"{', '.join(named)} are two"
        return [Step("failed", about, text, "two layers add the header (app and proxy): let one do it")]
    value = named[0].strip()
    if value == "*" and credentials:
        return [Step("failed", about, "* with credentials", "name the origin; browsers refuse a star with cookies")]
    if value not in ("*", origin):
        hint = "the slash at the end is too much" if value.rstrip("/") == origin else f"add {origin}, in full"
        return [Step("failed", about, f"{value} is allowed, {origin} is not", hint)]
    steps = [Step("ok", about, f"{value} is allowed")]
    if credentials and found.header("access-control-allow-credentials") != "true":
        steps.append(
            Step("failed", "credentials", "no Access-Control-Allow-Credentials: true", "set allow_credentials")
        )
    return steps


def _list(found: Exchange, name: str) -> list[str]:
    return [one.strip() for one in found.header(name).split(",") if one.strip()]
