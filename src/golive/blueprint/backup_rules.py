"""Rules about backups: their schedules."""

from __future__ import annotations

from collections.abc import Iterator

from golive.blueprint.facts import Facts
from golive.blueprint.faults import Fault
from golive.blueprint.service_rules import is_schedule, is_zone, nearest_zone


def _schedules(facts: Facts) -> Iterator[Fault]:
    policy = facts.blueprint.backups
    schedules = (("schedule", policy.schedule), ("increments", policy.increments), ("drill", policy.drill))
    for key, text in schedules:
        if not is_schedule(text) and not (key != "schedule" and text == "never"):
            hint = "minute, hour, day, month, weekday: `0 2 * * *`; or @daily, @weekly"
            yield Fault(("backups", key), f"`{text}` is not a schedule", hint)
    if not is_zone(policy.timezone):
        close = nearest_zone(policy.timezone)
        hint = f"did you mean `{close}`?" if close else "an IANA zone, such as Europe/Berlin"
        yield Fault(("backups", "timezone"), f"there is no time zone `{policy.timezone}`", hint)


def _checks(facts: Facts) -> Iterator[Fault]:
    for name, resource in facts.blueprint.resources.items():
        if resource.checks and resource.engine != "postgres":
            message = "only a PostgreSQL is asked by drills"
            yield Fault(("resources", name, "checks"), message, "leave it out", also=(("resources", name),))


BACKUP_RULES = (_schedules, _checks)
