"""app.json of Heroku: variables, add-ons as resources, how many of each process, health checks."""

from __future__ import annotations

from collections.abc import Mapping

from golive.importers import reasons as why
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import load_json
from golive.importers.places import folder_of, is_migration, service_name
from golive.importers.probes import put_path
from golive.importers.reasons import Reasons, lose_known
from golive.importers.report import Imported
from golive.importers.stores import put_resource
from golive.importers.variables import Given, declare

_ADDONS: Mapping[str, str] = {
    "heroku-postgresql": "postgres",
    "heroku-postgres": "postgres",
    "heroku-redis": "redis",
    "rediscloud": "redis",
    "redistogo": "redis",
    "openredis": "redis",
    "stackhero-redis": "redis",
}
_LOST: Reasons = {
    "description": why.ABOUT,
    "keywords": why.ABOUT,
    "website": why.ABOUT,
    "repository": why.ABOUT,
    "logo": why.ABOUT,
    "success_url": why.ABOUT,
    "stack": why.REGION,
    "image": why.IMAGE,
    "buildpacks": ("golive detects the language from the checkout", "services.<name>.build"),
    "cron": ("golive's cron services have a service each", "a service with `schedule` and `command`"),
}
_FORMATION: Reasons = {
    "size": why.PLAN,
    "autoscale": ("golive scales by processor time", "services.<name>.scale"),
    "service": ("ports are golive's own", "services.<name>.health"),
}


def import_app_json(text: str, file: str = "app.json", processes: Mapping[str, str] | None = None) -> Imported:
    """`processes` are those of the Procfile beside it: only they can have a scale or a check."""
    loaded = load_json(text)
    ledger = Ledger(file, "app.json", loaded.data)
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    root = ledger.root
    if name := root.get("name").text():
        root.get("name").put("name", value=service_name(name))
    for name, node in root.get("env").items():
        _variable(node, name)
    for node in root.get("addons").entries():
        _addon(node)
    for name, node in root.get("formation").items():
        _formation(node, name, processes or {}, folder_of(file))
    for name, node in root.get("healthchecks").items():
        _checks(node, name, processes or {}, folder_of(file))
    for name, node in root.get("scripts").items():
        _script(node, name)
    for name, node in root.get("environments").items():
        node.lose("only what the app itself says was read", f"[environments.{name}]")
    lose_known(root, _LOST)
    return ledger.close()


def _variable(node: Node, name: str) -> None:
    if not isinstance(node.value, dict):
        declare(node, Given(name, node.value))
        return
    value, required = node.get("value").value, node.get("required").value
    about = node.get("description").text()
    generated = node.get("generator").text() == "secret"
    missing = required is not False and value is None and not generated
    given = Given(name, value, description=about, required=missing, generate=generated)
    declare(node, given)


def _addon(node: Node) -> None:
    name = node.get("plan") if isinstance(node.value, dict) else node
    text = name.text() or ""
    engine = _ADDONS.get(text.split(":")[0])
    if engine is None:
        node.lose("is a service of somebody else's", "give its address as a variable")
        return
    version = node.get("options", "version").whole(1, 99)
    taken = node.ledger.proposal.get("resources", {})
    if any(resource["engine"] == engine for resource in taken.values()):
        node.lose("there is one of this kind already", "[resources.<name>]")
        return
    made = put_resource(name, "db" if engine == "postgres" else "cache", engine, version)
    node.get("options", "version").carry(f"resources.{made}.version")
    node.get("as").lose("golive names the variables itself", f"resources.{made}.prefix")


def _known(node: Node, name: str, processes: Mapping[str, str], base: str) -> str | None:
    """The service of a process of the Procfile, or of `web`, which may be detected."""
    if name not in processes and name != "web":
        node.lose("the Procfile has no such process", f"a service `{service_name(name)}` with `command`")
        return None
    service = service_name(name)
    node.ledger.put(("services", service, "source"), base)
    node.ledger.put(("services", service, "kind"), "web" if name == "web" else "worker")
    if name in processes:
        node.ledger.put(("services", service, "command"), processes[name])
    return service


def _formation(node: Node, name: str, processes: Mapping[str, str], base: str) -> None:
    service = _known(node, name, processes, base)
    if service is None:
        return
    quantity = node.get("quantity")
    count = quantity.whole(0, 100)
    if count:
        quantity.put("services", service, "scale", value=count)
    elif count == 0:
        quantity.lose("golive runs every service", f"leave services.{service} out")
    lose_known(node, _FORMATION)


def _checks(node: Node, name: str, processes: Mapping[str, str], base: str) -> None:
    service = _known(node, name, processes, base) if name == "web" else None
    for check in node.entries():
        ready = service and "health" not in node.ledger.proposal["services"][service]
        if ready and service and check.get("path"):
            put_path(check.get("path"), service)
            for key in ("name", "type"):
                check.get(key).carry(f"services.{service}.health.ready")
        check.lose("golive's probes are by path, port or command", "services.<name>.health")


def _script(node: Node, name: str) -> None:
    if name in ("postdeploy", "release") and is_migration(node.value):
        node.carry("migrations, detected and run by golive before every release")
    elif name.startswith("test"):
        node.lose("golive does not run tests", "run them before `golive up`")
    else:
        node.lose(*why.FIRST)
