"""What the app's own requests show: one fault at a time in a site that answers them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_app import Deployment
from faults_server import Good, Request, Response, served

from golive.checks import catalog
from golive.checks.app import App
from golive.checks.families import load
from golive.checks.load.search import Bar
from golive.checks.load.watch import Part
from golive.checks.model import Result, Status
from golive.checks.run import run
from golive.checks.site import Aim, Site, address
from golive.checks.web import Bounds, Web

CHECKS = {check.id: check for check in catalog.checks(app=True)}
WRONG = (Status.FAIL, Status.WARNING)
Plant = Callable[[Request, Response], None]
REQUESTS = "".join(
    f'\n[[checks.requests]]\nname = "{name}"\npath = "/{name.replace(" ", "-")}"\ncontains = "tea"\n'
    for name in ("sign-in", "mail", "upload", "search", "the model")
)
IDS = {
    "features-sign-in": "/sign-in",
    "features-mail": "/mail",
    "features-uploads": "/upload",
    "features-search": "/search",
    "features-model": "/the-model",
}


LOAD = ("load-burst", "load-steady", "load-room")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load of half a second, which is enough for what is planted here; that the machine is slow is not."""
    monkeypatch.setattr(load, "SECONDS", 0.5)
    monkeypatch.setattr(load, "RATE", 60.0)
    monkeypatch.setattr(load, "SLOW", 60.0)
    monkeypatch.setattr(load, "Bar", lambda: Bar(p95=60.0))


async def examine(folder: Path, ids: list[str], *plants: Plant, memory: int = 10**10) -> list[Result]:
    deployment = Deployment(folder)
    deployment.toml += REQUESTS
    deployment.facts["parts"] = ((Part("api.0", "instance", os.getpid(), memory=memory),), 2.0)
    good = Good(changes=list(plants))
    good.files |= dict.fromkeys(IDS.values(), ("text/plain", b"two sorts of tea"))
    good.files["/openapi.json"] = ("application/json", b'{"paths": {"/health": {"get": {}}}}')
    async with served(good, None) as port:
        url = f"http://localhost:{port}/"
        web = Web(url, Bounds(requests=250, timeout=30))
        made = deployment.app()
        site = Site(Aim(address(url), intrusive=True), web)
        app = App(made.name, made.environment, deployment.ask, made.blueprint, site=site, checkout=made.checkout)
        try:
            return await run([CHECKS[id] for id in ids], site, app)
        finally:
            await web.close()


async def test_a_good_app_shows_what_it_is_for(tmp_path: Path) -> None:
    results = await examine(tmp_path, [*IDS, "release-requests", "release-endpoints", *LOAD])
    assert {r.check.id: r.outcome.text for r in results if r.status is not Status.PASS} == {}
    assert all(r.outcome.evidence for r in results)


def says(path: str, status: int = 200, body: bytes = b"tea") -> Plant:
    def plant(request: Request, response: Response) -> None:
        if request.path == path:
            response.status, response.body = status, body
            response.headers.pop("content-encoding", None)

    return plant


FAULTS = [
    ("features-sign-in", "500", says("/sign-in", 500)),
    ("features-sign-in", "gone", says("/sign-in", 404)),
    ("features-mail", "says nothing", says("/mail", 200, b"{}")),
    ("features-uploads", "too large", says("/upload", 413)),
    ("features-search", "empty index", says("/search", 200, b"[]")),
    ("features-model", "key refused", says("/the-model", 502)),
    ("release-requests", "one of them", says("/search", 503)),
    ("release-endpoints", "500", says("/health", 500)),
    ("load-burst", "breaks", says("/", 500)),
    ("load-steady", "breaks", says("/", 500)),
]


@pytest.mark.parametrize(("id", "name", "plant"), FAULTS, ids=[f"{id}: {name}" for id, name, _ in FAULTS])
async def test_a_fault_is_found(tmp_path: Path, id: str, name: str, plant: Plant) -> None:
    [result] = await examine(tmp_path, [id], plant)
    assert result.status in WRONG, f"{result.status}: {result.outcome.text}"
    assert result.outcome.evidence


@pytest.mark.parametrize("id", ["load-room"], ids=["load-room: memory"])
async def test_a_fault_is_found_while_it_is_watched(tmp_path: Path, id: str) -> None:
    [result] = await examine(tmp_path, [id], memory=10**6)
    assert result.status is Status.WARNING, result.outcome.text
    assert "api.0" in result.outcome.text


async def test_a_feature_without_a_request_is_not_passed_over(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.files["api/requirements.txt"] = "fastapi==0.118.0\npython-multipart==0.0.20\nmeilisearch==0.36.0\n"
    ids = ["features-sign-in", "features-mail", "features-uploads", "features-search"]
    results = await run([CHECKS[id] for id in ids], None, deployment.app())
    assert [r.status for r in results] == [
        Status.COULD_NOT_TELL,
        Status.NOT_APPLICABLE,
        Status.COULD_NOT_TELL,
        Status.COULD_NOT_TELL,
    ]
    assert "python-multipart in api/requirements.txt" in results[2].outcome.evidence[0].came
    assert all(r.outcome.evidence for r in results)


async def test_a_model_without_a_key_is_done_without(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path)
    deployment.row("OPENAI_API_KEY", value=None, origin="optional")
    [result] = await run([CHECKS["features-model"]], None, deployment.app())
    assert result.status is Status.NOT_APPLICABLE
    assert "goes without" in result.outcome.text
