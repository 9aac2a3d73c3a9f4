"""The routing keys of vercel.json as golive's rules, each with the place it came from.

`redirects`, `rewrites` and `headers` are taken as they are. Legacy `routes` are one ordered list, in which any entry
may end the search; golive asks redirects, then headers, then rewrites, so an entry is taken only where that order
cannot change what a request gets, and is listed where it could.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from golive.blueprint.models import HeaderRule, Redirect, Rewrite
from golive.blueprint.path_pattern import BadPattern
from golive.blueprint.routing import compile_headers, compile_redirect, compile_rewrite
from golive.importers.ledger import Node
from golive.importers.report import Table

Kind = Literal["redirects", "rewrites", "headers"]
_MODELS: dict[Kind, Any] = {"redirects": Redirect, "rewrites": Rewrite, "headers": HeaderRule}
_COMPILERS: dict[Kind, Any] = {"redirects": compile_redirect, "rewrites": compile_rewrite, "headers": compile_headers}
_NOT_HERE = {
    "methods": "golive's rules do not look at the method",
    "locale": "golive does not choose by language",
    "mitigate": "golive has no challenge pages",
    "transforms": "golive's rules do not change requests",
    "middlewarePath": "middleware is part of the framework's own server",
    "env": "rules are not filled from variables",
    "caseSensitive": "golive's rules ignore case",
}
_EVERYTHING = re.compile(r"\^?/?\(\.\*\)\$?|\^?/\(\.\*\)\$?")
_PLAIN = re.compile(r"\^?(?:[\w/-]|\\?\.)*\$?")


@dataclass(frozen=True)
class Converted:
    """A rule in golive.toml's own notation, and the place in the file it stands for."""

    kind: Kind
    node: Node
    rule: Table


def convert(root: Node) -> list[Converted]:
    """Every rule of the file that golive can follow; the others are listed in the ledger."""
    found: list[Converted] = []
    for kind in ("redirects", "rewrites", "headers"):
        for node in root.get(kind).entries():
            if made := modern(kind, node):
                found.append(made)
    return found + _Legacy().convert(root.get("routes"))


def modern(kind: Kind, node: Node) -> Converted | None:
    """A rule of `redirects`, `rewrites` or `headers`; nothing, and an entry in the ledger, when it cannot be one."""
    rule: Table = {}
    if isinstance(source := node.get("source").value, str):
        rule["source"] = source
    if kind == "headers":
        rule["headers"] = _pairs(node.get("headers"))
    elif isinstance(destination := node.get("destination").value, str):
        rule["destination"] = destination
    if kind == "redirects":
        rule |= _status(node)
    return checked(kind, node, rule | _conditions(node)) if _supported(node) else None


def _pairs(node: Node) -> Table:
    return {
        entry.get("key").value: entry.get("value").value
        for entry in node.entries()
        if isinstance(entry.get("key").value, str) and isinstance(entry.get("value").value, str)
    }


def _status(node: Node) -> Table:
    permanent = node.get("permanent").value
    if isinstance(permanent, bool):
        return {} if permanent else {"status": 307}
    status = node.get("statusCode").value
    return {"status": status} if isinstance(status, int) and status != 308 else {}


def _supported(node: Node) -> bool:
    for key, reason in _NOT_HERE.items():
        if node.get(key):
            node.lose(reason, "do it in the application")
            return False
    return True


def _conditions(node: Node) -> Table:
    made: Table = {}
    for side in ("has", "missing"):
        entries = [_condition(entry) for entry in node.get(side).entries()]
        if entries:
            made[side] = entries
    return made


def _condition(node: Node) -> Table:
    condition = {key: node.get(key).value for key in ("type", "key") if node.get(key)}
    value = node.get("value").value
    if isinstance(value, dict):
        value = _comparison(value)
    return condition | ({"value": value} if value is not None else {})


def _comparison(value: Table) -> Any:
    """`{"eq": "x"}` and the like as a regular expression; what is none stays, and is refused by the rule's model."""
    if len(value) != 1:
        return value
    (word, operand), escaped = next(iter(value.items())), re.escape
    if word == "inc" and isinstance(operand, list):
        return "|".join(escaped(str(item)) for item in operand)
    if not isinstance(operand, str | int):
        return value
    text = str(operand)
    forms = {"eq": escaped(text), "pre": f"{escaped(text)}.*", "suf": f".*{escaped(text)}", "re": text}
    return forms.get(word, value)


def checked(kind: Kind, node: Node, rule: Table) -> Converted | None:
    """The rule when it is one that golive can follow, else nothing and an entry in the ledger."""
    try:
        _COMPILERS[kind](_MODELS[kind].model_validate(rule))
    except BadPattern as reason:
        node.lose(str(reason), "write it without, or do it in the application")
        return None
    except ValueError:
        node.lose("is not a rule golive understands", "write it in golive.toml: redirects, rewrites, headers")
        return None
    return Converted(kind, node, rule)


def leads_elsewhere(kind: Kind, rule: Table) -> bool:
    """Whether a rewrite asks another server, which the edge does not."""
    return kind == "rewrites" and bool(re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:/|//", str(rule.get("destination", ""))))


@dataclass
class _Route:
    """One legacy entry."""

    node: Node
    src: str
    dest: str | None
    status: int | None
    headers: Table
    goes_on: bool

    @property
    def identity(self) -> bool:
        return bool(_EVERYTHING.fullmatch(self.src)) and self.dest == "/$1" and not self.headers and not self.status


class _Legacy:
    """Goes through `routes` in order, and remembers what ended the search before."""

    def __init__(self) -> None:
        self._ended: list[tuple[str, str]] = []
        self._after_files = False
        self._unknown_phase = False

    def convert(self, routes: Node) -> list[Converted]:
        return [made for node in routes.entries() for made in self._entry(node)]

    def _entry(self, node: Node) -> Iterator[Converted]:
        if handle := node.get("handle").text():
            self._after_files, self._unknown_phase = True, handle not in ("filesystem",)
            if not self._unknown_phase:
                node.carry("the order of rules: files come before rewrites without `before_files`")
            return
        if self._unknown_phase:
            node.lose(
                "belongs to a phase golive does not have", "write it in golive.toml: redirects, rewrites, headers"
            )
        elif _supported(node) and (route := _route(node)):
            yield from self._rules(route)

    def _rules(self, route: _Route) -> Iterator[Converted]:
        node, source = route.node, _anchored(route.src)
        if route.identity:
            node.carry("nothing: every path stays as it is")
            return
        location = next((value for key, value in route.headers.items() if key.lower() == "location"), None)
        redirect = route.status is not None and 300 <= route.status < 400 and location is not None
        others = {key: value for key, value in route.headers.items() if not (redirect and key.lower() == "location")}
        kind = "redirect" if redirect else "headers" if route.dest is None else "rewrite"
        if (route.status is not None and not redirect) or not self._keeps_order(route, kind, adds_headers=bool(others)):
            why = (
                "depends on the order of entries of other kinds" if route.status is None or redirect else "is a status"
            )
            node.lose(why, "write it in golive.toml: redirects, rewrites, headers")
            return
        conditions = _conditions(node)
        made = [checked("headers", node, {"source": source, "headers": others} | conditions)] if others else []
        if redirect:
            rule = {"source": source, "destination": location, "status": route.status} | conditions
            made.append(checked("redirects", node, rule))
        elif route.dest is not None:
            rule = {"source": source, "destination": route.dest, "before_files": True} | conditions
            if self._after_files:
                del rule["before_files"]
            made.append(checked("rewrites", node, rule))
        if not route.goes_on:
            self._ended.append((route.src, kind))
        if not made:
            node.carry("nothing: it changes nothing")
        yield from (rule for rule in made if rule)

    def _keeps_order(self, route: _Route, kind: str, *, adds_headers: bool) -> bool:
        """Whether golive's order of kinds gives every request what the list gives it."""
        if self._after_files and (kind != "rewrite" or adds_headers):
            return False
        if kind == "redirect" and adds_headers:
            return False  # golive's redirects carry no headers of rules
        first = "headers" if adds_headers else kind
        return all(ended in _BEFORE[first] or _disjoint(src, route.src) for src, ended in self._ended)


_BEFORE = {"redirect": ("redirect",), "headers": ("redirect",), "rewrite": ("redirect", "rewrite")}
"""What golive also asks before an entry of this kind, so that it may stand before it in the list."""


def _route(node: Node) -> _Route | None:
    src, dest = (
        node.get("src").value or node.get("source").value,
        node.get("dest").value or node.get("destination").value,
    )
    if not isinstance(src, str) or not isinstance(dest, str | None):
        node.lose("is not a route", "write it in golive.toml: redirects, rewrites, headers")
        return None
    headers = {key: entry.value for key, entry in node.get("headers").items() if isinstance(entry.value, str)}
    status = node.get("status").value or node.get("statusCode").value
    return _Route(
        node, src, dest, status if isinstance(status, int) else None, headers, node.get("continue").value is True
    )


def _anchored(src: str) -> str:
    return f"{'' if src.startswith('^') else '^'}{src}{'' if src.endswith('$') else '$'}"


def _disjoint(one: str, other: str) -> bool:
    """Whether no path can match both: plainly different literal paths."""
    plain = [re.sub(r"[\\^$]", "", src) for src in (one, other) if _PLAIN.fullmatch(src)]
    return len(plain) == 2 and plain[0].lower() != plain[1].lower()
