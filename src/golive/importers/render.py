"""render.yaml: services, cron jobs, static sites, databases and variables."""

from __future__ import annotations

import re

from golive.importers import reasons as why
from golive.importers.hooks import put_release_command
from golive.importers.ledger import Ledger, Node
from golive.importers.nixpacks import put_build
from golive.importers.places import folder_of, inside, put_command, put_source, service_name
from golive.importers.probes import put_path
from golive.importers.reasons import Reasons, lose_known
from golive.importers.report import Imported, Table
from golive.importers.stores import put_resource
from golive.importers.variables import Given, declare
from golive.importers.vercel_routes import checked, leads_elsewhere
from golive.importers.yaml_loading import load_yaml

_KINDS = {"web": "web", "pserv": "web", "worker": "worker", "cron": "cron", "static": "static"}
_STORES = {"redis": "redis", "keyvalue": "redis"}
_POLICIES = ("noeviction", "allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-ttl")
_LOST: Reasons = {
    "plan": why.PLAN,
    "region": why.REGION,
    "repo": ("the checkout is what is deployed", "nothing"),
    "branch": why.DEPLOYS,
    "autoDeploy": why.DEPLOYS,
    "autoDeployTrigger": why.DEPLOYS,
    "buildFilter": ("a service is built again when its own files change", "nothing"),
    "disk": why.DISK,
    "dockerfilePath": why.DOCKERFILE,
    "dockerContext": why.DOCKERFILE,
    "registryCredential": why.IMAGE,
    "image": why.IMAGE,
    "previews": why.PREVIEWS,
    "pullRequestPreviewsEnabled": why.PREVIEWS,
    "previewPlan": why.PREVIEWS,
    "previewDiskSizeGB": why.PREVIEWS,
    "ipAllowList": ("resources listen on this machine only; services have no lists of addresses", "nothing"),
    "initialDeployHook": why.FIRST,
    "maintenanceMode": ("maintenance is switched on by hand", "`golive maintenance on`"),
    "renderSubdomainPolicy": ("there is no such subdomain", "domains"),
    "readReplicas": ("golive runs one server of each resource", "nothing"),
    "highAvailability": ("golive runs one server of each resource", "nothing"),
    "diskSizeGB": ("the machine's disk is the limit", "nothing"),
    "storageAutoscalingEnabled": ("the machine's disk is the limit", "nothing"),
    "databaseName": ("golive makes the name, the user and the password", "nothing: they are given as variables"),
    "user": ("golive makes the name, the user and the password", "nothing: they are given as variables"),
}
_TOP: Reasons = {"previews": why.PREVIEWS, "previewsEnabled": why.PREVIEWS, "previewsExpireAfterDays": why.PREVIEWS}


_INSTALL = re.compile(
    r"pip3? install (?:--[\w-]+ )*(?:-r )?[\w./-]+|(?:npm|pnpm|yarn)(?: (?:ci|install|i))?|poetry install"
)
"""Commands that only install what a lock file lists."""


def import_render(text: str, file: str = "render.yaml") -> Imported:
    """Everything of the top level, and of the first environment of each project."""
    loaded = load_yaml(text)
    ledger = Ledger(file, "render.yaml", loaded.data)
    ledger.notes += loaded.notes
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    root = ledger.root
    root.get("version").carry("nothing: it is about the file itself")
    places = [root]
    for project in root.get("projects").entries():
        environments = list(project.get("environments").entries())
        places += environments[:1]
        project.get("name").lose("one golive.toml is one app", "name")
        for node in (environments[0].get("name"), environments[0].get("networkIsolation")) if environments else ():
            node.lose("the first environment is taken as production", "nothing")
        for other in environments[1:]:
            other.lose("only the first environment was read", "[environments.<name>]")
    for place in places:
        _databases(place.get("databases"))
    for place in places:
        for node in place.get("services").entries():
            _service(node, folder_of(file))
        _groups(place.get("envVarGroups"))
    lose_known(root, _TOP)
    return ledger.close()


def _databases(node: Node) -> None:
    for database in node.entries():
        name, version = database.get("name"), database.get("postgresMajorVersion")
        number = version.whole(1, 99)
        made = put_resource(name, name.text() or "db", "postgres", number)
        version.carry(f"resources.{made}.version")
        lose_known(database, _LOST)
        if policy := database.get("maxmemoryPolicy"):
            policy.lose("has no meaning for PostgreSQL", "nothing")


def _service(node: Node, base: str) -> None:
    ledger = node.ledger
    name, type_ = node.get("name").text() or "web", node.get("type").text() or ""
    runtime = node.get("runtime").text() or node.get("env").text() or ""
    if type_ in _STORES:
        _store(node, name)
        return
    kind = "static" if runtime == "static" else _KINDS.get(type_)
    foreign = runtime == "image" or bool(node.get("image"))
    if kind is None or foreign or (kind == "cron" and not (node.get("startCommand") or node.get("dockerCommand"))):
        node.lose(*(why.IMAGE if foreign else ("golive has no such service, or it has no command", "a service")))
        return
    service = service_name(name, ledger.proposal.get("services", {}))
    root = node.get("rootDir") if node.get("rootDir") else node.get("dockerContext")
    ledger.put(("services", service, "source"), base)
    if root and root.text() and put_source(root, service, base) is None:
        ledger.proposal["services"].pop(service)
        node.lose("its folder leads out of the checkout", "move the code into the checkout")
        return
    if kind in ("worker", "cron") and not _has_command(node):
        ledger.proposal["services"].pop(service)
        node.lose("its command is in a Dockerfile", f'a service with kind = "{kind}" and `command`')
        return
    ledger.put(("services", service, "kind"), kind)
    node.get("type").carry(f"services.{service}.kind")
    node.get("name").carry(f"services.{service}")
    for key in ("runtime", "env"):
        node.get(key).carry(f"services.{service}.build, detected from the checkout")
    _run(node, service, kind)
    _variables(node.get("envVars"), service, kind)
    _static_rules(node, service, kind)
    lose_known(node, _LOST)


def _has_command(node: Node) -> bool:
    return bool(node.get("startCommand").text() or node.get("dockerCommand").text())


def _run(node: Node, service: str, kind: str) -> None:
    compiled = kind == "web" and _go_build(node, service)
    for key in ("startCommand", "dockerCommand"):
        if compiled and re.fullmatch(r"\./[\w./-]+", node.get(key).text() or ""):
            node.get(key).carry(f"services.{service}.command: the program golive builds")
        elif (command := node.get(key)).text() and kind != "static":
            put_command(command, service, web=kind == "web")
    output = node.get("staticPublishPath")
    if kind == "static" and (place := inside(".", output.text() or "/")):
        output.put("services", service, "build", "output", value=place)
    if (build := node.get("buildCommand")).text() and not compiled:
        _build_command(build, service, kind)
    if (path := node.get("healthCheckPath")).text() and kind == "web":
        put_path(path, service)
    if (schedule := node.get("schedule")).text():
        schedule.put("services", service, "schedule")
    _scale(node, service, kind)
    domains = [d for d in node.get("domains").value or [] if isinstance(d, str)] if kind in ("web", "static") else []
    if domains and all(re.fullmatch(r"(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)+", d) for d in domains):
        node.get("domains").put("services", service, "domains", value=list(dict.fromkeys(domains)))
    delay = node.get("maxShutdownDelaySeconds")
    if (seconds := delay.whole(1, 86400)) is not None and kind != "static":
        delay.put("services", service, "stop_timeout", value=f"{seconds}s")
    if before := node.get("preDeployCommand"):
        put_release_command(before, service if kind != "static" else None)


def _go_build(node: Node, service: str) -> bool:
    """Whether the build is one of Go, which golive does; the package it names is kept."""
    build = node.get("buildCommand")
    found = re.fullmatch(r"(?:go mod download && )?(?:\w+=\S+ )*go build ([^|;&]*)", build.text() or "")
    if found is None:
        return False
    package = found[1].split()[-1] if found[1].split() else "."
    if re.fullmatch(r"\./[\w./-]+", package):
        build.put("services", service, "build", "package", value=package)
    else:
        build.carry(f"services.{service}.build, which golive does for Go")
    return True


def _build_command(node: Node, service: str, kind: str) -> None:
    """What only installs dependencies is what golive does by itself."""
    text = node.text() or ""
    steps = [step.strip() for step in text.split("&&")]
    if kind != "static" and all(_INSTALL.fullmatch(step) for step in steps):
        node.carry(f"services.{service}.build, which golive does from the lock file")
    else:
        put_build(node, service)


def _scale(node: Node, service: str, kind: str) -> None:
    if kind not in ("web", "worker"):
        return
    count, scaling = node.get("numInstances"), node.get("scaling")
    low, high = scaling.get("minInstances").whole(1, 100), scaling.get("maxInstances").whole(1, 100)
    cpu = scaling.get("targetCPUPercent").whole(1, 100)
    if low and high and low <= high:
        scaling.get("minInstances").put("services", service, "scale", "min", value=low)
        scaling.get("maxInstances").put("services", service, "scale", "max", value=high)
        if cpu and low < high:
            scaling.get("targetCPUPercent").put("services", service, "scale", "cpu", value=f"{cpu}%")
        scaling.get("targetMemoryPercent").lose("golive scales by processor time", f"services.{service}.scale.cpu")
    elif number := count.whole(1, 100):
        count.put("services", service, "scale", value=number)


def _store(node: Node, name: str) -> None:
    made = put_resource(node.get("name"), name, "redis")
    node.get("type").carry(f"resources.{made}.engine")
    policy = node.get("maxmemoryPolicy")
    word = (policy.text() or "").replace("_", "-")
    if word in _POLICIES:
        policy.put("resources", made, "eviction", value=word)
    lose_known(node, _LOST)


def _variables(node: Node, service: str, kind: str) -> None:
    owner = None if kind == "static" else service
    for entry in node.entries():
        key = entry.get("key").text()
        if key is None:
            entry.lose("groups are written out: their variables are declared for every service", "nothing")
            continue
        source = entry.get("fromDatabase")
        if source or entry.get("fromService", "type").text() in _STORES:
            _from_store(entry, key)
        elif entry.get("fromService"):
            declare(entry.get("key"), Given(key, None, owner))
            entry.lose("is another service's address or variable", f"golive env set {key}")
        else:
            generated = entry.get("generateValue").value is True
            declare(entry, Given(key, entry.get("value").value, owner, generate=generated))


def _from_store(entry: Node, key: str) -> None:
    """The variables golive gives by itself have fixed names; another name is declared, to be set once."""
    if key in ("DATABASE_URL", "REDIS_URL", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"):
        entry.carry(f"{key}, given by the resource")
        return
    declare(entry.get("key"), Given(key, None))
    entry.lose("golive gives the address as DATABASE_URL or REDIS_URL", f"read that one, or golive env set {key}")


def _groups(node: Node) -> None:
    for group in node.entries():
        group.get("name").carry("env, for every service")
        for entry in group.get("envVars").entries():
            if key := entry.get("key").text():
                generated = entry.get("generateValue").value is True
                declare(entry, Given(key, entry.get("value").value, generate=generated))


def _static_rules(node: Node, service: str, kind: str) -> None:
    """`routes` and `headers` of a static site; its patterns have `*` for anything."""
    table: Table = node.ledger.proposal["services"][service]
    for entry in node.get("routes").entries():
        source, to = _pattern(entry.get("source").text()), entry.get("destination").text() or ""
        if entry.get("type").text() == "rewrite" and to == "/index.html" and source == "/(.*)" and kind == "static":
            table["spa"] = True
            entry.carry(f"services.{service}.spa")
            continue
        rule = "redirects" if entry.get("type").text() == "redirect" else "rewrites"
        made = checked(rule, entry, {"source": source, "destination": to.replace("*", "$1")})  # type: ignore[arg-type]
        if made and leads_elsewhere(rule, made.rule):  # type: ignore[arg-type]
            entry.lose(*why.ELSEWHERE)
        elif made:
            table.setdefault(rule, []).append(made.rule)
            entry.carry(f"services.{service}.{rule}")
    for entry in node.get("headers").entries():
        pair = {entry.get("name").text() or "": entry.get("value").text() or ""}
        if made := checked("headers", entry, {"source": _pattern(entry.get("path").text()), "headers": pair}):
            table.setdefault("headers", []).append(made.rule)
            entry.carry(f"services.{service}.headers")


def _pattern(text: str | None) -> str:
    escaped = re.sub(r"([{}()+?\\])", r"\\\1", text or "/")
    return escaped.replace("*", "(.*)")
