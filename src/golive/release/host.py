"""This machine as a release sees it: the parts it is made with. Put together once, in `golive.daemon.wiring`."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from golive.blueprint.models import Blueprint, Service
from golive.data.replica_plan import Lag
from golive.edge.model import Challenge
from golive.errors import Conflict
from golive.home import Home
from golive.release.dev_site import DevSite
from golive.release.gateway import Gateway
from golive.state.records import Generation, GenerationState, Place
from golive.state.store import State
from golive.system import users
from golive.system.files import private_directory
from golive.system.offload import Offload
from golive.system.users import User

if TYPE_CHECKING:
    from golive.backup.owner import Follower
    from golive.build.builder import Builder
    from golive.engines.store import Engines
    from golive.release.trial import Trial
    from golive.supervise.supervisor import Supervisor
    from golive.system.machine import Machine

ENGINE_USER = "golive"
"""Runs Envoy, the static server, PostgreSQL and Redis where golive is root."""


@dataclass
class Host:
    """The machine's parts, and what a change under way asks of everybody else until it is in the state.

    `held` is for a changeover: an upstream whose requests wait at the edge (None), or are answered by another
    generation that stands in; `switching` routes a service (app, environment, name) to a generation that is not live
    yet. `aside` are units that take no new requests: they leave, or were never ready. `claimed` are generations that a
    deployment counts on, so that nobody stops them; `building` are artifacts that no release names yet. `dev` is where
    `golive dev` answers, as long as it runs. `lags` is how far replicas were behind when they were last looked at.
    `waiting` are environments whose requests wait at the edge, each at most so long, while their data is exchanged.
    `backing_up` says what is under way with the backups of a database (place, name), `backup_trouble` what is wrong
    with them; `followers` are standbys, as they were when that was looked at last; `replaced` that another machine took
    this one's place, and writes its backups, `asked` once that was looked at. `challenges` are what authorities ask the
    edge for right now. `trials` are releases that take part of an environment's traffic.
    """

    home: Home
    state: State
    supervisor: Supervisor
    builder: Builder
    engines: Engines
    machine: Machine
    opened: Gateway | None = None
    held: dict[str, Generation | None] = field(default_factory=dict)
    switching: dict[tuple[str, str, str], Generation] = field(default_factory=dict)
    aside: set[str] = field(default_factory=set)
    claimed: set[int] = field(default_factory=set)
    building: set[str] = field(default_factory=set)
    dev: dict[Place, DevSite] = field(default_factory=dict)
    bare: set[tuple[Place, str]] = field(default_factory=set)
    """Pools that an app was told of and that cannot run: the edge leads past them."""
    lags: dict[tuple[Place, str], Lag] = field(default_factory=dict)
    offload: Offload = field(default_factory=Offload)
    backing_up: dict[tuple[Place, str], str] = field(default_factory=dict)
    waiting: dict[Place, timedelta] = field(default_factory=dict)
    backup_trouble: dict[tuple[Place, str], str] = field(default_factory=dict)
    followers: list[Follower] = field(default_factory=list)
    replaced: str | None = None
    challenges: tuple[Challenge, ...] = ()
    trials: dict[Place, Trial] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    fenced: asyncio.Event = field(default_factory=asyncio.Event)
    """Another machine serves in the place of this one, see `fence`."""
    _changing: dict[Place, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _copying: dict[Place, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _blueprints: dict[tuple[Place, int], Blueprint] = field(default_factory=dict)

    @property
    def gateway(self) -> Gateway:
        """The edge with what stands beside it; opened by the first deployment."""
        if self.opened is None:
            raise Conflict("the edge is not running yet", hint="golive up starts it")
        return self.opened

    def changing(self, place: Place) -> asyncio.Lock:
        """Held by whoever changes what runs in an environment: one deployment, scaling or removal at a time."""
        return self._changing[place]

    def copying(self, place: Place) -> asyncio.Lock:
        """Held by whoever makes, exchanges or removes a copy of one of its resources; see `golive.release.copies`."""
        return self._copying[place]

    def app_user(self, app: str) -> User | None:
        """Who the app's instances run as; None when golive is not root, so they run as golive's own user."""
        return users.ensure(users.app_user_name(app))

    def engine_user(self) -> User | None:
        return users.ensure(ENGINE_USER)

    def work_directory(self, place: Place) -> Path:
        """The app's own writable folder: HOME and TMPDIR of its instances."""
        directory = self.home.app(*place) / "work"
        user = self.app_user(place.app)
        folder = self.home.app(*place)
        for parent in (folder.parent.parent, folder.parent, folder):  # whoever made them first
            private_directory(parent, 0o711 if user else 0o700)
        private_directory(directory)
        if user and directory.stat().st_uid != user.uid:
            os.chown(directory, user.uid, user.gid)
        return directory

    def blueprint(self, generation: Generation) -> Blueprint:
        return self.release_blueprint(generation.place, generation.release)

    def release_blueprint(self, place: Place, number: int) -> Blueprint:
        """Releases are immutable, so it is parsed once."""
        key = (place, number)
        if key not in self._blueprints:
            self._blueprints[key] = Blueprint.model_validate_json(self.state.release(place, number).blueprint)
        return self._blueprints[key]

    def service(self, generation: Generation) -> Service:
        """Its settings as they hold now. A live generation follows the live release, which may have changed what needs
        no new instance: a schedule, a route, bounds of scale."""
        if generation.state is GenerationState.LIVE:
            app = self.state.app(generation.place)
            if app and app.live is not None:
                services = self.release_blueprint(generation.place, app.live).services
                if generation.service in services:
                    return services[generation.service]
        return self.blueprint(generation).services[generation.service]

    def live_services(self) -> list[tuple[Generation, Service]]:
        """Every live generation with its settings, as `service` gives them; two queries, however many there are."""
        live = {app.place: app.live for app in self.state.apps()}
        found = []
        for generation in self.state.generations(None, (GenerationState.LIVE,)):
            number = live.get(generation.place)
            services = self.release_blueprint(generation.place, number).services if number is not None else {}
            own = services.get(generation.service)
            found.append((generation, own or self.blueprint(generation).services[generation.service]))
        return found

    def keep_parsed(self, place: Place, releases: set[int]) -> None:
        """Forget the parsed blueprints of an environment's other releases."""
        self._blueprints = {k: v for k, v in self._blueprints.items() if k[0] != place or k[1] in releases}

    def forget(self, place: Place) -> None:
        """What was remembered of an environment that is gone; its numbers may be given again."""
        self._blueprints = {key: value for key, value in self._blueprints.items() if key[0] != place}
