"""Secret values are found in what was built, in every form they are usually written."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from pathlib import Path

import pytest

from golive.build.leaks import find_secrets
from golive.secret import Secret

VALUE = 'p@ss/w"ord+canary-ü'
FORMS = {
    "plain": VALUE.encode(),
    "base64": base64.b64encode(VALUE.encode()),
    "basic auth": base64.b64encode(f"u:{VALUE}".encode()),
    "in a longer text": base64.b64encode(f"me:{VALUE} and more".encode()),
    "urlsafe": base64.urlsafe_b64encode(f"??{VALUE}>>".encode()),
    "url": urllib.parse.quote(VALUE, safe="").encode(),
    "form": urllib.parse.urlencode({"k": VALUE}).encode(),
    "json": json.dumps({"k": VALUE}).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("padding", [0, 2**20 - 5])
def test_forms(tmp_path: Path, form: str, padding: int) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/bundle.js").write_bytes(b"\0" * padding + b"x=" + FORMS[form] + b";")
    (tmp_path / "clean.js").write_bytes(b"x" * padding + VALUE.encode()[:-3])
    (tmp_path / "link.js").symlink_to("sub/bundle.js")
    assert find_secrets(tmp_path, [Secret("another-secret"), Secret(VALUE)]) == [tmp_path / "sub/bundle.js"]


def test_short_values_are_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("debug true 1234567")
    assert find_secrets(tmp_path, [Secret("debug"), Secret("1234567"), Secret("")]) == []


def test_it_is_fast(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(range(256)) * 200_000)
    started = time.process_time()
    assert find_secrets(tmp_path, [Secret(f"secret-value-{n}") for n in range(10)]) == []
    assert time.process_time() - started < 10
