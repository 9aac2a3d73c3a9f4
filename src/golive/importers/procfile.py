"""Procfile: `web` answers, `release` runs before a release, everything else works in the background."""

from __future__ import annotations

import re

from golive.importers.hooks import put_release_command
from golive.importers.ledger import Ledger, Node
from golive.importers.loading import Loaded, clean
from golive.importers.places import folder_of, put_command, service_name
from golive.importers.report import Imported

_LINE = re.compile(r"\s*([A-Za-z0-9_-]+)\s*:\s*(.*?)\s*")


def parse_procfile(text: str) -> Loaded:
    """Process type → command. Lines that are neither are under `line N`."""
    found = Loaded({})
    for number, line in enumerate(clean(text).split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match and match[2]:
            if match[1] in found.data:
                found.repeated.append((match[1],))
            found.data[match[1]] = match[2]
        else:
            found.data[f"line {number}"] = None
    return found


def import_procfile(text: str, file: str = "Procfile") -> Imported:
    """Each process type as a service of the Procfile's folder."""
    loaded = parse_procfile(text)
    ledger = Ledger(file, "Procfile", loaded.data)
    for path in loaded.repeated:
        ledger.repeated(path, "is written twice", "nothing: the last one counts")
    for name, node in ledger.root.items():
        if node.value is None:
            node.lose("is not `type: command`", "correct the line")
        elif name == "release":
            continue
        else:
            _process(node, name, folder_of(file))
    if release := ledger.root.get("release"):
        services = ledger.proposal.get("services", {})
        put_release_command(release, "web" if "web" in services else next(iter(services), None))
    return ledger.close()


def _process(node: Node, name: str, folder: str) -> None:
    ledger = node.ledger
    service = service_name(name, ledger.proposal.get("services", {}))
    web = name == "web"
    ledger.put(("services", service, "kind"), "web" if web else "worker")
    ledger.put(("services", service, "source"), folder)
    if not put_command(node, service, web=web) and not web:
        del ledger.proposal["services"][service]
