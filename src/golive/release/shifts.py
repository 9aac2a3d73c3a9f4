"""Visitors of one service who go to the one that replaces it, share by share (REL-4)."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from golive.blueprint.models import Blueprint
from golive.edge.model import RouteRule, Share
from golive.edge.shares import SERVICE
from golive.state.records import Place, Shift

if TYPE_CHECKING:
    from golive.release.host import Host


def percent_at(shift: Shift, now: float) -> int:
    """Pure: of new visitors, at that moment. On the way from one share to another it rises or falls evenly."""
    if shift.until is None or now >= shift.until:
        return shift.percent
    done = max(now - shift.since, 0) / (shift.until - shift.since)
    return math.floor(shift.before + (shift.percent - shift.before) * done)


def shifts(host: Host, place: Place, suspended: Collection[str] = ()) -> dict[tuple[str, str], int]:
    """The percentage of each service and the one that it replaces; none of one that is suspended."""
    now = time.time()
    rows = (s for s in host.state.shifts(place) if s.service not in suspended)
    return {(s.service, s.replaced): percent_at(s, now) for s in rows}


def everywhere(host: Host) -> dict[tuple[Place, str], int]:
    """The percentages of all environments."""
    now = time.time()
    return {(s.place, s.service): percent_at(s, now) for s in host.state.shifts()}


def shifted(rules: list[RouteRule], blueprint: Blueprint, percents: Mapping[tuple[str, str], int]) -> list[RouteRule]:
    """Pure: where two services have one route, each with its share of visitors, or without the one that has none."""
    for name, service in blueprint.services.items():
        other = service.replaces
        mine = {r.prefix for r in rules if r.service == name and not r.grpc}
        both = mine & {r.prefix for r in rules if r.service == other and not r.grpc}
        if other is None or not both:
            continue
        percent = percents.get((name, other), 0)
        cookie = f"{SERVICE}{other}"
        ways = {name: Share(cookie, name, other, percent), other: Share(cookie, other, name, None)}
        gone = {0: name, 100: other}.get(percent)
        shared = [(rule, rule.service in ways and rule.prefix in both and not rule.grpc) for rule in rules]
        rules = [
            replace(rule, share=None if gone else ways[rule.service]) if here else rule
            for rule, here in shared
            if not (here and rule.service == gone)
        ]
    return rules


def next_change(host: Host) -> float:
    """Seconds until some share is another percentage; infinite when none is on its way."""
    now = time.time()
    waits = []
    for shift in host.state.shifts():
        if shift.until is not None and now < shift.until and shift.percent != shift.before:
            one = (shift.until - shift.since) / abs(shift.percent - shift.before)
            waits.append(one - (now - shift.since) % one)
    return min(waits, default=math.inf)
