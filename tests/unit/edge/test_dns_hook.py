"""What is told of a DNS hook that fails: its last line, and nothing of the variables that it was given."""

from __future__ import annotations

import pytest

from golive.edge.dns01 import Showing, shown
from golive.errors import GoliveError
from golive.secret import Secret

KEY = "c0ffee-c0ffee-c0ffee"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('echo "no zone for $KEY"', "no zone for ••••••"),
        ('printf "%0190d%s" 0 "$KEY"', "0" * 190 + "••••••"),
    ],
)
def test_a_hook_that_fails_shows_no_secret(script: str, told: str) -> None:
    variables = (("KEY", Secret(KEY)), ("EMPTY", Secret("")))
    how = Showing(hook=("/bin/sh", "-c", f"{script}; exit 1", "hook"), variables=variables)
    with pytest.raises(GoliveError) as failure, shown(how, [("_acme-challenge.shop.test", "value")]):
        pass
    assert failure.value.what.partition("shop.test): ")[2] == told
