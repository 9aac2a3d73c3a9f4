"""Rules about where redirects and rewrites lead: to somewhere, not in a circle, and not wherever a client says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

from golive.blueprint.destination import Name, Template
from golive.blueprint.facts import Facts, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.models import HeaderRule, Redirect, Rewrite, Service
from golive.blueprint.path_pattern import BadPattern
from golive.blueprint.pattern_size import MOST, program_size
from golive.blueprint.positions import KeyPath
from golive.blueprint.routing import Criterion, Rule, compile_headers, compile_redirect, compile_rewrite, rules_of

STATUSES = (301, 302, 303, 307, 308)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FRAMING = ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
_REDIRECT_HINT = "a path that starts with `/`, or a URL that starts with `https://`"
_HOPS = 8


def _rules(facts: Facts) -> Iterator[tuple[KeyPath, Service, Redirect | Rewrite | HeaderRule, Rule]]:
    """Every rule with its place and compiled; those that cannot be are another rule's fault."""
    compilers: Mapping[str, Callable[..., Rule]] = {
        "redirects": compile_redirect,
        "rewrites": compile_rewrite,
        "headers": compile_headers,
    }
    for path, service in services_of(facts):
        for key, compiler in compilers.items():
            for index, given in enumerate(getattr(service, key)):
                try:
                    yield (*path, key, index), service, given, compiler(given)
                except BadPattern:
                    continue


def _targets(facts: Facts) -> Iterator[Fault]:
    for path, _, given, _ in _rules(facts):
        at = (*path, "destination")
        if isinstance(given, Redirect):
            if given.status not in STATUSES:
                known = ", ".join(map(str, STATUSES))
                yield Fault((*path, "status"), f"{given.status} is not a redirect; one of {known}")
            if not re.match(r"/(?!/)|https?://[^/?#]", given.destination):
                yield Fault(at, f"`{given.destination[:80]}` is neither a path nor a URL", _REDIRECT_HINT)
        elif isinstance(given, Rewrite) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:/|//", given.destination):
            hint = "use a redirect, or the path of a service of this app; a service of your own can ask other servers"
            yield Fault(at, f"`{given.destination[:80]}` is another server; the edge rewrites to paths only", hint)


def _open_redirects(facts: Facts) -> Iterator[Fault]:
    """A host that ends in what a client sent is any host."""
    for path, _, _, rule in _rules(facts):
        if rule.kind == "redirect" and rule.destination and _ends_in_anything(rule.destination, rule.has):
            message = "the host ends in what the client sent: anybody could send your visitors anywhere"
            yield Fault((*path, "destination"), message, "write a `/` behind the host, or the end of the host itself")


def _ends_in_anything(to: Template, conditions: Sequence[Criterion]) -> bool:
    text = ""
    for part in to.parts:
        known = isinstance(part, Name) and _is_of_host(part.name, conditions)
        text += part if isinstance(part, str) else "host" if known else "\0"
    return bool(re.match(r"https?://[^/?#]*\0(:\d*)?([/?#]|$)", text))


def _is_of_host(name: str, conditions: Sequence[Criterion]) -> bool:
    """Whether it is part of the app's own domain, which the edge has checked."""
    hosts = [test for test in conditions if test.type == "host"]
    return any(name == "host" or f"(?P<{name}>" in (test.regex or "") for test in hosts)


def _circles(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        try:
            asked = [r for r in rules_of(service) if r.kind in ("redirect", "pass")]
        except BadPattern:
            continue
        own = asked[len(asked) - len(service.redirects) :]
        every = [(_beginning(r), r) for r in asked]
        always = [pair for pair in every if not (pair[1].has or pair[1].missing)]
        domains = service.domains or facts.blueprint.domains
        for index, rule in enumerate(own):
            conditional = bool(rule.has or rule.missing)
            met = (
                [pair for pair in every if pair[1] is rule or not (pair[1].has or pair[1].missing)]
                if conditional
                else always
            )
            turns = (_around(rule, met, word, domains, service) for word in _words(rule))
            if around := next((turn for turn in turns if turn), None):
                hint = "change the source or the destination; mind `trailing_slash` and `redirect_html`"
                at = (*path, "redirects", index, "destination")
                yield Fault(at, f"leads in a circle by way of `{around}`", hint)


def _beginning(rule: Rule) -> str:
    """What every path begins with that the rule is for, in lower case: most rules need no closer look."""
    if "|" in rule.pattern.regex:
        return ""
    found = re.match(r"(?:\(\?i\))?\^((?:[\w/-](?![?*{+]))*)", rule.pattern.regex)
    return found[1].lower() if found else ""


def _words(rule: Rule) -> list[str]:
    """Values that a parameter may have: usual ones, and those that the source spells out."""
    return list(dict.fromkeys(["x", "1", *re.findall(r"[A-Za-z0-9_-]{2,}", rule.pattern.regex)]))[:20]


def _around(
    rule: Rule, asked: Sequence[tuple[str, Rule]], word: str, domains: Sequence[str], service: Service
) -> str | None:
    """The path that a client comes back to, or is still redirected from after many hops."""
    named = {part.name: word for part in (rule.destination or Template(())).parts if isinstance(part, Name)}
    location = _filled(rule, [word] * len(rule.pattern.names), named)
    seen: list[str] = []
    host: str | None = None
    while len(seen) < _HOPS:
        try:
            url = urlsplit(location)
        except ValueError:  # `//[`: no client goes there
            return None
        if url.hostname and url.hostname not in domains:
            return None
        host = url.hostname or host
        if url.path in seen:
            return url.path
        seen.append(url.path)
        found = _next(asked, url.path, host, dict(parse_qsl(url.query, keep_blank_values=True)))
        if found is None or not any(_under(url.path, route) for route in service.route):
            return None
        follower, groups = found
        location = _filled(follower, groups, named)
    return seen[0]


def _filled(rule: Rule, groups: Sequence[str | None], named: Mapping[str, str]) -> str:
    text = (rule.destination or Template(())).filled(groups, named)
    return text if "://" in text else f"/{text.lstrip('/')}"


def _next(
    asked: Sequence[tuple[str, Rule]], path: str, host: str | None, query: Mapping[str, str]
) -> tuple[Rule, tuple[str | None, ...]] | None:
    lower = path.lower()
    for beginning, rule in asked:
        match = rule.pattern.match(path) if lower.startswith(beginning) else None
        if match is None or not _still_holds(rule, host, query):
            continue
        return (rule, match.groups()) if rule.kind == "redirect" else None
    return None


def _still_holds(rule: Rule, host: str | None, query: Mapping[str, str]) -> bool:
    """Whether the conditions hold after a redirect too: cookies and headers are sent again."""
    if host is not None and any(t.type == "host" and not re.fullmatch(t.regex or ".*", host) for t in rule.has):
        return False
    given = {"query": query, "host": {"": host} if host is not None else {}}
    return not any(
        test.key in given.get(test.type, {}) and re.fullmatch(test.regex or ".*", given[test.type][test.key] or "")
        for test in rule.missing
    )


def _under(path: str, route: str) -> bool:
    base = route.rstrip("/")
    return path == base or path.startswith(f"{base}/")


def _sizes(facts: Facts) -> Iterator[Fault]:
    for path, _, _, rule in _rules(facts):
        if any(program_size(regex) > MOST for regex in (rule.pattern.regex, *rule.pattern.unless)):
            yield Fault((*path, "source"), "is too large an expression for the edge", "split it into several rules")
        for side in ("has", "missing"):
            for number, test in enumerate(getattr(rule, side)):
                if program_size(test.regex or "") > MOST:
                    yield Fault((*path, side, number, "value"), "is too large an expression for the edge")


def _names(facts: Facts) -> Iterator[Fault]:
    for path, _, given, rule in _rules(facts):
        for name, _ in rule.headers:
            at = (*path, "headers", name)
            if not _TOKEN.fullmatch(name):
                yield Fault(at, "is not a header name")
            elif name.lower() in _FRAMING:
                yield Fault(at, "says how a message is sent, and is not for rules")
        for side in ("has", "missing"):
            for number, test in enumerate(getattr(given, side)):
                at = (*path, side, number)
                if test.type == "header" and test.key and not _TOKEN.fullmatch(test.key):
                    yield Fault((*at, "key"), f"`{test.key[:80]}` is not a header name")
                elif test.key and any(ord(c) < 33 or ord(c) == 127 for c in test.key):
                    yield Fault((*at, "key"), "must not contain spaces or control characters")
                if test.value and "(?!" in test.value:
                    hint = "ask for the opposite under `missing`" if side == "has" else "ask for it under `has`"
                    yield Fault((*at, "value"), "uses `(?!…)`, which a condition cannot", hint)


DESTINATION_RULES = (_targets, _open_redirects, _circles, _sizes, _names)
