"""The connection to the state: opened, versioned, transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from golive.errors import StateError
from golive.state.vault import Vault

VERSION = 1


class Database:
    """One connection. Synchronous on purpose: each call is well under a millisecond, and there is one writer."""

    def __init__(self, path: Path, key: Path) -> None:
        self._db = _open(path)
        self._vault = Vault.open_or_create(key, may_create=self._is_fresh())

    def close(self) -> None:
        self._db.close()

    def _is_fresh(self) -> bool:
        """Nothing sealed yet, so a missing key loses nothing."""
        tables = ("variable", "release", "resource")
        return not any(self._one(f"SELECT 1 FROM {table} LIMIT 1") for table in tables)  # noqa: S608 - constants

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or none of it. Not nested."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._run(sql, *values).fetchall()

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._run(sql, *values).fetchone()
        return row

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.OperationalError as error:
            raise StateError("golive's state cannot be written", why=str(error), hint=_hint(str(error))) from error


def _open(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # its journal files get the same mode
        db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        db.row_factory = sqlite3.Row
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
    except (sqlite3.DatabaseError, OSError) as error:
        raise StateError(f"cannot use {path}", why=str(error), hint=_hint(str(error))) from error
    return db


def _hint(why: str) -> str:
    if "readonly" in why or "unable to open" in why:
        return "make GOLIVE_HOME writable for this user, or set GOLIVE_HOME to a directory that is"
    if "full" in why:
        return "free some disk space and try again; nothing was lost"
    if "malformed" in why or "not a database" in why:
        return "move the file away to start afresh; what runs keeps running"
    return "try again"
