"""Redirects, rewrites and headers by path, as the pieces of Envoy routes that do them.

A route says which requests it takes with regular expressions. What it must know beyond that (what a group of a path
matched, whether a header's rule holds) the filter `header_to_metadata` looks up as the request comes in; `Location`,
the new path and response headers are put together from there. Envoy's own `regex_rewrite` would leave two `?` in a
path, and knows captures of the path only; expressions inside CEL are limited to a hundred instructions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from golive.blueprint.destination import Name, Template
from golive.blueprint.routing import Criterion, Rule
from golive.edge.resource import HTTP, Json, typed

LOOK = f"{HTTP}header_to_metadata"
LOOK_KIND = "extensions.filters.http.header_to_metadata.v3.Config"
QUERY = f"{HTTP}lua"
QUERY_KIND = "extensions.filters.http.lua.v3.Lua"
NAMESPACE = "golive.routing"

ADD_QUERY = """\
function envoy_on_request(handle)
  local headers = handle:headers()
  local path, parts = headers:get(":path"), {}
  local found = handle:streamInfo():dynamicMetadata():get("golive.routing") or {}
  for at, part in ipairs(handle:filterContext():get("parts")) do
    parts[at] = part["text"] or found[part["key"]] or ""
  end
  local new, mark = table.concat(parts), string.find(path, "?", 1, true)
  if mark and mark < #path then new = new .. "&" .. string.sub(path, mark + 1) end
  headers:replace("x-envoy-original-path", path)
  headers:replace(":path", new)
end
"""
"""A destination's own query, with the request's behind it: Envoy's own means decode it and do not encode it again."""

Part = str | int | Name


@dataclass
class Looks:
    """What one route wants to know of a request; the same question twice is asked once."""

    asked: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def group(self, header: str, regex: str, group: int | str) -> str:
        """The key of what a group matched. `regex` must match, or the key has the whole header."""
        number = group if isinstance(group, int) else re.compile(regex).groupindex[group]
        return self._key(header, f"^(?:{regex})$", f"\\{number}")

    def whether(self, header: str, regex: str) -> str:
        """A key that is there when `regex` matches the header as a whole."""
        return self._key(header, f"(?s)^(?:({regex})|.*)$", "\\1")

    def _key(self, *question: str) -> str:
        header, regex, substitution = question
        return self.asked.setdefault((header, regex, substitution), f"k{len(self.asked)}")

    def filters(self) -> Json:
        """The per-route setting that asks; empty when nothing is asked."""
        if not self.asked:
            return {}
        rules = [_look(":path", "on", {"value": "1"})]  # so that there is a namespace, whatever is found
        for (header, regex, substitution), key in self.asked.items():
            rewrite = {"pattern": {"regex": regex}, "substitution": substitution}
            rules.append(_look(header, key, {"regex_value_rewrite": rewrite}))
        return {LOOK: typed(LOOK_KIND, request_rules=rules)}


def _look(header: str, key: str, value: Json) -> Json:
    found = {"metadata_namespace": NAMESPACE, "key": key, "type": "STRING", **value}
    return {"header": header, "on_header_present": found}


def matched(rule: Rule, prefix: str) -> Json:
    """The `match` of a route for a rule's requests, as far as they are under a prefix."""
    tests = [_matcher(":path", bounded(regex, "?") + r"(?:\?.*)?", inverted=True) for regex in rule.pattern.unless]
    if base := prefix.rstrip("/"):
        tests.append(_matcher(":path", f"{re.escape(base)}(?:[/?].*)?"))
    tests += [_matcher(*expression(test)) for test in rule.has]
    tests += [_matcher(*expression(test), inverted=True) for test in rule.missing]
    made: Json = {"safe_regex": {"regex": rule.pattern.regex}}
    return {**made, "headers": tests} if tests else made


def _matcher(header: str, regex: str, *, inverted: bool = False) -> Json:
    made: Json = {"name": header, "string_match": {"safe_regex": {"regex": regex}}}
    return {**made, "treat_missing_header_as_empty": True, "invert_match": True} if inverted else made


def expression(test: Criterion) -> tuple[str, str]:
    """The header that a condition is about, and an expression of its whole value."""
    key = re.escape(test.key)
    match test.type:
        case "header":
            present = test.regex in (None, "^.*$")
            return test.key, ".+" if present else f"(?:{test.regex})"
        case "cookie":
            return "cookie", f"(?:.*; *)?{key}={_value(test, ';')}(?:;.*)?"
        case "query":
            return ":path", rf"[^?]*\?(?:.*&)?{key}={_value(test, '&')}(?:&.*)?"
        case "host":
            return ":authority", rf"(?i){_value(test, ':')}(?::\d+)?"


def _value(test: Criterion, stop: str) -> str:
    if test.regex in (None, "^.*$"):
        return f"[^{stop}]+"
    return f"(?:{unanchored(bounded(str(test.regex), stop, anchors=False))})"


def bounded(regex: str, stop: str, *, anchors: bool = True) -> str:
    """An expression of a whole text as one of its beginning up to a `stop`, which it then never matches.

    With `anchors`, `$` means the end or a query's beginning.
    """
    made, at = "", 0
    while at < len(regex):
        char = regex[at]
        if char == "\\":
            escape = regex[at : at + 2]
            made += f"[^{escape.lower()}{stop}]" if escape in ("\\D", "\\S", "\\W") else escape
            at += 1
        elif char == "[":
            end = _class_end(regex, at)
            made += _class(regex[at + 1 : end], stop)
            at = end
        elif char == ".":
            made += f"[^{stop}]"
        else:
            made += r"(?:\?.*)?$" if char == "$" and anchors else char
        at += 1
    return made


def _class(inside: str, stop: str) -> str:
    if inside.startswith("^"):
        return f"[^{stop}{inside[1:]}]"
    if any(f"\\{c}" in inside and f"\\{c.upper()}" in inside for c in "dsw"):  # [\s\S]: anything
        return f"[^{stop}]"
    return f"[{inside}]"


def _class_end(regex: str, start: int) -> int:
    at = start + 2 if regex[start + 1 : start + 2] == "^" else start + 1
    at += regex[at : at + 1] == "]"
    while at < len(regex) and regex[at] != "]":
        at += 2 if regex[at] == "\\" else 1
    return at


def unanchored(regex: str) -> str:
    """Without the anchors that mean nothing in an expression of a whole value."""
    pieces = re.split(r"(\[(?:\\.|[^\]\\])*\])", regex)  # every other one is a class, in which they are characters
    for at in range(0, len(pieces), 2):
        piece = re.sub(r"(^|(?<!\\)\(|\?:|(?<!\\)\|)\^+", r"\1", pieces[at])
        pieces[at] = re.sub(r"(?<!\\)\$+(?=$|\)|\|)", "", piece)
    return "".join(pieces)


def location(rule: Rule, looks: Looks) -> str:
    """The format of a redirect's `Location`: absolute, so that no path can be read as another host.

    The request's query stays, behind the destination's own.
    """
    path, query, fragment = split(rule.destination or Template(()))
    start = "" if _is_url(path) else "%REQ(x-forwarded-proto)%://%REQ(:authority)%"
    if query:
        there = looks.whether(":path", r"[^?]*\?.+")
        rest = looks.group(":path", r"[^?]*\??(.*)", 1)
        mark = f"%CEL({_has(there)} ? '&' : '')%"
        asked = f"?{_format(query, rule, looks)}{mark}{_shown(rest)}"
    else:
        asked = _shown(looks.group(":path", r"[^?]*(\?.+)?.*", 1))
    return start + _format(path, rule, looks) + asked + (f"#{_format(fragment, rule, looks)}" if fragment else "")


def _is_url(path: Sequence[Part]) -> bool:
    return bool(path) and isinstance(path[0], str) and "://" in path[0]


def split(to: Template) -> tuple[list[Part], list[Part], list[Part]]:
    """Path (with scheme and host), query and fragment of a destination."""
    made: tuple[list[Part], list[Part], list[Part]] = ([], [], [])
    now = 0
    for part in to.parts:
        for piece in re.split(r"([?#])", part) if isinstance(part, str) else [part]:
            if piece == "#" or (piece == "?" and now == 0):
                now = 2 if piece == "#" else 1
            elif piece != "":
                made[now].append(piece)
    return made


def literal_start(to: Template) -> str:
    """The destination's path as far as it is known."""
    path = split(to)[0]
    start = path[0] if path else "/"
    return start if isinstance(start, str) else "/"


def rewritten(rule: Rule, looks: Looks, strip: str = "") -> tuple[str | None, Json]:
    """The format of the new path, or the filter that puts it together with a query of its own.

    `strip` is a prefix that the service does not see.
    """
    path, query, _ = split(rule.destination or Template(()))
    path = _stripped(path, strip)
    if not query:
        return _format(path, rule, looks), {}
    parts: list[Json] = []
    for part in (*path, "?", *query):
        parts.append({"text": part} if isinstance(part, str) else {"key": _key(part, rule, looks) or "nothing"})
    kind = "extensions.filters.http.lua.v3.LuaPerRoute"
    return None, {QUERY: typed(kind, name="query", filter_context={"parts": parts})}


def fallback(rule: Rule, looks: Looks, strip: str = "") -> str:
    """The format of the path alone, for the static server to try."""
    return _format(_stripped(split(rule.destination or Template(()))[0], strip), rule, looks)


def _stripped(path: list[Part], prefix: str) -> list[Part]:
    base, first = prefix.rstrip("/"), path[0] if path else ""
    if not base or not isinstance(first, str) or not (first == base or first.startswith(f"{base}/")):
        return path
    rest = first[len(base) :].lstrip("/")
    return [f"/{rest}", *path[1:]]


def added(rules: Iterable[Rule], looks: Looks) -> list[Json]:
    """`response_headers_to_add` for the rules of headers: each decides for itself, the later wins."""
    made = []
    for rule in rules:
        holds = _holds(rule, looks)
        for name, value in rule.headers:
            made.append(_header(name.lower(), "".join(_piece(part, rule, looks, holds) for part in value.parts)))
    return made


def _holds(rule: Rule, looks: Looks) -> str:
    """A CEL condition; empty when the rule is for every request."""
    every = rule.pattern.regex.removeprefix("(?i)") in (r"^(?:\/(.*))$", "^(?:/(.*))$", "^/(.*)$", "^/.*$", "^.*$")
    tests = [] if every else [_has(looks.whether(":path", bounded(rule.pattern.regex, "?")))]
    tests += [f"!({_has(looks.whether(':path', bounded(x, '?') + _TAIL))})" for x in rule.pattern.unless]
    tests += [_has(looks.whether(*expression(test))) for test in rule.has]
    tests += [f"!({_has(looks.whether(*expression(test)))})" for test in rule.missing]
    return " && ".join(tests)


_TAIL = r"(?:\?.*)?"
_METADATA = f"metadata.filter_metadata['{NAMESPACE}']"


def _has(key: str) -> str:
    return f"'{key}' in {_METADATA}"


def _piece(part: Part, rule: Rule, looks: Looks, holds: str) -> str:
    if isinstance(part, str):
        return f"%CEL({holds} ? {_quoted(part)} : '')%" if holds else part.replace("%", "%%")
    key = _key(part, rule, looks)
    return f"%CEL({holds} ? {_METADATA}['{key}'] : '')%" if holds and key else _shown(key)


def _quoted(text: str) -> str:
    """A CEL string; `)%` in it would end the command."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("%", "\\x25") + "'"


def _header(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _format(parts: Iterable[Part], rule: Rule, looks: Looks) -> str:
    return "".join(p.replace("%", "%%") if isinstance(p, str) else _shown(_key(p, rule, looks)) for p in parts)


def _shown(key: str | None) -> str:
    return "" if key is None else f"%DYNAMIC_METADATA({NAMESPACE}:{key})%"


def _key(part: int | Name, rule: Rule, looks: Looks) -> str | None:
    """Where a reference of a destination is found; None when nothing captures it, which leaves it empty."""
    if isinstance(part, int):
        if not 0 < part <= len(rule.pattern.names):
            return None
        return looks.group(":path", bounded(rule.pattern.regex, "?"), part)
    for test in rule.has:
        header, regex = expression(test)
        if test.regex and f"(?P<{part.name}>" in test.regex:
            return looks.group(header, regex, part.name)
        if (test.type == "host" and part.name == "host") or (test.regex is None and test.key == part.name):
            return looks.group(header, _whole(test, regex), "whole")
    return None


def _whole(test: Criterion, regex: str) -> str:
    """The expression with the value itself as the group `whole`."""
    stop = {"cookie": ";", "query": "&", "host": ":"}.get(test.type)
    if stop is None:
        return "(?P<whole>.+)"
    value = _value(test, stop)
    return regex.replace(value, f"(?P<whole>{value})", 1)
