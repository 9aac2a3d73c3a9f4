"""railpack.json: the start command, build commands and variables; system packages are listed."""

from __future__ import annotations

from golive.importers import reasons as why
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import load_json
from golive.importers.nixpacks import PACKAGES, put_build
from golive.importers.places import folder_of, put_command
from golive.importers.reasons import Reasons, lose_known
from golive.importers.report import Imported
from golive.importers.variables import Given, declare

SERVICE = "web"
_STEPS = ("golive's builds have no steps", "services.web.build.command")
_TOP: Reasons = {
    "provider": why.FRAMEWORK,
    "packages": PACKAGES,
    "buildAptPackages": PACKAGES,
    "caches": ("golive keeps the caches of package managers itself", "nothing"),
    "secrets": ("builds see no secrets", "services.web.build.env, for what is none"),
}
_DEPLOY: Reasons = {
    "aptPackages": PACKAGES,
    "base": why.IMAGE,
    "inputs": _STEPS,
    "paths": _STEPS,
}


def import_railpack(text: str, file: str = "railpack.json") -> Imported:
    """One service, of the folder the file stands in."""
    loaded = load_json(text)
    ledger = Ledger(file, "railpack.json", loaded.data)
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    root = ledger.root
    root.get("$schema").carry("nothing: it is for editors")
    ledger.put(("services", SERVICE, "source"), folder_of(file))
    if start := root.get("deploy", "startCommand"):
        ledger.put(("services", SERVICE, "kind"), "web")
        put_command(start, SERVICE, web=True)
    for name, step in root.get("steps").items():
        _step(step, name)
    for name, node in root.get("deploy", "variables").items():
        declare(node, Given(name, node.value, SERVICE))
    lose_known(root.get("deploy"), _DEPLOY)
    lose_known(root, _TOP)
    return ledger.close()


def _step(step: Node, name: str) -> None:
    """`build` as the build command, where it is more than the provider's own (`...`)."""
    commands = step.get("commands")
    own = [item for item in commands.value or [] if item != "..."] if isinstance(commands.value, list) else []
    if name == "build" and own and "..." not in commands.value:
        put_build(commands, SERVICE)
    elif name == "build" and commands:
        commands.lose("adds to what the provider does by itself", "services.web.build.command, with all of it")
    elif name == "install":
        commands.lose(*why.INSTALL)
    for key, node in step.get("variables").items():
        if name == "build" and isinstance(node.value, str):
            node.put("services", SERVICE, "build", "env", key, value=node.value)
    step.lose(*_STEPS)
