"""docker-compose.yml: what is built is a service, PostgreSQL and Redis images resources, other images are listed."""

from __future__ import annotations

import re
from typing import Any

from golive.importers import reasons as why
from golive.importers.ledger import Ledger, Node
from golive.importers.places import folder_of, line, memory, put_command, put_source, seconds, service_name
from golive.importers.probes import path_asked, put_duration
from golive.importers.reasons import Reasons, lose_known
from golive.importers.report import Imported
from golive.importers.stores import engine_of, put_resource, version_in
from golive.importers.variables import Given, declare
from golive.importers.yaml_loading import load_yaml

_TOP: Reasons = {
    "networks": why.NETWORK,
    "volumes": why.DISK,
    "secrets": ("golive keeps secrets encrypted, not in files", "golive env set"),
    "configs": ("golive mounts no files", "keep them in the checkout"),
    "include": ("other files are not followed", "import them one by one"),
}
_LOST: Reasons = {
    "networks": why.NETWORK,
    "network_mode": why.NETWORK,
    "links": why.NETWORK,
    "extra_hosts": why.NETWORK,
    "hostname": why.NETWORK,
    "dns": why.NETWORK,
    "expose": why.NETWORK,
    "volumes": ("nothing is mounted: the service runs from its build", "keep data in a resource"),
    "volumes_from": ("nothing is mounted: the service runs from its build", "keep data in a resource"),
    "tmpfs": ("nothing is mounted", "nothing: /tmp is there"),
    "image": ("the service is built from the checkout; the image's name means nothing", "nothing"),
    "env_file": ("values from files are set, not committed", "golive env set, for each variable the file has"),
    "profiles": ("every service of golive.toml runs", "leave the service out, or an [environments.<name>] of its own"),
    "platform": ("the service runs on this machine's processor", "nothing"),
    "user": ("golive chooses the user: one for each app", "nothing"),
    "privileged": ("apps run without privileges", "nothing"),
    "cap_add": ("apps run without privileges", "nothing"),
    "security_opt": ("apps run without privileges", "nothing"),
    "working_dir": ("commands run in the service's source", "services.<name>.source"),
    "tty": ("there is no terminal", "`golive shell`"),
    "stdin_open": ("there is no terminal", "`golive shell`"),
    "init": ("golive reaps what an instance leaves behind", "nothing"),
    "logging": ("golive keeps and rotates the logs itself", "nothing"),
    "labels": ("labels are read by other programs", "route and domains, when they were a proxy's"),
    "ulimits": ("only open files have a limit of their own", "services.<name>.limits.files"),
    "shm_size": ("the machine's shared memory is used", "nothing"),
    "secrets": _TOP["secrets"],
    "configs": _TOP["configs"],
    "extends": ("other definitions are not followed", "write the keys out"),
    "develop": ("is about development", "nothing"),
    "pull_policy": why.IMAGE,
    "runtime": why.IMAGE,
    "sysctls": ("golive changes no kernel settings", "nothing"),
    "stop_signal": ("golive sends SIGTERM", "nothing when the app ends on SIGTERM"),
}
_BUILD_LOST: Reasons = {
    "dockerfile": why.DOCKERFILE,
    "dockerfile_inline": why.DOCKERFILE,
    "target": why.DOCKERFILE,
    "cache_from": why.DOCKERFILE,
    "cache_to": why.DOCKERFILE,
    "platforms": why.DOCKERFILE,
    "args": ("are arguments of a Dockerfile", "services.<name>.build.env"),
    "additional_contexts": why.DOCKERFILE,
    "secrets": why.DOCKERFILE,
}
_RESTART = {"always": "always", "unless-stopped": "always", "on-failure": "on-failure", "no": "never"}
_PORT = re.compile(r"(?:(?:[\d.]+|\[[\da-f:]+\]|localhost):)?(?:[^:/]+:)?(\d+)(?:/tcp)?|.*:\$\{\w+:-(\d+)\}(?:/tcp)?")


def import_compose(text: str, file: str = "docker-compose.yml") -> Imported:
    """Services, resources, variables, probes and limits of a compose file."""
    loaded = load_yaml(text)
    ledger = Ledger(file, "compose", loaded.data)
    ledger.notes += loaded.notes
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    root = ledger.root
    root.get("version").carry("nothing: compose itself ignores it")
    if name := root.get("name").text():
        root.get("name").put("name", value=service_name(name))
    stores = [node for _, node in root.get("services").items() if _engine(node)]
    for node in stores:
        _store(node)
    for name, node in root.get("services").items():
        if node.value is None or not isinstance(node.value, dict):
            node.lose("is not a table", "nothing")
        elif _engine(node):
            continue
        elif node.get("build"):
            _service(node, name, folder_of(file))
        else:
            _foreign(node)
    _volumes(root, stores)
    lose_known(root, _TOP)
    for key, node in root.items():
        if key.startswith("x-"):
            node.carry("where its anchor is used")
    return ledger.close()


def _volumes(root: Node, stores: list[Node]) -> None:
    """Those that only the databases use are golive's own to keep."""
    theirs = {str(n.path[-1]) for n in stores}
    others = str([node.get("volumes").value for name, node in root.get("services").items() if name not in theirs])
    for name, node in root.get("volumes").items():
        if stores and not re.search(rf"\b{re.escape(name)}\b", others):
            node.carry("the resources, which golive runs and keeps on disk itself")
        else:
            node.lose(*why.DISK)


def _engine(node: Node) -> str | None:
    image = node.get("image").text()
    return engine_of(image) if image and not node.get("build") else None


def _foreign(node: Node) -> None:
    image = node.get("image").text()
    node.lose(why.IMAGE[0] if image else "has neither a build nor an image", why.IMAGE[1])


def _store(node: Node) -> None:
    """A database golive runs itself: its settings are golive's, its credentials are made."""
    name, image = str(node.path[-1]), node.get("image").text() or ""
    made = put_resource(node.get("image"), name, _engine(node) or "postgres", version_in(image))
    node.get("environment").carry(f"resources.{made}: golive makes the name, the user and the password")
    for key in ("ports", "expose", "volumes", "healthcheck", "restart", "container_name", "hostname", "networks"):
        node.get(key).carry(f"resources.{made}, which golive runs, probes and keeps on disk itself")
    if node.get("command"):
        node.get("command").lose("golive tunes the server itself", f"resources.{made}: memory, eviction, persistence")
    lose_known(node, {key: reason for key, reason in _LOST.items() if key != "image"})
    if deploy := node.get("deploy"):
        deploy.lose("golive runs one server of each resource", f"resources.{made}.memory")


def _service(node: Node, name: str, base: str) -> None:
    ledger = node.ledger
    service = service_name(name, ledger.proposal.get("services", {}))
    if not _source(node.get("build"), service, base):
        ledger.proposal.get("services", {}).pop(service, None)
        node.lose("its folder leads out of the checkout", "move the code into the checkout")
        return
    ports = _ports(node, service)
    if ports:
        ledger.put(("services", service, "kind"), "web")
    _commands(node, service, ports)
    _environment(node.get("environment"), service)
    _probe(node.get("healthcheck"), service, web=bool(ports))
    _limits(node, service)
    _restart(node.get("restart"), service)
    node.get("container_name").carry(f"services.{service}")
    node.get("depends_on").carry("golive starts resources first, and gives traffic to what is ready")
    lose_known(node, _LOST)


def _source(build: Node, service: str, base: str) -> bool:
    if isinstance(build.value, str):
        return put_source(build, service, base) is not None
    lose_known(build, _BUILD_LOST)
    context = build.get("context")
    if not context:
        build.ledger.put(("services", service, "source"), base)
        return True
    return put_source(context, service, base) is not None


def _ports(node: Node, service: str) -> list[int]:
    found: list[int] = []
    for entry in node.get("ports").entries():
        target = entry.get("target").whole(1, 65535) if isinstance(entry.value, dict) else None
        match = _PORT.fullmatch(entry.text() or "") if target is None else None
        port = target or (int(match[1] or match[2]) if match else None)
        if port is None:
            entry.lose("is not one TCP port", f"services.{service}.port")
        elif found and port != found[0]:
            entry.lose("a service has one port", "a service of its own for the other port")
        else:
            found.append(port)
            entry.carry(f"$PORT of services.{service}")
    if found:
        node.ledger.note(f"services.{service} listened on {found[0]}; golive gives it a port as $PORT")
    return found


def _commands(node: Node, service: str, ports: list[int]) -> None:
    """`entrypoint` and `command` together are what starts; a service with a command and no port is a worker."""
    entry, command = node.get("entrypoint"), node.get("command")
    parts = [text for text in (line(entry.value), line(command.value)) if text]
    if not parts:
        entry.carry("nothing: it is empty")
        command.carry("nothing: it is empty")
        return
    port = ports[0] if ports else None
    last = command if line(command.value) else entry
    joined = Node(node.ledger, last.path, " ".join(parts))
    if put_command(joined, service, web=bool(ports), port=port):
        entry.carry(f"services.{service}.command")
        if not ports:
            node.ledger.put(("services", service, "kind"), "worker")
    else:
        entry.lose("has a credential written into the command beside it", f"services.{service}.command")


def _environment(node: Node, service: str) -> None:
    for name, entry in node.items():
        declare(entry, Given(name, entry.value, service))
    for entry in node.entries():
        name, equals, value = (entry.text() or "").partition("=")
        declare(entry, Given(name, value if equals else None, service))


def _probe(node: Node, service: str, *, web: bool) -> None:
    if not node:
        return
    test = node.get("test")
    path = path_asked(test.value)
    if path is None or not web or node.get("disable").value is True:
        node.lose("asks something else than the service's own port", f"services.{service}.health")
        return
    test.put("services", service, "health", "ready", "path", value=path)
    for key in ("interval", "timeout"):
        if child := node.get(key):
            put_duration(child, service, "ready", key)
    if (retries := node.get("retries")) and (count := retries.whole(1, 100)):
        retries.put("services", service, "health", "ready", "failures", value=count)
    lose_known(node, dict.fromkeys(_START, ("golive waits until it is ready", "release.ready_timeout")))


_START = ("start_period", "start_interval")


def _limits(node: Node, service: str) -> None:
    deploy = node.get("deploy")
    for replicas in (deploy.get("replicas"), node.get("scale")):
        if count := replicas.whole(1, 100):
            replicas.put("services", service, "scale", value=count)
    limits = deploy.get("resources", "limits")
    for size in (limits.get("memory"), node.get("mem_limit")):
        if text := memory(size):
            size.put("services", service, "limits", "memory", value=text)
    for cores in (limits.get("cpus"), node.get("cpus")):
        number = cores.number()
        if number and 0 < number < 1000:
            cores.put("services", service, "limits", "cpu", value=number)
    if grace := seconds(node.get("stop_grace_period")):
        node.get("stop_grace_period").put("services", service, "stop_timeout", value=grace)
    lose_known(deploy, _DEPLOY)


_DEPLOY: Reasons = {
    "labels": _LOST["labels"],
    "restart_policy": ("an instance that exits is started again", "services.<name>.restart"),
    "update_config": ("golive changes over without a gap", "[release]"),
    "placement": ("there is one machine", "nothing"),
    "mode": ("there is one machine", "nothing"),
}


def _restart(node: Node, service: str) -> None:
    value: Any = node.value
    word = str(value).split(":")[0] if isinstance(value, str) else "no" if value is False else ""
    kind = node.ledger.proposal["services"][service].get("kind")
    if word in _RESTART and kind in ("web", "worker"):
        node.put("services", service, "restart", value=_RESTART[word])
    elif word in _RESTART:
        node.carry("golive's own: an instance that exits is started again")
