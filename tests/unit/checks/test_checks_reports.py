"""Reports: what other programs and people read, whatever a site has answered."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from golive.checks import catalog, html, mend, reports
from golive.checks.model import Evidence, Fix, Outcome, Result, Setting, Status

NOW = datetime(2027, 1, 2, 3, 4, tzinfo=UTC)
NASTY = "<script>alert(1)</script>\x00\x1b[31m ]]> & \ud800"
TLS = {check.id: check for check in catalog.checks(("tls", "headers"), app=False)}
FIX = Fix("send it", (Setting(("edge", "hsts"), "365d"),))
RESULTS = [
    Result(TLS["tls-hsts"], Outcome(Status.FAIL, NASTY, (Evidence(f"GET {NASTY}", NASTY),), FIX), 0.1),
    Result(TLS["tls-modern"], Outcome(Status.PASS, "spoken"), 0.2),
    Result(TLS["tls-key"], Outcome(Status.COULD_NOT_TELL, "no handshake")),
    Result(TLS["headers-csp"], Outcome(Status.WARNING, "none"), ignored="until 2027-03-31: known"),
]


def test_junit_counts_as_ci_does() -> None:
    root = ET.fromstring(reports.junit(NASTY, RESULTS, NOW))
    suites = {suite.get("name"): suite.attrib for suite in root}
    assert suites["tls"]["tests"] == "3"
    assert suites["tls"]["failures"] == "1"
    assert suites["tls"]["skipped"] == "1"
    assert suites["headers"]["skipped"] == "1"
    [failure] = root.iter("failure")
    assert "mend: send it" in (failure.text or "")


def test_sarif_names_rules_levels_and_what_is_suppressed() -> None:
    run = json.loads(reports.sarif("https://example.com/", RESULTS, NOW))["runs"][0]
    found = {one["ruleId"]: one for one in run["results"]}
    assert {id: one["level"] for id, one in found.items()} == {
        "tls-hsts": "error",
        "tls-key": "note",
        "headers-csp": "warning",
    }
    for id, one in found.items():
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == id
    assert found["headers-csp"]["suppressions"][0]["justification"] == "until 2027-03-31: known"


def test_html_holds_nothing_that_a_site_wrote_as_markup_and_fetches_nothing() -> None:
    page = html.report(NASTY, RESULTS, NOW)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|url\(|@import", page)
    assert "Ignored" in page
    assert "hsts = &quot;365d&quot;" in page
    page.encode()


def test_every_line_of_the_guides_is_in_the_report() -> None:
    page = html.report("x", RESULTS, NOW)
    for line in ("akashic.1", "datifyy.16", "rt-apps.24"):
        assert f"<td>{line}</td>" in page


def test_mending_keeps_comments_and_order() -> None:
    before = 'name = "a" # mine\n\n[services.web]\nsource = "."\n# kept\n\n[edge]\nhsts = "0s" # for now\n'
    after = mend.written(before, mend.settings(RESULTS))
    assert after == before.replace('"0s"', '"365d"')
    assert mend.written(after, mend.settings(RESULTS)) == after
    assert '+hsts = "365d" # for now' in mend.diff(before, after)


def test_mending_adds_tables_also_to_those_in_one_line() -> None:
    wanted = [Setting(("edge", "headers", "x-frame-options"), "DENY")]
    assert mend.written('name = "a"\n', wanted).endswith('[edge.headers]\nx-frame-options = "DENY"\n')
    inline = mend.written('edge = { hsts = "0s" }\nname = "a"\n', wanted)
    assert inline.startswith('edge = { hsts = "0s"')
    assert 'x-frame-options = "DENY"' in inline


def test_what_is_ignored_is_not_mended() -> None:
    ignored = Result(TLS["tls-hsts"], RESULTS[0].outcome, ignored="until then")
    assert mend.settings([ignored]) == []
