"""What a rehearsal decides: whether it kept others waiting too long, and where a program of the project is led."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from release_fakes import WEB, blueprint

from golive.blueprint.models import Rehearsal, Resource
from golive.data.place import Placement
from golive.data.postgres import Postgres
from golive.engines import Engine
from golive.home import Home
from golive.migrate.account import Account, Lock, Ran
from golive.release.rehearsal import over, pointed
from golive.secret import Secret
from golive.system.machine import Machine


def account(mode: str, seconds: float) -> Account:
    ran = Ran("002_b.sql", 4, "ALTER TABLE users …", 1, None, (Lock("public.users", mode, seconds),))
    return Account(("002_b.sql",), (ran,), 1, 1, 1, 1)


@pytest.mark.parametrize(("mode", "seconds"), [("ACCESS EXCLUSIVE", 0.2), ("SHARE UPDATE EXCLUSIVE", 60.0)])
def test_what_others_need_not_wait_for_or_not_for_long_is_let_through(mode: str, seconds: float) -> None:
    assert over(account(mode, seconds), Rehearsal(longest_lock=timedelta(seconds=0.2))) == ""


def test_a_lock_that_lasts_longer_is_named() -> None:
    long = account("SHARE", 1.5)
    assert over(long, Rehearsal(longest_lock=timedelta(seconds=0.2))) == (
        "in the rehearsal 002_b.sql:4 kept writes of public.users waiting for 1.5 s, 200 ms are allowed"
    )
    assert over(long, Rehearsal()) == over(long, None) == ""


def test_whatever_leads_to_the_live_database_leads_to_the_copy() -> None:
    live, copy = store("db", 5001, "live-password"), store("db@rehearsal-1", 5002, "copy-password")
    made = blueprint({"web": WEB}, resources={"db": {"engine": "postgres"}})
    url = "postgresql://shop:live-password@127.0.0.1:5001/shop"
    there = url.replace("live", "copy").replace("5001", "5002")
    found = pointed(
        {"DATABASE_URL": url, "PGPORT": "5001", "DB_PASSWORD": "live-password", "MINE": f"{url}?a=b", "PATH": "/bin"},
        live, copy, made,
    )  # fmt: skip
    assert found == {
        "DATABASE_URL": there, "PGPORT": "5002", "DB_PASSWORD": "copy-password", "MINE": f"{there}?a=b", "PATH": "/bin",
    }  # fmt: skip


def store(name: str, port: int, password: str) -> Postgres:
    machine = Machine(2, 4 * 2**30, "linux", "x86_64", "glibc")
    place = Placement("shop", "production", Home(Path("/nowhere")), port, None, machine)
    engine = Engine("postgres", "17.5", Path("/nowhere/bin"))
    return Postgres(Resource(engine="postgres"), name, place, engine, Secret(password))
