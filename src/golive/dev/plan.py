"""What `golive dev` would run for each service of a checkout: looked up in its files, nothing started."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from golive.blueprint.checkout import Checkout, join
from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.blueprint.node_project import read_json, table
from golive.dev.command import SUFFIXES, DevCommand, Follows, dev_command
from golive.dev.watch import EVERY


@dataclass(frozen=True)
class Planned:
    """One service and its command."""

    name: str
    service: Service
    command: DevCommand

    @property
    def runs(self) -> bool:
        return self.command.follows is not Follows.NOBODY

    @property
    def answers(self) -> bool:
        return self.service.kind in (ServiceKind.WEB, ServiceKind.STATIC)


def plan(blueprint: Blueprint, folder: Path, services: Collection[str] = ()) -> tuple[Planned, ...]:
    """Every service, or those named, in the order of the file."""
    checkout = Checkout(folder)
    return tuple(
        Planned(name, service, _command(checkout, service))
        for name, service in blueprint.services.items()
        if not services or name in services
    )


def _command(checkout: Checkout, service: Service) -> DevCommand:
    data = read_json(checkout, join(service.source, "package.json")) if service.build.builder == "node" else None
    scripts = {name: line for name, line in table(data or {}, "scripts").items() if isinstance(line, str)}
    django = checkout.read(join(service.source, "manage.py")) is not None
    return dev_command(service, scripts, manager=service.build.package_manager or "npm", django=django)


def watched(planned: Planned, folder: Path) -> tuple[tuple[Path, ...], Collection[str] | None, tuple[Path, ...]]:
    """Folders whose files count, the suffixes that do (None: all), and what of them is made by a build. Pure."""
    service = planned.service
    source = folder / service.source
    roots = {source, folder / service.build.workspace} if service.build.workspace else {source}
    if planned.command.follows is Follows.FILES:
        made = (source / service.build.output,) if planned.command.first and service.build.output else ()
        return (source,), None, made
    made = (source / service.build.output,) if service.build.output else ()
    return tuple(sorted(roots)), SUFFIXES.get(service.build.builder, EVERY), made
