"""Commands that other platforms run before a release: schema migrations are golive's own step, the rest is a hook."""

from __future__ import annotations

import shlex

from golive.importers.hush import holds_secret
from golive.importers.ledger import Node
from golive.importers.places import is_migration, line, without_migrations
from golive.importers.report import Table

MIGRATIONS = "migrations, detected and run by golive before every release"
INSTEAD = "hooks.pre_deploy"


def put_release_command(node: Node, service: str | None) -> Table | None:
    """Carry a command to `hooks.pre_deploy` of the service; the hook. None where it only migrates, or cannot be one."""
    text = line(node.value)
    if text is None:
        node.lose("is not a command", INSTEAD)
        return None
    rest = without_migrations(text)
    if is_migration(rest):
        node.carry(MIGRATIONS)
        return None
    if holds_secret(rest):
        node.lose("has a credential written into it", f"{INSTEAD}, with the secret from a variable")
        return None
    if not _is_line(rest):
        node.lose("has a quote that is not closed", INSTEAD)
        return None
    hook: Table = {"run": rest, **({"service": service} if service else {})}
    listed = node.ledger.proposal.setdefault("hooks", {}).setdefault("pre_deploy", [])
    listed.append(hook)
    node.carry(f"hooks.pre_deploy[{len(listed) - 1}].run" + (f"; {MIGRATIONS}" if rest != text else ""))
    return hook


def _is_line(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False
