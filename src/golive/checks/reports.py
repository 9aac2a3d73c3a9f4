"""Results for other programs: JUnit XML and SARIF 2.1.0. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from xml.etree import ElementTree as ET

from golive import __version__
from golive.checks.model import Result, Status

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEVELS = {Status.FAIL: "error", Status.WARNING: "warning", Status.COULD_NOT_TELL: "note"}


def junit(title: str, results: Sequence[Result], now: datetime) -> str:
    """One suite for each family; warnings and what could not be told are skipped with their words, as CI shows them."""
    suites = ET.Element("testsuites", name=f"golive check {_clean(title)}", timestamp=f"{now:%Y-%m-%dT%H:%M:%S}")
    for family, grouped in groupby(results, key=lambda result: result.check.family):
        ones = list(grouped)
        failures = sum(one.status is Status.FAIL and not one.ignored for one in ones)
        skipped = sum(_is_skipped(one) for one in ones)
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=family,
            tests=str(len(ones)),
            failures=str(failures),
            errors="0",
            skipped=str(skipped),
            time=f"{sum(one.seconds for one in ones):.3f}",
        )
        for one in ones:
            case = ET.SubElement(
                suite, "testcase", classname=f"golive.{family}", name=one.check.id, time=f"{one.seconds:.3f}"
            )
            text = _clean(f"{one.check.title}: {one.outcome.text}")
            if _is_skipped(one):
                ET.SubElement(case, "skipped", message=_clean(f"{one.ignored or one.status.value}: {text}"))
            elif one.status is Status.FAIL:
                ET.SubElement(case, "failure", message=text, type=one.check.id).text = _clean(_body(one))
            else:
                ET.SubElement(case, "system-out").text = text
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def sarif(title: str, results: Sequence[Result], now: datetime) -> str:
    """What is wrong, as code scanning takes it: rules for all checks, results for those that found something."""
    found = [one for one in results if one.status in _LEVELS]
    rules = [
        {
            "id": one.check.id,
            "name": one.check.id.title().replace("-", ""),
            "shortDescription": {"text": one.check.title},
            "fullDescription": {"text": one.check.why},
            "properties": {"tags": [one.check.family]},
        }
        for one in results
    ]
    places = {one.check.id: at for at, one in enumerate(results)}
    run = {
        "tool": {"driver": {"name": "golive check", "version": __version__, "rules": rules}},
        "invocations": [{"executionSuccessful": True, "endTimeUtc": f"{now:%Y-%m-%dT%H:%M:%SZ}"}],
        "results": [_sarif_result(title, one, places[one.check.id]) for one in found],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _sarif_result(title: str, one: Result, place: int) -> dict[str, Any]:
    text = f"{one.check.title}: {one.outcome.text}" + (f". {one.outcome.fix.text}" if one.outcome.fix else "")
    location = {
        "physicalLocation": {"artifactLocation": {"uri": "golive.toml"}, "region": {"startLine": 1}},
        "logicalLocations": [{"fullyQualifiedName": title, "kind": "resource"}],
    }
    found: dict[str, Any] = {
        "ruleId": one.check.id,
        "ruleIndex": place,
        "level": _LEVELS[one.status],
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {"check": f"{title} {one.check.id}"},
    }
    if one.ignored:
        found["suppressions"] = [{"kind": "inSource", "justification": one.ignored}]
    return found


def _is_skipped(one: Result) -> bool:
    return bool(one.ignored) or one.status in (Status.WARNING, Status.NOT_APPLICABLE, Status.COULD_NOT_TELL)


def _body(one: Result) -> str:
    parts = [one.check.why, *(f"> {e.asked}\n< {e.shown()}" for e in one.outcome.evidence)]
    return "\n\n".join([*parts, *([f"mend: {one.outcome.fix.text}"] if one.outcome.fix else [])])


def _clean(text: str) -> str:
    """Without what XML cannot hold: answers of sites hold anything."""
    return _NOT_XML.sub("�", text)
