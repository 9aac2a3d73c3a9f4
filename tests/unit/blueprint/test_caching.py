"""`cache` in a service: what is refused when the blueprint is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.blueprint.load import load
from golive.errors import BlueprintError

BASE = 'name = "shop"\n[services.api]\nkind = "web"\ncommand = "serve $PORT"\nroute = "/api"\n'


def loaded(folder: Path, line: str) -> object:
    (folder / "golive.toml").write_text(BASE + line + "\n")
    return load(folder).blueprint.services["api"]


def test_one_path_needs_no_list(tmp_path: Path) -> None:
    service = loaded(tmp_path, 'cache = { path = "/api/public/*", ttl = "30s", vary = ["Accept-Language"] }')
    (rule,) = service.cache  # type: ignore[attr-defined]
    assert (rule.prefix, rule.vary, rule.cookies) == ("/api/public", ("accept-language",), "bypass")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('cache = { path = "/other", ttl = "30s" }', "not under the service's route"),
        ('cache = { path = "/api/a*", ttl = "30s" }', "everything below a folder"),
        ('cache = { path = "/api/*/b", ttl = "30s" }', "path"),
        ('cache = { path = "/api/a", ttl = "0s" }', "at least 1s"),
        ('cache = { path = "/api/a", ttl = "30s", vary = ["Cookie"] }', "never answered from the cache"),
        ('cache = { path = "/api/a", ttl = "30s", methods = ["POST"] }', "methods"),
        ('cache = { path = "/api/a", ttl = "30s" }\noverlap = false', "overlap = false"),
        ('cache = [{ path = "/api/a", ttl = "1s" }, { path = "/api/a/*", ttl = "2s" }]', "same path twice"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(BlueprintError) as refused:
        loaded(tmp_path, line)
    assert why in str(refused.value) + str(refused.value.to_json())
