"""What clients may ask for besides looking: the daemon's verbs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from golive.blueprint.env import PREVIOUS
from golive.blueprint.models import VARIABLE_PATTERN, ServiceKind
from golive.daemon import api, db
from golive.daemon.daemon import Daemon
from golive.errors import Conflict, NotFound, StateError, UsageError
from golive.migrate.status import Applied, MigrationEvent
from golive.release import environment, migrations, rehearsal, resources
from golive.release.containers import container_name
from golive.release.instances import process_environment, stop_generation
from golive.release.plan import plan
from golive.release.scaling import scale
from golive.release.traffic import edge_config
from golive.secret import Mask, Secret
from golive.state.records import Generation, GenerationState, Place
from golive.supervise import logs
from golive.system import users
from golive.system.files import remove_tree
from golive.system.processes import ProcessId, adopt

RESERVED_PREFIX = "GOLIVE_"
NAME = re.compile(VARIABLE_PATTERN)
LONGEST = 128 * 1024
"""Bytes of `NAME=value` from which Linux starts no program with it (execve(2), MAX_ARG_STRLEN)."""


class Operations:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._host = daemon.host
        self._migrating: set[asyncio.Task[Applied]] = set()

    def submit(self, call: api.PlaceCall, actor: str) -> int:
        self._refuse_dev(call.place)
        if isinstance(call, api.DeployCall):
            request: dict[str, Any] = {"checkout": str(Path(call.checkout).absolute())}
            if call.skip_build_env_check:
                request["skip_build_env_check"] = True
            if call.canary is not None:
                request["canary"] = call.canary
            return self._daemon.submit("deploy", call.place, request, actor)
        self._known(call.place)
        if isinstance(call, api.RollbackCall):
            release = call.release or self._previous(call.place)
            request = {"release": release, **({"despite_schema": True} if call.despite_schema else {})}
            return self._daemon.submit("rollback", call.place, request, actor)
        services = call.services if isinstance(call, api.RestartCall) else ()
        return self._daemon.submit("restart", call.place, {"services": list(services)}, actor)

    def _refuse_dev(self, place: Place) -> None:
        if self._daemon.dev.is_open(place):
            raise Conflict(f"golive dev runs in {place}", hint="end it there with Ctrl-C, then try again")

    def _known(self, place: Place) -> int:
        app = self._host.state.app(place)
        if app is None or app.live is None:
            raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
        return app.live

    def _previous(self, place: Place) -> int:
        live = self._known(place)
        kept = [r.number for r in self._host.state.releases(place) if r.state == "ready" and r.number < live]
        if not kept:
            raise NotFound(f"{place} has no release before {live}", hint="golive releases lists those that are kept")
        return max(kept)

    async def plan(self, call: api.PlanCall) -> dict[str, Any]:
        return await plan(self._host, call.place, Path(call.checkout))

    # Variables

    def set_variables(self, call: api.SetVariables, actor: str) -> dict[str, Any]:
        wrong = [
            n for n in call.values if not NAME.fullmatch(n) or n.startswith(RESERVED_PREFIX) or n in ("PORT", "HOST")
        ]
        if wrong:
            raise UsageError(f"{', '.join(wrong)} cannot be set", why="not a variable name, or one that golive gives")
        if impossible := [n for n, v in call.values.items() if not _can_be_given(n, v)]:
            raise UsageError(
                f"the value of {', '.join(impossible)} cannot be given to a program",
                why=f"it is not text, has a NUL character, or {LONGEST} bytes and more",
                hint="put it in a file and set its path",
            )
        wanted = {name: Secret(value) for name, value in call.values.items()}
        kept = self._kept(call) if call.rotate else {}
        before = self._host.state.own_variables(call.place)
        changed = [name for name, value in wanted.items() if before.get(name) != value]
        with self._host.state.transaction():
            for name, old in kept.items():
                self._host.state.set_variable(call.place, f"{name}{PREVIOUS}", old, actor)
            for name in changed:
                self._host.state.set_variable(call.place, name, wanted[name], actor)
                self._host.state.audit(actor, "env.rotate" if call.rotate else "env.set", call.place, name=name)
        return {"set": changed, "unchanged": [n for n in call.values if n not in changed]}

    def _kept(self, call: api.SetVariables) -> dict[str, Secret]:
        """What is in force of the variables that are rotated."""
        now = self._host.state.variables(call.place)
        if missing := [name for name in call.values if name not in now]:
            raise NotFound(f"{missing[0]} has no value to be changed", hint=f"golive env set {missing[0]}")
        if same := [name for name, value in call.values.items() if now[name] == Secret(value)]:
            raise UsageError(f"that is the value that {same[0]} has", hint="choose another one")
        return {name: now[name] for name in call.values}

    def unset_variables(self, call: api.UnsetVariables, actor: str) -> dict[str, Any]:
        with self._host.state.transaction():
            removed = [name for name in call.names if self._host.state.unset_variable(call.place, name)]
            for name in removed:
                self._host.state.audit(actor, "env.unset", call.place, name=name)
        still = self._host.state.variables(call.place)
        return {
            "unset": removed,
            "missing": [n for n in call.names if n not in removed],
            "still": [n for n in call.names if n in still],
        }

    # What runs

    async def scale(self, call: api.ScaleCall, actor: str) -> dict[str, Any]:
        if self._daemon.is_busy(call.place):
            raise Conflict(
                f"a deployment of {call.place} is under way", hint="try again when it has ended: golive status"
            )
        self._host.state.audit(actor, "scale", call.place, service=call.service, instances=call.instances)
        return await scale(self._host, call.place, call.service, call.instances)

    async def migrations(self, place: Place, *, sql: bool) -> dict[str, Any]:
        return await migrations.status(self._host, place, sql=sql)

    async def lint(self, call: api.LintCall) -> dict[str, Any]:
        return await migrations.lint(self._host, call.place, tuple((file.name, file.text) for file in call.files))

    async def migrate(self, call: api.MigrateCall, actor: str) -> AsyncIterator[dict[str, Any]]:
        """What is reported, line by line, then the result. It goes on when nobody listens any more."""
        if self._daemon.is_busy(call.place):
            hint = "it migrates; try again when it has ended: golive status"
            raise Conflict(f"a deployment of {call.place} is under way", hint=hint)
        lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        mask = self._mask(call.place)

        def report(event: MigrationEvent) -> None:
            lines.put_nowait({"type": "migration", "kind": event.kind, "text": mask(event.text)})

        task = asyncio.create_task(migrations.up(self._host, call.place, actor, report))
        self._migrating.add(task)
        task.add_done_callback(self._migrating.discard)
        task.add_done_callback(lambda _: lines.put_nowait(None))
        while (line := await lines.get()) is not None:
            yield line
        yield {"type": "done", **asdict(await task)}

    async def rehearse(self, call: api.RehearseCall, actor: str) -> AsyncIterator[dict[str, Any]]:
        """What happens, line by line, then the account. It ends when nobody listens any more."""
        if self._host.changing(call.place).locked():
            raise Conflict(f"something else changes {call.place} now", hint="wait for it: golive status")
        mask = self._mask(call.place)

        async def work(say: db.Say) -> None:
            made = await rehearsal.now(
                self._host, call.place, actor, lambda text: say({"type": "step", "text": mask(text)})
            )
            say({"type": "rehearsal", **made})

        async for line in db.lasting(work):
            yield line

    async def outage(self, call: api.OutageCall, actor: str) -> AsyncIterator[dict[str, Any]]:
        """What happens, line by line, then what was answered. It ends when nobody listens any more. Also in the middle
        of a deployment: it can be its gate."""
        from golive.release import outage  # rarely asked for

        async def work(say: db.Say) -> None:
            made = await outage.now(self._host, call.place, actor, lambda text: say({"type": "step", "text": text}))
            say({"type": "outage", **made})

        async for line in db.lasting(work):
            yield line

    def exec(self, call: api.ExecCall, actor: str) -> dict[str, Any]:
        """Everything a client needs to run a command as an instance would, secrets too."""
        generation = self._choose(call.place, call.service)
        release = self._host.state.release(call.place, generation.release)
        artifact = self._host.builder.store.get(release.artifacts[generation.service])
        if artifact is None:
            raise NotFound(f"the artifact of {generation.service} is gone", hint="deploy again: golive up")
        if artifact.image is not None:
            running = self._host.state.instances(generation.id)
            name = container_name(self._host.home.root, running[0].unit) if running else "<container>"
            raise UsageError(
                f"{generation.service} is a container: golive run starts programs of this machine",
                hint=f"{artifact.image.engine} exec -it {name} <command>",
            )
        values = self._host.state.release_environments(call.place, generation.release).get(generation.service, {})
        plain = {name: value.reveal() for name, value in values.items()}
        user = self._host.app_user(call.place.app)
        self._host.state.audit(actor, "run" if call.command else "shell", call.place, service=generation.service)
        return {
            "service": generation.service,
            "release": generation.release,
            "env": process_environment(self._host, call.place, artifact, plain),
            "cwd": str(artifact.app),
            "user": {"uid": user.uid, "gid": user.gid, "groups": list(user.groups)} if user else None,
        }

    def _choose(self, place: Place, service: str | None) -> Generation:
        """The service named, else the only one (or the first web one) that has a process."""
        self._known(place)
        live = self._host.state.generations(place, (GenerationState.LIVE,))
        kinds = {g.service: self._host.blueprint(g).services[g.service].kind for g in live}
        if service is not None:
            found = next((g for g in live if g.service == service), None)
            if found is None:
                raise NotFound(f"{place} has no live service {service}", hint=f"it has {', '.join(sorted(kinds))}")
            return found
        running = [g for g in live if kinds[g.service] is not ServiceKind.STATIC]
        running.sort(key=lambda g: (kinds[g.service] is not ServiceKind.WEB, g.service))
        if not running:
            raise NotFound(f"{place} has no service with a process", hint="it serves static files only")
        return running[0]

    async def destroy(self, call: api.PlaceCall, actor: str) -> dict[str, Any]:
        """Stop it and remove its data. Traffic stops first; the audit log stays."""
        place = call.place
        if self._host.state.app(place) is None:
            raise NotFound(f"there is no {place}", hint="golive status lists what there is")
        self._refuse_dev(place)
        if self._daemon.is_busy(place) or self._host.changing(place).locked():
            raise Conflict(f"a deployment of {place} is under way", hint="wait for it, or cancel it")
        self._refuse_copying(place)
        async with self._host.changing(place), self._host.copying(place):
            self._host.state.audit(actor, "destroy", place)
            stopped = await self._stop(place)
            await self._remove(place)
            return {"destroyed": str(place), "processes": stopped}

    async def down(self, call: api.PlaceCall, actor: str) -> dict[str, Any]:
        """Stop everything of an environment and keep all it knows: data, variables, releases. A deploy brings it up."""
        place = call.place
        if self._host.state.app(place) is None:
            raise NotFound(f"there is no {place}", hint="golive status lists what there is")
        self._refuse_dev(place)
        if self._daemon.is_busy(place) or self._host.changing(place).locked():
            raise Conflict(f"a deployment of {place} is under way", hint="wait for it, or cancel it")
        self._refuse_copying(place)
        async with self._host.changing(place), self._host.copying(place):
            self._host.state.audit(actor, "down", place)
            return {"down": str(place), "processes": await self._stop(place)}

    def _refuse_copying(self, place: Place) -> None:
        if self._host.copying(place).locked():
            raise Conflict(f"a copy of a database of {place} is being made", hint="wait until it has ended")

    async def _stop(self, place: Place) -> int:
        """Take its traffic away, then end every process; how many units that were."""
        generations = self._host.state.generations(place)
        units = [resources.unit_name(place, row.name) for row in self._host.state.resources(place)]
        units += [f"{unit}/wal" for unit in units]
        supervised = [state.id for state in self._host.supervisor.states()]
        # Also runs of cron, of generations that have ended too.
        for generation in self._host.state.generations(place, tuple(GenerationState)):
            units += [id for id in supervised if id.startswith(f"{generation.upstream}/")]
        for generation in generations:
            self._host.state.set_generation(generation.id, GenerationState.WARM, warm_until=0)
        self._host.state.clear_live(place)
        self._daemon.backups.forget(place)
        if self._host.opened is not None:
            await self._host.gateway.apply(edge_config(self._host))
        running = [u for u in units if self._host.state.process(u) is not None]
        await asyncio.gather(*(stop_generation(self._host, g) for g in generations), *map(self._end, units))
        for unit in units:
            self._host.state.forget_process(unit)
        return len(set(running))

    async def _remove(self, place: Place) -> None:
        """Files first: as long as there are some it is known, and whoever tries again goes on with them. Left without
        it they would be the data of the next app of that name."""
        rows = self._host.state.resources(place)
        sockets = [resources.placement(self._host, row).sockets(row.engine, row.name) for row in rows]
        try:
            for folder in (*sockets, self._host.home.app(*place)):
                await asyncio.to_thread(remove_tree, folder)
        except OSError as error:
            raise StateError(
                f"{place} is stopped, and not all of its files can be removed",
                where=error.filename,
                why=error.strerror,
                hint="mend that, then the same command goes on",
            ) from error
        self._host.state.forget_app(place)
        self._host.forget(place)
        if not any(a.place.app == place.app for a in self._host.state.apps()):
            await asyncio.to_thread(remove_tree, self._host.home.app(*place).parent)
            await asyncio.to_thread(users.remove, users.app_user_name(place.app))
        if not self._host.state.apps():
            await self._daemon.close_gateway()

    async def _end(self, unit: str) -> None:
        """Also what an earlier daemon left and this one had no reason to look after."""
        known = self._host.state.process(unit)
        if self._host.supervisor.state(unit) is not None:
            await self._host.supervisor.stop(unit)
        elif known and (process := adopt(ProcessId(known[0], known[1]))):
            await process.stop(timedelta(seconds=10))

    # Logs

    async def logs(self, call: api.LogsCall) -> AsyncIterator[dict[str, Any]]:
        """Lines as `{"time", "service", "instance", "level", "text"}`, secrets masked; then new ones when following."""
        mask = self._mask(call.place)
        paths = self._log_paths(call)
        since = datetime.fromtimestamp(call.since, UTC) if call.since is not None else None
        found = await asyncio.to_thread(lambda: list(logs.read(paths, since=since, grep=call.grep, lines=call.lines)))
        for line in found:
            yield _line(line, mask)
        if call.follow:
            async for line in logs.follow(lambda: self._log_paths(call), grep=call.grep):
                yield _line(line, mask)

    def _log_paths(self, call: api.LogsCall) -> list[Path]:
        if self._host.state.app(call.place) is None:
            raise NotFound(f"there is no {call.place}", hint="golive status lists what there is")
        if call.edge:
            return [self._host.gateway.edge.layout.access_log]
        folder = self._host.home.logs(*call.place)
        found = sorted(folder.glob(f"{call.service or '*'}.*.log"))
        if call.service:
            found += self._host.home.resource(*call.place, call.service).glob("*.log")
        if call.service and not found:
            raise NotFound(f"{call.place} has no log of {call.service}", hint=f"logs are in {folder}")
        return found

    def _mask(self, place: Place) -> Mask:
        """Every secret of the releases that are kept: an old one may still stand in a log."""
        mask = Mask(self._host.state.variables(place).values())
        for row in self._host.state.resources(place):
            mask.add(self._host.state.resource_password(row))
        for release in self._host.state.releases(place):
            if release.state == "ready":
                secret = environment.secret_names(self._host.release_blueprint(place, release.number))
                for values in self._host.state.release_environments(place, release.number).values():
                    for name in secret & values.keys():
                        mask.add(values[name])
        return mask


def _can_be_given(name: str, value: str) -> bool:
    try:
        return "\0" not in value and len(f"{name}={value}".encode()) < LONGEST
    except UnicodeEncodeError:
        return False


def _line(line: logs.LogLine, mask: Mask) -> dict[str, Any]:
    return {
        "time": line.time.isoformat() if line.time else None,
        "source": line.source,
        "level": line.level,
        "text": mask(line.text),
    }
