"""Path patterns and what redirects, rewrites and headers do with a request."""

from __future__ import annotations

import pytest

from golive.blueprint.models import Condition, HeaderRule, Redirect, Rewrite, Service, ServiceKind
from golive.blueprint.path_pattern import BadPattern, compile_source, to_re2
from golive.blueprint.routing import Outcome, Request, evaluate, folder_rules, rules_of


def service(**routing: object) -> Service:
    return Service.model_validate({"kind": ServiceKind.WEB, **routing})


def asked(service: Service, path: str, **more: object) -> Outcome:
    return evaluate(rules_of(service), Request(path, **more), ["/logo.png"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "path", "groups"),
    [
        ("/blog/:slug", "/blog/a-b", ("a-b",)),
        ("/blog/:slug", "/BLOG/x", ("x",)),
        ("/blog/:slug", "/blog/a/b", None),
        ("/blog/:slug", "/blog/", None),
        ("/docs/:path*", "/docs", (None,)),
        ("/docs/:path*", "/docs/a/b", ("a/b",)),
        ("/docs/:path+", "/docs", None),
        ("/:id(\\d+)", "/42", ("42",)),
        ("/:id(\\d+)", "/x", None),
        ("/(.*)", "/a/b", ("a/b",)),
        ("(.*)", "/a", ("/a",)),
        ("/a{-:b}?", "/a-x", ("x",)),
        ("/a.b", "/axb", None),
        ("/((?!api/).*)", "/about", ("about",)),
        ("/((?!api/).*)", "/api/x", None),
        ("/((?!api|_next).*)", "/_next/x", None),
        ("/((?!x$).*)", "/xy", ("xy",)),
        ("/((?!x$).*)", "/x", None),
        ("^/(?<name>[^/]+)/end", "/a/end", ("a",)),
        ("^/(?<name>[^/]+)/end$", "/a/end/more", None),
    ],
)
def test_patterns(source: str, path: str, groups: tuple[str | None, ...] | None) -> None:
    match = compile_source(source).match(path)
    assert (match.groups() if match else None) == groups


@pytest.mark.parametrize(
    "source",
    [
        "/:", "/(a", "/(a(b))", "/{a", "/a)(", "/(?:a)", "^/(?<=x)a", "^/a(?=b)", "/(a\\1)", "^/(?:a(?!b))?c",
        "^/a|(?!b)c",
        "^/[", "/" + "a" * 5000, "/()", "^/a++b", "/:a:a(", "^/a{1,5000}", "^/\\p{L}", "/*", "^/(.*)(?!x)",
    ],
)  # fmt: skip
def test_patterns_that_the_edge_cannot_match_are_refused(source: str) -> None:
    with pytest.raises(BadPattern):
        compile_source(source)


def test_no_compiled_pattern_has_what_re2_lacks() -> None:
    pattern = compile_source("/((?!api/|_next/static).*)")
    assert pattern.regex == "(?i)^(?:/(.*))$"
    assert pattern.unless == ("(?i)^/(?:api/|_next/static).*",)
    assert to_re2(r"^\/a\/(?<b>x)$").regex == "(?i)^/a/(?P<b>x)$"


def test_redirects_come_first_and_the_first_that_matches_answers() -> None:
    web = service(
        redirects=[
            Redirect(source="/a/:x", destination="/b/:x"),
            Redirect(source="/(.*)", destination="/c", status=302),
        ],
        headers=[HeaderRule(source="/(.*)", headers={"X-A": "1"})],
    )
    assert asked(web, "/a/1") == Outcome("/b/1", 308, {})
    assert asked(web, "/z") == Outcome("/c", 302, {})


def test_headers_add_up_and_the_later_wins() -> None:
    web = service(
        headers=[
            HeaderRule(source="/(.*)", headers={"X-A": "1", "X-B": "1"}),
            HeaderRule(source="/:page", headers={"x-a": ":page", "X-C": "http://:page"}),
        ]
    )
    assert asked(web, "/p").headers == {"x-a": "p", "x-b": "1", "x-c": "http://p"}


def test_files_come_before_rewrites_unless_said_otherwise() -> None:
    after = service(rewrites=[Rewrite(source="/(.*)", destination="/index.html")])
    before = service(rewrites=[Rewrite(source="/(.*)", destination="/index.html", before_files=True)])
    assert asked(after, "/logo.png").location == "/logo.png"
    assert asked(after, "/other").location == "/index.html"
    assert asked(before, "/logo.png").location == "/index.html"


@pytest.mark.parametrize(
    ("source", "destination", "path", "location"),
    [
        ("/p/:slug", "/page", "/p/x", "/page?slug=x"),
        ("/p/:slug", "/page/:slug", "/p/x", "/page/x"),
        ("/p/:slug", "/page?a=1", "/p/x", "/page?a=1&slug=x"),
        ("/p/(.*)", "/page", "/p/x", "/page"),
        ("/p/(.*)", "/q/$1", "/p/x/y", "/q/x/y"),
        ("/p/:a*", "https://Up.example.com:8080/:a*", "/p/x/y", "https://up.example.com:8080/x/y"),
        ("/p/:a", "/s?q=:a", "/p/x", "/s?q=x&a=x"),
        ("^/r/(?<id>\\d+)", "/run?id=$id", "/r/7", "/run?id=7"),
        ("/:a/:b?", "/z/:a/:b?", "/x", "/z/x/"),
    ],
)
def test_destinations(source: str, destination: str, path: str, location: str) -> None:
    web = service(rewrites=[Rewrite(source=source, destination=destination)])
    assert asked(web, path).location == location


def test_conditions() -> None:
    has = (Condition(type="host", value="(?<shop>\\w+)\\.example\\.com"),)
    web = service(
        rewrites=[Rewrite(source="/in", destination="/shops/:shop", has=has)],
        redirects=[
            Redirect(source="/me", destination="/login", missing=(Condition(type="cookie", key="session"),)),
            Redirect(source="/u", destination="/user/:id", has=(Condition(type="query", key="id"),)),
            Redirect(source="/h", destination="/yes", has=(Condition(type="header", key="X-A", value="a.*"),)),
        ],
    )
    assert asked(web, "/in", host="red.example.com").location == "/shops/red"
    assert asked(web, "/in", host="example.org").location == "/in"
    assert asked(web, "/me").location == "/login"
    assert asked(web, "/me", cookies={"session": "1"}).location == "/me"
    assert asked(web, "/u", query={"id": "9"}).location == "/user/9"
    assert asked(web, "/h", headers={"x-a": "abc"}).location == "/yes"
    assert asked(web, "/h", headers={"x-a": "bc"}).location == "/h"


@pytest.mark.parametrize(
    ("slash", "path", "location"),
    [
        (True, "/a", "/a/"),
        (True, "/a.png/", "/a.png"),
        (True, "/a.png", "/a.png"),
        (True, "/.well-known/x", "/.well-known/x"),
        (False, "/a/", "/a"),
        (False, "/", "/"),
        (None, "/a/", "/a/"),
    ],
)
def test_trailing_slashes(slash: bool | None, path: str, location: str) -> None:
    assert asked(service(trailing_slash=slash), path).location == location


def test_html_suffixes() -> None:
    web = service(redirect_html=True)
    assert [asked(web, p).location for p in ("/a.html", "/index.html", "/d/index", "/a")] == ["/a", "/", "/d", "/a"]


@pytest.mark.parametrize(
    ("settings", "path", "to"),
    [
        ({}, "/docs", "/docs/"),
        ({}, "/docs/", None),
        ({}, "/docs/a", None),
        ({}, "/docsx", None),
        ({"strip_prefix": False}, "/docs", None),
        ({"trailing_slash": False}, "/docs", None),
        ({"kind": "web"}, "/docs", None),
        ({"redirects": [{"source": "/docs", "destination": "/docs/v2/"}]}, "/docs", None),
    ],
)
def test_a_prefix_that_shows_a_folder_ends_with_a_slash(settings, path, to):
    made = Service.model_validate({"kind": "static", "route": ["/docs"], "strip_prefix": True, **settings})
    outcome = evaluate(folder_rules(made, "/docs"), Request(path))
    assert (outcome.location if outcome.status else None) == to
    assert folder_rules(made, "/") == ()
