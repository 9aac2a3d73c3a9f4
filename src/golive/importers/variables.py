"""Variables of other files as `[env]`: values stay only where they are plainly no secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from golive.blueprint.env import RESERVED
from golive.importers.hush import is_own_secret, is_secret
from golive.importers.ledger import Node

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(
    r"your[-_ ]|change[-_ ]?me|replace|<[^>]*>|xxx|\.\.\.|todo|redacted|placeholder|example[-_]?key|^-+$", re.IGNORECASE
)
_COMPOSED = re.compile(r"\$\{?\w|\{\{|\$\(")
_ALONE = re.compile(r"\$\{(\w+)(?::?-([^${}]*))?\}|\$(\w+)")
_LOCAL = re.compile(r"://(?:[^/@]*@)?(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?:[:/]|$)")
"""An example for the developer's machine, which would be wrong anywhere else."""
_MODE = re.compile(r"(?:[A-Z]+_)?(?:ENV|ENVIRONMENT|STAGE)")
_NOT_PRODUCTION = ("development", "dev", "local")
CLIENT = ("NEXT_PUBLIC_", "VITE_", "PUBLIC_", "REACT_APP_", "NUXT_PUBLIC_", "EXPO_PUBLIC_")
"""What a framework puts into pages for a browser to read."""


@dataclass(frozen=True)
class Given:
    """How one file gives a variable. `service` limits it to one; `example` says that the value is only an example."""

    name: str
    value: Any
    service: str | None = None
    example: bool = False
    description: str | None = None
    required: bool | None = None
    generate: bool = False


def declare(node: Node, given: Given) -> None:
    """Declare the variable in the proposal, and account for its node."""
    name = given.name.strip()
    if not _NAME.fullmatch(name) or len(name) > 200:
        node.lose("is not the name of a variable", "rename it: letters, digits and underscores")
    elif name in RESERVED or (name == "HOSTNAME" and given.value in ("0.0.0.0", "::", "localhost")):  # noqa: S104
        node.carry(f"{name}, given by golive to every instance")
    else:
        _declare(node, name, given)


def _declare(node: Node, name: str, given: Given) -> None:
    value, example = given.value, given.example
    text = {True: "true", False: "false", None: ""}.get(value, "") if isinstance(value, bool | None) else str(value)
    if found := _ALONE.fullmatch(text):
        text, example = found[2] or "", True  # what stands behind `:-` is for whoever has set nothing
    entry: dict[str, Any] = {}
    secret = given.generate or is_secret(name, text)
    if secret and not name.startswith(CLIENT):
        entry = {"type": "secret"}
        if given.generate or is_own_secret(name):
            entry["generate"] = True
        elif given.required is not True:
            entry["required"] = False
    elif secret or (entry := default_of(name, text, example=example)) == {}:
        entry = {"required": bool(given.required)}
    if name.startswith(CLIENT):
        entry |= {"client": True, "build": True}
    _enter(node, name, entry, given)
    kept = "default" in entry
    if text and not kept and (_COMPOSED.search(text) or (not example and not _PLACEHOLDER.search(text))):
        why = "is put together from other variables" if _COMPOSED.search(text) else "may be a secret; it is not copied"
        instead = "golive makes one" if entry.get("generate") else f"golive env set {name}"
        node.lose(why, f"{instead}; env.{name} is declared", name)
    else:
        node.carry(f"env.{name}")


def _enter(node: Node, name: str, entry: dict[str, Any], given: Given) -> None:
    """Into the proposal. A second service that gives the same variable another value gets a constant of its own."""
    table = node.ledger.proposal.setdefault("env", {})
    before = table.get(name)
    if before is None:
        if given.description:
            entry["description"] = " ".join(given.description.split())[:200]
        table[name] = entry | ({"for": [given.service]} if given.service else {})
        return
    if given.service and "for" in before and given.service not in before["for"]:
        if before.get("default") == entry.get("default"):
            before["for"].append(given.service)
        elif "default" in entry and before.get("type") != "secret":
            node.ledger.put(("services", given.service, "env", name), constant(entry["default"]))
        else:
            before["for"].append(given.service)


def default_of(name: str, text: str, *, example: bool = False) -> dict[str, Any]:
    """The declaration of a variable whose value, or example, is this; empty when the text is no value to keep."""
    if not text or _PLACEHOLDER.search(text) or _COMPOSED.search(text):
        return {}
    if example and _LOCAL.search(text):
        return {"required": False, "example": text}
    if name.endswith("LOG_LEVEL") and text.lower() in ("debug", "trace"):  # a developer's own
        return {"required": False, "example": text}
    return typed("production" if _MODE.fullmatch(name) and text in _NOT_PRODUCTION else text)


def constant(value: Any) -> str:
    """A default as the text that a service's own environment holds."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def typed(text: str) -> dict[str, Any]:
    """A default with the type that the text plainly has."""
    if re.fullmatch(r"-?(?:0|[1-9]\d{0,14})", text):
        return {"type": "int", "default": int(text)}
    if text in ("true", "false"):
        return {"type": "bool", "default": text == "true"}
    if re.fullmatch(r"https?://[a-z0-9][\w.-]*(?::\d{1,5})?(?:/[\w./~%+-]*)?", text) and len(text) < 2000:
        return {"type": "url", "default": text}
    return {"type": "string", "default": text}
