"""What engines are told and what they say, without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from golive.system.containers import Container, ContainerEngine, build_argv, client_env, described, run_argv

PODMAN = ContainerEngine("podman", Path("/usr/bin/podman"))
DOCKER = ContainerEngine("docker", Path("/usr/bin/docker"))
FILE = Path("/home/x.env")


def test_a_container_may_do_little_and_its_variables_are_on_no_command_line() -> None:
    argv = run_argv(PODMAN, Container("c", "sha", FILE, ("serve", "--fast"), "979:979", 2**27, 1.5, 1024))
    assert argv[:2] == ("/usr/bin/podman", "run")
    assert argv[-3:] == ("sha", "serve", "--fast")
    text = " ".join(argv)
    for part in (
        "--rm --name c --pull never --network host", "--env-file /home/x.env", "--read-only", "--cap-drop all",
        "no-new-privileges", "--memory 134217728 --memory-swap 134217728", "--cpus 1.5", "nofile=1024:1024",
        "--user 979:979",
    ):  # fmt: skip
        assert part in text
    assert not any(word in ("-e", "--env") for word in argv)


def test_what_is_not_limited_is_not_said() -> None:
    argv = run_argv(DOCKER, Container("c", "sha", FILE))
    assert not {"--memory", "--cpus", "--user"} & set(argv)


@pytest.mark.parametrize("engine", [PODMAN, DOCKER])
def test_a_build_takes_values_from_its_environment(engine: ContainerEngine) -> None:
    argv = build_argv(engine, Path("/src"), Path("/t/Dockerfile"), Path("/t/id"), "tag", "final", ("A", "B"))
    assert argv[-5:] == ("--build-arg", "A", "--build-arg", "B", "/src")
    assert argv[argv.index("--target") : argv.index("--target") + 2] == ("--target", "final")
    assert ("--format" in argv) is (engine is PODMAN)


def test_a_client_gets_its_own_settings_and_nothing_else() -> None:
    given = {"PATH": "/bin", "DOCKER_HOST": "unix:///x", "CONTAINERS_CONF": "/c", "LD_PRELOAD": "/evil", "SECRET": "x"}
    assert client_env(given) == {"PATH": "/bin", "DOCKER_HOST": "unix:///x", "CONTAINERS_CONF": "/c"}


@pytest.mark.parametrize(
    ("config", "user", "ports", "starts", "health"),
    [
        ({}, "", (), False, ()),
        (None, "", (), False, ()),
        ({"Cmd": ["/a"], "User": "1000", "ExposedPorts": {"8080/tcp": {}, "53/udp": {}}}, "1000", (53, 8080), True, ()),
        ({"Entrypoint": ["/a"], "Healthcheck": {"Test": ["CMD", "/a", "check"]}}, "", (), True, ("/a", "check")),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "curl x"]}}, "", (), False, ("/bin/sh", "-c", "curl x")),
        ({"Healthcheck": {"Test": ["NONE"]}}, "", (), False, ()),
    ],
)
def test_what_an_image_says(config: object, user: str, ports: object, starts: bool, health: object) -> None:
    image = described({"Id": "sha256:abc", "Size": 5, "Config": config})
    assert (image.id, image.size) == ("abc", 5)
    assert (image.user, image.ports, image.starts, image.health) == (user, ports, starts, health)
