"""The short forms of golive.toml, written out: after `expand` only the models' own shapes are left.

Values of a wrong type pass through untouched; validation names them later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Table = dict[str, Any]


def expand(raw: Table, declared: Any = None) -> Table:
    """A copy of the file's table (or of one environment's overlay) with every short form written out.

    `declared` is the base's table of variables for an overlay: a bare value there is only another default.
    """
    table = {key: value for key, value in raw.items() if key != "environments"}
    _listed(table, "domains")
    _each(table, "services", _service)
    _each(table, "resources", _resource)
    _each(table, "env", _variable)
    if isinstance(declared, dict) and isinstance(own := raw.get("env"), dict):
        table["env"] |= {k: {"default": v} for k, v in own.items() if k in declared and not isinstance(v, dict)}
    _each(table, "hooks", _hooks)
    if isinstance(edge := table.get("edge"), dict):
        table["edge"] = edge | {
            k: {} if edge[k] else None for k in ("acme", "csp", "shield") if isinstance(edge.get(k), bool)
        }
    if isinstance(protect := table.get("protect"), str | bool):
        table["protect"] = {"password": protect} if isinstance(protect, str) else {"link": True} if protect else None
    if isinstance(source := table.get("migrations"), str):
        table["migrations"] = {"source": source}
    elif isinstance(source, dict) and isinstance(source.get("rehearse"), bool):
        table["migrations"] = {**source, "rehearse": {} if source["rehearse"] else None}
    return table


def _each(table: Table, key: str, convert: Callable[[Any], Any]) -> None:
    if isinstance(entries := table.get(key), dict):
        table[key] = {name: convert(entry) for name, entry in entries.items()}


def _listed(table: Table, key: str) -> None:
    if isinstance(table.get(key), str):
        table[key] = [table[key]]


def _service(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    service = dict(value)
    _listed(service, "route")
    _listed(service, "domains")
    if "health" in service:
        service["health"] = _health(service["health"])
    _listed(service, "cors")
    if isinstance(origins := service.get("cors"), list):
        service["cors"] = {"origins": origins}
    if isinstance(service.get("csp"), bool):
        service["csp"] = {} if service["csp"] else None
    scale = service.get("scale")
    if isinstance(scale, int) and not isinstance(scale, bool):
        service["scale"] = {"min": scale, "max": scale}
    elif isinstance(scale, dict) and "min" in scale and "max" not in scale:
        service["scale"] = {**scale, "max": scale["min"]}
    if isinstance(limit := service.get("rate_limit"), str):
        service["rate_limit"] = [{"limit": limit}]
    elif isinstance(limit, dict):
        service["rate_limit"] = [limit]
    if isinstance(quota := service.get("quota"), str):
        service["quota"] = [{"limit": quota}]
    elif isinstance(quota, dict):
        service["quota"] = [quota]
    if isinstance(cache := service.get("cache"), dict):
        service["cache"] = [cache]
    return service


def _health(value: Any) -> Any:
    if isinstance(value, str):
        value = {"ready": value}
    if not isinstance(value, dict):
        return value
    return {key: _probe(probe) for key, probe in value.items()}


def _probe(value: Any) -> Any:
    if isinstance(value, str):
        return {"path": value}
    if isinstance(value, dict) and value.get("grpc") is True:
        return {**value, "grpc": ""}
    if isinstance(value, dict) and value.get("grpc") is False:
        return {key: entry for key, entry in value.items() if key != "grpc"}
    return value


def _hooks(value: Any) -> Any:
    listed = value if isinstance(value, list) else [value]
    return [{"run": entry} if isinstance(entry, str) else entry for entry in listed]


def _resource(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("pool"), bool):
        return {**value, "pool": {} if value["pool"] else None}
    if not isinstance(value, str):
        return value
    engine, colon, version = value.partition(":")
    if not colon:
        return {"engine": engine}
    return {"engine": engine, "version": int(version) if version.isascii() and version.isdigit() else version}


def _variable(value: Any) -> Any:
    if isinstance(value, dict):
        variable = dict(value)
        _listed(variable, "for")
        return variable
    return {"type": _type_of(value), "default": value}


def _type_of(value: Any) -> str:
    if isinstance(value, list):
        return "int[]" if value and all(_type_of(item) == "int" for item in value) else "string[]"
    names: dict[type, str] = {bool: "bool", int: "int", float: "float"}
    return names.get(type(value), "string")
