"""CORS in golive.toml: origins as browsers send them, and nothing that lets everybody act as a visitor."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from golive.blueprint.cors import Cors
from golive.blueprint.sugar import expand


@pytest.mark.parametrize(
    "origin", ["https://shop.dev", "http://localhost:3000", "https://*.shop.dev", "http://127.0.0.1:8080", "*"]
)
def test_origins(origin: str) -> None:
    assert Cors.model_validate({"origins": [origin]}).origins == (origin,)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"origins": []}, "at least 1"),
        ({"origins": ["null"]}, "sandboxed"),
        ({"origins": ["shop.dev"]}, "must be an origin"),
        ({"origins": ["https://shop.dev/"]}, "must be an origin"),
        ({"origins": ["https://Shop.dev"]}, "must be an origin"),
        ({"origins": ["https://a.*.dev"]}, "must be an origin"),
        ({"origins": ["https://*"]}, "must be an origin"),
        ({"origins": ["https://*shop.dev"]}, "must be an origin"),
        ({"origins": ["https://shop.dev'||'"]}, "must be an origin"),
        ({"origins": ["https://shop.dev:443"]}, "usual port"),
        ({"origins": ["http://shop.dev:80"]}, "usual port"),
        ({"origins": ["*"], "credentials": True}, "act as its visitor"),
        ({"origins": ["*", "https://shop.dev"]}, "stands alone"),
        ({"origins": ["*"], "headers": ["X-A'"]}, "name of a header"),
        ({"origins": ["*"], "methods": ["TRACE"]}, "GET"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Cors.model_validate(fields)


@pytest.mark.parametrize("written", ["https://shop.dev", ["https://shop.dev"], {"origins": ["https://shop.dev"]}])
def test_short_forms(written: object) -> None:
    made = expand({"services": {"api": {"cors": written}}})
    assert made["services"]["api"]["cors"] == {"origins": ["https://shop.dev"]}
