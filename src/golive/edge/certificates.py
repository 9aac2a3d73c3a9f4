"""Certificates of other authorities, on disk: those that ACME brought, and those that somebody brought.

own/<domain>.pem      brought by `golive domain cert`; comes before all others
acme/<domain>.pem     key and chain, one file for each name of a certificate
accounts/<id>.pem     the account's key at one authority
attempts.json         of names whose last order did not end well, or is under way
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from golive.edge.local import RENEW_AFTER
from golive.edge.model import Certificate
from golive.errors import UsageError
from golive.secret import Secret
from golive.system.files import private_directory, write_atomic

JITTER = 1 / 24
"""Share of its life by which a certificate is renewed later than others of the same day."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=5), timedelta(days=1)
"""Between orders of a name that failed, doubling: four in the first hour, where Let's Encrypt allows five."""


@dataclass(frozen=True)
class Kept:
    """A certificate with its key, as it was checked. `own`: brought by somebody, so nobody renews it."""

    certificate: Certificate
    issuer: str
    begins: datetime
    ends: datetime
    serial: int
    own: bool = False

    def renew_at(self) -> datetime:
        """Two thirds through its life, and a little later: by how much is in its serial number, which is random."""
        return self.begins + (self.ends - self.begins) * (RENEW_AFTER + self.serial % 1000 / 1000 * JITTER)


@dataclass(frozen=True)
class Attempt:
    """Orders of a name that did not end well: how many in a row, and when the next may be made (s since 1970).

    `asked`: the authority named that time, so nothing brings it forward.
    """

    tries: int
    next_at: float
    why: str = ""
    asked: bool = False

    def at(self, moment: float) -> Attempt:
        return replace(self, next_at=moment)


def after_failure(before: Attempt | None, why: str, now: float, retry_after: float | None) -> Attempt:
    """Pure: when to try again."""
    tries = before.tries if before else 1
    pause = min(FIRST_PAUSE.total_seconds() * 2 ** min(tries - 1, 20), LONGEST_PAUSE.total_seconds())
    return Attempt(tries, now + max(pause, retry_after or 0), why, asked=(retry_after or 0) > 0)


class CertificateStore:
    """Files under `directory` (0700), read again when they change."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, tuple[int, Kept | None]] = {}

    @property
    def accounts(self) -> Path:
        return self._directory / "accounts"

    def serving(self, domain: str) -> Certificate | None:
        """What the edge serves for a domain, expired or not: the local CA's would be no better."""
        kept = self.find(domain)
        return Certificate((domain,), kept.certificate.chain, kept.certificate.key) if kept else None

    def find(self, domain: str) -> Kept | None:
        """Somebody's own for this name, or for its wildcard; else what ACME brought."""
        wildcard = f"*.{domain.partition('.')[2]}"
        for folder, name in (("own", domain), ("own", wildcard), ("acme", domain)):
            kept = self._load(self._path(folder, name))
            if kept and kept.certificate.covers(domain):
                return kept
        return None

    def keep(self, domains: tuple[str, ...], chain: str, key: Secret, *, own: bool) -> None:
        """For each of the names. Each file is whole at any time, and a name without its new one has its old one."""
        for domain in domains:
            path = self._path("own" if own else "acme", domain)
            private_directory(self._directory)
            private_directory(path.parent)
            write_atomic(path, key.reveal().strip() + "\n" + chain)

    def remove_own(self, domain: str) -> bool:
        """Whether there was one."""
        path = self._path("own", domain)
        found = path.exists()
        path.unlink(missing_ok=True)
        return found

    def prune(self, known: set[str], now: datetime) -> None:
        """Remove what nobody serves any more, once it could not serve again: a rollback may bring a domain back."""
        for path in (self._directory / "acme").glob("*.pem"):
            kept = self._load(path)
            if path.stem.replace("_", "*") not in known and (kept is None or now >= kept.ends):
                path.unlink(missing_ok=True)
                self._read.pop(path, None)
        over = [n for n, a in self.attempts().items() if n not in known and a.next_at <= now.timestamp()]
        if over:
            self.note(dict.fromkeys(over))

    def attempts(self) -> dict[str, Attempt]:
        try:
            found = json.loads((self._directory / "attempts.json").read_text())
            return {name: Attempt(**values) for name, values in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def note(self, changes: Mapping[str, Attempt | None]) -> None:
        """None: all is well with it."""
        found: dict[str, Attempt | None] = {**self.attempts(), **changes}
        private_directory(self._directory)
        text = json.dumps({name: asdict(attempt) for name, attempt in found.items() if attempt})
        write_atomic(self._directory / "attempts.json", text)

    def _path(self, folder: str, domain: str) -> Path:
        return self._directory / folder / f"{domain.replace('*', '_')}.pem"

    def _load(self, path: Path) -> Kept | None:
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return None
        if self._read.get(path, (None, None))[0] != changed:
            from golive.edge.inspection import inspect  # several MB, which a daemon without such certificates spares

            try:
                text = path.read_text()
                end = text.index("-----BEGIN CERTIFICATE-----")
                kept = inspect(text[end:], Secret(text[:end]), own=path.parent.name == "own")
            except (OSError, ValueError, UsageError):
                kept = None  # damaged: as if there were none
            self._read[path] = (changed, kept)
        return self._read[path][1]
