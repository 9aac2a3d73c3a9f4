"""Resources: PostgreSQL and Redis that golive runs for an app, and those of others by URL."""

from golive.data.external import check_external, external_variables
from golive.data.place import Placement, kept_major
from golive.data.store import Report, Store, store_for

__all__ = [
    "Placement",
    "Report",
    "Store",
    "check_external",
    "external_variables",
    "kept_major",
    "store_for",
]
