"""Redirects that look as if they led in a circle, or anywhere, and do not; and how large an expression becomes."""

from __future__ import annotations

import pytest

from golive.blueprint.load import load
from golive.blueprint.pattern_size import MOST, program_size
from golive.errors import BlueprintError

ENDS = (
    '{ source = "/:path((?!en/).*)", destination = "/en/:path" }',
    '{ source = "/:path*", destination = "https://a.example/:path*", has = [{ type = "host", value = "www.*" }] }',
    '{ source = "/:path*", destination = "https://www.a.example/:path*", missing = [{ type = "host", value = "w.*" }]}',
    '{ source = "/a/(.*)", destination = "/$1" }',
    '{ source = "/old", destination = "/old?seen=1", missing = [{ type = "query", key = "seen" }] }',
    '{ source = "/x", destination = "https://:host/", has = [{ type = "host", value = ".*" }] }',
    '{ source = "/x/:name", destination = "https://:name.other.example/" }',
    '{ source = "/y", destination = "/y/" }',
)
CIRCLES = (
    '{ source = "/a/(.*)", destination = "/a/b/$1" }',
    '{ source = "/:lang(en|de)/x", destination = "/:lang/x" }',
    '{ source = "/x", destination = "/X" }',
    '{ source = "/x", destination = "https://www.a.example/x", has = [{ type = "host", value = ".*example" }] }',
    '{ source = "/x", destination = "/x?b=1", missing = [{ type = "query", key = "c" }] }',
    '{ source = "/x", destination = "/x", has = [{ type = "header", key = "x-a" }] }',
    '{ source = "/x", destination = "/x", has = [{ type = "cookie", key = "a" }] },{ source = "/x", destination = "/"}',
)


def text(rule: str) -> str:
    domains = '["a.example", "www.a.example"]'
    return f'name = "a"\ndomains = {domains}\n[services.web]\nsource = "site"\nredirects = [{rule}]\n'


@pytest.mark.parametrize("rule", ENDS)
def test_a_redirect_that_ends_is_taken(tree, rule):
    made = load(tree({"site/index.html": "x", "golive.toml": text(rule)}))
    assert len(made.blueprint.services["web"].redirects) == 1


@pytest.mark.parametrize("rule", CIRCLES)
def test_a_redirect_to_itself_is_refused(tree, rule):
    with pytest.raises(BlueprintError) as raised:
        load(tree({"site/index.html": "x", "golive.toml": text(rule)}))
    (problem,) = raised.value.problems
    assert "leads in a circle by way of" in str(problem)


def test_sizes_grow_with_what_is_repeated():
    sizes = [program_size(x) for x in ("abc", "[a-z]+", "(?:abc){10}", "[^/]{100}", "(?:[^/]{100}){3}", "a{2,}|b\\]c]")]
    assert sizes[:1] + sizes[3:] == [6, 1800, 5406, 18]
    assert sizes[1] < sizes[2] < MOST < sizes[3]
