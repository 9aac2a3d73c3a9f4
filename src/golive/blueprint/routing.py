"""A service's redirects, rewrites and headers by path as one ordered list of compiled rules, for the edge to render.

Order, as on Vercel: `redirect_html`, trailing slash, redirects, headers, rewrites `before_files`, then files and the
application's own routes, then the other rewrites. The first redirect or rewrite that matches decides; headers add up,
the later wins.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from golive.blueprint.destination import Template, interpolated, plain_filled, template
from golive.blueprint.models import Condition, HeaderRule, Redirect, Rewrite, Service, ServiceKind
from golive.blueprint.path_pattern import UNNAMED, BadPattern, Pattern, compile_source, to_re2

_NAMED = re.compile(r"\(\?<([a-zA-Z][a-zA-Z0-9_]*)>")


@dataclass(frozen=True)
class Criterion:
    """A compiled condition. `regex` is of the whole value; None asks only whether there is one."""

    type: Literal["header", "cookie", "query", "host"]
    key: str
    regex: str | None


@dataclass(frozen=True)
class Rule:
    """`pass` ends the search and changes nothing. `after_files`: only when no file and no route of the app answers."""

    kind: Literal["redirect", "headers", "rewrite", "pass"]
    pattern: Pattern
    destination: Template | None = None
    status: int | None = None
    headers: tuple[tuple[str, Template], ...] = ()
    has: tuple[Criterion, ...] = ()
    missing: tuple[Criterion, ...] = ()
    after_files: bool = False


@dataclass(frozen=True)
class Request:
    """What rules look at. Header names are in lower case."""

    path: str
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """`location` of a redirect (`status` is set) or what is asked instead; response headers, names in lower case."""

    location: str
    status: int | None
    headers: Mapping[str, str]


def rules_of(service: Service) -> tuple[Rule, ...]:
    """Every rule of a service in the order they are asked. Raises BadPattern; a resolved blueprint has none such."""
    before = [compile_rewrite(rule) for rule in service.rewrites if rule.before_files]
    after = [compile_rewrite(rule) for rule in service.rewrites if not rule.before_files]
    return (
        *(html_rules(slash=bool(service.trailing_slash)) if service.redirect_html else ()),
        *trailing_slash_rules(service.trailing_slash),
        *map(compile_redirect, service.redirects),
        *map(compile_headers, service.headers),
        *before,
        *after,
    )


def folder_rules(service: Service, prefix: str) -> tuple[Rule, ...]:
    """A prefix that shows a folder is redirected to `/prefix/`, as a folder is: relative links start there."""
    base = prefix.rstrip("/")
    taken = any(rule.source.rstrip("/") == base for rule in service.redirects)
    shown = service.kind is ServiceKind.STATIC and service.strip_prefix and service.trailing_slash is None
    if not base or not shown or taken:
        return ()
    return (compile_redirect(Redirect(source=f"^{re.escape(base)}$", destination=f"{base}/", status=308)),)


def compile_redirect(rule: Redirect) -> Rule:
    pattern, captured = compile_source(rule.source), _captured(rule.has)
    text = interpolated(rule.destination, pattern.names, captured, redirect=True)
    to = template(text, pattern.names)
    return Rule("redirect", pattern, to, rule.status, has=_criteria(rule.has), missing=_criteria(rule.missing))


def compile_rewrite(rule: Rewrite) -> Rule:
    pattern, captured = compile_source(rule.source), _captured(rule.has)
    text = rule.destination
    if not rule.source.startswith("^"):  # an expression's destination says `$1` itself
        text = interpolated(text, pattern.names, captured, redirect=False)
    if "://" not in text and not text.startswith("/"):
        text = f"/{text}"
    to = template(text, pattern.names)
    has, missing = _criteria(rule.has), _criteria(rule.missing)
    return Rule("rewrite", pattern, to, has=has, missing=missing, after_files=not rule.before_files)


def compile_headers(rule: HeaderRule) -> Rule:
    pattern, captured = compile_source(rule.source), _captured(rule.has)
    indexes = {name: f"${at}" for at, name in enumerate(pattern.names, 1)} | {name: f"${name}" for name in captured}
    replace = any(name != UNNAMED for name in pattern.names) or bool(captured)
    made = []
    for name, value in rule.headers.items():
        key, text = (plain_filled(part, indexes) if replace and ":" in part else part for part in (name, value))
        made.append((key, template(text, pattern.names)))
    return Rule("headers", pattern, headers=tuple(made), has=_criteria(rule.has), missing=_criteria(rule.missing))


def html_rules(*, slash: bool) -> tuple[Rule, ...]:
    """`/about.html` and `/docs/index` to where they are without a suffix."""
    to = template("/$1/" if slash else "/$1")
    sources = (r"^/(?:(.+)/)?index(?:\.html)?/?$", r"^/(.*)\.html/?$")
    return tuple(Rule("redirect", to_re2(source), to, 308) for source in sources)


def trailing_slash_rules(wanted: bool | None) -> tuple[Rule, ...]:
    """Paths with, or without, a slash at their end; `/.well-known` is left alone by the former."""
    if wanted is None:
        return ()
    if not wanted:
        return (Rule("redirect", to_re2(r"^/(.*)\/$"), template("/$1"), 308),)
    return (
        Rule("pass", to_re2(r"^/\.well-known(?:/.*)?$")),
        Rule("redirect", to_re2(r"^/((?:[^/]+/)*[^/\.]+)$"), template("/$1/"), 308),
        Rule("redirect", to_re2(r"^/((?:[^/]+/)*[^/]+\.\w+)/$"), template("/$1"), 308),
    )


def _captured(conditions: Sequence[Condition]) -> list[str]:
    """Names that conditions capture: of the groups of a value, or the key itself where only its presence is asked."""
    found: dict[str, None] = {}
    for condition in conditions:
        if condition.value is None and condition.key:
            found[condition.key] = None
        for name in _NAMED.findall(condition.value or ""):
            found[name] = None
        if condition.value and condition.type == "host":
            found["host"] = None
    return list(found)


def _criteria(conditions: Sequence[Condition]) -> tuple[Criterion, ...]:
    made = []
    for condition in conditions:
        key = (condition.key or "").lower() if condition.type == "header" else condition.key or ""
        regex = to_re2(f"^{condition.value}$").regex.removeprefix("(?i)") if condition.value is not None else None
        made.append(Criterion(condition.type, key, regex))
    return tuple(made)


def evaluate(rules: Sequence[Rule], request: Request, files: Collection[str] = ()) -> Outcome:
    """What the rules do with a request, when `files` are the paths that are answered without a rewrite."""
    headers: dict[str, str] = {}
    for rule in rules:
        if rule.after_files and request.path in files:
            break
        match = rule.pattern.match(request.path)
        named = _conditions(rule, request) if match else None
        if match is None or named is None:
            continue
        headers |= {key.lower(): value.filled(match.groups(), named) for key, value in rule.headers}
        to = rule.destination.filled(match.groups(), named) if rule.destination else request.path
        if rule.kind != "headers":
            return Outcome(to, rule.status, headers)
    return Outcome(request.path, None, headers)


def _conditions(rule: Rule, request: Request) -> dict[str, str] | None:
    """What the conditions capture; None when they do not hold."""
    named: dict[str, str] = {}
    for test in rule.has:
        found = _holds(test, request)
        if found is None:
            return None
        named |= found
    return None if any(_holds(test, request) is not None for test in rule.missing) else named


def _holds(test: Criterion, request: Request) -> dict[str, str] | None:
    tables = {"header": request.headers, "cookie": request.cookies, "query": request.query}
    value = request.host if test.type == "host" else tables[test.type].get(test.key)
    if not value:
        return None
    if test.regex is None:
        return {test.key: value}
    match = re.fullmatch(test.regex, value, re.ASCII)
    if match is None:
        return None
    own = {"host": match[0]} if test.type == "host" else {}
    return own | {name: text or "" for name, text in match.groupdict().items()}


__all__ = [
    "BadPattern",
    "Criterion",
    "Outcome",
    "Request",
    "Rule",
    "compile_headers",
    "compile_redirect",
    "compile_rewrite",
    "evaluate",
    "folder_rules",
    "html_rules",
    "rules_of",
    "trailing_slash_rules",
]
