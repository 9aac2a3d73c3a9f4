"""The passphrase that opens the key of the state: from a file, from systemd, or handed over by whoever started us.

It is in no argument and in no variable of the environment: both are seen from outside, and passed on.
"""

from __future__ import annotations

import os
from pathlib import Path

from golive.errors import StateError
from golive.secret import Secret

FILE = "GOLIVE_PASSPHRASE_FILE"
CREDENTIAL = "golive-passphrase"
"""Of systemd, LoadCredential= and LoadCredentialEncrypted=."""
HANDED = "--passphrase-on-stdin"
"""Of the daemon's command line: the first line of its standard input is the passphrase."""
SHORTEST = 12
"""Characters."""
_handed: list[Secret] = []


def given() -> Secret | None:
    """What was handed over, else of the file that the environment names, else systemd's. None without any of them."""
    if _handed:
        return _handed[0]
    if file := os.environ.get(FILE):
        return _of(Path(file).expanduser())
    if folder := os.environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(folder) / CREDENTIAL
        return _of(credential) if credential.exists() else None
    return None


def hand_over(passphrase: Secret | None) -> None:
    """To everything that asks in this process from here on."""
    _handed[:] = [passphrase] if passphrase else []


def _of(path: Path) -> Secret:
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(
            f"the file of the passphrase cannot be read: {path}",
            why=getattr(error, "strerror", None) or "it is not text",
            hint=f"{FILE} names it, or the systemd credential {CREDENTIAL}",
        ) from error
    if not text:
        raise StateError(f"the file of the passphrase is empty: {path}", hint="write it there, in one line")
    return Secret(text)
