"""Networks of proxies: written as networks, and never so wide that visitors are among them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from golive.blueprint.models import EdgePolicy


def trusted(*values: str) -> tuple[str, ...]:
    return EdgePolicy.model_validate({"trusted_proxies": values}).trusted_proxies


def test_addresses_and_networks() -> None:
    assert trusted("10.0.0.0/8", "10.1.2.3", "192.168.1.7/24", "2001:DB8::/32", "fc00::/7") == (
        *("10.0.0.0/8", "10.1.2.3/32", "192.168.1.0/24", "2001:db8::/32", "fc00::/7"),
    )


@pytest.mark.parametrize(
    "value", ["", "cloudflare", "10.0.0.0/33", "lb.example.com", "10.0.0.1:80", "10.0.0.0-10.0.0.9"]
)
def test_what_is_no_network(value: str) -> None:
    with pytest.raises(ValidationError, match="must be an address or a network"):
        trusted(value)


@pytest.mark.parametrize("value", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "8.0.0.0/7", "2000::/3"])
def test_what_is_everybody(value: str) -> None:
    with pytest.raises(ValidationError, match="visitors would be believed"):
        trusted(value)
