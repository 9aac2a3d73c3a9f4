"""Backups: made, elsewhere, and restored before they count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from golive.checks.app import App
from golive.checks.model import Evidence, Family, Outcome, failed, not_applicable, passed, warned

family = Family("backups", "Whether everything could be had back, and whether anybody has tried.")
_FRESH = timedelta(hours=36)
_PROVEN = timedelta(days=15)
_BEGINNING = timedelta(seconds=30)
"""In which what receives the writes is up, after a start of its database too; it is begun anew with that."""
_NONE = "golive runs no PostgreSQL for the app"


async def _found(app: App) -> list[dict[str, Any]]:
    own = [r for r in app.blueprint.resources.values() if r.engine == "postgres" and not r.url_from]
    return (await app.fact("backups"))["databases"] if own else []


def _moment(given: Any) -> datetime:
    if isinstance(given, int | float):
        return datetime.fromtimestamp(given, UTC)
    found = datetime.fromisoformat(str(given))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _shown(app: App, each: dict[str, Any]) -> Evidence:
    lines = [f"{each['name']} to {each['to']}, at {each['schedule']}"]
    lines += [f"{one['id']}: {one['status']} {one.get('why') or ''}".rstrip() for one in each["backups"][:5]]
    return app.said("backup list", "\n".join(lines))


@family.app(
    "made",
    "A backup of the last day is there",
    "Machines and people fail; what is not elsewhere is gone.",
    answers="datifyy.8 rt-apps.12 threadr.5",
)
async def made(app: App) -> Outcome:
    found = await _found(app)
    if not found:
        return not_applicable(_NONE)
    for each in found:
        if "error" in each:
            return failed(f"{each['name']}: {each['error']['what']}", _shown(app, {**each, "backups": []}))
        good = [one for one in each["backups"] if one["status"] != "failed" and "ended" in one]
        if not good and not each["backups"] and await _is_new(app):
            return warned(f"{each['name']} has none yet", _shown(app, each), fix="golive backup create makes one now")
        if not good:
            return failed(f"{each['name']} has none", _shown(app, each), fix="golive backup create")
        age = datetime.now(UTC) - _moment(good[0]["ended"])
        if age > _FRESH:
            text = f"{each['name']}: the newest is {age.days * 24 + age.seconds // 3600} h old"
            return failed(text, _shown(app, each), fix="golive backup create, and see why the nightly one is missing")
    return passed(", ".join(each["name"] for each in found), *(_shown(app, each) for each in found))


async def _is_new(app: App) -> bool:
    """Live for less than an hour: the first backup is made within minutes."""
    releases = (await app.fact("releases"))["releases"]
    return all(datetime.now(UTC) - _moment(one["created_at"]) < timedelta(hours=1) for one in releases)


@family.app(
    "proven",
    "A backup was restored, and looked at",
    "A backup that nobody has restored is a hope.",
    answers="rt-apps.12 threadr.5 darasa.7",
)
async def proven(app: App) -> Outcome:
    found = await _found(app)
    if not found:
        return not_applicable(_NONE)
    for each in found:
        listed = each.get("backups", ())
        if broken := [one for one in listed if one["status"] == "failed"]:
            text = f"{each['name']}: {broken[0]['id']} failed: {broken[0].get('why')}"
            say = failed if broken[0] is listed[0] else warned
            return say(text, _shown(app, each), fix=f"golive backup create -r {each['name']}, then a drill of it")
        drills = [_moment(one["drill"]["at"]) for one in listed if one.get("drill")]
        if not drills:
            return warned(f"none of {each['name']}", _shown(app, each), fix=f"golive backup drill -r {each['name']}")
        if datetime.now(UTC) - max(drills) > _PROVEN:
            text = f"{each['name']}: last on {max(drills):%Y-%m-%d}"
            return warned(text, _shown(app, each), fix=f"golive backup drill -r {each['name']}")
    return passed("proven by a drill", *(_shown(app, each) for each in found))


@family.app(
    "writes",
    "Every write since the last backup is kept",
    "Without them a restore loses up to a day.",
    answers="darasa.7 rt-apps.12",
)
async def writes(app: App) -> Outcome:
    found = [each for each in await _found(app) if each.get("engine") != "redis"]  # it has snapshots alone
    if not found:
        return not_applicable(_NONE)
    for each in found:
        state = each["receiving"]
        begun = state["status"] == "starting" and datetime.now(UTC) - _moment(state["since"]) < _BEGINNING
        early = (not each["backups"] or state["status"] == "stopped") and not each["trouble"] and await _is_new(app)
        if state["status"] != "ready" and (begun or early):
            return warned(f"{each['name']}: not yet", _shown(app, each), fix="golive backup list, in some minutes")
        if state["status"] != "ready":
            text = f"{each['name']}: writes {state['status']}"
            return failed(text, _shown(app, each), fix="golive backup list says why; golive logs")
        if each["trouble"]:
            return warned(f"{each['name']}: {each['trouble']}", _shown(app, each))
    return passed("they are received", *(_shown(app, each) for each in found))


@family.app(
    "elsewhere",
    "Backups are on another disk",
    "A backup on the disk of the database burns with it.",
    answers="darasa.7 threadr.5",
)
async def elsewhere(app: App) -> Outcome:
    found = await _found(app)
    if not found:
        return not_applicable(_NONE)
    for each in found:
        if each["own_disk"]:
            fix = 'name a bucket or another disk: [backups] to = "s3://bucket/folder"'
            return warned(f"{each['name']}: to {each['to']}, its own disk", _shown(app, each), fix=fix)
    return passed(", ".join(each["to"] for each in found), *(_shown(app, each) for each in found))


@family.app(
    "key",
    "The key of the backups is kept elsewhere too",
    "Backups are encrypted: without the key they are noise.",
    answers="threadr.5 darasa.7",
)
async def key(app: App) -> Outcome:
    if not await _found(app):
        return not_applicable(_NONE)
    kept = (await app.fact("backups"))["key_kept"]
    evidence = app.said("backup list --json", f"key_kept: {str(kept).lower()}")
    if not kept:
        return warned("it is only on this machine", evidence, fix="golive backup key, and keep it with your passwords")
    return passed("somebody has looked at it", evidence)
