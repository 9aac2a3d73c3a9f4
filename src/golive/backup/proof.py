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

from golive.backup import recovery
from golive.backup.catalog import DAMAGE, PROOF, Broken, Manifest
from golive.backup.location import Location
from golive.backup.recovery import Goal
from golive.errors import NotFound

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
    """What was wrong when all of it was read."""

    at: datetime
    why: str


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
        file.write(json.dumps({"at": damage.at.isoformat(), "why": damage.why}).encode() + b"\n")


def mend(location: Location, manifest: Manifest) -> None:
    """It was read, and is whole."""
    location.delete(f"{manifest.name}/{DAMAGE}")


def verdict(location: Location, manifest: Manifest) -> Verdict:
    return Verdict(read(location, manifest), _damage(location, manifest))


def choose(location: Location, known: Sequence[Manifest | Broken], goal: Goal) -> tuple[Manifest, list[str]]:
    """See `recovery.choose`; and the ids of newer ones that were passed over because they have failed."""
    failed: list[str] = []

    def has_failed(manifest: Manifest) -> bool:
        if found := verdict(location, manifest).status == "failed":
            failed.append(manifest.id)
        return found

    chosen = recovery.choose(known, goal, has_failed)
    return chosen, [id for id in failed if id > chosen.id]


def _damage(location: Location, manifest: Manifest) -> Damage | None:
    try:
        with location.open(f"{manifest.name}/{DAMAGE}") as file:
            body = json.loads(file.read())
        return Damage(datetime.fromisoformat(body["at"]), str(body["why"]))
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
