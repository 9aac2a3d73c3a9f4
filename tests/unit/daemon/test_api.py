"""The API: what is asked wrongly is refused in words, what is asked rightly is done once."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from daemon_fakes import Running
from release_fakes import SHOP, blueprint

from golive.daemon.operations import LONGEST
from golive.daemon.server import _http_status
from golive.errors import BlueprintError, Conflict, EdgeRejected, GoliveError, NotFound, UsageError
from golive.secret import MASK, Secret
from golive.state.records import ResourceRow

PLACE = {"app": "shop", "environment": "production"}
CANARY = "canary-5f1e-secret"


async def error(running: Running, verb: str, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, str]:
    status, answer = await running.call(verb, path, body, raw)
    assert set(answer) == {"error"}, answer
    return status, answer["error"]["kind"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (NotFound, 404),
        (Conflict, 409),
        (UsageError, 400),
        (BlueprintError, 422),
        (EdgeRejected, 500),
        (GoliveError, 500),
    ],
)
def test_errors_have_a_status(kind: type[GoliveError], status: int) -> None:
    assert _http_status(kind("x")) == status


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/v1/deployments", "/v1/scale", "/v1/plan"])
async def test_a_body_that_is_no_object_is_the_callers_mistake(running: Running, path: str, raw: bytes) -> None:
    assert await error(running, "POST", path, raw=raw) == (400, "UsageError")


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/v1/deployments", {"checkout": "/x"}),
        ("POST", "/v1/deployments", {**PLACE, "checkout": "/x", "fast": True}),
        ("POST", "/v1/deployments", {**PLACE, "kind": ["deploy"], "checkout": "/x"}),
        ("POST", "/v1/deployments", {**PLACE, "kind": "explode", "checkout": "/x"}),
        ("POST", "/v1/deployments", {**PLACE, "kind": "rollback", "release": 2**70}),
        ("POST", "/v1/deployments", {**PLACE, "kind": "rollback", "release": 0}),
        ("POST", "/v1/deployments", {**PLACE, "kind": "restart", "services": ["../x"]}),
        ("POST", "/v1/scale", {**PLACE, "service": "web", "instances": -1}),
        ("POST", "/v1/scale", {**PLACE, "service": "web", "instances": 101}),
        ("POST", "/v1/logs", {**PLACE, "service": "../../blog/production/logs/web"}),
        ("POST", "/v1/logs", {**PLACE, "service": "/etc"}),
        ("POST", "/v1/logs", {**PLACE, "since": 1e300}),
        ("POST", "/v1/logs", {**PLACE, "lines": -1}),
        ("POST", "/v1/exec", {**PLACE, "service": "*"}),
        ("PUT", "/v1/env", {**PLACE, "values": {"A": 1}}),
        ("PUT", "/v1/env", {**PLACE, "values": {"A": "\ud800"}}),
        ("DELETE", "/v1/env", {**PLACE, "names": "A"}),
        ("POST", "/v1/destroy", {"app": "Shop"}),
        ("POST", "/v1/destroy", {"app": "shop\n"}),
        ("POST", "/v1/destroy", {"app": "..", "environment": "production"}),
        ("POST", "/v1/destroy", {"app": "shop", "environment": "preview/../../x"}),
        ("POST", "/v1/destroy", {"app": "shop", "environment": "preview/.."}),
        ("GET", "/v1/releases?app=shop&environment=a b", None),
        ("GET", "/v1/env", None),
    ],
)
async def test_what_is_not_valid_is_refused(running: Running, verb: str, path: str, body: Any) -> None:
    before = running.state._db.total_changes
    assert await error(running, verb, path, body) == (400, "UsageError")
    assert running.state._db.total_changes == before


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("GET", "/v1/deployments/7", None, 404),
        ("GET", "/v1/deployments/99999999999999999999999", None, 404),
        ("GET", "/v1/deployments/7/events", None, 404),
        ("POST", "/v1/deployments/7/cancel", {}, 404),
        ("POST", "/v1/deployments", {**PLACE, "kind": "rollback"}, 404),
        ("POST", "/v1/deployments", {**PLACE, "kind": "restart"}, 404),
        ("GET", "/v1/releases?app=shop", None, 404),
        ("POST", "/v1/scale", {**PLACE, "service": "web", "instances": 1}, 404),
        ("POST", "/v1/exec", PLACE, 404),
        ("POST", "/v1/destroy", PLACE, 404),
    ],
)
async def test_what_is_not_there_is_said(running: Running, verb: str, path: str, body: Any, status: int) -> None:
    assert await error(running, verb, path, body) == (status, "NotFound")


async def test_a_deployment_from_submission_to_its_end(running: Running) -> None:
    running.keep(1)
    first = (await running.ended(running.rollback(1))).id
    status, answer = await running.call("POST", "/v1/deployments", {**PLACE, "kind": "rollback", "release": 1})
    assert status == 200
    id = answer["deployment"]
    status, lines = await running.call("GET", f"/v1/deployments/{id}/events")
    assert [line["type"] for line in lines[-2:]] == ["end", "over"]
    assert lines[-2]["state"] == "done"
    status, row = await running.call("GET", f"/v1/deployments/{id}")
    assert (row["state"], row["app"], row["actor"]) == ("done", "shop", "me@test")
    assert [s["state"] for s in row["steps"]].count("running") == 0
    assert "request" not in row
    _, listed = await running.call("GET", "/v1/deployments?app=shop")
    assert [d["id"] for d in listed["deployments"]] == [id, first]
    _, audit = await running.call("GET", "/v1/audit?app=shop")
    assert [(e["action"], e["actor"]) for e in audit["entries"]] == [("rollback", "me@test"), ("rollback", "me")]


async def test_rollback_without_a_number_is_to_the_newest_kept_before(running: Running) -> None:
    for number in (1, 2, 3, 4):
        running.keep(number, f"serve {number}")
        await running.ended(running.rollback(number))
    running.state.set_release(SHOP, 3, "failed")
    _, answer = await running.call("POST", "/v1/deployments", {**PLACE, "kind": "rollback"})
    await running.ended(answer["deployment"])
    app = running.state.app(SHOP)
    assert app and app.live == 2


async def test_the_daemon_tells_who_it_is_and_stops_when_asked(running: Running) -> None:
    running.host.opened = None
    status, info = await running.call("GET", "/v1/daemon")
    assert status == 200
    assert {"version", "protocol", "pid", "home"} <= set(info)
    status, _ = await running.call("POST", "/v1/daemon/stop", {})
    assert status == 200
    assert running.stopped == [True]


async def test_a_bug_is_500_in_the_shape_of_every_error(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.state, "audit_log", lambda *a, **k: 1 / 0)
    status, answer = await running.call("GET", "/v1/audit")
    assert status == 500
    assert answer["error"]["what"] == "golive itself failed"
    assert "ZeroDivisionError" in answer["error"]["why"]


# Variables


async def test_variables_are_set_once_and_never_shown(running: Running) -> None:
    values = {"TOKEN": CANARY, "NAME": "x"}
    assert (await running.call("PUT", "/v1/env", {**PLACE, "values": values}))[1] == {
        "set": ["TOKEN", "NAME"], "unchanged": []
    }  # fmt: skip
    _, answer = await running.call("PUT", "/v1/env", {**PLACE, "values": {**values, "NAME": "y"}})
    assert answer == {"set": ["NAME"], "unchanged": ["TOKEN"]}
    _, shown = await running.call("GET", "/v1/env?app=shop")
    assert {v["name"]: v["value"] for v in shown["variables"]} == {"TOKEN": MASK, "NAME": MASK}  # nobody declared them
    assert CANARY not in str(await running.call("GET", "/v1/audit"))
    assert running.state.variables(SHOP)["TOKEN"] == Secret(CANARY)
    _, answer = await running.call("DELETE", "/v1/env", {**PLACE, "names": ["TOKEN", "NEVER"]})
    assert answer == {"unset": ["TOKEN"], "missing": ["NEVER"], "still": []}
    assert [e.action for e in running.state.audit_log()] == ["env.unset", "env.set", "env.set", "env.set"]


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "é", "PORT", "HOST", "GOLIVE_APP", "GOLIVE_X", "A\n"])
async def test_names_that_cannot_be_set(running: Running, name: str) -> None:
    assert await error(running, "PUT", "/v1/env", {**PLACE, "values": {"GOOD": "x", name: "x"}}) == (400, "UsageError")
    assert running.state.variables(SHOP) == {}


@pytest.mark.parametrize("value", ["a\0b", "x" * LONGEST, "é" * (LONGEST // 2)])
async def test_values_that_no_program_can_be_given(running: Running, value: str) -> None:
    status, answer = await running.call("PUT", "/v1/env", {**PLACE, "values": {"A": value}})
    assert status == 400
    assert value not in str(answer)
    assert running.state.variables(SHOP) == {}


async def test_declared_values_are_shown_and_secrets_are_not(running: Running) -> None:
    made = blueprint(
        {"web": {"kind": "web", "command": "x"}},
        env={
            "KEY": {"type": "secret"},
            "NAME": {"default": "d"},
            "MODE": {},
            "GEN": {"type": "secret", "generate": True},
        },
        resources={"db": {"engine": "postgres"}},
    )
    running.world.release(made)
    running.state.set_live(SHOP, 1)
    running.state.set_variable(SHOP, "KEY", Secret(CANARY), "me")
    _, shown = await running.call("GET", "/v1/env?app=shop")
    found = {v["name"]: (v["value"], v["origin"]) for v in shown["variables"]}
    assert found["KEY"] == (MASK, "set")
    assert found["NAME"] == ("d", "default")
    assert found["MODE"] == (None, "missing")
    assert found["DATABASE_URL"] == (MASK, "resource")


# What runs


async def test_exec_gives_the_environment_of_an_instance_and_says_so_in_the_audit_log(running: Running) -> None:
    made = blueprint({"web": {"kind": "web", "command": "x"}, "site": {"kind": "static"}})
    running.world.release(made)
    await running.ended(running.rollback(1))
    _, answer = await running.call("POST", "/v1/exec", {**PLACE, "command": ["env"]})
    assert answer["service"] == "web"
    assert answer["env"]["HOST"] == "127.0.0.1"
    assert "PORT" not in answer["env"]
    assert running.state.audit_log()[0].action == "run"
    assert await error(running, "POST", "/v1/exec", {**PLACE, "service": "nope"}) == (404, "NotFound")


async def test_status_of_everything(running: Running) -> None:
    running.keep(1)
    await running.ended(running.rollback(1))
    _, answer = await running.call("GET", "/v1/status?app=shop")
    (app,) = answer["apps"]
    assert (app["release"], app["services"]["web"]["wanted"], app["deployments"]) == (1, 1, [])
    assert app["services"]["web"]["instances"][0]["state"] == "ready"
    _, nobody = await running.call("GET", "/v1/status?app=nobody")
    assert nobody["apps"] == []


async def test_destroy_leaves_the_audit_log_and_the_others(running: Running) -> None:
    running.keep(1)
    running.keep(1, place=SHOP._replace(environment="staging"))
    await running.ended(running.rollback(1))
    generation = running.state.generations(SHOP)[0]
    running.state.add_resource(ResourceRow(SHOP, "db", "postgres", "16", 20001, b""), Secret("pw"))
    for unit in (f"{SHOP}/resource/db", f"{generation.upstream}/cron"):
        running.world.supervisor.set(unit, running.world.supervisor.units[f"{generation.upstream}/0"].status)
    for number, unit in enumerate(running.world.supervisor.units, 1000):
        running.state.remember_process(unit, number, "t", 0)
    folder = running.host.home.app(*SHOP)
    (folder / "resources" / "db").mkdir(parents=True)
    async with running.host.changing(SHOP):
        assert await error(running, "POST", "/v1/destroy", PLACE) == (409, "Conflict")
    status, answer = await running.call("POST", "/v1/destroy", PLACE)
    assert (status, answer) == (200, {"destroyed": "shop/production", "processes": 3})
    assert running.world.supervisor.units == {}
    assert not folder.exists()
    assert [str(a.place) for a in running.state.apps()] == ["shop/staging"]
    assert running.state.audit_log()[0].action == "destroy"
    assert running.world.gateway.applied[-1].sites == ()
    assert await error(running, "POST", "/v1/destroy", PLACE) == (404, "NotFound")


async def test_files_that_cannot_be_removed_are_removed_by_the_next_try(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgotten before, nobody could have destroyed it again, and the next app of that name would have had its data."""
    running.keep(1)
    await running.ended(running.rollback(1))
    folder = running.host.home.resource(*SHOP, "db")
    folder.mkdir(parents=True)

    def busy(path: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("golive.daemon.operations.remove_tree", busy)
        status, answer = await running.call("POST", "/v1/destroy", PLACE)
    assert (status, answer["error"]["kind"]) == (500, "StateError")
    assert "Device or resource busy" in answer["error"]["why"]
    assert folder.exists()
    status, _ = await running.call("POST", "/v1/destroy", PLACE)
    assert status == 200
    assert not folder.exists()
    assert running.state.apps() == []


# Logs


def written(running: Running, name: str, *lines: str) -> Path:
    folder = running.host.home.logs(*SHOP)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


async def test_logs_are_masked_by_every_secret_of_every_kept_release(running: Running) -> None:
    made = blueprint({"web": {"kind": "web", "command": "x"}}, env={"OLD": {"type": "secret"}})
    running.state.remember_app(SHOP, "/src")
    from golive.state.records import Release

    text = made.model_dump_json(by_alias=True)
    running.state.add_release(
        Release(SHOP, 1, "ready", text, {"web": "a"}, None, 0.0, "me"), {"web": {"OLD": Secret("old-" + CANARY)}}
    )
    running.state.set_variable(SHOP, "NEW", Secret("new-" + CANARY), "me")
    running.state.add_resource(ResourceRow(SHOP, "db", "postgres", "16", 20001, b""), Secret("pw-" + CANARY))
    written(running, "web.0.log", f"a old-{CANARY} b", f"new-{CANARY}", f"postgres://u:pw-{CANARY}@h/d", "plain")
    _, lines = await running.call("POST", "/v1/logs", PLACE)
    assert [line["text"] for line in lines[:-1]] == [f"a {MASK} b", MASK, f"postgres://u:{MASK}@h/d", "plain"]
    assert lines[-1] == {"type": "over"}


async def test_logs_of_one_service(running: Running) -> None:
    running.state.remember_app(SHOP, "/src")
    written(running, "web.0.log", "from web")
    written(running, "web-two.0.log", "from the other")
    _, lines = await running.call("POST", "/v1/logs", {**PLACE, "service": "web", "lines": 5})
    assert [line["text"] for line in lines[:-1]] == ["from web"]
    _, lines = await running.call("POST", "/v1/logs", {**PLACE, "service": "nope"})
    assert [line["type"] for line in lines] == ["error"]
    _, lines = await running.call("POST", "/v1/logs", {"app": "nobody"})
    assert lines[0]["error"]["kind"] == "NotFound"
