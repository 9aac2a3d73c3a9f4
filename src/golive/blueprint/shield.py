"""`[edge.shield]` of golive.toml: requests that no visitor makes."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from golive.blueprint.fields import Model

_OPEN_PATH = r"^/[^?#\s\x00-\x1f]*$"


def _network(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an address or a network, such as `203.0.113.7` or `203.0.113.0/24`") from None
    return value


def _open_path(value: str) -> str:
    if not re.fullmatch(_OPEN_PATH, value) or len(value) > 200:
        raise ValueError("must be a path that starts with `/`, without spaces, `?` or `#`")
    return value


# Checked by functions: each use of a pattern would be another compiled expression in memory.
Network = Annotated[str, AfterValidator(_network)]
OpenPath = Annotated[str, AfterValidator(_open_path), WithJsonSchema({"type": "string", "pattern": _OPEN_PATH})]


class Shield(Model):
    """Stops, or only logs, what scanners and attack tools ask for. Bodies are not looked at."""

    mode: Literal["block", "log"] = Field(
        "block", description="log: everything passes, and the access log says what would have been stopped."
    )
    agents: bool = Field(True, description="Attack tools that say their name in User-Agent get 403.")
    block_agents: tuple[Annotated[str, Field(min_length=3, max_length=60)], ...] = Field(
        (), max_length=50, description="Further words of User-Agent that get 403, in any case of letters: `GPTBot`."
    )
    scanners: bool = Field(
        True, description="Paths that only scanners ask for (`/.env`, `/wp-login.php`) get 404 unless the app has them."
    )
    payloads: bool = Field(True, description="Marks of traversal, scripts, SQL and commands in path and query get 403.")
    allow: tuple[Network, ...] = Field(
        (), max_length=200, description="Only these addresses and networks reach the app, all others get 403."
    )
    deny: tuple[Network, ...] = Field(
        (), max_length=200, description="These addresses and networks get 403; stronger than `allow`."
    )
    exempt: tuple[OpenPath, ...] = Field(
        (),
        alias="except",
        max_length=50,
        description="Paths, and what is below them, where `agents`, `scanners` and `payloads` are not asked.",
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
