"""One fault at a time in a deployment that is as it should be, and what its check says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from faults_app import Deployment, Plant, answer, instance, variable

from golive.checks import catalog, mend
from golive.checks.model import Status
from golive.checks.run import run

CHECKS = {check.id: check for check in catalog.checks(app=True) if check.on_app}
WRONG = (Status.FAIL, Status.WARNING)
NOT_HERE = {
    "release-requests": Status.COULD_NOT_TELL,  # golive.toml names none
    "features-sign-in": Status.COULD_NOT_TELL,  # it has a JWT_SECRET
    "features-model": Status.COULD_NOT_TELL,  # it has a key
    "features-mail": Status.NOT_APPLICABLE,
    "features-uploads": Status.NOT_APPLICABLE,
    "features-search": Status.NOT_APPLICABLE,
    "release-endpoints": Status.NOT_APPLICABLE,  # there is no site
    "load-burst": Status.NOT_APPLICABLE,
    "load-steady": Status.NOT_APPLICABLE,
    "load-room": Status.NOT_APPLICABLE,
    "alerts-visits": Status.COULD_NOT_TELL,
    "migrations-safe": Status.NOT_APPLICABLE,  # nothing is pending
}


async def test_a_good_deployment_raises_no_alarm(tmp_path: Path) -> None:
    results = await run(list(CHECKS.values()), None, Deployment(tmp_path).app())
    found = {r.check.id: (r.status, r.outcome.text) for r in results if r.status is not Status.PASS}
    assert {id: status for id, (status, _) in found.items()} == NOT_HERE, found
    assert all(r.outcome.evidence for r in results if r.status is Status.PASS)


async def test_no_value_of_a_secret_is_shown(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.facts["values"]["values"]["JWT_SECRET"] = "short-and-weak"
    results = await run(list(CHECKS.values()), None, deployment.app())
    shown = "".join(r.outcome.text + "".join(e.asked + e.came for e in r.outcome.evidence) for r in results)
    for value in deployment.facts["values"]["values"].values():
        assert value not in shown


def env(name: str, value: str | None, kind: str = "string", **given: Any) -> Plant:
    return lambda d: d.facts["env"]["variables"].append(variable(name, value, kind, **given))


def finding(store: str, level: str) -> Plant:
    found = {"level": level, "code": "unused", "about": "tea", "what": "no index", "todo": "CREATE INDEX"}
    return lambda d: d.store(store)["findings"].append(found)


def migration(state: str) -> Plant:
    return lambda d: d.facts["migrations"]["migrations"].append({"name": "002_cup.sql", "state": state})


def error(store: str) -> Plant:
    return lambda d: d.store(store).update(error={"what": "it does not answer"})


def lines(level: str | None, text: str, count: int) -> Plant:
    line = {"level": level, "source": "api.0", "text": text, "time": None}
    return lambda d: d.facts["logs"].extend([line] * count)


def toml(old: str, new: str) -> Plant:
    return lambda d: d.swap(old, new)


def values(**given: str) -> Plant:
    return lambda d: d.facts["values"]["values"].update(given)


def api(**given: Any) -> Plant:
    return lambda d: d.live["services"]["api"].update(given)


def machine(**given: float) -> Plant:
    return lambda d: d.facts["machine"].update(given)


OLD_DRILL = {"at": 1_700_000_000.0}
LINT = {"findings": [{"level": "stop", "rule": "add-not-null", "what": "locks tea"}]}
EXTERNAL = 'db = { engine = "postgres", url_from = "DATABASE_URL" }'
STOPS = {"type": "done", "stops": 1, "findings": [{"file": "a.py", "line": 3, "what": "a key", "outcome": "stops"}]}

FAULTS: list[tuple[str, str, Plant]] = [
    ("environment-complete", "missing", lambda d: d.row("JWT_SECRET", origin="missing", value=None)),
    ("environment-declared", "read", env("REGION", None, origin="undeclared", declared=False, read="api/tea.py:3")),
    ("environment-production", "development", lambda d: d.row("ENVIRONMENT", value="development")),
    ("environment-production", "debug", lambda d: d.row("DEBUG", value="true")),
    ("environment-production", "node", env("NODE_ENV", "development")),
    ("environment-addresses", "localhost", lambda d: d.row("SITE_URL", value="http://localhost:3000")),
    ("environment-addresses", "plain", lambda d: d.row("SITE_URL", value="http://tea.test")),
    ("environment-secret", "text", toml("DEBUG = false", 'DEBUG = false\nSTRIPE_SECRET_KEY = { type = "string" }')),
    ("build-locked", "loose", lambda d: d.files.update({"api/requirements.txt": "fastapi\nuvicorn>=0.3\n"})),
    ("build-tests", "none", lambda d: d.files.pop("api/tests/test_tea.py")),
    ("build-ci", "none", lambda d: d.files.pop(".github/workflows/ci.yml")),
    ("build-artifacts", "gone", lambda d: d.facts["releases"]["releases"].pop(0)),
    ("release-live", "backing off", api(instances=[instance(state="backing_off", reason="exited with 3")])),
    ("release-live", "one of two", api(wanted=2)),
    ("release-live", "suspended", api(suspended_since="2027-01-01T00:00:00+00:00")),
    ("release-steady", "restarts", api(instances=[instance(restarts=4)])),
    (
        "release-verified",
        "failed",
        lambda d: d.facts["deployments"]["deployments"][0].update(state="failed"),
    ),
    ("release-rollback", "keeps one", toml("[env]", "[release]\nkeep = 1\n\n[env]")),
    ("release-probes", "port", toml('health = "/box/health"\n', "")),
    ("release-audit", "empty", lambda d: d.facts["audit"].update(entries=[])),
    ("database-answers", "silent", error("db")),
    ("database-advice", "critical", finding("db", "critical")),
    ("database-advice", "warning", finding("db", "warning")),
    ("database-connections", "used up", lambda d: d.store("db")["facts"].update(connections={"active": 95})),
    ("database-current", "12", lambda d: d.live["resources"]["db"].update(version="12.22")),
    (
        "database-private",
        "without TLS",
        lambda d: (
            d.swap('db = "postgres:17"', EXTERNAL),
            d.swap("DEBUG = false", 'DEBUG = false\nDATABASE_URL = { type = "secret" }'),
            values(DATABASE_URL="postgres://tea:pw@db.test/tea")(d),
        ),
    ),
    ("migrations-applied", "pending", lambda d: d.facts["migrations"].update(pending=["002_cup.sql"])),
    ("migrations-whole", "unfinished", migration("unfinished")),
    ("migrations-whole", "drifted", migration("drifted")),
    ("migrations-whole", "stop", lambda d: d.facts["migrations"].update(stop={"what": "002 failed", "hint": "x"})),
    ("migrations-known", "ahead", migration("not in this release")),
    ("migrations-safe", "locks", lambda d: d.facts["migrations"].update(lint=LINT)),
    ("backups-made", "none", lambda d: d.backup.update(backups=[])),
    ("backups-made", "old", lambda d: d.backup["backups"][0].update(ended=1_700_000_000.0)),
    ("backups-made", "failed", lambda d: d.backup["backups"][0].update(status="failed")),
    ("backups-made", "place is gone", lambda d: d.backup.update(error={"what": "the bucket does not answer"})),
    ("backups-proven", "never", lambda d: d.backup["backups"][0].update(drill=None)),
    ("backups-proven", "damaged", lambda d: d.backup["backups"][0].update(status="failed", why="it is cut off")),
    ("backups-proven", "long ago", lambda d: d.backup["backups"][0].update(drill=OLD_DRILL)),
    ("backups-writes", "stopped", lambda d: d.backup.update(receiving={"status": "stopped"})),
    (
        "backups-writes",
        "never up",
        lambda d: d.backup.update(receiving={"status": "starting", "since": time.time() - 60}),
    ),
    ("backups-writes", "trouble", lambda d: d.backup.update(trouble="the disk is full")),
    ("backups-elsewhere", "own disk", lambda d: d.backup.update(own_disk=True)),
    ("backups-key", "here only", lambda d: d.facts["backups"].update(key_kept=False)),
    ("restore-works", "damaged", lambda d: d.drill("db").update(error="pages have wrong checksums", damaged=True)),
    ("restore-filled", "no table", lambda d: d.drill("db")["backup"]["drill"].update(tables=0, rows=0)),
    ("restore-time", "an hour", lambda d: d.drill("db")["backup"]["drill"].update(seconds=3600.0)),
    ("restore-time", "nearly too long", lambda d: d.drill("db")["backup"]["drill"].update(seconds=600.0)),
    ("outage-database", "still 200", lambda d: d.outage("db").update(during=answer(200))),
    ("outage-database", "500", lambda d: d.outage("db").update(during=answer(500))),
    ("outage-database", "hangs", lambda d: d.outage("db").update(during=answer(None))),
    ("outage-redis", "hangs", lambda d: d.outage("cache").update(during=answer(None))),
    ("outage-redis", "500", lambda d: d.outage("cache").update(during=answer(500))),
    ("outage-alive", "ended", lambda d: d.outage("db").update(ended="exited with 1")),
    ("outage-alive", "liveness asks", lambda d: d.outage("db")["live"].update(status=503)),
    ("outage-recovers", "stays down", lambda d: d.outage("db").update(back=answer(503, after=30.0))),
    ("outage-recovers", "hangs", lambda d: d.outage("cache").update(back=answer(None, after=30.0))),
    ("redis-answers", "silent", error("cache")),
    ("redis-advice", "evicts", finding("cache", "warning")),
    ("redis-kept", "nothing", toml('cache = "redis"', 'cache = { engine = "redis", persistence = "none" }')),
    (
        "redis-password",
        "none",
        lambda d: (
            d.swap('cache = "redis"', 'cache = { engine = "redis", url_from = "REDIS_URL" }'),
            d.swap("DEBUG = false", 'DEBUG = false\nREDIS_URL = { type = "secret" }'),
            values(REDIS_URL="redis://cache.test:6379")(d),
        ),
    ),
    ("secrets-source", "stops", lambda d: d.facts.update(secrets=[STOPS])),
    ("secrets-strength", "short", values(JWT_SECRET="tea-time-2027")),
    ("secrets-strength", "one letter", values(JWT_SECRET="a" * 40)),
    ("secrets-strength", "placeholder", values(OPENAI_API_KEY="changeme")),
    ("secrets-shared", "twice", values(JWT_SECRET="sk-live-8fK2mQ9xWz4LrT7v")),
    ("secrets-age", "two years", lambda d: d.row("JWT_SECRET", set_at=1_600_000_000.0)),
    ("dependencies-runtime", "3.8", toml('python = "3.13"', 'python = "3.8"')),
    ("dependencies-images", "latest", lambda d: d.files.update({"box/Dockerfile": "FROM node:latest\n"})),
    ("dependencies-images", "no tag", lambda d: d.files.update({"box/Dockerfile": "FROM node AS b\nFROM b\n"})),
    ("logs-errors", "one", lines("error", "database is gone", 1)),
    ("logs-errors", "critical", lines("critical", "out of memory", 3)),
    ("logs-levels", "none", lines(None, "hello", 200)),
    ("logs-access", "off", toml("[env]", "[edge]\naccess_log = false\n\n[env]")),
    (
        "alerts-coverage",
        "one service",
        toml('SENTRY_DSN = { type = "secret" }', 'SENTRY_DSN = { type = "secret", for = "api" }'),
    ),
    ("alerts-tracker", "none", lambda d: d.facts["env"]["variables"].pop(2)),
    ("alerts-tracker", "no value", lambda d: d.row("SENTRY_DSN", origin="optional", value=None)),
    ("capacity-disk", "full", machine(disk_free=0.5e9)),
    ("capacity-disk", "nearly full", machine(disk_free=10e9)),
    ("capacity-memory", "full", machine(memory_free=0.3e9)),
    ("capacity-limits", "near", api(instances=[instance(memory=250_000_000)])),
    ("cost-vendors", "no limit", toml('rate_limit = "100/min"\n', "")),
    ("cost-instances", "too many", toml('"256MB" }', '"900GB" }')),
    ("cost-bodies", "large", toml("[env]", '[edge]\nmax_body = "5GB"\n\n[env]')),
]


@pytest.mark.parametrize(("id", "name", "plant"), FAULTS, ids=[f"{id}: {name}" for id, name, _ in FAULTS])
async def test_a_fault_is_found(tmp_path: Path, id: str, name: str, plant: Plant) -> None:
    deployment = Deployment(tmp_path)
    plant(deployment)
    [result] = await run([CHECKS[id]], None, deployment.app())
    assert result.status in WRONG, f"{result.status}: {result.outcome.text}"
    assert result.outcome.evidence


@pytest.mark.parametrize(("id", "name", "plant"), FAULTS, ids=[f"{id}: {name}" for id, name, _ in FAULTS])
async def test_what_golive_toml_can_mend_is_mended_by_it(tmp_path: Path, id: str, name: str, plant: Plant) -> None:
    deployment = Deployment(tmp_path)
    plant(deployment)
    results = await run([CHECKS[id]], None, deployment.app())
    settings = mend.settings(results)
    if not settings:
        return
    deployment.toml = mend.written(deployment.toml, settings)
    app = deployment.app()  # it loads
    if id in ("logs-access", "cost-vendors", "cost-bodies", "redis-kept", "release-rollback", "environment-secret"):
        [after] = await run([CHECKS[id]], None, app)
        assert after.status is Status.PASS or id == "release-rollback", after.outcome.text


AGENTS = (("tea", "curl/8"), ("cups", "UptimeRobot/2.0"))


async def test_what_nobody_watches_is_not_passed_over(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    own, other = ('{{"service": "{}/production/web", "user_agent": "{}"}}'.format(*one) for one in AGENTS)
    deployment.facts["access"] = [{"text": own}, {"text": other}, {"text": "not JSON"}]
    deployment.files[".github/workflows/ci.yml"] = "on: push\n"
    results = await run([CHECKS["alerts-uptime"], CHECKS["dependencies-holes"]], None, deployment.app())
    assert [r.status for r in results] == [Status.COULD_NOT_TELL] * 2
    assert "1 requests" in results[0].outcome.evidence[0].came


async def test_a_daemon_that_does_not_answer_is_no_pass(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.silent = set(deployment.facts)
    results = await run(list(CHECKS.values()), None, deployment.app())
    asked = [r for r in results if "no golive daemon answers" in r.outcome.text]
    assert len(asked) > 25
    assert {r.status for r in asked} == {Status.COULD_NOT_TELL}


async def test_an_app_that_has_just_begun_is_not_blamed_for_having_no_backup_yet(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.backup.update(backups=[])
    deployment.facts["releases"]["releases"] = [{"release": 1, "state": "live", "created_at": time.time() - 60}]
    deployment.backup.update(receiving={"status": "stopped"})
    results = await run([CHECKS["backups-made"], CHECKS["backups-writes"]], None, deployment.app())
    assert {result.status for result in results} == {Status.WARNING}


@pytest.mark.parametrize(("trouble", "status"), [(None, Status.WARNING), ("the disk is full", Status.FAIL)])
async def test_nor_for_receiving_nothing_yet_beside_a_backup_made_by_hand(
    tmp_path: Path, trouble: str | None, status: Status
) -> None:
    deployment = Deployment(tmp_path)
    deployment.facts["releases"]["releases"] = [{"release": 1, "state": "live", "created_at": time.time() - 60}]
    deployment.backup.update(receiving={"status": "stopped"}, trouble=trouble)
    (result,) = await run([CHECKS["backups-writes"]], None, deployment.app())
    assert result.status is status


@pytest.mark.parametrize(("seconds", "status"), [(2, Status.WARNING), (60, Status.FAIL)])
async def test_a_receiver_that_has_just_begun_is_not_blamed(tmp_path: Path, seconds: int, status: Status) -> None:
    deployment = Deployment(tmp_path)
    deployment.backup.update(receiving={"status": "starting", "since": time.time() - seconds})
    (result,) = await run([CHECKS["backups-writes"]], None, deployment.app())
    assert result.status is status
