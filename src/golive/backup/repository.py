"""The backups of one database: where they are, and the keys to them. A value that may go to another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from golive.backup import keyring
from golive.backup.archive import Key
from golive.backup.catalog import Manifest
from golive.backup.credentials import Credentials
from golive.backup.location import Location, location_for


@dataclass(frozen=True)
class Repository:
    """`to` is a folder or a URL, `source` the database's name in it, see `catalog.source`."""

    to: str
    credentials: Credentials
    keys: Path
    source: str

    def location(self) -> Location:
        return location_for(self.to, self.credentials)

    def key(self) -> Key:
        """For new backups."""
        return keyring.current(self.keys)

    def key_of(self, manifest: Manifest) -> Key:
        return keyring.find(self.keys, manifest.key)

    @property
    def folder(self) -> Path | None:
        """Where it is a folder of this machine."""
        return Path(self.to) if self.to.startswith("/") else None
