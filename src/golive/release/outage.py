"""What an app does while a store of it is gone, tried on a copy that is thrown away.

The copy has the live release's files, a PostgreSQL with the live one's tables and no row of them, an empty Redis, and
secrets of the same shape that open nothing: whatever it does by itself, it does to nobody. No request of the edge
reaches it. Its stores are `<resource>@outage-…`, its units `<place>/outage/<service>`; a daemon that finds either at
its start takes them away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from golive.blueprint.env import injected_names
from golive.blueprint.models import Blueprint, Service, ServiceKind, VariableType
from golive.build.artifact import Artifact
from golive.build.command import with_port
from golive.data.postgres import Postgres
from golive.data.store import Store
from golive.errors import Conflict, GoliveError, NotFound, ResourceFailed, UsageError
from golive.release import branches, copies, databases, resources
from golive.release.host import Host
from golive.release.instances import all_or_first_error, process_environment
from golive.release.rehearsal import SETTINGS, pointed
from golive.secret import Secret
from golive.state.records import Copy, GenerationState, Place
from golive.supervise.unit import Http, Probe, Unit
from golive.system import http, ports, processes
from golive.system.files import private_directory, remove_tree
from golive.system.offload import Offload
from golive.system.processes import Limits, ProcessId, Spec

Say = Callable[[str], None]
UNIT = "/outage/"
NOTICES, RETURNS = 6.0, 30.0
"""Seconds for an app to say that a store is gone, and that it is there again."""
REST = 1.5
"""Seconds that the others have when one has said so."""
ANSWER = 5.0
LONGEST_START = timedelta(seconds=60)
BODY = 200
UNAVAILABLE = 503
HISTORY = (
    "golive_migrations",
    "schema_migrations",
    "alembic_version",
    "django_migrations",
    "_prisma_migrations",
    "__drizzle_migrations",
    "goose_db_version",
)
"""Tables whose rows an app may look for before it starts: which migrations were applied."""


@dataclass
class _Tried:
    """One service of the copy."""

    name: str
    service: Service
    unit: str
    port: int
    path: str
    connection: http.Connection
    said: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Copy:
    """All that has to go again."""

    host: Host
    place: Place
    folder: Path
    stores: dict[str, tuple[Copy, Store]] = field(default_factory=dict)
    services: list[_Tried] = field(default_factory=list)


async def now(host: Host, place: Place, actor: str, say: Say) -> dict[str, Any]:
    """As JSON: `services` with what each answered before, `outages` with what each answered while a store was gone and
    after, `left_out` with the reason for each service that was not tried. Nothing of it is left.

    NotFound without a live release; UsageError where a copy could reach what is live; what its stores and services
    raise when they do not start.
    """
    app = host.state.app(place)
    if app is None or app.live is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    blueprint = host.release_blueprint(place, app.live)
    live = await resources.declare(host, place, blueprint)
    wanted = {name: live[name] for name, each in blueprint.resources.items() if each.url_from is None}
    if outside := [name for name, each in blueprint.resources.items() if each.url_from is not None]:
        raise UsageError(f"{outside[0]} is run by somebody else: a copy of the app would use the live one")
    chosen, left_out = choose(host, place, app.live, blueprint)
    if not wanted or not chosen:
        return {"services": {}, "outages": [], "left_out": left_out}
    if host.copying(place).locked():
        raise Conflict(f"a copy of a database of {place} is being made", hint="wait until it has ended, then try again")
    async with host.copying(place), branches.long_work() as offload:
        host.state.audit(actor, "outage", place, resources=sorted(wanted))
        made = _Copy(host, place, host.home.app(*place) / "outage")
        try:
            say(f"copies of {', '.join(wanted)}, empty")
            stores = (_store(made, offload, name, store, actor) for name, store in wanted.items())
            await all_or_first_error(*stores)
            await _start(made, app.live, blueprint, (chosen, wanted), say)
            outages = [await _outage(made, offload, name, say) for name in made.stores]
            services = {each.name: {"path": each.path, **each.said} for each in made.services}
            return {"services": services, "outages": outages, "left_out": left_out}
        finally:
            await asyncio.shield(_clear(made))


def choose(host: Host, place: Place, release: int, blueprint: Blueprint) -> tuple[dict[str, Artifact], dict[str, str]]:
    """The services that can be asked how they are, and why the other web services cannot."""
    found: dict[str, Artifact] = {}
    left_out: dict[str, str] = {}
    artifacts = host.state.release(place, release).artifacts
    for generation in host.state.generations(place, (GenerationState.LIVE,)):
        name = generation.service
        service = blueprint.services.get(name)
        if service is None or service.kind is not ServiceKind.WEB:
            continue
        artifact = host.builder.store.get(artifacts[name])
        if artifact is None or artifact.image is not None or not artifact.argv:
            left_out[name] = "it runs in a container" if artifact and artifact.image else "its files are gone"
        elif service.port is not None or (service.grpc and service.grpc.port is not None):
            left_out[name] = "its port is fixed, and the live one has it"
        elif not service.health.ready or not service.health.ready.path:
            left_out[name] = "no path says whether it is ready: health in golive.toml"
        else:
            found[name] = artifact
    return found, left_out


async def _store(made: _Copy, offload: Offload, name: str, live: Store, actor: str) -> None:
    """Running, empty but for the live one's tables."""
    host, place = made.host, made.place
    label = f"outage-{secrets.token_hex(3)}"
    copy = copies.declare(host, place, name, label, "rehearsal", actor=actor, origin="empty, to be stopped")
    store = await copies.store(host, copy)
    if isinstance(store, Postgres):
        store = replace(store, closed=False, settings=SETTINGS, passing=True)
    made.stores[name] = (copy, store)
    await _run_store(made, offload, copy, store)
    await databases.bring_up(offload, store, resources.READY)
    if isinstance(store, Postgres) and isinstance(live, Postgres):
        private_directory(made.folder)
        await _shape(live, store, made.folder / f"{name}.dump")


async def _run_store(made: _Copy, offload: Offload, copy: Copy, store: Store) -> None:
    await resources.keep_running(made.host, made.place, copy.name, store)
    unit = resources.unit_name(made.place, copy.name)
    await made.host.supervisor.wait_ready(unit, resources.READY, timedelta(0))
    await databases.ready(offload, store, resources.READY)


async def _shape(live: Postgres, copy: Postgres, file: Path) -> None:
    """The tables of the live database, and of the rows only which migrations were applied."""
    dump, restore = (str(live.engine.program(name)) for name in ("pg_dump", "pg_restore"))
    shape = (dump, "--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=5s", f"--file={file}")
    rows = (*shape, "--data-only", *(f"--table=*.{name}" for name in HISTORY))
    back = (restore, "--no-owner", "--no-privileges", "--dbname=", str(file))
    for step in ((*shape, "--schema-only"), rows):
        file.unlink(missing_ok=True)
        done = await processes.run(step, env=_libpq(live), cwd=file.parent, timeout=RETURNS, private=True)
        if done.code:
            if step is rows:  # no tool of these has been there
                return
            raise ResourceFailed(f"the tables of {live.name} could not be read", why=_last(done.output))
        # What an extension owns may be refused; whether the app can start by it is seen by starting it.
        await processes.run(back, env=_libpq(copy), cwd=file.parent, timeout=RETURNS, private=True)


def _libpq(store: Postgres) -> dict[str, str]:
    """As the app's own role."""
    parts = {key: _text(value) for key, value in store.variables().items()}
    own = {"PGHOST": parts["host"], "PGPORT": parts["port"], "PGUSER": parts["user"], "PGDATABASE": parts["name"]}
    return {**store.environment(), **own, "PGPASSWORD": parts["password"], "PGPASSFILE": "/dev/null/none"}


async def _start(
    made: _Copy,
    release: int,
    blueprint: Blueprint,
    of: tuple[dict[str, Artifact], dict[str, Store]],
    say: Say,
) -> None:
    """The services beside the copied stores, each ready. Raises what the supervisor says of one that is not."""
    host, place = made.host, made.place
    artifacts, live = of
    work = private_directory(made.folder / "work")
    user = host.app_user(place.app)
    if user:
        made.folder.chmod(0o711)
        os.chown(work, user.uid, user.gid)
    environments = host.state.release_environments(place, release)
    for name, artifact in artifacts.items():
        env = _environment(made, blueprint, live, {k: v.reveal() for k, v in environments.get(name, {}).items()})
        env = process_environment(host, place, artifact, env) | {"HOME": str(work), "TMPDIR": str(work)}
        service = blueprint.services[name]
        port = ports.choose(avoid=host.state.ports())
        env["PORT"] = str(port)
        if service.grpc:
            env["GRPC_PORT"] = str(ports.choose(avoid={*host.state.ports(), port}))
        path = (service.health.ready and service.health.ready.path) or "/"
        unit = f"{place}{UNIT}{name}"
        spec = Spec(
            argv=with_port(artifact.argv or (), env),
            env=env,
            cwd=artifact.app,
            output=made.folder / f"{name}.log",
            user=user,
            limits=Limits(service.limits.memory, service.limits.cpu, service.limits.files, nice=5),
            name=unit,
        )
        tried = _Tried(name, service, unit, port, path, _connection(port))
        made.services.append(tried)
        say(f"a copy of {name}")
        probe = Probe(Http("127.0.0.1", port, path))
        await host.supervisor.start(Unit(unit, spec, service.restart, ready=probe, port=port))
    for tried in made.services:
        await host.supervisor.wait_ready(tried.unit, min(blueprint.release.ready_timeout, LONGEST_START))
        tried.said["before"] = await _ask(tried)


def _environment(made: _Copy, blueprint: Blueprint, live: Mapping[str, Store], env: dict[str, str]) -> dict[str, str]:
    """What leads to a live store leads to its copy, and the app's secrets are others. UsageError where something of
    the live stores would be left in it."""
    injected = injected_names(blueprint)
    for name, store in live.items():
        env = pointed(env, store, made.stores[name][1], blueprint)
    env = {
        name: scrambled(value)
        if name in blueprint.env and blueprint.env[name].type is VariableType.SECRET and name not in injected
        else value
        for name, value in env.items()
    }
    passwords = [made.host.state.resource_password(row).reveal() for row in _live_rows(made)]
    if left := sorted(name for name, value in env.items() if any(password in value for password in passwords)):
        raise UsageError(f"a copy would reach what is live by {', '.join(left)}", hint="nothing was started")
    return env


def _live_rows(made: _Copy) -> list[Any]:
    own = {copy.name for copy, _ in made.stores.values()}
    return [row for row in made.host.state.resources(made.place) if row.name not in own]


def scrambled(value: str) -> str:
    """Another value of the same shape: letters for letters, digits for digits, hexadecimal for hexadecimal. A scheme
    stays, so that an address is still one."""
    chance = random.SystemRandom()
    found = re.match(r"[a-z][a-z0-9+.-]*://", value)
    scheme = found[0] if found else ""
    hexadecimal = re.fullmatch(r"(?=.*[0-9])(?=.*[a-f])[0-9a-f]+", value) is not None

    def other(letter: str) -> str:
        if hexadecimal:
            return chance.choice("0123456789abcdef")
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits):
            if letter in kind:
                return chance.choice(kind)
        return letter

    return scheme + "".join(map(other, value[len(scheme) :]))


async def _outage(made: _Copy, offload: Offload, name: str, say: Say) -> dict[str, Any]:
    """One store stopped and started again: what every service says meanwhile and afterwards, times in seconds."""
    copy, store = made.stores[name]
    state = made.host.supervisor.state
    restarts = {each.name: found.restarts if (found := state(each.unit)) else 0 for each in made.services}
    say(f"{name} is stopped")
    await resources.stop(made.host, made.place, copy.name)
    during = await _watched(made, NOTICES, lambda answer: answer["status"] == UNAVAILABLE, REST)
    lives = {each.name: await _alive(each) for each in made.services}
    say(f"{name} is started again")
    await _run_store(made, offload, copy, store)
    back = await _watched(made, RETURNS, lambda answer: 200 <= (answer["status"] or 0) < 300, RETURNS)
    services = {}
    for each in made.services:
        found = state(each.unit)
        ended = found is not None and (found.over or found.restarts > restarts[each.name])
        reason = found.reason if found and ended else ""
        services[each.name] = {
            "during": during[each.name],
            "live": lives[each.name],
            "ended": reason or ("it ended" if ended else ""),
            "back": back[each.name],
        }
    return {"resource": name, "engine": store.engine.name, "services": services}


async def _watched(
    made: _Copy, seconds: float, good: Callable[[dict[str, Any]], bool], rest: float
) -> dict[str, dict[str, Any]]:
    """The first answer of each that is good, with when it came; the last one of those that none is of. When one has a
    good one, the others have `rest` seconds left."""
    began = time.monotonic()
    deadline = began + seconds
    found: dict[str, dict[str, Any]] = {}
    waiting = list(made.services)
    while waiting:
        for each in list(waiting):
            answer = await _ask(each)
            found[each.name] = {**answer, "after": round(time.monotonic() - began, 2)}
            if good(answer):
                waiting.remove(each)
                deadline = min(deadline, time.monotonic() + rest)
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    return found


async def _ask(tried: _Tried, path: str | None = None) -> dict[str, Any]:
    """`status` is None where no answer came, and `text` says why."""
    try:
        answer = await tried.connection.get(path or tried.path)
    except TimeoutError:
        await tried.connection.close()
        return {"status": None, "text": f"no answer in {ANSWER:g} s"}
    except (OSError, EOFError, ValueError) as error:
        await tried.connection.close()
        return {"status": None, "text": str(error) or type(error).__name__}
    return {"status": answer.status, "text": " ".join(answer.text[:BODY].split())}


async def _alive(tried: _Tried) -> dict[str, Any] | None:
    """What its liveness path says, which golive restarts it by; None without one."""
    probe = tried.service.health.live
    return {"path": probe.path, **await _ask(tried, probe.path)} if probe and probe.path else None


def _connection(port: int) -> http.Connection:
    async def opened() -> http.Streams:
        return await asyncio.open_connection("127.0.0.1", port)

    return http.Connection(opened, f"127.0.0.1:{port}", ANSWER)


async def _clear(made: _Copy) -> None:
    """One thing that cannot be taken away keeps nothing else."""
    for each in made.services:
        with contextlib.suppress(GoliveError, OSError):
            await made.host.supervisor.stop(each.unit)
            made.host.state.forget_process(each.unit)
        await each.connection.close()
    for known in made.host.state.copies(made.place):
        if "@outage-" in known.name:
            with contextlib.suppress(GoliveError, OSError):
                await copies.drop(made.host, known)
    await asyncio.to_thread(remove_tree, made.folder)


async def settle_interrupted(host: Host) -> None:
    """What a daemon that was killed has left running; its stores go with other copies that were in the making."""
    for unit, (pid, started, _) in host.state.processes().items():
        if UNIT not in unit:
            continue
        if process := processes.adopt(ProcessId(pid, started)):
            await process.stop(timedelta(seconds=5))
        host.state.forget_process(unit)
    for app in host.state.apps():
        await asyncio.to_thread(remove_tree, host.home.app(*app.place) / "outage")


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _last(output: str) -> str:
    return output.strip().rpartition("\n")[2][:300]
