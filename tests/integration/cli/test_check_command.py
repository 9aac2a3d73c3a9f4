"""golive check with a real app: facts, reports, exit codes, what is ignored, and --fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from scratch import Scratch, scratch_home

from golive.checks import catalog

COUNTED = True

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Leaves</title>
<meta name="viewport" content="width=device-width"><meta name="description" content="Leaves."></head>
<body><h1>Leaves</h1></body></html>"""
TOML = """name = "leaves" # a shop

[services.web]
source = "public"

[edge] # the door
hsts = "0s" # until the domain has moved

[[checks.requests]]
name = "the page"
path = "/"
contains = "Leaves"
"""


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    checkout = tmp_path_factory.mktemp("leaves")
    (checkout / "public").mkdir()
    (checkout / "public/index.html").write_text(PAGE)
    (checkout / "golive.toml").write_text(TOML)
    with scratch_home(checkout) as scratch:
        assert (up := scratch("up")).code == 0, up.text
        yield scratch


def test_the_whole_list(leaves: Scratch, tmp_path: Path) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("html", "junit", "sarif")}
    said = leaves("check", "--json", *(part for name, file in files.items() for part in (f"--{name}", file)))
    found = {one["id"]: one for one in json.loads(said.out)["checks"]}
    failed = {id for id, one in found.items() if one["status"] == "fail"}
    assert failed == {"tls-hsts"}
    assert said.code == 1
    assert found["tls-hsts"]["settings"] == [{"path": ["edge", "hsts"], "value": "365d"}]
    assert found["release-requests"]["status"] == "pass"
    for id in ("release-live", "release-verified", "tls-trust", "tls-redirect", "headers-leaks", "caching-validators"):
        assert found[id]["status"] == "pass", found[id]
    assert not [one for one in found.values() if "golive's own fault" in one["text"]]
    assert "<h1>leaves (production)" in files["html"].read_text()
    assert len(ET.fromstring(files["junit"].read_text())) == len(catalog.families())
    assert json.loads(files["sarif"].read_text())["version"] == "2.1.0"


def test_one_thing_at_a_time(leaves: Scratch) -> None:
    url = json.loads(leaves("status", "--json").out)["apps"][0]["urls"][0]
    said = leaves("debug", "request", url)
    assert (said.code, "200" in said.out.splitlines()[-1]) == (0, True)
    assert [line.split()[0] for line in said.out.splitlines() if line.endswith(" ms")][-2:] == ["wait", "body"]
    found = json.loads(leaves("debug", "tls", url, "--json").out)
    assert (found["verdict"], found["failed"]) == ("well", False)
    refused = leaves("debug", "cors", url, "--origin", "https://elsewhere.test")
    assert (refused.code, "no Access-Control-Allow-Origin" in refused.out) == (1, True)
    assert "no resource of that engine" in leaves("debug", "db").err
    assert "no name of a header" in leaves("debug", "request", url, "-H", "not a header: x").err


def test_ignored_until_a_day_then_mended(leaves: Scratch) -> None:
    file = leaves.cwd / "golive.toml"
    day = datetime.now(UTC).date()
    ignore = '\n[[checks.ignore]]\ncheck = "tls-hsts"\nbecause = "the domain moves"\nuntil = "{}"\n'
    file.write_text(TOML + ignore.format(day))
    said = leaves("check", "--only", "tls")
    assert said.code == 0, said.text
    assert "1 ignored" in said.out
    file.write_text(TOML + ignore.format(day - timedelta(days=1)))
    said = leaves("check", "--only", "tls")
    assert said.code == 1
    assert "it was ignored until" in said.out

    file.write_text(TOML + ignore.format(day).replace("tls-hsts", "tls-hst"))
    assert "ignores 'tls-hst', which is no check; is it tls-hsts?" in leaves("check", "--only", "tls").err

    file.write_text(TOML)
    said = leaves("check", "--only", "tls", "--fix")
    assert said.code == 1
    assert '+hsts = "365d" # until the domain has moved' in said.err
    assert file.read_text() == TOML.replace('"0s"', '"365d"')
    said = leaves("up", "--check")
    assert said.code == 0, said.text
    assert "✓ tls" in said.out
    said = leaves("check", "--only", "tls", "--fix")
    assert said.code == 0, said.text
    assert "nothing of it can be mended" in said.err


def test_wrong_usage(leaves: Scratch) -> None:
    for arguments, words in (
        (("nobody",), "is not live here"),
        (("ftp://leaves.test",), "is not the address of a site"),
        (("https://me:pw@leaves.test",), "password"),
        (("https://leaves.test", "--fix"), "a URL has none"),
        (("--only", "headrs"), "--only headers"),
        (("--ca", "none.pem"), "there is no file none.pem"),
    ):
        said = leaves("check", *arguments)
        assert said.code in (1, 2)
        assert words in said.err, said.err
        assert said.out == ""
