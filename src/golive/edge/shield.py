"""The shield: what no visitor asks for, as tests of a request's headers. Pure.

A rule is a list of Envoy's header matchers that all hold. In `block` it is a route with an answer, which is in force
on every open connection at once; in `log` it is a shadow policy of Envoy's RBAC filter, which lets the request pass and
leaves the rule's name for the access log. Both take the same matchers, so both judge alike.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from golive.blueprint.pattern_size import MOST, program_size
from golive.blueprint.shield import Shield
from golive.edge.closed import ADDRESS, UNKNOWN, unless
from golive.edge.model import Site
from golive.edge.networks import expression
from golive.edge.resource import HTTP, Json, typed

RBAC = f"{HTTP}rbac"
PROBE = "x-golive-probe"
"""The header by which golive's own requests are known; its value is a secret of the environment."""
NAMESPACE = "golive.shield"
LOG_FIELDS = {
    "shield": f"%METADATA(ROUTE:{NAMESPACE}:rule)%",
    "shield_log": f"%DYNAMIC_METADATA({RBAC}:shadow_effective_policy_id)%",
}
"""Of the access log: the rule that stopped a request, and the one that would have."""

AGENTS = (
    *("sqlmap", "nikto", "nmap scripting", "masscan", "zgrab", "nuclei", "wpscan", "joomscan", "acunetix"),
    *("netsparker", "dirbuster", "gobuster", "feroxbuster", "ffuf/", "wfuzz", "whatweb", "openvas", "nessus", "w3af"),
    *("havij", "zmeu", "morfeus", "jaeles", "l9explore", "l9tcpid", "commix", "xsstrike", "arachni", "jorgee"),
    *("muieblackcat", "${jndi:"),
)
"""Tools that look for holes and say so. Crawlers, monitors and HTTP libraries are not among them."""

_SPACE = r"(?:\+|%20|%09|%0[ad]|/\*[^&]*?\*/)"
_QUOTE = r"(?:'|%27|\"|%22)"
_SLASH = r"(?:/|\\|%(?:25)?2f|%(?:25)?5c)"
_DOTS = r"(?:\.|%(?:25)?2e){2}"
_OPEN = r"(?:<|%(?:25)?3c)"


@dataclass(frozen=True)
class Family:
    """Paths of one kind of scan; `marks` in a route or rule of the app's own mean that it has such paths itself."""

    name: str
    path: str
    marks: tuple[str, ...]


SCANNERS = (
    Family(
        "dotfiles",
        r"(?:/[^?]*)?/\.(?:env(?:[._-][^/?]*)?|git(?:/[^?]*|config|ignore)?|svn(?:/[^?]*)?|hg(?:/[^?]*)?|aws(?:/[^?]*)?"
        r"|ssh(?:/[^?]*)?|ht(?:access|passwd)|ds_store|npmrc|vscode/[^?]*|idea/[^?]*)",
        ("/.env", "/.git", "/.svn", "/.aws", "/.vscode"),
    ),
    Family(
        "cms",
        r"(?:/[^/?]+){0,2}/(?:wp-login\.php|wp-config\.php[^/?]*|xmlrpc\.php|wp-cron\.php|wp-admin(?:/[^?]*)?"
        r"|wp-includes/[^?]*)",
        ("wp-", "xmlrpc"),
    ),
    Family("php", r"/[^?]*\.php[3-8]?(?:/[^?]*)?|/vendor/phpunit/[^?]*", (".php",)),
    Family(
        "consoles",
        r"/(?:phpmyadmin|mysqladmin|adminer)(?:[-/.][^?]*)?|/solr/admin/[^?]*|/manager/html|/server-status"
        r"|/actuator/(?:env|heapdump|gateway)[^?]*|/cgi-bin/[^?]*|/_ignition/[^?]*|/telescope/requests"
        r"|/(?:boaform|hnap1|gponform)(?:/[^?]*)?",
        (
            "phpmyadmin",
            "mysqladmin",
            "adminer",
            "/solr",
            "/manager",
            "server-status",
            "/actuator",
            "cgi-bin",
            "telescope",
        ),
    ),
)

PAYLOADS: dict[str, str] = {
    "traversal": rf"(?:{_DOTS}{_SLASH}){{2}}|[=/]php(?::|%3a){_SLASH}{{2}}(?:input|filter)",
    "script": rf"{_OPEN}{_SPACE}*script(?:>|%(?:25)?3e|/|{_SPACE})"
    r"|javascript(?::|%3a)(?:alert|prompt|confirm|eval)\b"
    rf"|{_OPEN}(?:img|svg|body|iframe|input|video|details)\b[^&]*\bon[a-z]{{3,12}}{_SPACE}*(?:=|%3d)",
    "sql": rf"\bunion{_SPACE}+(?:all{_SPACE}+)?select{_SPACE}+"
    rf"(?:(?:null|\d+)(?:,|%2c|--|%23)|@@|concat|char\(|{_QUOTE})"
    rf"|{_QUOTE}{_SPACE}*(?:\)|%29)?{_SPACE}*(?:or|and|\|\|){_SPACE}+{_QUOTE}?\w+{_QUOTE}?{_SPACE}*(?:=|%3d|like)"
    rf"{_SPACE}*{_QUOTE}?\w"
    rf"|(?:;|%3b){_SPACE}*(?:drop|truncate|alter){_SPACE}+(?:table|database){_SPACE}"
    rf"|(?:{_QUOTE}|;|%3b|\bor{_SPACE}|\band{_SPACE}|\bselect{_SPACE}){_SPACE}*(?:pg_sleep|sleep|benchmark)(?:\(|%28)\d"
    r"|\bxp_cmdshell\b",
    "command": r"(?:\$|%24)(?:\{|%7b)(?:jndi|env|lower|upper|sys)(?::|%3a)"
    rf"|(?:;|%3b|\||%7c|`|%60|\$\(|%24%28){_SPACE}*(?:cat|wget|curl|bash|sh|nc|chmod){_SPACE}+"
    r"(?:-|/|%2f|https?:|https?%3a)",
}
"""Found anywhere in the path with its query, as it was sent. Each wants more than a word, so that text about these
things passes: `union select committee`, `how to use ../`, `drop table lamp`."""


@dataclass(frozen=True)
class Rule:
    """`name` is what the log and `golive shield` say; `tests` are Envoy's header matchers, which all must hold."""

    name: str
    tests: tuple[Json, ...]
    status: int = 403


def rules(site: Site) -> list[Rule]:
    """Those of a site, in the order of their names, as RBAC asks its policies; none without a shield."""
    shield = site.policy.shield
    if shield is None:
        return []
    probe = unless(PROBE, re.escape(site.probe.reveal())) if site.probe else None
    elsewhere = tuple(unless(":path", f"{re.escape(path.rstrip('/'))}(?:[/?].*)?") for path in shield.exempt)
    made = [
        *_addresses(shield, site.proxied),
        *(Rule(r.name, (*r.tests, *elsewhere), r.status) for r in _requests(site, shield)),
    ]
    made.sort(key=lambda rule: rule.name)
    return [Rule(r.name, (*r.tests, probe), r.status) for r in made] if probe else made


def _addresses(shield: Shield, proxied: bool) -> Iterator[Rule]:
    for regex in _joined(map(_network, shield.deny)):
        yield Rule("deny", (_is(ADDRESS, regex),))
    if shield.allow:
        known = [UNKNOWN] * proxied + [_network(text) for text in shield.allow]
        yield Rule("allow", tuple(unless(ADDRESS, regex) for regex in _joined(known)))


def _requests(site: Site, shield: Shield) -> Iterator[Rule]:
    words = (*(AGENTS if shield.agents else ()), *shield.block_agents)
    for regex in _joined(map(re.escape, words)):
        yield Rule("agent", (_is("user-agent", f"(?i).*(?:{regex}).*"),))
    for family in SCANNERS if shield.scanners else ():
        if not _has_itself(site, family):
            yield Rule(f"scanner:{family.name}", (_is(":path", f"(?i)(?:{family.path})(?:\\?.*)?"),), 404)
    for name, regex in PAYLOADS.items() if shield.payloads else ():
        yield Rule(f"payload:{name}", (_is(":path", f"(?i).*(?:{regex}).*"),))


def _has_itself(site: Site, family: Family) -> bool:
    texts = [rule.prefix for rule in site.every_rule] + list(site.serves)
    texts += [rule.pattern.regex.replace("\\", "") for route in site.every_rule for rule in route.rules]
    return any(mark in text.lower() for text in texts for mark in family.marks)


def routes(site: Site) -> list[Json]:
    """In `block`: an answer to each request that a rule names, before every other route."""
    if site.policy.shield is None or site.policy.shield.mode != "block":
        return []
    said = {403: "Forbidden\n", 404: "Not found\n"}
    return [
        {
            "match": {"prefix": "/", "headers": list(rule.tests)},
            "direct_response": {"status": rule.status, "body": {"inline_string": said[rule.status]}},
            "metadata": {"filter_metadata": {NAMESPACE: {"rule": rule.name}}},
        }
        for rule in rules(site)
    ]


def shadow(site: Site) -> Json:
    """In `log`: the virtual host's setting of the RBAC filter; empty else."""
    if site.policy.shield is None or site.policy.shield.mode != "log":
        return {}
    policies: Json = {}
    for rule in rules(site):
        permissions = {"and_rules": {"rules": [{"header": test} for test in rule.tests]}}
        known = policies.setdefault(rule.name, {"permissions": [], "principals": [{"any": True}]})
        known["permissions"].append(permissions)
    if not policies:
        return {}
    kind = "extensions.filters.http.rbac.v3.RBACPerRoute"
    return {RBAC: typed(kind, rbac={"shadow_rules": {"action": "DENY", "policies": policies}})}


def _is(header: str, regex: str) -> Json:
    return {"name": header, "string_match": {"safe_regex": {"regex": regex}}}


def _network(text: str) -> str:
    return expression((str(ipaddress.ip_network(text, strict=False)),))


def _joined(expressions: Iterable[str]) -> Iterator[str]:
    """As few alternatives of them as RE2 takes."""
    made = ""
    for regex in expressions:
        if made and program_size(f"{made}|{regex}") > MOST:
            yield made
            made = ""
        made = f"{made}|{regex}" if made else regex
    if made:
        yield made
