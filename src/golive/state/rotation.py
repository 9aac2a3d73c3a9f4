"""Another key for the state, and everything sealed anew with it.

The new key is on the disk before anything is sealed with it; all values and the key's name change in one transaction;
then the new key file takes the place of the old one. Killed before the transaction's end, the old key holds and the new
one is thrown away; killed after it, whoever opens the state next puts the new one in place.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from golive.errors import StateError
from golive.secret import Secret
from golive.state import keyfile
from golive.state.keyfile import KeyFile
from golive.state.records import Place
from golive.state.settings import Settings
from golive.state.vault import Vault

SEALED = (
    ("variable", "value", "name"),
    ("release", "environments", "number"),
    ("resource", "password", "name"),
    ("maintenance", "pass", None),
)
"""Table, the column with what is sealed, and the one that names the row beside app and environment. A value's context
is app, environment, table and name."""


@dataclass(frozen=True)
class VaultFacts:
    """`since`: when the key was made, in seconds since the epoch, None when nobody knows; `values`: how many it seals;
    `passphrase`: how the passphrase becomes a key, None without one."""

    key: str
    since: float | None
    values: int
    passphrase: dict[str, object] | None


@dataclass(frozen=True)
class NextKey:
    """A key that is to take the place of the one that holds, and its file. Making it takes a second."""

    vault: Vault
    file: KeyFile


def next_key(home_key: Path, passphrase: Secret | None) -> NextKey:
    """`passphrase` seals it; None for a key that is a file."""
    key, known = os.urandom(keyfile.LENGTH), keyfile.read(home_key)
    host = known.host if known else keyfile.host_of(key)
    return NextKey(Vault(key, passphrase), keyfile.make(key, host, passphrase))


class Rotation(Settings):
    """Table vault."""

    def vault_facts(self) -> VaultFacts:
        row = self._one("SELECT since FROM vault")
        values = sum(self._count(table) for table, _, _ in SEALED)
        found = keyfile.read(self._key_path)
        parameters = dict(found.parameters) if found and found.parameters else None
        if parameters:
            parameters.pop("salt", None)
        return VaultFacts(self._vault.id, row[0] if row else None, values, parameters)

    def _count(self, table: str) -> int:
        row = self._one(f"SELECT count(*) FROM {table}")  # noqa: S608 - constants
        return int(row[0]) if row else 0

    def derived(self, purpose: str) -> Secret:
        """See `Vault.derived`."""
        return self._vault.derived(purpose)

    def passphrase(self) -> Secret | None:
        """Of the key; None without one."""
        return self._vault.passphrase

    def rotate_key(self, coming: NextKey, actor: str, action: str) -> int:
        """Seal every value with another key. How many.

        Kept in the audit log as `action`. StateError when a value cannot be opened, or the disk is full: nothing was
        changed then, and the old key holds.
        """
        path, before, after = self._key_path, self._vault, coming.vault
        beside = keyfile.following(path)
        _write(beside, coming.file.encoded())
        try:
            self._run("PRAGMA secure_delete = ON")  # what the old key sealed is overwritten, not only forgotten
            with self.transaction():
                count = sum(self._seal_anew(table, column, name, before, after) for table, column, name in SEALED)
                self._run("DELETE FROM vault")
                self._run("INSERT INTO vault VALUES (?, ?)", after.id, time.time())
                self.audit(actor, action, key=after.id, before=before.id, values=count)
        except BaseException:
            if self._sealed_by() != after.id:  # a disk that fails can leave a commit of which nobody was told
                beside.unlink(missing_ok=True)
            raise
        after.follow(before)
        self._vault = after
        _put_in_place(beside, path)
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def _seal_anew(self, table: str, column: str, name: str | None, before: Vault, after: Vault) -> int:
        rows = self._all(f"SELECT rowid, app, environment, {column}, {name or 'NULL'} FROM {table}")  # noqa: S608
        for row in rows:
            place = Place(row[1], row[2])
            context = f"{place} {table}" if name is None else f"{place} {table} {row[4]}"
            sealed = after.seal(before.unseal(row[3], context), context)
            self._run(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", sealed, row[0])  # noqa: S608
        return len(rows)


def _write(path: Path, raw: bytes) -> None:
    try:
        keyfile.write(path, raw)
    except OSError as error:
        raise StateError(
            "the new key cannot be written",
            where=str(path),
            why=error.strerror,
            hint="free some disk space, or make GOLIVE_HOME writable; nothing was changed",
        ) from error


def _put_in_place(beside: Path, path: Path) -> None:
    try:
        beside.replace(path)
        keyfile.sync_folder(path.parent)
    except OSError as error:
        raise StateError(
            "everything is sealed with the new key, which is not in its place yet",
            where=str(beside),
            why=error.strerror,
            hint="make GOLIVE_HOME writable, then golive daemon restart: it goes on from here",
        ) from error
