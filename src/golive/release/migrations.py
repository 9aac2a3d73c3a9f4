"""Migrations outside a deployment: where the database of what is live stands, and running what is pending now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from golive.blueprint.models import Migrations
from golive.build.artifact import Artifact
from golive.errors import GoliveError, MigrationFailed, NotFound, UsageError
from golive.migrate.lint import text
from golive.migrate.lint.finding import Verdict
from golive.migrate.lint.sources import Running
from golive.migrate.runtime import Runtime
from golive.migrate.status import Applied, MigrationEvent
from golive.release import databases, environment, pools, resources
from golive.release.host import Host
from golive.release.instances import process_environment
from golive.secret import Secret
from golive.state.records import GenerationState, Place, ReleaseSchema


@dataclass(frozen=True)
class Live:
    """What migrating a release needs: its settings, database and environment, and the files of the checkout."""

    release: int
    settings: Migrations
    checkout: Path
    url: Secret
    runtime: Runtime | None


async def live(host: Host, place: Place) -> Live:
    """NotFound when nothing is live, it has no migrations, or its checkout is gone."""
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one, and migrates")
    blueprint = host.release_blueprint(place, app.live)
    settings = blueprint.migrations
    if settings is None:
        raise NotFound(f"{place} has no migrations", hint="`migrations` in golive.toml says where they are")
    checkout = Path(app.checkout)
    if not checkout.is_dir():
        raise NotFound(f"the checkout of {place} is gone", where=str(checkout), hint="golive up from where it is now")
    values, _ = environment.with_urls(blueprint, host.state.variables(place))
    stores = await resources.declare(host, place, blueprint)
    injected = resources.variables(blueprint, stores, values)
    url = resources.direct_url(blueprint, settings.resource, injected, values)
    if url is None:
        raise NotFound(f"{place} has no database {settings.resource} yet", hint="golive up makes it")
    own = _live_runtime(host, place, (app.live, settings), pools.past(blueprint, stores, values))
    return Live(app.live, settings, checkout, url, own)


def _live_runtime(host: Host, place: Place, release: tuple[int, Migrations], past: dict[str, Secret]) -> Runtime | None:
    number, settings = release
    if settings.service is None:
        return None
    artifact = host.builder.store.get(host.state.release(place, number).artifacts[settings.service])
    values = host.state.release_environments(place, number).get(settings.service, {}) | past
    return runtime(host, place, artifact, values) if artifact else None


def running(host: Host, place: Place) -> tuple[Running, ...]:
    """The releases whose code may ask the database now: the live one, and those that drain or are kept warm."""
    app = host.state.app(place)
    if app is None or app.live is None:
        return ()
    services: dict[int, set[str]] = {app.live: set(host.release_blueprint(place, app.live).services)}
    until: dict[int, float] = {}
    for generation in host.state.generations(place, (GenerationState.DRAINING, GenerationState.WARM)):
        if generation.release != app.live:
            services.setdefault(generation.release, set()).add(generation.service)
            ends = (generation.drain_until or 0.0, generation.warm_until or 0.0)
            until[generation.release] = max(until.get(generation.release, 0.0), *ends)
    carried = _carried(host, place)
    return tuple(
        _running(host, place, number, names, until.get(number), carried.get(number, frozenset()))
        for number, names in sorted(services.items(), reverse=True)
    )


def _running(
    host: Host, place: Place, number: int, names: set[str], until: float | None, carried: frozenset[str]
) -> Running:
    keys = host.state.release(place, number).artifacts
    found = [host.builder.store.get(keys[name]) for name in sorted(names) if name in keys]
    code = [each for each in found if each is not None and each.kind in ("python", "node", "go")]
    known = len(code) + sum(each is not None and each.kind in ("static", "none") for each in found)
    words = time.strftime("until %H:%M", time.localtime(until)) if until else ""
    return Running(number, tuple(each.whole for each in code), known == len(found), words, carried)


def kept(host: Host, place: Place) -> tuple[Running, ...]:
    """The releases that could be gone back to and do not run, newest first."""
    busy = {each.number for each in running(host, place)}
    ready = [r.number for r in host.state.releases(place) if r.state == "ready" and r.number not in busy]
    return tuple(code_of(host, place, number) for number in ready)


def code_of(host: Host, place: Place, number: int) -> Running:
    """A release's code, whether it runs or not."""
    names = set(host.release_blueprint(place, number).services)
    return _running(host, place, number, names, None, frozenset())


def _carried(host: Host, place: Place) -> dict[int, frozenset[str]]:
    """The contract files that waited when a release was deployed: it was written to live without what they take."""
    found: dict[int, frozenset[str]] = {}
    for deployment in host.state.deployments(place, limit=100):
        if deployment.kind == "deploy" and deployment.release is not None and deployment.result:
            found[deployment.release] = frozenset(deployment.result.get("held", ()))
    return found


def runtime(host: Host, place: Place, artifact: Artifact, values: dict[str, Secret]) -> Runtime:
    """The environment of a release for a migration tool of the project's own; no `python` where it has none."""
    env = process_environment(host, place, artifact, {name: value.reveal() for name, value in values.items()})
    home = env.get("VIRTUAL_ENV")
    python = (str(Path(home) / "bin" / "python"),) if home else ()
    return Runtime(python, env, host.app_user(place.app), artifact.app)


async def status(host: Host, place: Place, *, sql: bool) -> dict[str, Any]:
    """As JSON; changes nothing. `sql`: what would run, too."""
    found = await live(host, place)
    seen = await databases.overview(
        host.offload, found.settings, found.checkout, found.url, runtime=found.runtime, sql=sql
    )
    lines = []
    for line in seen.lines:
        at = line.applied_at.isoformat() if line.applied_at else None
        lines.append({**asdict(line), "applied_at": at, "sql": line.sql if sql else None})
    verdict = await inspect(host, place, found) if seen.pending and seen.stop is None else None
    return {
        "app": place.app,
        "environment": place.environment,
        "release": found.release,
        "lint": verdict.to_json() if verdict else None,
        "tool": seen.tool,
        "version": seen.version,
        "source": found.settings.source,
        "pending": [line.name for line in seen.pending],
        "stop": {"what": seen.stop[0], "hint": seen.stop[1]} if seen.stop else None,
        "migrations": lines,
        "sql": seen.sql if sql else None,
    }


async def lint(host: Host, place: Place, texts: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """As JSON: what is pending, or these files (name and text) as if they were, judged by the live database."""
    found = await live(host, place)
    if texts:
        verdict = await databases.judge(
            host.offload, found.settings, found.checkout, texts, found.url, running(host, place)
        )
    else:
        verdict = await inspect(host, place, found)
    return verdict.to_json()


async def gate(host: Host, place: Place, given: Live, say: Callable[[str], None]) -> Verdict:
    """What is pending, judged before anything runs; MigrationFailed with every finding when it may not. What is only a
    warning, or waits, is said."""
    verdict = await inspect(host, place, given)
    text.refuse(verdict)
    for line in text.said(verdict):
        say(line)
    return verdict


async def all_wait(host: Host, place: Place, given: Live) -> bool:
    """Whether whatever is pending is a contract file that still waits, so that there is nothing to do."""
    settings, offload = given.settings, host.offload
    pending = await databases.pending(offload, settings, given.checkout, given.url, runtime=given.runtime)
    if not pending:
        return True
    verdict = await inspect(host, place, given)
    return not verdict.stops and set(pending) == {one.file for one in verdict.held}


async def inspect(host: Host, place: Place, given: Live) -> Verdict:
    return await databases.inspect(
        host.offload, given.settings, given.checkout, given.url, running(host, place), runtime=given.runtime
    )


async def record(host: Host, place: Place, given: Live, applied: Applied) -> None:
    """Write down what this release was made for, so that it is known whether it can come back."""
    shape = await databases.shape(host.offload, given.settings, given.url)
    host.state.set_release_schema(place, given.release, ReleaseSchema(applied.standing, applied.contracts, shape))


async def run(host: Host, given: Live, held: tuple[str, ...], report: Callable[[MigrationEvent], None]) -> Applied:
    """Apply what is pending and does not wait. MigrationFailed says what stands, also when the process that worked on
    it was killed."""
    try:
        return await databases.migrate(
            host.offload, given.settings, given.checkout, given.url,
            release=given.release, report=report, runtime=given.runtime, held=held,
        )  # fmt: skip
    except (MigrationFailed, UsageError):
        raise
    except GoliveError as error:
        stands = await _stands(host, given)
        raise MigrationFailed(
            "the migrations were broken off in the middle",
            why=f"{error.what}: {error.why}" if error.why else error.what,
            hint=f"{stands} The old release keeps serving. Deploy again: it goes on from there.",
        ) from None


async def _stands(host: Host, given: Live) -> str:
    """What is in the database after somebody ended the migrator, in a sentence or two."""
    try:
        seen = await databases.overview(
            host.offload, given.settings, given.checkout, given.url, runtime=given.runtime, sql=False
        )
    except GoliveError as error:
        return f"What stands could not be asked ({error.what}); `golive migrate` will say."
    begun = [line for line in seen.lines if line.state == "unfinished"]
    said = f"The schema is at {seen.version}." if seen.version else "No migration is applied."
    for line in begun:
        said += f" {line.name} runs outside a transaction: {line.done} of its {line.statements} statements stand."
        said += f" Statement {line.done + 1} may." if line.unsure else ""
    waiting = [line.name for line in seen.pending if line not in begun]
    return said + (f" Nothing of {', '.join(waiting)} stands." if waiting else "")


async def up(host: Host, place: Place, actor: str, report: Callable[[MigrationEvent], None]) -> Applied:
    """Run what is pending, for the release that is live. In the audit log before it begins and when it has ended."""
    found = await live(host, place)
    verdict = await gate(host, place, found, lambda line: report(MigrationEvent("lint", line)))
    host.state.audit(actor, "migrate", place, release=found.release, tool=found.settings.tool)
    try:
        applied = await run(host, found, tuple(one.file for one in verdict.held), report)
    except BaseException as error:
        host.state.audit(actor, "migrate.failed", place, release=found.release, error=type(error).__name__)
        raise
    host.state.set_release(place, found.release, "ready", applied.version_after)
    await record(host, place, found, applied)
    host.state.audit(
        actor, "migrate.done", place, release=found.release, applied=list(applied.files), schema=applied.version_after
    )
    return applied
