"""The linter against its corpus, and what it says."""

from __future__ import annotations

import pytest
from corpus import Case, cases

from golive.migrate.lint.check import lint
from golive.migrate.lint.finding import Level
from golive.migrate.lint.rules import RULES

DANGEROUS, HARMLESS = cases("dangerous"), cases("harmless")


def test_the_corpus_is_large_enough() -> None:
    assert len(DANGEROUS) >= 40
    assert len(HARMLESS) >= 40


@pytest.mark.parametrize("case", DANGEROUS, ids=lambda case: case.name)
def test_a_dangerous_migration_is_stopped_or_held(case: Case) -> None:
    verdict = lint(case.scripts, case.facts, case.running)
    caught = [found for found in verdict.findings if found.level in (Level.STOP, Level.HELD)]
    assert case.rule in [found.rule for found in caught]
    for found in caught:
        assert found.rule in RULES
        assert found.what
        assert found.why
        assert found.safe
        assert found.line >= 1


@pytest.mark.parametrize("case", HARMLESS, ids=lambda case: case.name)
def test_a_harmless_migration_is_let_through(case: Case) -> None:
    verdict = lint(case.scripts, case.facts, case.running)
    assert [found for found in verdict.findings if found.level in (Level.STOP, Level.HELD)] == []
    assert verdict.held == ()
