"""Variables of an environment for clients: each with where its value comes from, compared, and read. Secrets masked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from golive.blueprint.env import default_text, injected_names, scopes
from golive.blueprint.env_changes import Change, compare, faults, shown, with_defaults
from golive.blueprint.load import load
from golive.blueprint.models import Blueprint, Variable
from golive.blueprint.positions import key_path
from golive.blueprint.resolve import Origin
from golive.daemon.api import CompareCall, ReadVariables
from golive.errors import BlueprintError, GoliveError, UsageError
from golive.release.environment import secret_names
from golive.release.host import Host
from golive.release.undeclared import Undeclared, undeclared
from golive.secret import MASK
from golive.state.records import Place


@dataclass(frozen=True)
class Known:
    """The blueprint that variables are judged by; `fault` says why it is not the checkout's, and `read`
    is what the checkout's code reads without a declaration."""

    blueprint: Blueprint | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    fault: str | None = None
    read: tuple[Undeclared, ...] = ()


@dataclass(frozen=True)
class _Set:
    """A value in force: where it was set, when, by whom, and the wider scope whose value it overrides."""

    text: str
    scope: str
    at: float
    by: str
    over: str | None


def known(host: Host, place: Place, checkout: str | None, *, look: bool = False) -> Known:
    """Of the checkout as it is now (the one it was deployed from when none is named), whose code is looked through with
    `look`; of the live release where that cannot be read."""
    app = host.state.app(place)
    path = checkout or (app.checkout if app else None)
    fault = None
    if path is not None:
        try:
            loaded = load(Path(path), place.environment)
        except GoliveError as error:
            fault = error.what
        else:
            cache = host.home.cache
            read = undeclared(loaded.checkout, loaded.blueprint, cache=cache) if look else ()
            return Known(loaded.blueprint, loaded.resolved.origins, read=read)
    live = host.release_blueprint(place, app.live) if app and app.live else None
    return Known(live, {}, fault)


async def listing(host: Host, place: Place, checkout: str | None) -> dict[str, Any]:
    """Declared, set and injected variables. Values of secrets, and of what nobody declared, are masked."""
    found = await asyncio.to_thread(known, host, place, checkout, look=True)
    values = _in_force(host, place)
    declared = found.blueprint.env if found.blueprint else {}
    injected = injected_names(found.blueprint) if found.blueprint else set()
    names = {*declared, *values, *injected, *(one.name for one in found.read)}
    secret = _secret(found.blueprint, names)
    rows = [
        _row(name, found, values.get(name), injected=name in injected, secret=name in secret) for name in sorted(names)
    ]
    return {"variables": rows, "fault": found.fault}


def _row(name: str, known: Known, value: _Set | None, *, injected: bool, secret: bool) -> dict[str, Any]:
    variable = known.blueprint.env.get(name) if known.blueprint else None
    place_read = next((one.place for one in known.read if one.name == name), None)
    origin = "set" if value else "resource" if injected else _unset(variable)
    text = value.text if value else default_text(variable) if variable else None
    place = known.origins.get(key_path(("env", name, "default"))) if origin == "default" else None
    return {
        "name": name,
        "type": variable.type.value if variable else "string",
        "value": MASK if secret and (text is not None or origin == "resource") else text,
        "origin": origin,
        "detail": ", ".join(part for part in (place.detail, place.environment and f"for {place.environment}") if part)
        if place
        else "",
        "declared": variable is not None,
        "generate": variable is not None and variable.generate,
        "read": place_read,
        "for": list(variable.services) if variable else [],
        "scope": value.scope if value else None,
        "over": value.over if value else None,
        "set_at": value.at if value else None,
        "set_by": value.by if value else None,
    }


def _unset(variable: Variable | None) -> str:
    if variable is None:
        return "undeclared"
    if default_text(variable) is not None:
        return "default"
    if variable.generate:
        return "golive"
    return "missing" if variable.required else "optional"


def _in_force(host: Host, place: Place) -> dict[str, _Set]:
    found: dict[str, _Set] = {}
    for scope in scopes(place.environment):
        own = Place(place.app, scope)
        values, ages = host.state.own_variables(own), host.state.variable_ages(own)
        for name, value in values.items():
            over = found[name].scope if name in found else None
            found[name] = _Set(value.reveal(), scope, *ages[name], over)
    return found


def _secret(blueprint: Blueprint | None, names: set[str]) -> set[str]:
    """Of these names: secret by declaration or origin, or not declared."""
    if blueprint is None:
        return names
    return secret_names(blueprint) | (names - blueprint.env.keys() - injected_names(blueprint))


async def difference(host: Host, call: CompareCall) -> dict[str, Any]:
    """What `call.values`, or the environment `call.other`, would change in an environment; no secret in it."""
    mine = await asyncio.to_thread(known, host, call.place, call.checkout)
    if isinstance(call.other, str):
        place = Place(call.app, call.other)
        theirs = await asyncio.to_thread(known, host, place, call.checkout)
        after = _effective(host, place, theirs)
    else:
        theirs, after = mine, dict(call.values)
    changes = compare(mine.blueprint, _effective(host, call.place, mine), after, absent=call.absent)
    names = {change.name for change in changes}
    secret = _secret(mine.blueprint, names) | _secret(theirs.blueprint, names)
    wrong = list(faults(mine.blueprint, call.values)) if call.other is None else []
    return {
        "changes": [asdict(_masked(change, secret)) | {"secret": change.name in secret} for change in changes],
        "faults": [problem.to_json() for problem in wrong],
        "fault": mine.fault or theirs.fault,
    }


def _effective(host: Host, place: Place, known: Known) -> dict[str, str]:
    return with_defaults(known.blueprint, {n: v.reveal() for n, v in host.state.variables(place).items()})


def _masked(change: Change, secret: set[str]) -> Change:
    before, after = (shown(text, change.name, secret, MASK) for text in (change.before, change.after))
    return replace(change, before=before, after=after)


async def read(host: Host, call: ReadVariables, actor: str) -> dict[str, Any]:
    """The values themselves, defaults too; secrets only when they are asked for, which the audit log keeps."""
    found = await asyncio.to_thread(known, host, call.place, call.checkout)
    if found.fault:
        raise BlueprintError(found.fault)
    values = _effective(host, call.place, found)
    if not values and found.blueprint is None:
        raise UsageError(f"{call.place} has no variables", hint="golive env set NAME=VALUE")
    secret = _secret(found.blueprint, set(values)) & values.keys()
    if call.secrets and secret:
        host.state.audit(actor, "env.read", call.place, names=", ".join(sorted(secret)))
    left = set() if call.secrets else secret
    plain = {name: text for name, text in values.items() if name not in left}
    return {"values": plain, "secret": sorted(secret), "left_out": sorted(left)}
