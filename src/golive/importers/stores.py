"""Which images, add-ons and URLs mean PostgreSQL or Redis, and what golive says for the others."""

from __future__ import annotations

import re

from golive.importers.ledger import Node
from golive.importers.places import service_name

_POSTGRES = re.compile(
    r"(?:^|/)(?:postgres|postgresql|postgis|pgvector|timescaledb|timescaledb-ha|supabase-postgres)(?:[:@]|$)"
)
_REDIS = re.compile(r"(?:^|/)(?:redis|valkey|redis-stack|redis-stack-server|keydb|dragonfly)(?:[:@]|$)")
_TAG = re.compile(r"[:@-](?:pg)?v?(\d{1,2})(?=[.\-]|$)")
VERSIONS = {"postgres": range(15, 19), "redis": range(6, 9)}


def engine_of(image: str) -> str | None:
    """`postgres` or `redis` for an image of one, else None."""
    name = image.lower()
    if _POSTGRES.search(name):
        return "postgres"
    return "redis" if _REDIS.search(name) else None


def version_in(image: str) -> int | None:
    """The major version in an image's tag."""
    found = _TAG.search(image.rpartition("/")[2])
    return int(found[1]) if found else None


def put_resource(node: Node, name: str, engine: str, version: int | None = None) -> str:
    """Add a resource to the proposal, and carry the node to it; its name. A version golive does not run is noted."""
    resources = node.ledger.proposal.setdefault("resources", {})
    made = service_name(name, resources)
    resources[made] = {"engine": engine}
    if version is not None and version in VERSIONS[engine]:
        resources[made]["version"] = version
    elif version is not None:
        known = VERSIONS[engine]
        node.ledger.note(
            f"resources.{made}: the file asks for {engine} {version}; golive runs {known.start} to {known.stop - 1} "
            "and takes the best it has"
        )
    node.carry(f"resources.{made}")
    return made
