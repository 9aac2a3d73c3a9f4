"""Which backups may go, and the WAL that none of the kept ones needs: decided from what there is. No I/O here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from golive.backup import wal
from golive.backup.catalog import Broken, Manifest

Backup = Manifest | Broken


def expired(
    known: Sequence[Backup], now: datetime, keep: int, age: timedelta, spared: Collection[Manifest] = ()
) -> list[Manifest]:
    """Oldest first: those that are neither among the newest `keep` nor younger than `age` nor `spared`, see
    `proof.last_good`. A backup that cannot be believed is no reason to let another go, and is left for somebody to look
    at. Which is newer is told by the ids, which follow one another when the clock was set back too, see
    `catalog.new_id`. A base backup and its increments count as one, as young as the youngest of them: they go together.
    """
    all_of_them = chains(known)
    old = [chain for chain in all_of_them[: max(len(all_of_them) - keep, 0)] if now - chain[-1].ended > age]
    return [each for chain in old if chain[0] not in spared for each in chain]


def chains(known: Iterable[Backup]) -> list[list[Manifest]]:
    """Each base backup with its increments after it, oldest first. What an increment builds on and is gone leaves it
    a chain of its own."""
    found: dict[str, list[Manifest]] = {}
    roots: dict[str, str] = {}
    for each in sorted((each for each in known if isinstance(each, Manifest)), key=lambda each: each.id):
        roots[each.id] = root = roots.get(each.parent, each.id)
        found.setdefault(root, []).append(each)
    return list(found.values())


def superfluous(kept: Iterable[Manifest], current: str | None, streams: Mapping[str, Iterable[str]]) -> list[str]:
    """`<stream>/<file>` of all WAL that no kept backup needs; `streams` are the files there are. Of the current stream
    something is only superfluous when a backup of it is kept: one may be under way."""
    oldest: dict[str, Manifest] = {}
    for manifest in kept:
        known = oldest.get(manifest.stream)
        if known is None or wal.position(manifest.start_lsn) < wal.position(known.start_lsn):
            oldest[manifest.stream] = manifest
    found = []
    for id, names in streams.items():
        manifest = oldest.get(id)  # type: ignore[assignment]  # None where no backup has it
        if manifest is not None:
            found += [f"{id}/{name}" for name in wal.superfluous(names, manifest.start_lsn, manifest.segment)]
        elif current is not None and id < current:
            found += [f"{id}/{name}" for name in names]
    return found
