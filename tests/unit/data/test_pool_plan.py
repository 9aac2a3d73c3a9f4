from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from golive.blueprint.models import Pool
from golive.data import pool_plan
from golive.data.pool_plan import Behind, configuration, shortcoming, user_list, verifier

BEHIND = Behind(Path("/run/po-1"), 5433, "shop")


def settings(pool: Pool, version: tuple[int, ...] = (1, 18, 0)) -> dict[str, str]:
    own = pool_plan.access_settings(Path("/f"), Path("/run/bo-1"), 6001)
    lines = configuration(pool, version, BEHIND, own).splitlines()
    return dict(line.split(" = ", 1) for line in lines if " = " in line)


def test_the_defaults_are_the_guides() -> None:
    made = settings(Pool())
    assert made["default_pool_size"] == made["max_db_connections"] == "25"
    assert made["server_lifetime"] == "300"
    assert made["pool_mode"] == "transaction"
    assert made["auth_type"] == "scram-sha-256"
    assert made["shop"] == "host=/run/po-1 port=5433 dbname=shop"


def test_what_is_asked_for_is_written() -> None:
    made = settings(Pool(size=7, lifetime=timedelta(seconds=90), mode="session", clients=50))
    assert (made["default_pool_size"], made["server_lifetime"]) == ("7", "90")
    assert (made["pool_mode"], made["max_client_conn"]) == ("session", "50")


def test_an_old_version_is_not_told_what_it_does_not_know() -> None:
    assert "max_prepared_statements" not in settings(Pool(), (1, 20, 1))
    assert "max_prepared_statements" in settings(Pool(), (1, 21))


@pytest.mark.parametrize(
    ("mode", "version", "said"),
    [("transaction", (1, 20), True), ("transaction", (1, 21), False), ("session", (1, 18), False)],
)
def test_lost_prepared_statements_are_said(mode: str, version: tuple[int, ...], said: bool) -> None:
    assert bool(shortcoming(Pool.model_validate({"mode": mode}), version)) is said


def test_no_password_is_written_and_the_same_password_always_gives_the_same_verifier() -> None:
    text = user_list({"shop": "correct horse"})
    assert "correct horse" not in text
    assert text == user_list({"shop": "correct horse"})
    assert verifier("correct horse") != verifier("correct horsf")
