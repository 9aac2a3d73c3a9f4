"""What a drill found, kept beside the manifest: whoever has the location knows which backups are good."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from golive.backup.catalog import PROOF, Broken, Manifest
from golive.backup.location import Location
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


def write(location: Location, manifest: Manifest, proof: Proof) -> None:
    body = dataclasses.asdict(proof) | {"at": proof.at.isoformat()}
    with location.put(f"{manifest.name}/{PROOF}") as file:
        file.write(json.dumps(body, indent=2).encode() + b"\n")


def read(location: Location, manifest: Manifest) -> Proof | None:
    """None when it was never restored, or what was written of it cannot be read."""
    try:
        with location.open(f"{manifest.name}/{PROOF}") as file:
            body = json.loads(file.read())
        return Proof(**{**body, "at": datetime.fromisoformat(body["at"]), "checks": tuple(body["checks"])})
    except (NotFound, ValueError, TypeError, KeyError):
        return None


def status(backup: Manifest | Broken, proof: Proof | None) -> Status:
    if isinstance(backup, Broken) or (proof is not None and proof.why):
        return "failed"
    return "proven" if proof is not None else "unproven"
