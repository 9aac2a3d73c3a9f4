"""nixpacks.toml: the start command, build commands and variables; system packages are listed."""

from __future__ import annotations

from golive.importers import reasons as why
from golive.importers.hush import holds_secret
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import load_toml
from golive.importers.places import folder_of, put_command
from golive.importers.report import Imported
from golive.importers.variables import Given, declare

SERVICE = "web"
PACKAGES = ("golive installs no system packages", "install them on the machine; toolchains are found by version files")


def import_nixpacks(text: str, file: str = "nixpacks.toml") -> Imported:
    """One service, of the folder the file stands in."""
    ledger = Ledger(file, "nixpacks.toml", load_toml(text).data)
    root = ledger.root
    ledger.put(("services", SERVICE, "source"), folder_of(file))
    if start := root.get("start", "cmd"):
        ledger.put(("services", SERVICE, "kind"), "web")
        put_command(start, SERVICE, web=True)
    for name, phase in root.get("phases").items():
        _phase(phase, name)
    for name, node in root.get("variables").items():
        declare(node, Given(name, node.value, SERVICE))
    for key in ("providers", "buildImage"):
        root.get(key).lose(*why.FRAMEWORK)
    root.get("start", "runImage").lose(*why.IMAGE)
    return ledger.close()


def _phase(phase: Node, name: str) -> None:
    for key in ("nixPkgs", "nixLibs", "aptPkgs", "nixpkgsArchive", "nixOverlays"):
        phase.get(key).lose(*PACKAGES)
    for key in ("dependsOn", "cacheDirectories", "onlyIncludeFiles", "paths"):
        phase.get(key).lose("golive's builds have no phases", "nothing")
    commands = phase.get("cmds")
    if name == "build":
        put_build(commands, SERVICE)
    else:
        commands.lose(*why.INSTALL)


def put_build(node: Node, service: str) -> None:
    """Carry build commands, one or a list of them run one after the other, to `build.command`."""
    value = node.value
    lines = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    texts = [item.strip() for item in lines if isinstance(item, str) and item.strip() not in ("", "...")]
    if len(texts) != len([item for item in lines if item != "..."]) or not texts:
        node.lose("is not a list of commands", f"services.{service}.build.command")
    elif any(holds_secret(text) for text in texts):
        node.lose("has a credential written into it", f"services.{service}.build.command")
    else:
        node.put("services", service, "build", "command", value=" && ".join(texts))
