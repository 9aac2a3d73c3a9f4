"""Pending migrations on a copy of the live database first: what they take, and whether they go through (MIG-3).

The copy is `<resource>@rehearsal-…`. It never becomes `ready`: a daemon that finds it at its start takes it away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from golive.blueprint.env import connection_variables
from golive.blueprint.models import Blueprint, Rehearsal
from golive.data import clone
from golive.data.postgres import Postgres
from golive.data.postgres_plan import LIGHT
from golive.data.store import Store
from golive.errors import Conflict, MigrationFailed, ResourceFailed, from_json
from golive.migrate.runtime import Runtime
from golive.migrate.status import MigrationEvent
from golive.release import branches, copies, databases, migrations, resources
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place
from golive.units import human_duration

if TYPE_CHECKING:
    from golive.migrate.account import Account
    from golive.release.deploy import Deploy

Say = Callable[[str], None]
SETTINGS = {**LIGHT, "autovacuum": "off", "fsync": "off"}
"""Nobody but the migrations is at work there, so that what is measured is theirs; and what they write goes to the disk
when the kernel has nothing better to do, not before what the live database waits for."""


async def now(host: Host, place: Place, actor: str, say: Say) -> dict[str, Any]:
    """Of what is pending in the checkout, as JSON: the account, what the gate says, `copied` (seconds), and `stops`,
    the sentences for which a deploy would stop. Nothing of it is left.

    Conflict while another copy is made; errors of the files and of the copy as a deploy would raise them.
    """
    found = await migrations.live(host, place)
    source, _ = await branches.source_of(host, place, found.settings.resource)
    if host.copying(place).locked():
        raise Conflict(f"a copy of a database of {place} is being made", hint="wait until it has ended, then try again")
    verdict = await migrations.inspect(host, place, found)
    pending = await databases.pending(host.offload, found.settings, found.checkout, found.url, runtime=found.runtime)
    held = tuple(one.file for one in verdict.held)
    result: dict[str, Any] = {"app": place.app, "environment": place.environment, "release": found.release}
    result |= {"lint": verdict.to_json(), "pending": list(pending), "account": None, "stops": []}
    if not set(pending) - set(held):
        return result
    app = host.state.app(place)
    blueprint = host.release_blueprint(place, app.live if app and app.live else found.release)
    account, seconds = await rehearse(host, place, found, (source, blueprint), held, actor=actor, say=say)
    stops = [f"{one.file}:{one.line} {one.rule}: {one.what}" for one in verdict.stops]
    if error := account.error:
        stops.append(error["what"])
    if said := over(account, found.settings.rehearse):
        stops.append(said)
    return result | {"account": account.to_json(), "copied": round(seconds, 3), "stops": stops}


async def of_deploy(deploy: Deploy, given: migrations.Live | None) -> None:
    """Its step, where golive.toml asks for one and something that runs has data. Before production is touched:
    MigrationFailed with the account when it fails, or keeps others waiting for longer than it may."""
    rules = given.settings.rehearse if given else None
    if given is None or rules is None:
        return
    host, place = deploy.host, deploy.place
    async with deploy.journal.step("rehearse") as note:
        app, source = host.state.app(place), deploy.stores.get(given.settings.resource)
        if app is None or app.live is None or not isinstance(source, Postgres):
            note.detail, note.skipped = "nothing is live yet", True
            return
        verdict = await migrations.gate(host, place, given, lambda _: None)
        held = tuple(one.file for one in verdict.held)
        pending = await databases.pending(
            host.offload, given.settings, given.checkout, given.url, runtime=given.runtime
        )
        if not set(pending) - set(held):
            note.detail, note.skipped = "nothing is pending", True
            return
        account, _ = await rehearse(
            host, place, given, (source, deploy.blueprint), held,
            actor=deploy.deployment.actor, say=lambda text: deploy.journal.log("rehearse", text),
        )  # fmt: skip
        from golive.migrate import account as words

        for line in words.describe(account):
            deploy.journal.log("rehearse", line)
        _refuse(account, rules)
        note.detail = words.summary(account)


def _refuse(account: Account, rules: Rehearsal) -> None:
    from golive.migrate.account import describe

    hint = "Production was not touched and the old release keeps serving."
    if account.error:
        error = from_json(account.error)
        raise MigrationFailed(
            f"in the rehearsal {error.what}", where=error.where, why=error.why, log=error.log,
            hint=f"{hint} Correct that and deploy again.",
        )  # fmt: skip
    if said := over(account, rules):
        safe = "golive migrate lint shows safe forms; or allow more in migrations.rehearse.longest_lock."
        raise MigrationFailed(said, why="\n".join(describe(account)), hint=f"{hint} {safe}")


def over(account: Account, rules: Rehearsal | None) -> str:
    """Pure. Empty when no lock that others wait for was held longer than it may be."""
    limit: timedelta | None = rules.longest_lock if rules else None
    if limit is None or account.longest is None:
        return ""
    ran, lock = account.longest
    if lock.seconds <= limit.total_seconds():
        return ""
    at = f"{ran.file}:{ran.line}" if ran.file else ran.statement
    return (
        f"in the rehearsal {at} kept {lock.blocks} of {lock.table} waiting for {human_duration(lock.seconds)}, "
        f"{human_duration(limit.total_seconds())} are allowed"
    )


async def rehearse(
    host: Host,
    place: Place,
    given: migrations.Live,
    of: tuple[Postgres, Blueprint],
    held: tuple[str, ...],
    *,
    actor: str,
    say: Say,
) -> tuple[Account, float]:
    """What a deploy would do, done on a copy of this database; and the seconds until the copy was there. Waits while
    another copy is made. Whatever happens, nothing of it is left."""
    source, blueprint = of
    if host.copying(place).locked():
        say("another copy of a database is being made; this waits for it")
    async with host.copying(place), branches.long_work() as offload:
        began = time.monotonic()
        copy = copies.declare(
            host, place, source.name, time.strftime("rehearsal-%H%M%S", time.gmtime()), "rehearsal",
            actor=actor, origin="live, to rehearse migrations", settings=SETTINGS,
        )  # fmt: skip
        host.state.audit(actor, "migrate.rehearse", place, copy=copy.name)
        try:
            target = await copies.store(host, copy)
            if not isinstance(target, Postgres):
                raise ResourceFailed(f"{copy.name} is no PostgreSQL", where=copy.name)
            await clone.clone(source, target, say, gently=True)
            await asyncio.to_thread(clone.adopt, target)
            say("recovering")
            await copies.start(host, copy, offload, passing=True)
            # The migrations come as the app's own role, which a copy in the making keeps out.
            opened = replace(target, closed=False, settings=SETTINGS)
            await opened.prepare()
            await databases.bring_up(offload, opened, resources.READY)
            copied = time.monotonic() - began
            say(f"a copy of {source.name} is there after {copied:.1f} s")
            url = opened.variables()["url"]
            account = await databases.rehearse(
                offload, given.settings, given.checkout, url if isinstance(url, Secret) else Secret(url),
                report=lambda event: say(_line(event)), runtime=_there(given.runtime, source, opened, blueprint),
                held=held,
            )  # fmt: skip
            return account, copied
        finally:
            await asyncio.shield(copies.drop(host, copy))


def _line(event: MigrationEvent) -> str:
    return event.text if event.kind in ("notice", "mended") else f"{event.kind}: {event.text}"


def _there(runtime: Runtime | None, live: Postgres, copy: Postgres, blueprint: Blueprint) -> Runtime | None:
    """The environment of a program of the project, with nothing in it that leads to the live database."""
    if runtime is None:
        return None
    variables = pointed(runtime.variables, live, copy, blueprint)
    password = live.password.reveal()
    if left := sorted(name for name, value in variables.items() if password in value):
        raise MigrationFailed(
            f"{_tool(blueprint)} would reach the live database from a rehearsal",
            why=f"{', '.join(left)} has its password",
            hint="Nothing was run. Let the project read the connection variables that golive gives (DATABASE_URL).",
        )
    return replace(runtime, variables=variables)


def _tool(blueprint: Blueprint) -> str:
    return blueprint.migrations.tool if blueprint.migrations else "the migration tool"


def pointed(variables: Mapping[str, str], live: Store, copy: Store, blueprint: Blueprint) -> dict[str, str]:
    """Pure. Whatever leads to the live store leads to the copy."""
    there = copy.variables()
    given = connection_variables(blueprint, live.name, {**there, "replica_url": there["url"]})
    urls = [url for name, url in live.variables().items() if name.endswith("url")]
    found = {}
    for name, value in variables.items():
        led = value
        for url in urls:
            led = led.replace(_text(url), _text(there["url"]))
        found[name] = _text(given[name]) if name in given else led
    return found


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
