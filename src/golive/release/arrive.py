"""A recovered state, made true of this machine: ports that are taken here are others, and what names them follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from golive.blueprint.models import Blueprint
from golive.data.postgres import Postgres
from golive.data.store import Store
from golive.release import resources
from golive.release.desired import fingerprint
from golive.release.host import Host
from golive.release.reads import SUFFIX
from golive.secret import Secret
from golive.state.records import GenerationState, Place, ResourceRow
from golive.state.vault import Environments
from golive.system import ports


async def arrive(host: Host) -> list[str]:
    """Nothing runs yet, and ports are free ones. What stayed behind, in words. Killed, it may be done once more."""
    left = [f"{name}, a copy" for name in host.state.arrive()]
    taken = set(host.state.ports())
    for app in host.state.apps():
        await _resources(host, app.place, taken)
    _instances(host, taken)
    return left


def _instances(host: Host, taken: set[int]) -> None:
    for generation in host.state.generations():
        service = host.service(generation)
        for instance in host.state.instances(generation.id):
            fixed = {service.port, service.grpc.port if service.grpc else None}
            moved = tuple(_other(port, taken, fixed) for port in (instance.port, instance.grpc_port))
            if moved != (instance.port, instance.grpc_port):
                host.state.move_instance(instance, *moved)


def _other(port: int | None, taken: set[int], fixed: set[int | None] = frozenset()) -> int | None:  # type: ignore[assignment]
    """The port, or another one where somebody listens on it. One that golive.toml names stays."""
    if port is None or port in fixed or ports.free(port):
        return port
    found = ports.choose(avoid=taken)
    taken.add(found)
    return found


async def _resources(host: Host, place: Place, taken: set[int]) -> None:
    """Ports and what names them change in one transaction: half of it could not be told from what somebody set."""
    moved = {
        row: port for row in host.state.resources(place) if (port := _other(row.port, taken)) not in (None, row.port)
    }
    if not moved:
        return
    names = {row.name: port for row, port in moved.items()}
    changed: list[tuple[int, Environments]] = []
    for release in host.state.releases(place):
        if release.state != "ready":
            continue
        blueprint = host.release_blueprint(place, release.number)
        before = await resources.declare(host, place, blueprint)
        after = {name: _at(store, names.get(name), names.get(f"{name}{SUFFIX}")) for name, store in before.items()}
        swap = _swap(blueprint, before, after)
        old = host.state.release_environments(place, release.number)
        changed.append((release.number, {name: _swapped(env, swap) for name, env in old.items()}))
    _write(host, place, moved, dict(changed))


def _at(store: Store, port: int | None, reads: int | None) -> Store:
    if isinstance(store, Postgres) and reads is not None:
        store = replace(store, reads=reads)
    if port is None:
        return store
    return replace(store, place=replace(store.place, port=port))  # type: ignore[type-var, attr-defined]


def _swap(blueprint: Blueprint, before: dict[str, Store], after: dict[str, Store]) -> dict[str, tuple[Secret, Secret]]:
    """Connection variable → what it was and what it is now."""
    old, new = (resources.variables(blueprint, stores, {}) for stores in (before, after))
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def _swapped(env: Mapping[str, Secret], swap: Mapping[str, tuple[Secret, Secret]]) -> dict[str, Secret]:
    return {name: swap[name][1] if name in swap and value == swap[name][0] else value for name, value in env.items()}


def _write(
    host: Host, place: Place, moved: Mapping[ResourceRow, int | None], changed: Mapping[int, Environments]
) -> None:
    with host.state.transaction():
        for row, port in moved.items():
            if port is not None:
                host.state.move_resource(row, port)
        for number, environments in changed.items():
            host.state.replace_environments(host.state.release(place, number), environments)
        for generation in host.state.generations(place, (GenerationState.LIVE,)):
            if generation.release in changed:
                release = host.state.release(place, generation.release)
                service = host.blueprint(generation).services[generation.service]
                env = changed[generation.release].get(generation.service, {})
                print_ = fingerprint(service, release.artifacts[generation.service], env)
                host.state.replace_fingerprint(generation, print_)
