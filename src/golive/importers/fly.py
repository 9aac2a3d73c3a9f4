"""fly.toml: processes, ports, checks, scale and variables."""

from __future__ import annotations

import re

from golive.importers import reasons as why
from golive.importers.hooks import put_release_command
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import load_toml
from golive.importers.places import folder_of, memory, put_command, seconds, service_name
from golive.importers.probes import put_duration, put_path
from golive.importers.reasons import Reasons, lose_known
from golive.importers.report import Imported
from golive.importers.variables import Given, declare

_TOP: Reasons = {
    "primary_region": why.REGION,
    "kill_signal": ("golive sends SIGTERM", "nothing when the app ends on SIGTERM"),
    "swap_size_mb": ("golive changes no settings of the machine", "nothing"),
    "experimental": ("is about the platform's own machines", "nothing"),
    "mounts": why.DISK,
    "metrics": ("golive measures by itself", "nothing"),
    "files": ("golive mounts no files", "keep them in the checkout"),
    "restart": ("an instance that exits is started again", "services.<name>.restart"),
    "console_command": ("`golive shell` opens one", "nothing"),
    "host_dedication_id": why.REGION,
    "http_options": ("the edge's answers are golive's own", "services.<name>.headers"),
}
_BUILD: Reasons = {
    "builder": why.FRAMEWORK,
    "buildpacks": why.FRAMEWORK,
    "dockerfile": why.DOCKERFILE,
    "image": why.IMAGE,
    "ignorefile": ("golive reads .goliveignore, .dockerignore and .gitignore", "nothing"),
    "args": ("are arguments of a Dockerfile", "services.<name>.build.env"),
    "build-target": why.DOCKERFILE,
    "settings": why.FRAMEWORK,
    "builtin": why.FRAMEWORK,
}
_HTTP: Reasons = {
    "auto_stop_machines": why.SLEEP,
    "auto_start_machines": why.SLEEP,
    "concurrency": ("golive scales by processor time", "services.<name>.scale"),
    "tls_options": ("golive serves TLS 1.2 and 1.3", "nothing"),
    "http_options": ("the edge's answers are golive's own", "services.<name>.headers"),
    "machine_checks": ("golive has no machines to check", "services.<name>.health"),
    "protocol": ("HTTP is what the edge speaks", "nothing"),
}
_CHECK: Reasons = {
    "grace_period": ("golive waits until it is ready", "release.ready_timeout"),
    "method": ("golive asks with GET", "nothing"),
    "protocol": ("golive asks on loopback, without TLS", "nothing"),
    "tls_skip_verify": ("golive asks on loopback, without TLS", "nothing"),
    "tls_server_name": ("golive asks on loopback, without TLS", "nothing"),
    "headers": ("golive asks without headers of its own", "nothing"),
    "port": ("golive asks the service's own port", "nothing"),
    "type": ("a check with a path is HTTP", "nothing"),
    "restart_limit": ("an instance that fails its live probe is started again", "services.<name>.health.live"),
}
_DEPLOY: Reasons = {
    "strategy": ("golive changes over without a gap", "[release]"),
    "max_unavailable": ("golive changes over without a gap", "[release]"),
    "wait_timeout": ("golive waits until it is ready", "release.ready_timeout"),
    "release_command_timeout": ("there is no command that it is for", "migrations.timeout"),
    "seed_command": why.FIRST,
}


def import_fly(text: str, file: str = "fly.toml") -> Imported:
    """A service for each process; `app` when none is named."""
    ledger = Ledger(file, "fly.toml", load_toml(text).data)
    root = ledger.root
    if app := root.get("app").text():
        root.get("app").put("name", value=service_name(app))
    services = _processes(root, folder_of(file))
    first = next(iter(services.values()))
    web = _http(root, services, first)
    for name, node in root.get("env").items():
        declare(node, Given(name, node.value))
    for node in root.get("vm").entries():
        _machine(node, services, web or first)
    _kill(root.get("kill_timeout"), services)
    _release(root.get("deploy"), web or first)
    lose_known(root.get("deploy"), _DEPLOY)
    lose_known(root.get("build"), _BUILD)
    for node in [*root.get("statics").entries(), root.get("statics")]:
        node.lose("files inside the service are its own to serve", 'a service with kind = "static"')
    checks = root.get("checks")
    for _, node in checks.items():
        _check(node, web or first)
    lose_known(root, _TOP)
    return ledger.close()


def _release(node: Node, service: str) -> None:
    command, timeout = node.get("release_command"), node.get("release_command_timeout")
    hook = put_release_command(command, service) if command else None
    if hook and (text := seconds(timeout)):
        hook["timeout"] = text
        timeout.carry("hooks.pre_deploy[0].timeout")


def _processes(root: Node, base: str) -> dict[str, str]:
    """Process → service."""
    found: dict[str, str] = {}
    answering = {p for node in _listeners(root) for p in (node.get("processes").value or []) if isinstance(p, str)}
    everyone = any(not node.get("processes") for node in _listeners(root))
    for name, node in root.get("processes").items():
        service = service_name(name, found.values())
        web = name in answering or (everyone and not answering) or name in ("app", "web")
        if not web and not node.text():
            node.lose("has no command", "a service with `command`")
            continue
        found[name] = service
        root.ledger.put(("services", service, "kind"), "web" if web else "worker")
        root.ledger.put(("services", service, "source"), base)
        if node.text() and not put_command(node, service, web=web) and not web:
            root.ledger.proposal["services"].pop(service)
            del found[name]
    if not found:
        found["app"] = "app"
        root.ledger.put(("services", "app", "source"), base)
    return found


def _listeners(root: Node) -> list[Node]:
    http = [root.get("http_service")] if root.get("http_service") else []
    return [*http, *root.get("services").entries()]


def _http(root: Node, services: dict[str, str], first: str) -> str | None:
    """What listens: the first that speaks HTTP belongs to the web service. Its name."""
    web: str | None = None
    for node in _listeners(root):
        names = [services[p] for p in node.get("processes").value or [] if isinstance(p, str) and p in services]
        service = names[0] if names else first
        if web is not None and service == web:
            node.lose("a service has one port", "a service of its own for the other port")
            continue
        web = web or service
        entry = root.ledger.proposal["services"][service]
        if entry.get("kind") == "worker":
            node.lose("its process was taken for a worker", f'services.{service}.kind = "web"')
            continue
        entry["kind"] = "web"
        _listener(node, service)
    return web


def _listener(node: Node, service: str) -> None:
    node.get("processes").carry(f"services.{service}")
    node.get("internal_port").carry(f"$PORT of services.{service}")
    if port := node.get("internal_port").text():
        node.ledger.note(f"services.{service} listened on {port}; golive gives it a port as $PORT")
    force = node.get("force_https")
    if isinstance(force.value, bool):
        force.carry("edge.https, which redirects to HTTPS")
    least = node.get("min_machines_running")
    count = least.whole(0, 100)
    if count:
        least.put("services", service, "scale", value=count)
    else:
        least.lose(*why.SLEEP)
    for port_node in node.get("ports").entries():
        port_node.carry("the edge, which answers on 80 and 443")
    for key in ("checks", "http_checks"):
        for check in node.get(key).entries():
            _check(check, service)
    for check in node.get("tcp_checks").entries():
        check.carry(f"services.{service}.health: a port that accepts is what golive asks when no path is named")
    lose_known(node, _HTTP)
    node.get("script_checks").lose("golive asks over HTTP or TCP", f"services.{service}.health")


def _check(node: Node, service: str) -> None:
    health = node.ledger.proposal["services"].get(service, {}).get("health", {})
    kind = node.ledger.proposal["services"].get(service, {}).get("kind")
    if not node.get("path") or kind != "web":
        node.carry(f"services.{service}.health: a port that accepts is what golive asks when no path is named")
    elif "ready" in health:
        node.lose("there is a readiness probe already", f"services.{service}.health.live")
    else:
        put_path(node.get("path"), service)
        for key in ("interval", "timeout"):
            if child := node.get(key):
                put_duration(child, service, "ready", key)
        lose_known(node, _CHECK)


def _machine(node: Node, services: dict[str, str], default: str) -> None:
    names = [services[p] for p in node.get("processes").value or [] if isinstance(p, str) and p in services]
    node.get("processes").carry("the limits of the services named")
    for service in names or [default]:
        if text := memory(node.get("memory")):
            node.get("memory").put("services", service, "limits", "memory", value=text)
        elif count := node.get("memory_mb").whole(1, 10**7):
            node.get("memory_mb").put("services", service, "limits", "memory", value=f"{count}MB")
        if cores := node.get("cpus").whole(1, 999):
            node.get("cpus").put("services", service, "limits", "cpu", value=float(cores))
    lose_known(
        node, dict.fromkeys(("size", "cpu_kind", "gpu_kind", "gpus", "kernel_args", "host_dedication_id"), why.PLAN)
    )


def _kill(node: Node, services: dict[str, str]) -> None:
    text = seconds(node)
    if text is None or re.fullmatch(r"0+[a-z]*", text):
        return
    for service in services.values():
        if "kind" in node.ledger.proposal["services"][service]:
            node.put("services", service, "stop_timeout", value=text)
