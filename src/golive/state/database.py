"""The connection to the state: opened, versioned, transactions."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from golive.errors import StateError
from golive.state.upgrades import UPGRADES
from golive.state.vault import Ask, Vault

VERSION = 6


class Database:
    """One connection. Synchronous on purpose: each call is well under a millisecond, and there is one writer."""

    def __init__(self, path: Path, key: Path, ask: Ask = lambda: None) -> None:
        """`ask` for the passphrase of the key, when it has one."""
        self._db = _open(path)
        self._key_path = key
        try:
            fresh, sealed_by = self._is_fresh(), self._sealed_by()
            self._vault = Vault.open_or_create(key, may_create=fresh, sealed_by=sealed_by, ask=ask)
            if fresh and sealed_by != self._vault.id:
                with self.transaction():
                    self._run("DELETE FROM vault")
                    self._run("INSERT INTO vault VALUES (?, ?)", self._vault.id, time.time())
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def _is_fresh(self) -> bool:
        """Nothing sealed yet, so a missing key loses nothing."""
        tables = ("variable", "release", "resource")
        return not any(self._one(f"SELECT 1 FROM {table} LIMIT 1") for table in tables)  # noqa: S608 - constants

    def _sealed_by(self) -> str | None:
        """Which key; None in a state of before there was another one, or without any."""
        row = self._one("SELECT key FROM vault")
        return row[0] if row else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or none of it. Not nested."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has ended it by itself when the disk is full
                self._db.execute("ROLLBACK")
            raise

    def _all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._run(sql, *values).fetchall()

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._run(sql, *values).fetchone()
        return row

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # golive's own mistake
        except sqlite3.DatabaseError as error:
            raise StateError("golive's state cannot be used", why=str(error), hint=_hint(str(error))) from error


def _open(path: Path) -> sqlite3.Connection:
    db: sqlite3.Connection | None = None
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)  # one that was put back from a backup too; its journal files get the same mode
        os.close(descriptor)
        db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        db.row_factory = sqlite3.Row
        _prepare(db, path)
    except BaseException as error:
        if db is not None:
            db.close()
        if isinstance(error, sqlite3.DatabaseError | OSError):
            raise StateError(f"cannot use {path}", why=str(error), hint=_hint(str(error))) from error
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Its settings and its tables, an older version's brought up to this one. A newer one's are not touched."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StateError(
            f"{path} was written by a newer golive",
            why=f"its version is {version}, this golive knows {VERSION}",
            hint="upgrade golive, or point GOLIVE_HOME at another directory",
        )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    if version == 0:
        schema = resources.files("golive.state").joinpath("schema.sql").read_text()
        db.executescript(f"BEGIN; {schema} PRAGMA user_version = {VERSION}; COMMIT;")
        return
    for older in range(version, VERSION):  # each in a transaction of its own: a kill leaves one version or the next
        db.executescript(f"BEGIN IMMEDIATE; {UPGRADES[older]} PRAGMA user_version = {older + 1}; COMMIT;")


def _hint(why: str) -> str:
    if any(word in why for word in ("readonly", "unable to open", "Permission denied", "Read-only", "not permitted")):
        return "make GOLIVE_HOME writable for this user, or set GOLIVE_HOME to a directory that is"
    if "full" in why or "No space left" in why:
        return "free some disk space and try again; nothing was lost"
    if "malformed" in why or "not a database" in why:
        return "move the file away to start afresh; what runs keeps running"
    return "try again"
