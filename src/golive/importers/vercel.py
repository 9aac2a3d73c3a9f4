"""vercel.json: how the project is built, its variables, and its routing as redirects, rewrites and headers by path."""

from __future__ import annotations

import re

from golive.importers import reasons as why
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import load_json
from golive.importers.nixpacks import put_build
from golive.importers.places import folder_of, inside, service_name
from golive.importers.reasons import Reasons, lose_known
from golive.importers.report import Imported
from golive.importers.variables import Given, declare
from golive.importers.vercel_routes import Converted, convert, leads_elsewhere

SERVICE = "web"
_FUNCTION = ("is a function of the platform; golive runs servers", "a service that answers this path, with `route`")
_CODE = re.compile(r"/?[^?#]*\.(?:js|cjs|mjs|ts|tsx|py|go|rb|rs|php)(?:[?#].*)?")
_SINGLE_PAGE = re.compile(r"\^?/?\((?:\(\?!.*\))?\.[*+]\)\$?|/:\w+[*]")
_LOST: Reasons = {
    "regions": why.REGION,
    "functionFailoverRegions": why.REGION,
    "installCommand": why.INSTALL,
    "devCommand": ("development servers are the framework's own", "nothing"),
    "ignoreCommand": why.DEPLOYS,
    "git": why.DEPLOYS,
    "github": why.DEPLOYS,
    "public": ("golive publishes neither source nor logs", "nothing"),
    "images": ("golive does not change images", "the framework's own server does it"),
    "fluid": ("golive runs servers, no functions", "nothing"),
    "functions": ("golive runs servers, no functions", "services.<name>.timeout and limits"),
    "probes": ("golive has probes of its own", "services.<name>.health"),
    "wildcard": ("names of tenants are the application's business", 'domains = ["*.example.com"]'),
    "scope": ("there is no account", "nothing"),
    "projects": ("one golive.toml holds every service", "a service for each"),
    "relatedProjects": ("one golive.toml holds every service", "a service for each"),
    "passiveRegions": why.REGION,
    "bunVersion": why.FRAMEWORK,
    "customErrorPage": ("golive's static service answers 404.html by itself", "404.html in the output"),
}
_CRON = "a cron service runs a command, no request"
_BUILDERS = {
    "@vercel/python": ("web", "python"),
    "@vercel/node": ("web", "node"),
    "@now/node": ("web", "node"),
    "@vercel/node-server": ("web", "node"),
    "@vercel/go": ("web", "go"),
    "@vercel/next": ("web", "node"),
    "@vercel/static": ("static", "static"),
    "@now/static": ("static", "static"),
    "@vercel/static-build": ("static", "static"),
    "@now/static-build": ("static", "static"),
}
"""Which kind of service each builder of the platform makes."""


def import_vercel(text: str, file: str = "vercel.json") -> Imported:
    """One service of the file's folder, or one for each of its legacy `builds`."""
    loaded = load_json(text)
    ledger = Ledger(file, "vercel.json", loaded.data)
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    root, base = ledger.root, folder_of(file)
    for key in ("$schema", "version"):
        root.get(key).carry("nothing: it is about the file itself")
    _identity(root)
    services = _builds(root.get("builds"), base)
    service = next(iter(services.values()), SERVICE)
    if not services:
        ledger.put(("services", service, "source"), base)
        _build(root, service)
    for key in ("framework", "buildCommand", "outputDirectory") if services else ():
        root.get(key).lose("`builds` of the same file say how it is built", f"services.{service}.build")
    _routing(root, service, services)
    for table in (root.get("env"), root.get("build", "env")):
        for name, node in table.items():
            declare(node, Given(name, _unlinked(node), None))
    for node in root.get("crons").entries():
        _cron(node)
    lose_known(root, _LOST)
    return ledger.close()


def _unlinked(node: Node) -> object:
    """`@name` is a link to a secret kept by the platform."""
    return None if isinstance(node.value, str) and node.value.startswith("@") else node.value


def _identity(root: Node) -> None:
    if name := root.get("name").text():
        root.get("name").put("name", value=service_name(name))
    alias = root.get("alias")
    domains = alias.value if isinstance(alias.value, list) else [alias.value]
    host = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+")
    if alias and all(isinstance(d, str) and host.fullmatch(d) for d in domains):
        alias.put("domains", value=list(dict.fromkeys(domains)))


def _build(root: Node, service: str) -> None:
    framework, output = root.get("framework"), root.get("outputDirectory")
    name = framework.text()
    framework.carry(f"services.{service}.build, detected from the checkout")
    if name == "nextjs" or output.text() in (".next", ".nuxt", ".output", "build/server"):
        output.carry("where the framework's own build puts it")
    elif (folder := output.text()) and (place := inside(".", folder)):
        root.ledger.put(("services", service, "kind"), "static")
        output.put("services", service, "build", "output", value=place)
    if command := root.get("buildCommand"):
        put_build(command, service)


def _builds(builds: Node, base: str) -> dict[str, str]:
    """Legacy builds: each source of code, and the service it became."""
    made: dict[str, str] = {}
    taken: dict[tuple[str, str], str] = {}
    for node in builds.entries():
        src, use = node.get("src").text() or "", (node.get("use").text() or "").split("@latest")[0]
        kind, builder = _BUILDERS.get(use, ("", ""))
        source = inside(base, src.rpartition("/")[0] or ".") if src and "*" not in src else None
        if not kind or source is None:
            node.lose("golive has no such builder" if not kind else "names no one file", "a service with `source`")
            continue
        place = (source if kind == "static" or src.endswith("package.json") else _project(source), builder)
        if place in taken:
            made[src.removeprefix("/")] = taken[place]
            node.lose("is part of a service that is already there", f"services.{taken[place]}")
            continue
        service = service_name(source.rpartition("/")[2] if source != base else SERVICE, taken.values())
        taken[place] = made[src.removeprefix("/")] = service
        _put_build(node, service, place[0], kind)
    return made


def _project(source: str) -> str:
    """The folder of the project that a function's file belongs to: `api` and `src` are folders inside one."""
    head, _, last = source.rpartition("/")
    return (head or ".") if last in ("api", "src", "public", "dist") else source


def _put_build(node: Node, service: str, source: str, kind: str) -> None:
    ledger = node.ledger
    ledger.put(("services", service, "kind"), kind)
    node.get("src").put("services", service, "source", value=source)
    node.get("use").carry(f"services.{service}.kind")
    if kind == "static" and (output := node.get("config", "distDir")) and (place := inside(".", output.text() or "/")):
        output.put("services", service, "build", "output", value=place)
        ledger.put(("services", service, "build", "command"), "npm run build")
    if kind == "web":
        ledger.note(f"services.{service} was a function of the platform: it must listen on $PORT now")
    node.get("config").lose("is about functions of the platform", f"services.{service}.build and limits")


def _routing(root: Node, service: str, services: dict[str, str]) -> None:
    ledger = root.ledger
    static = ledger.proposal.get("services", {}).get(service, {}).get("kind") == "static"
    for key, field in (("cleanUrls", "redirect_html"), ("trailingSlash", "trailing_slash")):
        if isinstance(root.get(key).value, bool):
            root.get(key).put("services", service, field)
    for converted in convert(root):
        if leads_elsewhere(converted.kind, converted.rule):
            converted.node.lose(*why.ELSEWHERE)
            continue
        if converted.kind == "rewrites" and _answered_by_code(converted, services):
            continue
        if converted.kind == "rewrites" and _single_page(converted) and not _is_next(root):
            kept = ledger.proposal["services"][service]
            if static or "kind" not in kept:
                kept["kind"] = "static"
                converted.node.put("services", service, "spa", value=True)
                continue
        rules = ledger.proposal.setdefault("services", {}).setdefault(service, {}).setdefault(converted.kind, [])
        rules.append(converted.rule)
        converted.node.carry(f"services.{service}.{converted.kind}[{len(rules) - 1}]")


def _answered_by_code(converted: Converted, services: dict[str, str]) -> bool:
    """A rewrite to a source file is the platform's way to say which code answers: the service's route here."""
    node, destination = converted.node, str(converted.rule["destination"])
    if not _CODE.fullmatch(destination):
        return False
    service = services.get(destination.removeprefix("/"))
    prefix = re.fullmatch(r"\^?(/[\w/-]*?)/?(?:\(\.\*\)|:\w+\*)?\$?", str(converted.rule["source"]))
    if service is None or prefix is None:
        node.lose(*_FUNCTION)
        return True
    path = prefix[1].rstrip("/") or "/"
    taken = node.ledger.proposal["services"]
    if any(path in entry.get("route", []) for name, entry in taken.items() if name != service):
        node.lose("another service answers this path already", f"services.{service}.route")
        return True
    node.ledger.proposal["services"][service].setdefault("route", [])
    if path not in taken[service]["route"]:
        taken[service]["route"].append(path)
    node.carry(f"services.{service}.route")
    return True


def _single_page(converted: Converted) -> bool:
    rule = converted.rule
    plain = not rule.get("has") and not rule.get("missing") and not rule.get("before_files")
    return plain and rule["destination"] in ("/index.html", "/") and bool(_SINGLE_PAGE.fullmatch(str(rule["source"])))


def _is_next(root: Node) -> bool:
    return root.get("framework").text() == "nextjs"


def _cron(node: Node) -> None:
    path, schedule = node.get("path").text() or "", node.get("schedule").text() or ""
    if re.fullmatch(r"/[\w./?&=()-]*", path) and re.fullmatch(r"[\w*/, -]+", schedule):
        # Vercel sends the secret when the project has one (https://vercel.com/docs/cron-jobs/manage-cron-jobs).
        asks = f'curl -fsS -H "Authorization: Bearer $CRON_SECRET" https://<domain>{path}'
        node.lose(_CRON, f"a cron service: schedule = \"{schedule}\", command = '{asks}'")
    else:
        node.lose(_CRON, "a service with `schedule` and `command`")
