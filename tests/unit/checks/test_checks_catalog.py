"""The catalogue: every check is whole, and every line of the guides is answered."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from golive.blueprint.check_names import CHECK_NAMES
from golive.blueprint.checkout import Checkout
from golive.blueprint.checks_policy import IgnoredCheck
from golive.blueprint.document import parse_document
from golive.blueprint.resolve import resolve
from golive.checks import catalog
from golive.checks.guides import CHECKLISTS, LINES
from golive.checks.model import Check, Outcome, Result, Status
from golive.checks.run import exit_code, ignored
from golive.cli.check_app import tried_limit
from golive.errors import UsageError

EVERY = catalog.checks(app=True)


def result(status: Status, id: str = "tls-hsts") -> Result:
    check = next(check for check in EVERY if check.id == id)
    return Result(check, Outcome(status, "so it is"))


def test_ids_are_their_own_and_say_their_family() -> None:
    ids = [check.id for check in EVERY]
    assert len(ids) == len(set(ids)) > 60
    for check in EVERY:
        assert re.fullmatch(r"[a-z0-9-]+", check.id)
        assert check.id.startswith(check.family.replace(" ", "-"))


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.id)
def test_a_check_says_what_and_why_and_can_run(check: Check) -> None:
    assert check.title[0].isupper() and not check.title.endswith(".")
    assert check.why.endswith(".")
    assert (check.on_site is None) != (check.on_app is None)
    assert set(check.answers) <= set(LINES), "a line that no guide has"


def test_the_lines_are_those_of_the_checklists() -> None:
    assert set(LINES) == {f"{guide}.{n}" for guide, count in CHECKLISTS.items() for n in range(1, count + 1)}


def test_a_mistyped_family_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="headrs") as raised:
        catalog.checks(("headrs",), app=False)
    assert raised.value.hint == "--only headers"


def test_only_a_family_or_a_check() -> None:
    assert {check.family for check in catalog.checks(("tls",), app=False)} == {"tls"}
    assert [check.id for check in catalog.checks(("tls-hsts",), app=False)] == ["tls-hsts"]


def test_an_ignored_finding_stops_nothing_until_its_day() -> None:
    rule = IgnoredCheck(check="tls-hsts", because="the proxy does it", until=date(2027, 1, 31))
    [before] = ignored([result(Status.FAIL)], [rule], date(2027, 1, 31))
    assert before.ignored == "until 2027-01-31: the proxy does it"
    assert exit_code([before], strict=True) == 0
    [after] = ignored([result(Status.FAIL)], [rule], date(2027, 2, 1))
    assert not after.ignored
    assert "it was ignored until 2027-01-31" in after.outcome.text
    assert exit_code([after], strict=False) == 1


def test_a_family_is_ignored_as_one_and_others_are_not() -> None:
    rule = IgnoredCheck(check="tls", because="so", until=date(2030, 1, 1))
    found = ignored([result(Status.FAIL), result(Status.FAIL, "headers-csp")], [rule], date(2027, 1, 1))
    assert [bool(one.ignored) for one in found] == [True, False]


@pytest.mark.parametrize(
    ("status", "default", "strict"),
    [
        (Status.PASS, 0, 0),
        (Status.FAIL, 1, 1),
        (Status.WARNING, 0, 1),
        (Status.COULD_NOT_TELL, 0, 1),
        (Status.NOT_APPLICABLE, 0, 0),
    ],
)
def test_exit_codes_by_profile(status: Status, default: int, strict: int) -> None:
    assert exit_code([result(status)], strict=False) == default
    assert exit_code([result(status)], strict=True) == strict


def test_every_line_of_the_guides_is_answered() -> None:
    answered = {line for check in EVERY for line in check.answers}
    assert set(LINES) - answered == set()


def test_the_catalogue_has_every_family_of_the_requirements() -> None:
    wanted = (
        "environment build release features health outage tls headers cors cookies caching compression content dns "
        "database migrations backups restore redis secrets dependencies logs alerts performance capacity load "
        "accessibility cost"
    )
    assert {*wanted.split(), "rate limit"} == {family.name for family in catalog.families()}
    assert all(len(family.checks) >= 3 for family in catalog.families())


@pytest.mark.parametrize(
    ("limits", "tried", "said"),
    [
        ('"100/min"', ("/api", 100), ""),
        ('[{ limit = "60/min", path = "/api/pay", burst = 5 }, { limit = "100/min" }]', ("/api/pay", 5), ""),
        ('"5/day"', None, "5/day"),
        ('"5000/min"', None, "5000/min"),
        ("[]", None, ""),
    ],
)
def test_the_limit_that_is_used_up_locks_nobody_out(
    tmp_path: Path, limits: str, tried: tuple[str, int] | None, said: str
) -> None:
    text = f'name = "tea"\n[services.api]\nkind = "web"\ncommand = "x"\nroute = "/api"\nrate_limit = {limits}\n'
    blueprint = resolve(parse_document(text), Checkout(tmp_path), "production").blueprint
    found, why = tried_limit(blueprint)
    assert found == tried
    assert (said in why) if said else not why


def test_golive_toml_knows_every_name() -> None:
    assert set(CHECK_NAMES) == catalog.names()
