"""Restores: the last backup of each database brought back into a scratch server, looked at, and removed."""

from __future__ import annotations

from typing import Any

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, could_not_tell, failed, not_applicable, passed, warned
from golive.units import human_duration, human_size

family = Family("restore", "Whether the last backup comes back, now.")
LONGEST = 120.0


@family.app(
    "works",
    "The last backup can be restored",
    "Of backups that nobody restores one in three cannot be.",
    answers="rt-apps.12 darasa.7 threadr.5",
    intrusive=True,
    longest=LONGEST,
)
async def works(app: App) -> Outcome:
    drills = await app.fact("drills")
    if (none := _none(drills)) is not None:
        return none
    shown = [_shown(app, one) for one in drills]
    bad = [f"{one['name']}: {one['error']}" for one in drills if one.get("damaged")]
    if bad:
        return failed("; ".join(bad), *shown, fix="golive backup create, and golive backup drill of that one")
    if untried := [f"{one['name']}: {one['error']}" for one in drills if one.get("error")]:
        return could_not_tell("; ".join(untried), *shown, fix="golive backup drill")
    return passed("; ".join(f"{one['name']}: {one['backup']['id']}" for one in drills), *shown)


@family.app(
    "filled",
    "What comes back is not empty",
    "A backup of the wrong database restores well.",
    answers="rt-apps.12 darasa.7",
    intrusive=True,
    longest=LONGEST,
)
async def filled(app: App) -> Outcome:
    made = await app.fact("drills")
    if (none := _none(made)) is not None:
        return none
    restored = [one for one in made if not one.get("error") and one["backup"]["engine"] == "postgres"]
    migrations = app.blueprint.migrations
    if not restored or migrations is None:
        return not_applicable("no PostgreSQL that migrations fill was restored")
    shown = [_shown(app, one) for one in restored]
    empty = [o for o in restored if o["name"] == migrations.resource and not o["backup"]["drill"]["tables"]]
    if empty:
        return failed(f"{empty[0]['name']} comes back without a table", *shown, fix="golive backup create")
    said = (
        f"{o['name']}: {o['backup']['drill']['tables']} tables, {o['backup']['drill']['rows']:,} rows" for o in restored
    )
    return passed("; ".join(said), *shown)


@family.app(
    "time",
    "It comes back in the time that a recovery may take",
    "A backup that takes a day to restore is a day without the shop.",
    answers="threadr.5",
    intrusive=True,
    longest=LONGEST,
)
async def time(app: App) -> Outcome:
    drills = await app.fact("drills")
    if (none := _none(drills)) is not None:
        return none
    taken = {one["name"]: one["backup"]["drill"]["seconds"] for one in drills if not one.get("error")}
    if not taken:
        return could_not_tell("none was restored", *(_shown(app, one) for one in drills))
    whole, most = sum(taken.values()), app.blueprint.backups.rto.total_seconds()
    text = f"{human_duration(whole)} of {human_duration(most)}"
    shown = Evidence("golive backup drill", "\n".join(f"{name}: {human_duration(s)}" for name, s in taken.items()))
    if whole > most:
        return failed(text, shown, fix="backups nearer by, a standby (golive standby), or a longer backups.rto")
    if whole > most / 2:
        return warned(text, shown, fix="it grows with the data: golive standby")
    return passed(text, shown)


def _none(drills: list[dict[str, Any]]) -> Outcome | None:
    """What to say where nothing was restored."""
    if not drills:
        return not_applicable("golive backs nothing up for this app")
    if all(one.get("missing") for one in drills):
        names = ", ".join(one["name"] for one in drills)
        shown = Evidence("golive backup list", f"none yet of {names}")
        return could_not_tell(f"there is no backup of {names} yet", shown, fix="golive backup create")
    return None


def _shown(app: App, one: dict[str, Any]) -> Evidence:
    asked = f"golive backup drill -r {one['name']} --app {app.name} -e {app.environment}"
    if one.get("error"):
        return Evidence(asked, one["error"])
    backup, drill = one["backup"], one["backup"]["drill"]
    lines = [f"{backup['id']}, {human_size(backup['data'])}, usable after {human_duration(drill['seconds'])}"]
    return Evidence(asked, "\n".join([*lines, *drill["checks"]]))
