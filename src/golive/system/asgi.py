"""uvicorn's server without its command line, for processes that have to be small.

`import uvicorn` brings its command line along, and so click, a reloader and worker processes: 2.5 MB that stay.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn import Config, Server


def uvicorn() -> tuple[type[Config], type[Server]]:
    """Its Config and Server."""
    if "uvicorn" not in sys.modules:
        without = ModuleType("uvicorn.main")
        vars(without).update(Server=None, main=None, run=None)  # what the package takes from it
        sys.modules["uvicorn.main"] = without
    from uvicorn.config import Config
    from uvicorn.server import Server

    return Config, Server
