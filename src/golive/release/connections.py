"""Pure: whether the pools of all instances fit into PostgreSQL, two releases at once, before it refuses one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from golive.blueprint.models import Blueprint, Service, ServiceKind
from golive.data.postgres_plan import MAX_CONNECTIONS
from golive.secret import Secret

POOL = re.compile(
    r"(?:DB|DATABASE|PG|POSTGRES|POSTGRESQL|SQLALCHEMY)_?"
    r"(?:(?:MAX_)?POOL(?:_(?:SIZE|MAX|MAX_SIZE|LIMIT))?|MAX_(?:OPEN_)?(?:CONNS|CONNECTIONS)|CONNECTION_LIMIT)"
)
"""Variables by which programs are told how many connections an instance keeps, at most."""
KEPT_BACK = 3
"""superuser_reserved_connections, PostgreSQL's default: an app never gets the last ones."""


@dataclass(frozen=True)
class Pool:
    """The most connections that one service may hold: `size` each for `instances`, of `releases` at once."""

    service: str
    variable: str
    size: int
    instances: int
    releases: int

    @property
    def total(self) -> int:
        return self.size * self.instances * self.releases


def warnings(blueprint: Blueprint, environments: Mapping[str, Mapping[str, Secret]]) -> list[str]:
    """A sentence when the pools that are known ask for more than a PostgreSQL that golive runs gives; else nothing.

    With several databases it is not known which of them a pool is for, and nothing is said.
    """
    stores = [(n, r) for n, r in blueprint.resources.items() if r.engine == "postgres"]
    if len(stores) != 1 or stores[0][1].url_from is not None:
        return []
    pools = [p for name, s in blueprint.services.items() if (p := pool_of(name, s, environments.get(name, {})))]
    room, total = MAX_CONNECTIONS - KEPT_BACK, sum(p.total for p in pools)
    if total <= room:
        return []
    asked = ", ".join(_words(p) for p in pools)
    fitting = {p.variable: max(1, p.size * room // total) for p in sorted(pools, key=lambda p: -p.size)}
    advice = " and ".join(f"{variable} to {size} at most" for variable, size in sorted(fitting.items()))
    return [
        f"{stores[0][0]}: up to {total} connections while two releases overlap ({asked}); PostgreSQL gives {room} to "
        f"the app (max_connections {MAX_CONNECTIONS}, {KEPT_BACK} kept back) and refuses the rest. Set {advice}, or "
        "lower `scale.max`"
    ]


def pool_of(name: str, service: Service, environment: Mapping[str, Secret]) -> Pool | None:
    """None when no variable says how many connections it keeps."""
    if service.kind is ServiceKind.STATIC:
        return None
    sizes = {
        key: int(text) for key, value in environment.items() if POOL.fullmatch(key) and _is_size(text := value.reveal())
    }
    if not sizes:
        return None
    variable = max(sizes, key=lambda key: (sizes[key], key))
    cron = service.kind is ServiceKind.CRON
    instances = 1 if cron else max(service.scale.min, service.scale.max)
    return Pool(name, variable, sizes[variable], instances, 2 if service.overlap and not cron else 1)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 7 and int(text) > 0


def _words(pool: Pool) -> str:
    times = "" if pool.releases == 1 else f" × {pool.releases}"
    many = f"{pool.instances} instance{'s' if pool.instances > 1 else ''}"
    return f"{pool.service}: {pool.variable} {pool.size} × {many}{times}"
