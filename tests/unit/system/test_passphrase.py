"""Where the passphrase comes from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from golive.errors import StateError
from golive.secret import Secret
from golive.system import passphrase


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(passphrase.FILE, raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(passphrase, "_handed", [])


def test_what_was_handed_over_then_the_file_then_systemds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passphrase.given() is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert passphrase.given() is None, "systemd has given others"
    (tmp_path / passphrase.CREDENTIAL).write_text("of systemd\n")
    assert passphrase.given() == Secret("of systemd")
    (tmp_path / "file").write_text(" with spaces \r\n")
    monkeypatch.setenv(passphrase.FILE, str(tmp_path / "file"))
    assert passphrase.given() == Secret(" with spaces ")
    passphrase.hand_over(Secret("handed"))
    assert passphrase.given() == Secret("handed")
    passphrase.hand_over(None)
    assert passphrase.given() == Secret(" with spaces ")


def test_it_is_the_same_whatever_the_locale_is(tmp_path: Path) -> None:
    """Chosen at a terminal of one, read by a service of another."""
    words = "fünf andere Wörter überall"
    (tmp_path / "file").write_bytes(f"{words}\n".encode())
    read = "from golive.system.passphrase import given; print(ascii(given().reveal()))"
    start = (
        "import sys; from golive.daemon import __main__ as m; from golive.system.passphrase import given, HANDED; "
        "m.run = lambda home: print(ascii(given().reveal())); sys.argv.append(HANDED); m.main()"
    )
    narrow = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
    env = {**os.environ, **narrow, passphrase.FILE: str(tmp_path / "file")}
    for program in (read, start):
        done = subprocess.run(
            [sys.executable, "-c", program], input=f"{words}\n".encode(), env=env, capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == ascii(words)


@pytest.mark.parametrize(("content", "match"), [(None, "cannot be read"), (b"", "empty"), (b"\xff", "cannot be read")])
def test_a_file_that_says_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, match: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    monkeypatch.setenv(passphrase.FILE, str(tmp_path / "file"))
    with pytest.raises(StateError, match=match):
        passphrase.given()
