"""The state: every table behind one object."""

from __future__ import annotations

from golive.state.arrival import Arrival
from golive.state.backups import Backups
from golive.state.closures import Closures
from golive.state.copies import Copies
from golive.state.deployments import Deployments
from golive.state.moves import Moves
from golive.state.rotation import Rotation
from golive.state.schemas import Schemas


class State(Deployments, Rotation, Closures, Copies, Schemas, Moves, Backups, Arrival):
    """Apps, releases, deployments, what runs or is closed, variables and the audit log of one $GOLIVE_HOME."""
