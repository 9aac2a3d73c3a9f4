"""The story of `golive dev`, once its resources run: install, migrate, start everything, until it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golive.blueprint.models import Blueprint
from golive.dev.command import Follows
from golive.dev.files import serve_folder
from golive.dev.install import Kit, install
from golive.dev.plan import Planned, watched
from golive.dev.program import Program
from golive.dev.watch import Changes
from golive.dev.workbench import Workbench
from golive.errors import StartFailed
from golive.migrate.runtime import Runtime
from golive.migrate.status import MigrationEvent
from golive.migrate.step import migrate
from golive.secret import Secret

Report = Callable[[str, str, str], None]
"""Service (or `migrations`), a state, and a few words: what golive itself has to say."""


@dataclass(frozen=True)
class Given:
    """What the daemon promised: where to listen, the variables of each service, the database to migrate."""

    ports: Mapping[str, int]
    grpc_ports: Mapping[str, int]
    environments: Mapping[str, Mapping[str, Secret]] = field(repr=False)
    database_url: Secret | None = None


@dataclass
class Session:
    """`extra` is for every program: whether it may use colour, which hosts a dev server answers."""

    bench: Workbench
    blueprint: Blueprint
    services: tuple[Planned, ...]
    given: Given
    report: Report
    extra: Mapping[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Until it is cancelled, when everything that it started has ended. Raises what makes a service impossible."""
        kits = {}
        for planned in self.services:
            if planned.runs:
                kits[planned.name] = await self._install(planned)
        await self._migrate(kits)
        async with asyncio.TaskGroup() as group:
            for planned in self.services:
                if planned.runs:
                    group.create_task(self._develop(planned, kits[planned.name]))

    async def _install(self, planned: Planned) -> Kit:
        kit = await install(self.bench, planned.name, planned.service, planned.command.needs)
        if kit.done:
            self.report(planned.name, "installed", kit.done)
        return kit

    async def _migrate(self, kits: Mapping[str, Kit]) -> None:
        settings, url = self.blueprint.migrations, self.given.database_url
        if settings is None or url is None:
            return
        applied = await migrate(
            settings,
            self.bench.checkout,
            url,
            release=0,
            report=self._migration,
            runtime=self._runtime(settings.service, kits),
        )
        count = len(applied.files)
        words = f"{count} applied, schema at" if count else "nothing to do, schema at"
        self.report("migrations", "done", f"{words} {applied.version_after}")

    def _migration(self, event: MigrationEvent) -> None:
        if event.kind != "applied":  # said when it began
            self.bench.output("migrations", event.text)

    def _runtime(self, service: str | None, kits: Mapping[str, Kit]) -> Runtime | None:
        """A migration tool of the project's own runs as the service would."""
        planned = next((p for p in self.services if p.name == service), None)
        if planned is None or planned.name not in kits:
            return None
        kit = kits[planned.name]
        python = (str(kit.python),) if kit.python else ()
        return Runtime(python, self._environment(planned, kit), app=self._source(planned))

    async def _develop(self, planned: Planned, kit: Kit) -> None:
        folders, suffixes, made = watched(planned, self.bench.checkout)
        changes = Changes(folders, suffixes, made)
        files = planned.command.follows is Follows.FILES
        program = Program(
            bench=self.bench,
            name=planned.name,
            command=planned.command,
            env=self._environment(planned, kit),
            cwd=self._source(planned),
            changes=changes,
            report=lambda state, words: self.report(planned.name, state, words),
            port=self.given.ports.get(planned.name),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(changes.watch())
            group.create_task(self._serve(planned, program, changes) if files else program.run())

    async def _serve(self, planned: Planned, program: Program, changes: Changes) -> None:
        """A folder, made first where a build makes it."""
        folder = self._source(planned) / (planned.service.build.output or ".")
        port = self.given.ports[planned.name]
        try:
            server = await serve_folder(folder, planned.service, port)
        except OSError as error:
            raise StartFailed(f"{planned.name} cannot listen on port {port}", why=error.strerror) from error
        async with server:
            await program.build()
            self.report(planned.name, "ready", "every request reads the folder")
            while True:
                await changes.next()
                await program.build()

    def _environment(self, planned: Planned, kit: Kit) -> dict[str, str]:
        own = {name: value.reveal() for name, value in self.given.environments.get(planned.name, {}).items()}
        ports = {"HOST": "127.0.0.1"}
        if planned.name in self.given.ports:
            ports["PORT"] = str(self.given.ports[planned.name])
        if planned.name in self.given.grpc_ports:
            ports["GRPC_PORT"] = str(self.given.grpc_ports[planned.name])
        node = {}
        if planned.service.build.builder == "node":
            node = {"NODE_ENV": "development"}
        return self.bench.environment({**self.extra, **kit.env, **node, **own, **ports}, kit.path)

    def _source(self, planned: Planned) -> Path:
        return self.bench.checkout / planned.service.source
