"""`[shards.<name>]`: which of several PostgreSQL resources holds which part of the rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from golive.blueprint.fields import Model

_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


class ShardMap(Model):
    """Rows spread over several databases by a key. The number of slots stays for good; their places may change."""

    key: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$", description="The column by which rows belong together.")
    slots: int = Field(256, ge=2, le=65536, description="Parts that the keys are divided into; never changed.")
    map: dict[str, str] = Field(min_length=1, description='Resource to slots: `{ db = "0-127", db2 = "128-255" }`.')


def slots_of(text: str) -> list[range] | None:
    """`0-63, 128` as ranges; None for what is none."""
    found = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        match = _RANGE.fullmatch(part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            return None
        found.append(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def written(slots: Iterator[int] | list[int]) -> str:
    """The inverse of `slots_of`."""
    ranges: list[list[int]] = []
    for slot in sorted(slots):
        if ranges and slot == ranges[-1][1] + 1:
            ranges[-1][1] = slot
        else:
            ranges.append([slot, slot])
    return ", ".join(f"{low}-{high}" if high > low else str(low) for low, high in ranges)


def owners(shards: ShardMap) -> dict[int, list[str]]:
    """Slot → the resources that name it: exactly one in a map without faults."""
    found: dict[int, list[str]] = {slot: [] for slot in range(shards.slots)}
    for name, text in shards.map.items():
        for each in slots_of(text) or []:
            for slot in each:
                found.setdefault(slot, []).append(name)
    return found


def variable(name: str) -> str:
    """The variable that carries the map of that name."""
    return f"SHARDS_{name.upper().replace('-', '_')}"


def document(shards: ShardMap, urls: Mapping[str, str]) -> str:
    """What the variable holds: no secret, only the names of the variables (`urls`, by resource) that hold the URLs."""
    ranges = [(each, urls[name]) for name, text in shards.map.items() for each in slots_of(text) or []]
    parts = [
        {"from": each.start, "to": each.stop - 1, "url": url}
        for each, url in sorted(ranges, key=lambda pair: pair[0].start)
    ]
    return json.dumps({"key": shards.key, "slots": shards.slots, "shards": parts}, separators=(",", ":"))
