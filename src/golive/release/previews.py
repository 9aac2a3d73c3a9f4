"""What a preview's database begins with: production's as it is now, masked; afterwards it is a resource like any other.

Until it is masked its server lets nobody in but golive, and a file beside the data says so: a daemon that is killed in
between leaves no preview that shows what it must not, since the next deploy begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from golive.data import clone
from golive.data.postgres import Postgres
from golive.data.store import Store
from golive.errors import NotFound, UsageError
from golive.release import branches, databases, resources
from golive.release.host import Host
from golive.state.records import Place
from golive.system.files import remove_tree, write_atomic

Say = Callable[[str], None]


async def begin(host: Host, place: Place, stores: Mapping[str, Store], say: Say) -> None:
    """Those that were never started, and have a model, get its present. ResourceFailed when it cannot be copied, or
    not masked as production's golive.toml says; they are begun again at the next deploy."""
    for name, store in stores.items():
        if not isinstance(store, Postgres):
            continue
        if _unmasked(store).exists():
            await _give_up(host, place, store)
        model = resources.model(host, place, name, store.resource)
        if model is None or (store.folder / "postgresql.conf").exists():
            continue
        try:
            source, declared = await branches.source_of(host, model.place, name)
        except (NotFound, UsageError) as error:
            say(f"{name} begins empty: {error.what}")
            continue
        await _branch(host, place, store, source, declared.mask)
        count = len(declared.mask)
        masked = f"{count} column{'s' * (count != 1)} masked" if count else "no column of it masked"
        say(f"{name} begins as that of {model.place} is now, {masked}")


def _unmasked(store: Postgres) -> Path:
    return store.folder / "unmasked"


async def _give_up(host: Host, place: Place, store: Postgres) -> None:
    """What a deploy that was killed has left: nobody has seen it."""
    await resources.stop(host, place, store.name)
    if store.data.exists():
        await store.before_start()
    await asyncio.to_thread(remove_tree, store.data)
    (store.folder / "postgresql.conf").unlink(missing_ok=True)
    _unmasked(store).unlink()


async def _branch(host: Host, place: Place, store: Postgres, source: Postgres, rules: dict[str, str]) -> None:
    of = Place(source.place.app, source.place.environment)
    closed = replace(store, closed=True, settings={**store.settings, "fsync": "off"})
    async with host.copying(of), branches.long_work() as offload:
        if rules:
            await databases.check_masks(offload, source, rules)
        await clone.clone(source, closed, _unsaid)
        write_atomic(_unmasked(store), "")
        await asyncio.to_thread(clone.adopt, closed)
        await resources.keep_running(host, place, store.name, closed)
        await host.supervisor.wait_ready(resources.unit_name(place, store.name), resources.READY, timedelta(0))
        await databases.ready(offload, closed, resources.READY)
        if rules:
            await databases.mask(offload, closed, rules, branches.mask_key(host, of, source.name), _unsaid)
        _unmasked(store).unlink()


def _unsaid(_: str) -> None:
    """A deploy names its steps, not theirs."""
