"""The variables an application needs: what its code reads, as typed as its code says, beside what its files declare."""

from __future__ import annotations

import re

from golive.blueprint.checkout import Checkout
from golive.blueprint.env import RESERVED
from golive.importers.hush import is_own_secret, is_secret
from golive.importers.merge import Merged
from golive.importers.report import Table
from golive.importers.usage import Usage, used_variables
from golive.importers.variables import CLIENT, default_of

_PLAIN = (None, "string")
_SKIP = "SKIP_ENV_VALIDATION"


def declare_used(merged: Merged, checkout: Checkout) -> dict[str, Usage]:
    """Declare what the code reads and nothing declares yet; type what is declared as the code types it."""
    services, variables = merged.tables("services"), merged.tables("env")
    found: dict[str, Usage] = {}
    owners: dict[str, list[str]] = {}
    for source in dict.fromkeys(table.get("source", ".") for table in services.values()):
        names = [name for name, table in services.items() if table.get("source", ".") == source]
        for variable, usage in used_variables(checkout, source).items():
            found.setdefault(variable, usage)
            owners.setdefault(variable, []).extend(names)
            if variable in variables:
                variables[variable] = refined(variables[variable], usage)
    for variable, usage in found.items():
        constant = any(variable in table.get("env", {}) for table in services.values())
        if variable not in variables and variable not in RESERVED and not constant:
            variables[variable] = declared(usage) | {"for": owners[variable]}
            merged.came_from(f"env.{variable}", f"read in {usage.file}")
    _builds_without(merged, checkout, found)
    return found


def declared(usage: Usage) -> Table:
    """The declaration of a variable that only the code speaks about."""
    client = {"client": True, "build": True} if usage.name.startswith(CLIENT) else {}
    if is_secret(usage.name, usage.entry.get("default")) and not client:
        if is_own_secret(usage.name):
            return {"type": "secret", "generate": True}
        return {"type": "secret"} if usage.required else {"type": "secret", "required": False}
    entry = {key: value for key, value in usage.entry.items() if key != "default"}
    if "default" in usage.entry:
        entry |= _default(usage)
    elif not usage.required:
        entry["required"] = False
    return entry | client or {"type": "string"}


def _default(usage: Usage) -> Table:
    """The code's own default, where it is one for production too."""
    value = usage.entry["default"]
    if not isinstance(value, str):
        return {"default": value}
    made = default_of(usage.name, value, example=True)
    if "default" not in made:
        return made or {"required": False}
    if "type" in usage.entry:  # the schema's type, and the text as it stands
        return {"default": value}
    return made


def refined(entry: Table, usage: Usage) -> Table:
    """A declaration of a file, with the type that the code's schema gives it, where the value is of that type."""
    made = dict(entry)
    if usage.required and "default" not in made:
        made.pop("required", None)
    if "default" in usage.entry and "default" not in made and made.get("type") != "secret":
        made |= {key: value for key, value in _default(usage).items() if key == "default"}
    if "default" in made:
        for key in ("required", "example"):
            made.pop(key, None)
    kind = usage.entry.get("type")
    if kind is None or made.get("type") not in _PLAIN or not _fits(made, usage.entry):
        return made
    return {"type": kind} | ({"values": usage.entry["values"]} if kind == "enum" else {}) | _rest(made)


def _rest(entry: Table) -> Table:
    return {key: value for key, value in entry.items() if key != "type"}


def _fits(entry: Table, schema: Table) -> bool:
    if "default" not in entry:
        return True
    text, kind = str(entry["default"]), schema["type"]
    if kind == "enum":
        return text in schema["values"]
    patterns = {"email": r"[^@\s]+@[^@\s]+\.[^@\s]+", "url": r"[a-z][a-z0-9+.-]*://\S+"}
    return kind in patterns and bool(re.fullmatch(patterns[kind], text))


def _builds_without(merged: Merged, checkout: Checkout, found: dict[str, Usage]) -> None:
    """t3-env checks the server's variables when the application is built, which has none of them: its own switch."""
    for name, table in merged.tables("services").items():
        source = table.get("source", ".")
        files = [u.file for u in found.values() if source == "." or u.file.startswith(f"{source}/")]
        for file in dict.fromkeys(files):
            text = checkout.read(file) or ""
            if "createEnv(" in text and _SKIP in text and table.get("kind") not in ("worker", "cron"):
                table.setdefault("build", {}).setdefault("env", {}).setdefault(_SKIP, "1")
                merged.came_from(f"services.{name}", f"{_SKIP}: builds see no secrets, {file} is checked at the start")
                break
