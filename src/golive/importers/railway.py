"""railway.json and railway.toml: how one service is built and started."""

from __future__ import annotations

from golive.importers import reasons as why
from golive.importers.hooks import put_release_command
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import load_json, load_toml
from golive.importers.nixpacks import put_build
from golive.importers.places import folder_of, put_command
from golive.importers.probes import put_path
from golive.importers.reasons import Reasons, lose_known
from golive.importers.report import Imported
from golive.importers.variables import Given, declare

SERVICE = "web"
_BUILD: Reasons = {
    "builder": ("golive chooses the builder from the checkout", "services.<name>.build.builder"),
    "dockerfilePath": why.DOCKERFILE,
    "dockerContext": why.DOCKERFILE,
    "nixpacksConfigPath": ("other files are not followed", "import it by itself"),
    "nixpacksPlan": ("golive's builds have no phases", "services.<name>.build.command"),
    "nixpacksVersion": why.FRAMEWORK,
    "railpackVersion": why.FRAMEWORK,
    "railpackConfigPath": why.FRAMEWORK,
    "watchPatterns": ("a service is built again when its own files change", "nothing"),
    "installCommand": why.INSTALL,
}
_DEPLOY: Reasons = {
    "sleepApplication": why.SLEEP,
    "region": why.REGION,
    "multiRegionConfig": why.REGION,
    "runtime": why.IMAGE,
    "restartPolicyMaxRetries": ("golive goes on trying, more and more slowly", "nothing"),
    "overlapSeconds": ("the old release ends when its last request has", "release.drain"),
    "requiredMountPath": why.DISK,
    "registryCredentials": why.IMAGE,
    "ipv6EgressEnabled": why.NETWORK,
    "useLegacyStacker": ("is about the platform's own machines", "nothing"),
    "limitOverride": why.PLAN,
}
_RESTART = {"ALWAYS": "always", "ON_FAILURE": "on-failure", "NEVER": "never"}


def import_railway(text: str, file: str = "railway.json") -> Imported:
    """One service, of the folder the file stands in; `environments` as overlays where they can be."""
    loaded = load_toml(text) if file.endswith(".toml") else load_json(text)
    ledger = Ledger(file, "railway", loaded.data)
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    root = ledger.root
    root.get("$schema").carry("nothing: it is for editors")
    ledger.put(("services", SERVICE, "source"), folder_of(file))
    _build(root.get("build"))
    _deploy(root.get("deploy"))
    variables = (root.get("environments", "production", "variables"), root.get("variables"))
    for name, node in (entry for table in variables for entry in table.items()):
        declare(node, Given(name, node.value, SERVICE))
    production = root.get("environments", "production")
    _build(production.get("build"))
    _deploy(production.get("deploy"))
    for name, node in root.get("environments").items():
        if name != "production":
            node.lose("only production was read", f"[environments.{name}]")
    return ledger.close()


def _build(node: Node) -> None:
    if command := node.get("buildCommand"):
        put_build(command, SERVICE)
    lose_known(node, _BUILD)


def _deploy(node: Node) -> None:
    schedule = node.get("cronSchedule")
    if start := node.get("startCommand"):
        node.ledger.put(("services", SERVICE, "kind"), "cron" if schedule.text() else "web")
        put_command(start, SERVICE, web=not schedule.text())
        if schedule.text():
            schedule.put("services", SERVICE, "schedule")
    if (path := node.get("healthcheckPath")) and not schedule.text():
        put_path(path, SERVICE)
    timeout = node.get("healthcheckTimeout")
    if (limit := timeout.whole(1, 86400)) is not None:
        timeout.put("release", "ready_timeout", value=f"{limit}s")
    replicas = node.get("numReplicas")
    if (count := replicas.whole(1, 100)) is not None and not schedule.text():
        replicas.put("services", SERVICE, "scale", value=count)
    policy = node.get("restartPolicyType")
    if (word := _RESTART.get((policy.text() or "").upper())) and not schedule.text():
        node.ledger.put(("services", SERVICE, "kind"), "web")
        policy.put("services", SERVICE, "restart", value=word)
    drain = node.get("drainingSeconds")
    if (seconds := drain.whole(1, 86400)) is not None:
        drain.put("release", "drain", value=f"{seconds}s")
    if before := node.get("preDeployCommand"):
        listed = before.value if isinstance(before.value, list) else None
        only = next(before.entries()) if listed and len(listed) == 1 else before  # a list has one line, never words
        put_release_command(only, SERVICE)
    lose_known(node, _DEPLOY)
