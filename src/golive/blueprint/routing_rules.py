"""Rules about redirects, rewrites and headers by path: every pattern must be one that the edge can match."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from golive.blueprint.facts import Facts, services_of
from golive.blueprint.faults import Fault
from golive.blueprint.path_pattern import BadPattern, compile_source
from golive.blueprint.routing import compile_headers, compile_redirect, compile_rewrite

_HINT = "such as `/blog/:slug`, `/docs/:path*`, `/old/(.*)`, or a regular expression that starts with `^`"
_COMPILERS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("redirects", compile_redirect),
    ("rewrites", compile_rewrite),
    ("headers", compile_headers),
)


def _patterns(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        for key, compiler in _COMPILERS:
            for index, rule in enumerate(getattr(service, key)):
                at = (*path, key, index)
                try:
                    compile_source(rule.source)
                except BadPattern as reason:
                    yield Fault((*at, "source"), f"`{rule.source[:80]}` {reason}", _HINT)
                    continue
                try:
                    compiler(rule)
                except BadPattern as reason:
                    yield Fault(at, str(reason), "look at `destination`, `has` and `missing`")


def _conditions(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        for key, _ in _COMPILERS:
            for index, rule in enumerate(getattr(service, key)):
                for side in ("has", "missing"):
                    for number, condition in enumerate(getattr(rule, side)):
                        if condition.type == "host" and condition.value is None:
                            at = (*path, key, index, side, number)
                            yield Fault((*at, "value"), "is required: which host?", 'such as `value = "www\\\\..*"`')
                        elif condition.type != "host" and not condition.key:
                            at = (*path, key, index, side, number)
                            yield Fault((*at, "key"), f"is required: which {condition.type}?")


def _values(facts: Facts) -> Iterator[Fault]:
    for path, service in services_of(facts):
        for index, rule in enumerate(service.headers):
            for name, value in rule.headers.items():
                if any(ord(c) < 32 or ord(c) == 127 for c in name + value):
                    at = (*path, "headers", index, "headers", name)
                    yield Fault(at, "must not contain line ends or control characters")
        for key in ("redirects", "rewrites"):
            for index, rule in enumerate(getattr(service, key)):
                if any(ord(c) < 33 or ord(c) == 127 for c in rule.destination) or not rule.destination:
                    yield Fault((*path, key, index, "destination"), "must be a path or an https:// URL without spaces")


ROUTING_RULES = (_patterns, _conditions, _values)
