"""Why a unit did not start, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from golive.supervise import explain
from golive.supervise.explain import Facts
from golive.supervise.monitor import pause, readiness
from golive.supervise.probe import ProbeResult
from golive.supervise.unit import Http, Probe, Tcp, Unit
from golive.system.ports import Holder
from golive.system.processes import Exit, Limits, Spec
from golive.system.sessions import Listener

UNIT = Unit("threadr/web.1", Spec(("app",), {}, Path("/")), port=8123)
MINUTE = timedelta(minutes=1)
REFUSED = ProbeResult(False, "connection refused on 127.0.0.1:8123", 0.0, refused=True)


def test_out_of_memory_is_said_with_the_limit() -> None:
    unit = replace(UNIT, spec=replace(UNIT.spec, limits=Limits(memory=256_000_000)))
    error = explain.ended(unit, Facts(Exit(signal=9, out_of_memory=True)))
    assert error.what == "threadr/web.1 ran out of memory before it was ready"
    assert error.why == "its limit is 256.0 MB"
    assert explain.ended(UNIT, Facts(Exit(signal=9, out_of_memory=True))).why is None


@pytest.mark.parametrize(
    ("exit", "log", "what", "why", "hint"),
    [
        (Exit(1), "a\nValueError: bad\n", "exited with 1", "ValueError: bad", "golive run"),
        (Exit(1), "ModuleNotFoundError: No module named 'jwt'", "exited with 1", "No module named", "jwt"),
        (Exit(1), "ERROR: [Errno 98] Address already in use", "exited with 1", "Errno 98", "$PORT"),
        (Exit(127), "sh: 1: uvicorn: not found", "exited with 127", None, "did not find the program"),
        (Exit(0), "", "exited with 0", None, "foreground"),
        (Exit(signal=11), "", "killed by SIGSEGV", None, "golive run"),
        (None, "", "ended before", None, "golive run"),
    ],
)
def test_an_early_end(exit: Exit | None, log: str, what: str, why: str | None, hint: str) -> None:
    error = explain.ended(UNIT, Facts(exit, log=log))
    assert what in error.what
    assert (why in (error.why or "")) if why else error.why is None
    assert hint in (error.hint or "")
    assert error.log == log
    assert error.where == UNIT.id


def test_it_listens_elsewhere() -> None:
    listening = (Listener("0.0.0.0", 3000), Listener("::1", 3001))
    error = explain.not_ready(UNIT, Facts(last=REFUSED, listening=listening), MINUTE)
    assert error.what == "threadr/web.1 never listened on $PORT (8123) within 1 m 0 s"
    assert error.why == "it listens on 0.0.0.0:3000, [::1]:3001 instead"
    assert "$PORT" in (error.hint or "")


def test_it_listens_nowhere() -> None:
    error = explain.not_ready(UNIT, Facts(last=REFUSED), MINUTE)
    assert error.why == "it listens on no port at all"
    assert "ready_timeout" in (error.hint or "")


def test_it_listens_on_the_port_at_another_address() -> None:
    error = explain.not_ready(UNIT, Facts(last=REFUSED, listening=(Listener("10.0.0.1", 8123),)), MINUTE)
    assert "did not become ready" in error.what
    assert "10.0.0.1:8123: it has to listen on 127.0.0.1" in (error.why or "")


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (ProbeResult(False, "GET /ready answered 500: no database", 0.1), "GET /ready answered 500: no database"),
        (ProbeResult(True, "GET /ready answered 200", 0.1), "its readiness came and went"),
    ],
)
def test_it_listens_and_is_not_ready(last: ProbeResult, why: str) -> None:
    error = explain.not_ready(UNIT, Facts(last=last, listening=(Listener("127.0.0.1", 8123),)), MINUTE)
    assert error.why == why


def test_no_probe_answered_at_all() -> None:
    error = explain.not_ready(replace(UNIT, port=None), Facts(), MINUTE)
    assert error.why == "its probe never answered"


def test_whose_the_port_is() -> None:
    error = explain.taken(UNIT, Holder(77, "nginx"))
    assert error.what == "port 8123 is taken by nginx (pid 77)"
    assert "kill 77" in (error.hint or "")
    assert explain.taken(UNIT, Holder(None, None)).what == "port 8123 is taken by a program of another user"


def test_looking_grows_from_often_to_the_interval() -> None:
    starting = [pause(10, ready=None, eager=True, tries=n) for n in range(90)]
    assert starting == sorted(starting)
    assert starting[0] == 0.05
    assert starting[-1] == 0.25
    assert pause(10, ready=None, eager=False, tries=99) == 1.0
    assert pause(10, ready=True, eager=True, tries=1) == 0.1
    assert pause(10, ready=True, eager=False, tries=1) == 10
    assert pause(10, ready=False, eager=False, tries=1) == 1


def test_what_says_that_a_unit_is_ready() -> None:
    assert readiness(UNIT) == Probe(Tcp("127.0.0.1", 8123))
    assert readiness(replace(UNIT, port=None)) is None
    http = Probe(Http("127.0.0.1", 8123, "/ready"))
    assert readiness(replace(UNIT, ready=http)) == http


def test_a_full_disk_is_named_where_only_a_line_is_shown() -> None:
    room, full = 1 << 30, "PANIC: could not write: No space left on device"
    assert explain.brief(Exit(1), "", room) == "exited with 1"
    assert explain.brief(Exit(1), full, room) == "exited with 1, the disk is full"
    assert explain.brief(Exit(1), "", 0) == "exited with 1, the disk is full"
    assert explain.brief(Exit(0), "", 0) == "exited with 0"
