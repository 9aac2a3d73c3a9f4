"""How much JavaScript each page of a release loads, and what a release changed of that (BLD-6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golive.build.artifact import PageSize
from golive.build.bundle import check_budget, growth
from golive.errors import NotFound
from golive.release.host import Host
from golive.state.records import Place, Release
from golive.units import human_size

WORTH_TELLING = 1024
"""Bytes, gzipped; a smaller change is that of a new hash in a name."""

Pages = Mapping[str, tuple[PageSize, ...]]
"""By service."""


def report(host: Host, place: Place, number: int | None = None) -> dict[str, Any]:
    """Every page of a release (the live one when none is named) beside the one before it, as JSON; the largest first.

    Raises NotFound when there is no such release, or nothing is left of it.
    """
    app = host.state.app(place)
    number = number or (app.live if app else None)
    if number is None:
        raise NotFound(f"{place} has no live release", hint="golive up makes the first one")
    release = host.state.release(place, number)
    before = previous(host, place, number)
    budget = host.release_blueprint(place, number).build.bundle_budget
    older = sizes(host, before.artifacts) if before else {}
    pages = []
    for service, found in sorted(sizes(host, release.artifacts).items()):
        grown = growth(found, older[service]) if service in older else {}
        for page in sorted(found, key=lambda page: (-page.gzip, page.route)):
            over = budget is not None and page.gzip > budget
            shown = page.model_dump(mode="json")
            pages.append({"service": service, **shown, "growth": grown.get(page.route), "over_budget": over})
    return {"release": number, "before": before.number if before else None, "budget": budget, "pages": pages}


def previous(host: Host, place: Place, number: int | None) -> Release | None:
    """The kept release before one."""
    kept = [r for r in host.state.releases(place) if r.state == "ready" and (number is None or r.number < number)]
    return max(kept, key=lambda release: release.number, default=None)


def sizes(host: Host, artifacts: Mapping[str, str]) -> dict[str, tuple[PageSize, ...]]:
    """The pages of each front end among the artifacts that are still there."""
    found = {service: host.builder.store.get(key) for service, key in artifacts.items()}
    return {service: made.bundle for service, made in found.items() if made and made.bundle}


def check(host: Host, place: Place, artifacts: Mapping[str, str], live: int | None, budget: int | None) -> str:
    """What to say of the pages a deploy has built: "" when nothing changed that is worth it.

    Raises BuildFailed for a page above the budget, also of an artifact that was built before there was one.
    """
    known = dict(host.state.release(place, live).artifacts) if live else {}
    changed = {service: key for service, key in artifacts.items() if known.get(service) != key or budget is not None}
    now = sizes(host, changed)
    for service, pages in now.items():
        check_budget(pages, budget, service)
    return sentence(now, sizes(host, {s: known[s] for s in now if s in known and known[s] != artifacts[s]}))


def sentence(now: Pages, before: Pages) -> str:
    """The page that grew or shrank most, with its size; "" when none did. Pure."""
    changes = [
        (abs(change), service, route, change)
        for service, pages in now.items()
        if service in before
        for route, change in growth(pages, before[service]).items()
    ]
    size, service, route, change = max(changes, default=(0, "", "", 0))
    if size < WORTH_TELLING:
        return ""
    whole = next(page.gzip for page in now[service] if page.route == route)
    word = "more" if change > 0 else "less"
    others = sum(amount >= WORTH_TELLING for amount, *_ in changes) - 1
    more = f", and {others} more changed: golive bundle" if others else ""
    return f"{route} loads {human_size(size)} {word} JavaScript ({human_size(whole)}){more}"
