"""Where the passphrase comes from."""

from __future__ import annotations

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


@pytest.mark.parametrize(("content", "match"), [(None, "cannot be read"), (b"", "empty"), (b"\xff", "cannot be read")])
def test_a_file_that_says_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, match: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    monkeypatch.setenv(passphrase.FILE, str(tmp_path / "file"))
    with pytest.raises(StateError, match=match):
        passphrase.given()
