"""What is said about an image and about a build that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.blueprint.models import Service
from golive.build.image import explain, remarks, tag_of
from golive.build.plan import BuildRequest
from golive.errors import BuildFailed
from golive.system.containers import ContainerEngine, Image
from golive.system.users import User

ENGINE = ContainerEngine("podman", Path("/usr/bin/podman"))
USER = User("golive_shop", 979, 979, ())


def request(user: User | None = None, **settings: object) -> BuildRequest:
    service = Service.model_validate({"kind": "web", "build": {"builder": "docker"}, **settings})
    return BuildRequest("shop", "api", service, Path("/src"), user=user)


def test_an_image_has_to_start_something() -> None:
    with pytest.raises(BuildFailed, match="neither CMD nor ENTRYPOINT"):
        remarks(request(), Image("x", 1, starts=False))
    assert remarks(request(command="serve"), Image("x", 1, starts=False)) == []


def test_an_exposed_port_is_pointed_out_unless_it_is_used() -> None:
    image = Image("x", 1, ports=(8080,))
    (said,) = remarks(request(), image)
    assert "exposes 8080" in said
    assert remarks(request(port=8080, overlap=False), image) == []


@pytest.mark.parametrize(
    ("user", "told"), [("", True), ("root", True), ("0:0", True), ("1000", False), ("app:app", False)]
)
def test_an_image_without_a_user_runs_as_the_apps(user: str, told: bool) -> None:
    assert bool(remarks(request(USER), Image("x", 1, user=user))) is told
    assert remarks(request(), Image("x", 1, user=user)) == []


@pytest.mark.parametrize(
    ("output", "why", "hint"),
    [
        ("STEP 1\nError: no such file: x\n", "Error: no such file: x", "build says the same by hand"),
        ("Error: pinging container registry r: dial tcp: no such host\n", "Error: pinging", "registry does not answer"),
        ("Error: reading manifest: unauthorized\n", "Error: reading", "podman login"),
        ("", None, "by hand"),
    ],
)
def test_why_a_build_failed(output: str, why: str | None, hint: str) -> None:
    error = explain("api", ENGINE, "Dockerfile", output)
    assert (error.why or "").startswith(why or "")
    assert hint in (error.hint or "")


def test_each_home_has_tags_of_its_own() -> None:
    assert tag_of(Path("/a"), "k") != tag_of(Path("/b"), "k")
    assert tag_of(Path("/a"), "k").endswith(":k")
