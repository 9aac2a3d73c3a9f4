"""What was found of a backup, kept beside its manifest: whoever has the location knows which ones are good.

A drill restores it, `verify` reads it. What either finds wrong stands until a drill of it succeeds; what reading found
also until it is read once more and is whole.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from golive.backup import catalog, recovery, retention
from golive.backup.catalog import DAMAGE, PROOF, Broken, Manifest
from golive.backup.location import Location
from golive.backup.recovery import Goal
from golive.errors import BackupFailed, NotFound

Status = Literal["proven", "unproven", "failed"]


@dataclass(frozen=True)
class Proof:
    """A restore of one backup with all that was received since. `seconds` until it could have been used, `checking` for
    what was looked at then; `checks` in words. `why` it failed; empty when it did not."""

    at: datetime
    seconds: float
    checking: float = 0.0
    last_commit: str = ""
    checks: tuple[str, ...] = ()
    tables: int = 0
    rows: int = 0
    why: str = ""


@dataclass(frozen=True)
class Damage:
    """What was wrong when all of it was read; with `archive` in itself, which no increment of it can do without."""

    at: datetime
    why: str
    archive: bool = False


@dataclass(frozen=True)
class Verdict:
    """What is known of one backup: of its last drill, and of what reading it has found since."""

    proof: Proof | None = None
    damage: Damage | None = None

    @property
    def status(self) -> Status:
        if self.why:
            return "failed"
        return "proven" if self.proof is not None else "unproven"

    @property
    def why(self) -> str:
        """It failed; empty when it did not."""
        if self.damage is not None:
            return self.damage.why
        return self.proof.why if self.proof is not None else ""


def write(location: Location, manifest: Manifest, proof: Proof) -> None:
    """A drill that succeeded has read all of it too."""
    body = dataclasses.asdict(proof) | {"at": proof.at.isoformat()}
    with location.put(f"{manifest.name}/{PROOF}") as file:
        file.write(json.dumps(body, indent=2).encode() + b"\n")
    if not proof.why:
        mend(location, manifest)


def write_damage(location: Location, manifest: Manifest, damage: Damage) -> None:
    with location.put(f"{manifest.name}/{DAMAGE}") as file:
        file.write(json.dumps({**dataclasses.asdict(damage), "at": damage.at.isoformat()}).encode() + b"\n")


def mend(location: Location, manifest: Manifest) -> None:
    """It was read, and is whole."""
    location.delete(f"{manifest.name}/{DAMAGE}")


def verdict(location: Location, manifest: Manifest) -> Verdict:
    return Verdict(read(location, manifest), _damage(location, manifest))


def choose(location: Location, known: Sequence[Manifest | Broken], goal: Goal) -> tuple[Manifest, list[str]]:
    """See `recovery.choose`; and the ids of newer ones that were passed over because they have failed."""
    failed: list[str] = []

    def is_passed_over(manifest: Manifest) -> bool:
        if found := has_failed(location, manifest):
            failed.append(manifest.id)
        return found

    chosen = recovery.choose(known, goal, is_passed_over)
    return chosen, [id for id in failed if id > chosen.id]


def has_failed(location: Location, manifest: Manifest) -> bool:
    return verdict(location, manifest).status == "failed" or is_damaged(location, manifest)


def last_good(location: Location, source: str, known: Sequence[Manifest | Broken]) -> list[Manifest]:
    """What retention must not take, whatever its age, while the newest backup that was looked at has failed: the chain
    of the newest before it that is proven or, without one, has not failed. Empty while all is well."""
    chains = {each.id: chain for chain in retention.chains(known) for each in chain}
    ordered = sorted((each for chain in retention.chains(known) for each in chain), key=lambda each: each.id)
    names = [entry.name.split("/")[-2:] for entry in location.list(f"{source}/base")]
    looked_at = {id for id, name in names if name in (PROOF, DAMAGE)}
    newest = next((each for each in reversed(ordered) if each.id in looked_at), None)
    if newest is None or not has_failed(location, newest):
        return []
    fit = [each for each in reversed(ordered) if each.id < newest.id and not has_failed(location, each)]
    proven = [each for each in fit if read(location, each) is not None]
    return chains[(proven or fit)[0].id] if fit else []


def is_damaged(location: Location, manifest: Manifest) -> bool:
    """Whether it, or what it is an increment of, was read and found damaged."""
    try:
        chain = catalog.chain(location, manifest) if manifest.parent else [manifest]
    except BackupFailed:
        return True
    known = (_damage(location, each) for each in chain)
    return any(
        damage is not None and (damage.archive or each is manifest) for each, damage in zip(chain, known, strict=True)
    )


def _damage(location: Location, manifest: Manifest) -> Damage | None:
    try:
        with location.open(f"{manifest.name}/{DAMAGE}") as file:
            body = json.loads(file.read())
        return Damage(datetime.fromisoformat(body["at"]), str(body["why"]), bool(body.get("archive")))
    except (NotFound, ValueError, TypeError, KeyError):
        return None


def read(location: Location, manifest: Manifest) -> Proof | None:
    """None when it was never restored, or what was written of it cannot be read."""
    try:
        with location.open(f"{manifest.name}/{PROOF}") as file:
            body = json.loads(file.read())
        return Proof(**{**body, "at": datetime.fromisoformat(body["at"]), "checks": tuple(body["checks"])})
    except (NotFound, ValueError, TypeError, KeyError):
        return None
