"""The instances of a generation: what to run for them, starting, waiting, stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from golive.blueprint.models import Probe as ProbeSetting
from golive.blueprint.models import Service, ServiceKind
from golive.build.artifact import Artifact
from golive.build.command import with_port
from golive.errors import NotFound, StartFailed
from golive.release.containers import after_end, before_start, contained, container_spec
from golive.release.host import Host
from golive.state.records import Generation, GenerationState, Instance, Place
from golive.supervise.unit import Command, Grpc, Http, Probe, Target, Tcp, Unit
from golive.system import ports
from golive.system.processes import Limits, ProcessId, Spec


def log_path(host: Host, place: Place, service: str, slot: int) -> Path:
    return host.home.logs(*place) / f"{service}.{slot}.log"


async def start_instances(host: Host, generation: Generation, count: int) -> None:
    """Add instances until there are `count`, in the lowest free slots. They are running, not yet ready."""
    existing = {instance.slot for instance in host.state.instances(generation.id)}
    blueprint = host.blueprint(generation)
    service = blueprint.services[generation.service]
    free = (slot for slot in range(count + len(existing)) if slot not in existing)
    units = []
    for _ in range(count - len(existing)):
        slot = next(free)
        numbers = _ports(host, service)
        instance = host.state.add_instance(f"{generation.upstream}/{slot}", generation.id, slot, *numbers)
        host.aside.add(instance.unit)
        units.append(instance_unit(host, generation, service, instance))
    await asyncio.gather(*(host.supervisor.start(unit) for unit in units))


def _ports(host: Host, service: Service) -> tuple[int | None, int | None]:
    """For HTTP and for gRPC, where the service has them."""
    if service.kind is not ServiceKind.WEB:
        return None, None
    port = service.port or ports.choose(avoid=host.state.ports())
    if service.grpc is None:
        return port, None
    return port, service.grpc.port or ports.choose(avoid={*host.state.ports(), port})


def instance_unit(host: Host, generation: Generation, service: Service, instance: Instance) -> Unit:
    """The unit of one instance, from the state alone, so that it can be made again after the daemon's death."""
    artifact, env = _made_of(host, generation, instance)
    spec = _spec(host, generation, service, instance, (artifact, env))
    image, place = artifact.image, generation.place
    unit = Unit(
        id=instance.unit,
        spec=spec,
        restart=service.restart,
        startup=_probe(service.health.startup, spec, instance) or _listens(instance.grpc_port),
        ready=_probe(service.health.ready, spec, instance),
        live=_probe(service.health.live, spec, instance),
        port=instance.port,
        stop_timeout=service.stop_timeout,
        memory=service.limits.memory,
    )
    if image is None:
        return unit
    own = Probe(Command(image.health, spec.env, spec.cwd)) if image.health else None
    return replace(
        unit,
        startup=contained(host, artifact, instance.unit, unit.startup),
        ready=contained(host, artifact, instance.unit, unit.ready or own),
        live=contained(host, artifact, instance.unit, unit.live),
        memory=None,  # the engine's to enforce: the client has little
        before_start=before_start(host, place, artifact, env, instance.unit),
        after_end=after_end(host, place, artifact, instance.unit),
    )


def _made_of(host: Host, generation: Generation, instance: Instance) -> tuple[Artifact, dict[str, str]]:
    """What an instance runs, and its whole environment."""
    place = generation.place
    release = host.state.release(place, generation.release)
    artifact = host.builder.store.get(release.artifacts[generation.service])
    if artifact is None:
        raise NotFound(
            f"the artifact of {generation.service} in release {generation.release} is gone",
            where=str(place),
            hint="deploy again: golive up",
        )
    environment = host.state.release_environments(place, generation.release).get(generation.service, {})
    env = {name: value.reveal() for name, value in environment.items()}
    env = process_environment(host, place, artifact, env) if artifact.image is None else {"HOST": "127.0.0.1", **env}
    if instance.port is not None:
        env["PORT"] = str(instance.port)
    if instance.grpc_port is not None:
        env["GRPC_PORT"] = str(instance.grpc_port)
    return artifact, env


def _spec(
    host: Host, generation: Generation, service: Service, instance: Instance, made_of: tuple[Artifact, dict[str, str]]
) -> Spec:
    artifact, env = made_of
    place, output = generation.place, log_path(host, generation.place, generation.service, instance.slot)
    if artifact.image is not None:
        return container_spec(host, place, service, artifact, env, instance.unit, output)
    return Spec(
        argv=with_port(artifact.argv or (), env),
        env=env,
        cwd=artifact.app,
        output=output,
        user=host.app_user(place.app),
        limits=Limits(service.limits.memory, service.limits.cpu, service.limits.files),
        name=instance.unit,
    )


def process_environment(host: Host, place: Place, artifact: Artifact, own: dict[str, str]) -> dict[str, str]:
    """The whole environment of an instance: a small base, the artifact's additions, then the app's variables."""
    work = str(host.work_directory(place))
    base = {
        "HOME": work,
        "TMPDIR": work,
        "LANG": "C.UTF-8",
        "HOST": "127.0.0.1",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    return {**base, **artifact.env, **own}


def _probe(setting: ProbeSetting | None, spec: Spec, instance: Instance) -> Probe | None:
    if setting is None:
        return None
    target: Target
    port = instance.port if setting.grpc is None else instance.grpc_port
    if setting.command is not None:
        target = Command(("/bin/sh", "-c", setting.command), spec.env, spec.cwd, spec.user)
    elif port is None:
        return None
    elif setting.grpc is not None:
        target = Grpc("127.0.0.1", port, setting.grpc)
    else:
        target = Http("127.0.0.1", port, setting.path) if setting.path else Tcp("127.0.0.1", port)
    return Probe(target, setting.interval, setting.timeout, setting.failures)


def _listens(port: int | None) -> Probe | None:
    """A service with a gRPC port has started once that port accepts connections."""
    return Probe(Tcp("127.0.0.1", port)) if port is not None else None


async def wait_ready(host: Host, generation: Generation, but: Collection[Instance] = ()) -> None:
    """All instances ready for the stable time, or StartFailed with the first one's reason and log.

    From then on the edge may have them. `but` are not waited for.
    """
    policy = host.blueprint(generation).release
    units = [i.unit for i in host.state.instances(generation.id) if i not in but]
    try:
        await asyncio.gather(*(host.supervisor.wait_ready(unit, policy.ready_timeout, policy.stable) for unit in units))
        host.aside.difference_update(units)
    except StartFailed as error:
        error.hint = error.hint or "see `command` of the service in golive.toml; golive config prints it as understood"
        raise


async def stop_generation(host: Host, generation: Generation) -> None:
    """Every instance ended, by its stop signal first; then it is remembered as stopped."""
    instances = host.state.instances(generation.id)
    await asyncio.gather(*(host.supervisor.stop(instance.unit) for instance in instances))
    with host.state.transaction():
        for instance in instances:
            host.state.remove_instance(instance.unit)
        host.state.set_generation(generation.id, GenerationState.STOPPED)
    host.aside.difference_update(i.unit for i in instances)


async def stop_instance(host: Host, instance: Instance) -> None:
    await host.supervisor.stop(instance.unit)
    host.state.remove_instance(instance.unit)
    host.aside.discard(instance.unit)


async def ensure_running(host: Host, generation: Generation, *, start: bool = True) -> None:
    """Adopt what still runs of a generation and, unless told otherwise, start what does not."""
    service = host.blueprint(generation).services[generation.service]
    for instance in host.state.instances(generation.id):
        state = host.supervisor.state(instance.unit)
        if state is not None and not state.over:
            continue
        unit = instance_unit(host, generation, service, instance)
        known = host.state.process(instance.unit)
        id = ProcessId(known[0], known[1]) if known else None
        adopted = id is not None and host.supervisor.adopt(unit, id, known[2] if known else 0, ready=start)
        if start and not adopted:
            await host.supervisor.start(unit)


async def all_or_first_error(*waits: Any) -> None:
    """Wait for all; the first error ends the waiting and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for wait in waits:
                group.create_task(wait)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
