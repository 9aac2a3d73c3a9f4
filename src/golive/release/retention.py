"""Which releases are kept, and what may go with the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from golive.release.host import Host
from golive.state.records import Generation, Place, Release


def expired(releases: Sequence[Release], live: int | None, in_use: Collection[int], keep: int) -> list[Release]:
    """Pure: ready releases beyond the newest `keep`; never the live one nor one whose instances still run."""
    ready = sorted((r for r in releases if r.state == "ready"), key=lambda r: -r.number)
    return [r for r in ready[keep:] if r.number != live and r.number not in in_use]


async def prune(host: Host, place: Place) -> None:
    """Mark releases beyond the blueprint's `keep` and free artifacts and layers that no kept release needs."""
    app = host.state.app(place)
    if app is None or app.live is None:
        return
    blueprint = host.release_blueprint(place, app.live)
    running: list[Generation] = host.state.generations(place)
    for release in expired(host.state.releases(place), app.live, {g.release for g in running}, blueprint.release.keep):
        host.state.set_release(place, release.number, "pruned")
        host.state.forget_release_schema(place, release.number)
    host.keep_parsed(place, {app.live, *(g.release for g in running)})
    await host.builder.prune(needed_artifacts(host), blueprint.build.disk)


def needed_artifacts(host: Host) -> set[str]:
    """Of every kept release of every app, of releases whose instances still run, and of what is being deployed."""
    needed = set(host.building)
    for app in host.state.apps():
        running = {g.release for g in host.state.generations(app.place)}
        for release in host.state.releases(app.place):
            if release.state in ("ready", "making") or release.number in running:
                needed |= set(release.artifacts.values())
    return needed
