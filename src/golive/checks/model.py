"""What a check is, and what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golive.checks.app import App
    from golive.checks.site import Site

LONGEST = 1200
"""Characters of an answer that evidence shows."""


class Status(StrEnum):
    PASS = "pass"  # noqa: S105
    WARNING = "warning"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    COULD_NOT_TELL = "could not tell"


@dataclass(frozen=True)
class Evidence:
    """What was asked (a request, a command) and what came. Values of secrets and cookies are masked by who makes it."""

    asked: str
    came: str

    def shown(self) -> str:
        return self.came if len(self.came) <= LONGEST else self.came[:LONGEST].rstrip() + " …"


@dataclass(frozen=True)
class Setting:
    """One value of golive.toml. An empty key among the path's is the next entry of a list of tables."""

    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True)
class Fix:
    """The change that mends it: always as a sentence, as settings where golive.toml can say it."""

    text: str
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class Outcome:
    status: Status
    text: str
    evidence: tuple[Evidence, ...] = ()
    fix: Fix | None = None


def passed(text: str, *evidence: Evidence) -> Outcome:
    return Outcome(Status.PASS, text, evidence)


def failed(text: str, *evidence: Evidence, fix: Fix | str | None = None) -> Outcome:
    return Outcome(Status.FAIL, text, evidence, _fix(fix))


def warned(text: str, *evidence: Evidence, fix: Fix | str | None = None) -> Outcome:
    return Outcome(Status.WARNING, text, evidence, _fix(fix))


def not_applicable(reason: str, *evidence: Evidence) -> Outcome:
    return Outcome(Status.NOT_APPLICABLE, reason, evidence)


def could_not_tell(reason: str, *evidence: Evidence, fix: Fix | str | None = None) -> Outcome:
    return Outcome(Status.COULD_NOT_TELL, reason, evidence, _fix(fix))


def _fix(given: Fix | str | None) -> Fix | None:
    return Fix(given) if isinstance(given, str) else given


class Unanswered(Exception):
    """The world did not answer, or the budget does not allow to ask: the check could not tell, and this is why."""


@dataclass(frozen=True)
class Check:
    """`why` is for whoever reads the report: what goes wrong without it. `answers` are ids of `golive.checks.guides`.

    `intrusive`: it does what a visitor would not (many requests at once), so only to one's own app or when told to.
    `longest` is how many seconds it may take.
    """

    id: str
    family: str
    title: str
    why: str
    answers: tuple[str, ...] = ()
    intrusive: bool = False
    longest: float = 30.0
    on_site: Callable[[Site], Awaitable[Outcome]] | None = None
    on_app: Callable[[App], Awaitable[Outcome]] | None = None


@dataclass(frozen=True)
class Result:
    """`ignored` says until when and why golive.toml lets it pass; the outcome stays what it is."""

    check: Check
    outcome: Outcome
    seconds: float = 0.0
    ignored: str = ""

    @property
    def status(self) -> Status:
        return self.outcome.status

    def to_json(self) -> dict[str, Any]:
        check, outcome = self.check, self.outcome
        found: dict[str, Any] = {
            "id": check.id,
            "family": check.family,
            "title": check.title,
            "status": outcome.status.value,
            "text": outcome.text,
            "why": check.why,
            "answers": list(check.answers),
            "seconds": round(self.seconds, 3),
            "evidence": [{"asked": e.asked, "came": e.shown()} for e in outcome.evidence],
        }
        if outcome.fix:
            found["fix"] = outcome.fix.text
            found["settings"] = [{"path": list(s.path), "value": s.value} for s in outcome.fix.settings]
        if self.ignored:
            found["ignored"] = self.ignored
        return found


@dataclass
class Family:
    """Where the checks of a module are gathered, in the order they are written."""

    name: str
    about: str
    checks: list[Check] = field(default_factory=list)

    def site(self, id: str, title: str, why: str, *, answers: str = "", intrusive: bool = False) -> Callable[..., Any]:
        """Makes a check of a coroutine that looks at a site; `answers` are guide lines, apart by spaces."""

        def add(run: Callable[[Site], Awaitable[Outcome]]) -> Callable[[Site], Awaitable[Outcome]]:
            name = f"{self.name.replace(' ', '-')}-{id}"
            self.checks.append(
                Check(name, self.name, title, why, tuple(answers.split()), intrusive=intrusive, on_site=run)
            )
            return run

        return add

    def app(
        self, id: str, title: str, why: str, *, answers: str = "", intrusive: bool = False, longest: float = 30.0
    ) -> Callable[..., Any]:
        """The same for one that looks at an app of golive's own."""

        def add(run: Callable[[App], Awaitable[Outcome]]) -> Callable[[App], Awaitable[Outcome]]:
            name = f"{self.name.replace(' ', '-')}-{id}"
            lines = tuple(answers.split())
            self.checks.append(Check(name, self.name, title, why, lines, intrusive, longest, on_app=run))
            return run

        return add
