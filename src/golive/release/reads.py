"""The one address that all replicas of a database are read by: a port of the edge, promised once and kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from golive.data import pool_plan
from golive.data.replica_plan import Lag
from golive.edge.model import Endpoint, Stream
from golive.release.host import Host
from golive.secret import Secret
from golive.state.records import Place, ResourceRow
from golive.supervise.unit import Status
from golive.system import ports

ENGINE = "reads"
SUFFIX = "@replicas"
UNKNOWN = Lag("streaming")


def port(host: Host, place: Place, resource: str) -> int:
    """Where the replicas of a resource are reached."""
    name = f"{resource}{SUFFIX}"
    for row in host.state.resources(place):
        if row.name == name:
            return row.port
    row = ResourceRow(place, name, ENGINE, "", ports.choose(avoid=host.state.ports()), b"")
    host.state.add_resource(row, Secret(secrets.token_urlsafe(32)))
    return row.port


def streams(host: Host, place: Place) -> Iterator[Stream]:
    """What the edge does with those ports: replicas that serve, the primary else; and the database itself in the place
    of a pool whose PgBouncer is not there (any more)."""
    rows = {row.name: row for row in host.state.resources(place)}
    for row in rows.values():
        if (place, row.name) in host.bare:
            behind = Endpoint(port=rows[row.name.removesuffix(pool_plan.SUFFIX)].port)
            yield Stream(f"{place}/resource/{row.name}", row.port, (behind,), behind)
        primary = rows.get(row.name.removesuffix(SUFFIX))
        if row.engine == ENGINE and primary:
            serving = tuple(Endpoint(port=rows[name].port) for name in serving_replicas(host, place, primary.name))
            yield Stream(f"{place}/resource/{row.name}", row.port, serving, Endpoint(port=primary.port))


def serving_replicas(host: Host, place: Place, resource: str) -> tuple[str, ...]:
    """Names of the replicas that are asked: they run, and streamed when they were last looked at."""
    found = [c for c in host.state.copies(place) if c.resource == resource and c.kind == "standby"]
    return tuple(c.name for c in found if c.state == "ready" and _serves(host, place, c.name))


def _serves(host: Host, place: Place, name: str) -> bool:
    """One that an earlier daemon left running is believed until it is looked at."""
    unit = host.supervisor.state(f"{place}/resource/{name}")
    return unit is not None and unit.status is Status.READY and host.lags.get((place, name), UNKNOWN).serves


def restarted(host: Host, unit: str) -> bool:
    """Whether a unit that is no longer what it was is a replica: it is not asked until it was seen to stream."""
    for copy in host.state.copies():
        if copy.kind == "standby" and unit == f"{copy.place}/resource/{copy.name}":
            host.lags[copy.place, copy.name] = Lag("away")
            return True
    return False
