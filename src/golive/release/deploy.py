"""The story of a deployment. What undoes it is in `undo`, and needs nothing but the state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golive.blueprint.env import build_environment
from golive.blueprint.load import Loaded, load
from golive.blueprint.models import Blueprint, Migrations
from golive.build.leaks import check_artifact
from golive.build.plan import BuildRequest
from golive.data.store import Report, Store
from golive.errors import Conflict, NotFound, StartFailed, UsageError
from golive.migrate.lint import text as lint
from golive.migrate.runtime import Runtime
from golive.release import (
    bundles,
    closed,
    environment,
    hooks,
    maintenance,
    migrations,
    pools,
    previews,
    rehearsal,
    requirements,
    resources,
    schema,
    trial,
    verify,
)
from golive.release.changeover import bring_back, change_over
from golive.release.desired import Action, ServicePlan, plan_services, replaced
from golive.release.drain import still_open
from golive.release.host import Host
from golive.release.instances import all_or_first_error, ensure_running, start_instances, wait_ready
from golive.release.journal import Journal, StepNote
from golive.release.notes import notes
from golive.release.prober import Prober, ProbeReport
from golive.release.scaling import reach
from golive.release.secrets import Search, searching
from golive.release.suspension import wanted
from golive.release.traffic import edge_config
from golive.release.undeclared import sentence, undeclared
from golive.secret import Secret
from golive.state.records import Deployment, Generation, GenerationState, Place, Release
from golive.units import human_duration, human_size


@dataclass
class Deploy:
    """One deployment being made. Fields are filled by the steps, in the order they stand here."""

    host: Host
    journal: Journal
    deployment: Deployment
    blueprint: Blueprint = field(init=False)
    given: dict[str, Secret] = field(default_factory=dict)
    values: dict[str, Secret] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    plans: tuple[ServicePlan, ...] = ()
    release: int = 0
    schema: str | None = None
    held: tuple[str, ...] = ()
    on_trial: bool = False
    started: dict[str, Generation] = field(default_factory=dict)
    evidence: list[verify.Evidence] = field(default_factory=list)
    changed_over: list[tuple[Generation, Generation]] = field(default_factory=list)
    _before: tuple[int | None, list[int], list[int]] = (None, [], [])
    _claimed: set[int] = field(default_factory=set)

    @property
    def place(self) -> Place:
        return self.deployment.place

    async def run(self) -> dict[str, Any]:
        """The result to show. Whatever it raises, `undo` then takes back what was not committed."""
        try:
            return await self._run()
        finally:
            self.host.claimed -= self._claimed
            self.host.building.difference_update(self.artifacts.values())

    async def _run(self) -> dict[str, Any]:
        if self.deployment.kind == "deploy":
            if await self._prepare_new():
                return {"nothing_to_do": True, "url": self._url(), "release": self._live()}
        else:
            await self._prepare_known()
        return await self._go_live()

    async def _prepare_new(self) -> bool:
        """Validate, build, resources, migrate, the app's own commands. True when there is nothing to do."""
        async with self.journal.step("validate") as note:
            loaded = await self._validate(note)
        async with searching(
            self.host, self.place, self.journal, self.blueprint, loaded.checkout, self._secrets()
        ) as search:
            async with self.journal.step("build") as note:
                await self._build(loaded, note, search)
            async with self.journal.step("secrets") as note:
                await search.finish(note)
        if await self._is_unchanged(loaded):
            return True
        async with self.journal.step("resources") as note:
            await self._resources(note)
        self._make_release()
        await rehearsal.of_deploy(self, self._migrating(loaded))
        async with self.journal.step("migrate") as note:
            await self._migrate(loaded, note)
        await hooks.run_all(self, hooks.PRE)
        return False

    async def _prepare_known(self) -> None:
        """Rollback and restart: the release exists."""
        async with self.journal.step("validate") as note:
            number = self.deployment.request.get("release") or self._live()
            if number is None:
                raise NotFound(f"{self.place} has no live release", hint="golive up makes the first one")
            release = self.host.state.release(self.place, number)
            if release.state != "ready":
                raise UsageError(
                    f"release {number} is {release.state}", hint="golive releases lists those that are kept"
                )
            self.release, self.artifacts, self.schema = number, release.artifacts, release.schema_version
            self.blueprint = self.host.release_blueprint(self.place, number)
            self.host.state.set_deployment_release(self.deployment.id, number)
            self.stores = await resources.standing(self.host, self.place, self.blueprint)
            self.values = self.host.state.variables(self.place)
            self._mask(self.host.state.release_environments(self.place, number))
            if self.deployment.kind == "rollback":
                note.detail = await self._going_back(number)
        self._plan(self.host.state.release_environments(self.place, number), force=self._forced())

    async def _going_back(self, number: int) -> str:
        accepted = bool(self.deployment.request.get("despite_schema"))
        url = self._database_url()
        return await schema.going_back(self.host, self.place, number, self.blueprint, url, accepted=accepted)

    def _forced(self) -> tuple[str, ...]:
        if self.deployment.kind != "restart":
            return ()
        names = tuple(self.deployment.request.get("services") or self.blueprint.services)
        if unknown := [n for n in names if n not in self.blueprint.services]:
            raise NotFound(f"{self.place} has no service {', '.join(unknown)}")
        return names

    async def _go_live(self) -> dict[str, Any]:
        """Start, ready, shift, verify, drain; then the app's own commands, which cannot take anything back."""
        self.on_trial = trial.wanted(self)
        async with self.journal.step("start") as note:
            await self._start(note)
        async with self.journal.step("ready") as note:
            await self._ready(note)
        await trial.run(self)
        address = self.host.gateway.address(self.blueprint.domains[0], https=self.blueprint.edge.https)
        paths = verify.probe_paths(self._serving())
        async with Prober(address, paths, lambda: maintenance.passing(self.host, self.place)) as prober:
            await change_over(self)
            async with self.journal.step("shift") as note:
                await self._shift(note)
            prober.passed_over()
            async with self.journal.step("verify") as note:
                report = await self._verify(prober, note)
        await requirements.met(self)
        async with self.journal.step("drain") as note:
            await self._rescale()
            note.detail = still_open(self.host, self.place, self.blueprint.release.drain)
        result = self._result(report)
        if self.deployment.kind != "restart":
            self.host.claimed -= self._claimed
            self.host.state.set_deployment_result(self.deployment.id, result)
            await hooks.run_all(self, hooks.POST)
        return result

    # The steps

    async def _validate(self, note: StepNote) -> Loaded:
        host, place = self.host, self.place
        loaded = await asyncio.to_thread(load, Path(self.deployment.request["checkout"]), place.environment)
        self.blueprint = loaded.resolved.blueprint
        self._check_domains()
        host.state.remember_app(place, str(loaded.checkout))
        made = environment.generate_missing(host, place, self.blueprint, self.deployment.actor)
        self.given = host.state.variables(place)
        self._mask({"": self.given})
        if not self.deployment.request.get("skip_build_env_check"):
            environment.check(self.blueprint, self.given)
        self.values, said = environment.with_urls(self.blueprint, self.given)
        self._mask({"": self.values})
        resources.require_versions(host, place, self.blueprint)
        self.stores = await resources.declare(
            host, place, self.blueprint, lambda p: self.journal.progress(p.name, p.done, p.total)
        )
        live = self._live()
        said_of = await notes(host, host.release_blueprint(place, live) if live else None, self.blueprint)
        for text in (*pools.warnings(self.blueprint, self._environments(live or 0), self.stores), *said_of):
            self.journal.note(text)
        if read := await asyncio.to_thread(undeclared, loaded.checkout, self.blueprint, cache=host.home.cache):
            self.journal.note(sentence(read))
        count = len(self.blueprint.env)
        names = f", generated {', '.join(made)}" if made else ""
        note.detail = "; ".join([f"{count} variable{'s' * (count != 1)}{names}", *said])
        if count:
            self.evidence.append(verify.Evidence("environment", True, f"{count} variables declared, all valid"))
        if self.blueprint.edge.https:  # signed while the loop goes on; what makes the edge's files finds them
            await asyncio.to_thread(host.gateway.certificates_for, self.blueprint.domains)
        return loaded

    def _check_domains(self) -> None:
        """Said now, and not when everything is built and migrated."""
        for place, site in self.host.dev.items():
            if both := sorted(set(site.domains) & set(self.blueprint.domains)):
                hint = f"end it (Ctrl-C), deploy, and start it again: it then takes dev.{place.app}.localhost"
                raise Conflict(f"golive dev of {place.app} answers at {', '.join(both)}", where="domains", hint=hint)
        for app in self.host.state.apps():
            if app.place != self.place and app.live is not None:
                theirs = self.host.release_blueprint(app.place, app.live).domains
                if both := sorted(set(theirs) & set(self.blueprint.domains)):
                    raise Conflict(
                        f"{', '.join(both)} is served by {app.place} already",
                        where="domains",
                        hint=f"choose another in golive.toml, or golive destroy --app {app.place.app}",
                    )

    async def _build(self, loaded: Loaded, note: StepNote, search: Search) -> None:
        cached, size = 0, 0
        for name, service in self.blueprint.services.items():
            request = BuildRequest(
                app=self.place.app,
                name=name,
                service=service,
                checkout=loaded.checkout,
                policy=self.blueprint.build,
                build_env=build_environment(self.blueprint, name, self.values),
                user=self.host.app_user(self.place.app),
            )
            built = await self.host.builder.build(request, search.log(name))
            search.built(name, built.artifact, cached=built.cached)
            await asyncio.to_thread(check_artifact, built.artifact, self._secrets())
            self.artifacts[name] = built.artifact.key
            self.host.building.add(built.artifact.key)
            cached += built.cached
            size += built.artifact.disk
        total = len(self.artifacts)
        pages = bundles.check(self.host, self.place, self.artifacts, self._live(), self.blueprint.build.bundle_budget)
        built_now = "unchanged" if cached == total else f"{total - cached} of {total} built, {human_size(size)}"
        note.detail = "; ".join(filter(None, (built_now, pages)))

    async def _is_unchanged(self, loaded: Loaded) -> bool:
        """Same artifacts, environment, blueprint and schema as what is live."""
        live = self._live()
        self._plan(self._environments(live or 0))
        if live is None or any(plan.action is not Action.KEEP for plan in self.plans):
            return False
        if self.host.release_blueprint(self.place, live) != self.blueprint:
            return False
        given = self._migrating(loaded)
        return given is None or await migrations.all_wait(self.host, self.place, given)

    def _migrating(self, loaded: Loaded) -> migrations.Live | None:
        settings, url = self.blueprint.migrations, self._database_url()
        if settings is None or url is None:
            return None
        return migrations.Live(self.release, settings, loaded.checkout, url, self._runtime(settings))

    def _runtime(self, settings: Migrations) -> Runtime | None:
        """The environment of the release for a migration tool of the project's own."""
        if settings.service is None:
            return None
        artifact = self.host.builder.store.get(self.artifacts[settings.service])
        values = self._environments(self.release)[settings.service] | pools.past(
            self.blueprint, self.stores, self.values
        )
        return migrations.runtime(self.host, self.place, artifact, values) if artifact else None

    async def _resources(self, note: StepNote) -> None:
        environment.check(self.blueprint, self.given)  # again: before the build it may have been skipped
        if not self.blueprint.resources:
            note.skipped = True
            return
        await previews.begin(self.host, self.place, self.stores, self.journal.note)
        self.reports = await resources.ensure(self.host, self.place, self.stores)
        self.reports |= await resources.check_externals(self.host, self.blueprint, self.values)
        if said := pools.migrated_through(self.blueprint, self.reports):
            self.journal.note(said)
        for name, report in self.reports.items():
            text = f"{report.version}, answered in {report.latency_ms:.1f} ms"
            self.evidence.append(verify.Evidence(f"resource {name}", True, text))
        note.detail = ", ".join(f"{name}: {report.version}" for name, report in self.reports.items())

    def _make_release(self) -> None:
        self.release = self.host.state.next_release_number(self.place)
        environments = self._environments(self.release)
        release = Release(
            place=self.place,
            number=self.release,
            state="making",
            blueprint=self.blueprint.model_dump_json(by_alias=True),
            artifacts=self.artifacts,
            schema_version=None,
            created_at=time.time(),
            actor=self.deployment.actor,
        )
        self.host.state.add_release(release, environments)
        self.host.state.set_deployment_release(self.deployment.id, self.release)
        self._mask(environments)
        self._plan(environments)

    async def _migrate(self, loaded: Loaded, note: StepNote) -> None:
        given = self._migrating(loaded)
        if given is None:
            note.skipped = True
            return
        verdict = await migrations.gate(self.host, self.place, given, self.journal.note)
        self.held = tuple(one.file for one in verdict.held)
        applied = await migrations.run(
            self.host, given, self.held, lambda event: self.journal.log("migrate", event.text)
        )
        self.schema = applied.version_after
        self.host.state.set_release(self.place, self.release, "making", applied.version_after)
        await migrations.record(self.host, self.place, given, applied)
        count = len(applied.files)
        note.detail = f"{count} applied, schema at {applied.version_after}" if count else f"schema at {self.schema}"
        note.detail = "; ".join(filter(None, (note.detail, lint.summary(verdict))))
        self.evidence.append(verify.Evidence("migrations", True, note.detail))

    async def _start(self, note: StepNote) -> None:
        """New instances of what changed. What cannot overlap with its old release waits for the changeover."""
        state = self.host.state
        live = {g.service for g in state.generations(self.place, (GenerationState.LIVE,))}
        for plan in self.plans:
            if plan.action is Action.START:
                self.started[plan.name] = state.add_generation(
                    self.place, plan.name, self.release, self.deployment.id, plan.fingerprint
                )
        early = [p for p in self.plans if p.name in self.started and (p.service.overlap or p.name not in live)]
        now = [p for p in early if not (self.on_trial and trial.waits(p.service))]
        await asyncio.gather(*(self.start_plan(plan) for plan in now), *(self._warm_up(g) for g in self._reused()))
        total = sum(len(state.instances(g.id)) for g in self.started.values())
        parts = [f"{total} new instance{'s' if total > 1 else ''}"] if total else []
        for action, words in ((Action.KEEP, "unchanged"), (Action.REUSE, "still warm")):
            names = [p.name for p in self.plans if p.action is action]
            parts += [f"{', '.join(names)} {words}"] if names else []
        if suspended := [name for name in self.started if name in state.suspended(self.place)]:
            parts.append(f"{', '.join(suspended)} suspended, not started")
        note.detail = "; ".join(parts)
        note.skipped = not self.started

    async def start_plan(self, plan: ServicePlan) -> None:
        count = wanted(self.host, self.place, plan.name, plan.service)
        await start_instances(self.host, self.started[plan.name], count)

    def coming(self, plan: ServicePlan) -> Generation:
        """The generation that serves a plan which is not to keep what is live."""
        return self.started.get(plan.name) or self.host.state.generation(plan.generation or 0)

    def _reused(self) -> list[Generation]:
        found = [p.generation for p in self.plans if p.generation and p.action is Action.REUSE]
        return [self.host.state.generation(id) for id in found]

    async def _warm_up(self, generation: Generation) -> None:
        """What died of a warm generation, and as many more as are wanted by now."""
        await ensure_running(self.host, generation)
        service = self.blueprint.services[generation.service]
        await start_instances(self.host, generation, wanted(self.host, self.place, generation.service, service))

    async def _ready(self, note: StepNote) -> None:
        waiting = [g for g in self.started.values() if self.host.state.instances(g.id)]
        reused = self._reused()
        began = time.monotonic()
        await all_or_first_error(*(wait_ready(self.host, g) for g in (*waiting, *reused)))
        for generation in waiting:
            self.host.state.set_generation(generation.id, GenerationState.READY)
        note.detail = f"after {human_duration(time.monotonic() - began)}" if waiting else ""
        note.skipped = not (waiting or reused)

    async def _shift(self, note: StepNote) -> None:
        """The commit, then one atomic change of routes. The edge refusing it takes the commit back."""
        running = self.host.state.generations(self.place)
        old = replaced(self.plans, running)
        live = [g.id for g in (*self.started.values(), *self._reused())]
        self._claim(g.id for g in old)
        now = time.time()
        policy = self.blueprint.release
        until = (now + policy.drain.total_seconds(), now + policy.keep_warm.total_seconds())
        self._before = (self._live(), live, [g.id for g in old])
        self.host.state.commit(self.deployment.id, live, self._before[2], until)
        self.host.trials.pop(self.place, None)
        for service in self.blueprint.services:  # what a changeover asked for is in the state now
            self.host.switching.pop((*self.place, service), None)
        try:
            await self.host.gateway.apply(edge_config(self.host))
        except BaseException:
            await asyncio.shield(self.retract())
            raise
        note.detail = f"release {self.release} is live"

    async def retract(self) -> None:
        """Traffic goes back to what was live before."""
        self.host.state.retract(self.deployment.id, *self._before)
        for old, new in self.changed_over:
            await bring_back(self.host, self.host.state.generation(old.id), new)
        await self.host.gateway.apply(edge_config(self.host))

    async def _verify(self, prober: Prober, note: StepNote) -> ProbeReport:
        await asyncio.sleep(self.blueprint.release.verify.total_seconds())
        sent = maintenance.passing(self.host, self.place)
        self.evidence += await verify.through_the_edge(self.host.gateway, self._serving(), sent)
        report = prober.report()
        note.detail = f"{report.requests} requests through the edge, {report.failed} failed"
        broken = [e for e in self.evidence if not e.ok]
        if report.failed:
            self.journal.note(f"{report.failed} probe requests failed: " + "; ".join(report.failures))
        if broken:
            await self.retract()
            raise StartFailed(
                "the new release does not answer as it should: " + "; ".join(f"{e.name}: {e.text}" for e in broken),
                hint="golive logs shows what the service said",
            )
        return report

    # What the steps share

    def _serving(self) -> Blueprint:
        return closed.serving(self.blueprint, self.host.state.suspended(self.place))

    def _plan(self, environments: dict[str, dict[str, Secret]], force: tuple[str, ...] = ()) -> None:
        running = self.host.state.generations(self.place)
        self.plans = plan_services(self.blueprint, self.artifacts, environments, running, force)
        self._claim(p.generation for p in self.plans if p.generation)

    def _claim(self, generations: Iterable[int]) -> None:
        """Nobody stops these while this deployment is under way."""
        self._claimed.update(generations)
        self.host.claimed |= self._claimed

    def _environments(self, release: int) -> dict[str, dict[str, Secret]]:
        injected = resources.variables(self.blueprint, self.stores, self.values)
        return environment.environments(self.blueprint, self.values, injected, release)

    def _database_url(self) -> Secret | None:
        settings = self.blueprint.migrations
        if settings is None:
            return None
        injected = resources.variables(self.blueprint, self.stores, self.values)
        return resources.direct_url(self.blueprint, settings.resource, injected, self.values)

    def _mask(self, environments: dict[str, dict[str, Secret]]) -> None:
        for values in environments.values():
            for value in self._secret(values).values():
                self.journal.mask.add(value)

    def _secrets(self) -> dict[str, Secret]:
        """All that an instance of any service gets and nobody may see."""
        found = self._environments(self.release).values()
        return {name: value for values in found for name, value in self._secret(values).items()}

    def _secret(self, values: dict[str, Secret]) -> dict[str, Secret]:
        """What is secret by declaration or origin, and what was set without being declared."""
        secret = environment.secret_names(self.blueprint)
        undeclared = self.values.keys() - self.blueprint.env.keys()
        return {name: value for name, value in values.items() if name in secret or name in undeclared}

    def _live(self) -> int | None:
        app = self.host.state.app(self.place)
        return app.live if app else None

    def _url(self) -> str:
        return self.host.gateway.url(self.blueprint.domains[0], https=self.blueprint.edge.https)

    async def _rescale(self) -> None:
        """Bounds of scale need no new instance, so what goes on running may have too few of them, or too many."""
        for plan in self.plans:
            if plan.generation:
                count = wanted(self.host, self.place, plan.name, plan.service)
                if count != len(self.host.state.instances(plan.generation)):
                    await reach(self.host, self.host.state.generation(plan.generation), count)

    def _result(self, report: ProbeReport) -> dict[str, Any]:
        return {
            "url": self._url() if any(s.route for s in self.blueprint.services.values()) else None,
            "release": self.release,
            "probes": report.to_json(),
            "checks": [e.to_json() for e in self.evidence],
            "services": {p.name: p.action.value for p in self.plans},
            "schema": self.schema,
            "held": list(self.held),
        }
